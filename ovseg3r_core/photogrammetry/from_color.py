"""A recording of colour alone to poses and depth: every step, each kept until the whole is done."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.alignment import Similarity
from ovseg3r_core.atomic import make_folder
from ovseg3r_core.checks import Rejected
from ovseg3r_core.focal import doubtful
from ovseg3r_core.photogrammetry.dense import DenseConfig, estimate_depth
from ovseg3r_core.photogrammetry.groups import held_together
from ovseg3r_core.photogrammetry.kept import load_model, load_selection, save_model, save_selection
from ovseg3r_core.photogrammetry.metric import FEWEST_POSITIONS, Scale, place
from ovseg3r_core.photogrammetry.selection import Selection, SelectionConfig, select
from ovseg3r_core.photogrammetry.sparse import SparseConfig, SparseModel, exported_model, structure_from_motion
from ovseg3r_core.recovered import DEPTH, Recovered, write_depth
from ovseg3r_core.sequences.colmap import ColmapRecording, load_pycolmap
from ovseg3r_core.sequences.sequence import Recording
from ovseg3r_core.sequences.trajectory_file import check_trajectory
from ovseg3r_core.stopwatch import Stopwatch

Tell = Callable[[str, int, int], object]
"""Is called with what is being done, how much of it is done, and how much there is."""
UNCONNECTED = "unconnected"
"""Why a frame has no pose that was given one: its camera shares too few points with the others to be held there."""
_WORK = "unfinished"


@dataclass(frozen=True, kw_only=True)
class ColorConfig:
    """How a recording without depth is reconstructed."""

    selection: SelectionConfig = field(default_factory=SelectionConfig)
    sparse: SparseConfig = field(default_factory=SparseConfig)
    dense: DenseConfig = field(default_factory=DenseConfig)


def recover_from_color(
    recording: Recording,
    folder: Path,
    key: str,
    config: ColorConfig,
    scale: Scale,
    *,
    device: str = "cpu",
    tell: Tell = lambda *_: None,
) -> Recovered:
    """Find poses, intrinsics where they are unknown, and depth; depth and poses that the recording has are not used.

    What is expensive is kept in `folder` until all is done: a run that was cut goes on where it was, as long as `key`
    and the settings are the same.

    Raises:
        ImportError: pycolmap is missing.
        ValueError: the images do not tell where they were taken from, or the scale cannot be had.
    """
    load_pycolmap()  # first of all: it is what may be missing
    work, clock, total = _work_folder(folder, f"{key}\n{config}"), Stopwatch(), len(recording)
    with clock("read"):
        selection = load_selection(work)
        if selection is None:
            read = iter(range(1, total + 2))
            selection = select(recording, work, config.selection, lambda: tell("reading", next(read), total))
            save_selection(selection)
    with clock("structure"):
        model = load_model(work)
        if model is None:
            if isinstance(recording, ColmapRecording):
                model = exported_model(recording, selection, config.sparse)
            else:
                model = structure_from_motion(selection, work, config.sparse, lambda step: tell(step, 0, 0))
            save_model(model, work)
    model, apart = held_together(model, config.sparse.held_by, config.sparse.fewest)
    to_map, scale_by = place(model, scale)
    with clock("depth"):
        images = iter(range(1, len(model.poses) + 1))
        depth = estimate_depth(
            model,
            selection,
            work,
            config.dense,
            device,
            lambda: tell("depth", next(images), len(model.poses)),
        )
        if not any(image.any() for image in depth.values()):
            raise ValueError(
                f"no depth comes of the {len(model.poses)} images that fit together: no two see the same from clearly "
                "different places; move the camera sideways, not only turn it"
            )
        share = _write_depth(folder / DEPTH, depth, to_map)
    recovered = Recovered(
        key=key,
        recording=recording.name,
        poses={index: to_map.pose(model.poses[index]) for index in depth},
        stamps_s={index: selection.stamps_s[index] for index in depth},
        left_out=selection.left_out | dict.fromkeys(apart, UNCONNECTED),
        scale_known=scale.known,
        calibration=model.calibration,
        depth=folder / DEPTH,
        report=_report(selection, model, len(apart), depth, share, scale_by, clock),
    )
    recovered.save(folder)
    shutil.rmtree(work)
    return recovered


def color_config(threads: int | None = None) -> ColorConfig:
    """The usual settings, with so many threads; with those that the machine has for None."""
    return ColorConfig(sparse=SparseConfig(threads=threads or len(os.sched_getaffinity(0))))


def scale_of(
    recording: Recording,
    *,
    metres_per_unit: float | None = None,
    camera_height_m: float | None = None,
    positions_from: str | None = None,
) -> Scale:
    """What a user says of the scale.

    Args:
        positions_from: `recorded`, or a trajectory file in the TUM format, whose stamps are the recording's.

    Raises:
        ValueError: more than one is said; there are no recorded poses, or the file holds too few at these times.
    """
    positions = None
    if positions_from == "recorded":
        positions = {index: T[:3, 3] for index, T in recording.read_poses().items()}
        if not positions:
            raise ValueError(f"{recording.name} has no recorded poses to take the scale from")
    elif positions_from is not None:
        positions = _positions_by_time(recording, Path(positions_from))
    return Scale(metres_per_unit=metres_per_unit, camera_height_m=camera_height_m, positions=positions)


def _positions_by_time(recording: Recording, path: Path) -> dict[int, Float64[ndarray, "3"]]:
    """Where a trajectory was when each frame was taken; refused at once, not after an hour, where the times differ."""
    trajectory, stamps, positions, why = check_trajectory(path), recording.read_stamps(), {}, None
    for index, stamp_s in stamps.items():
        try:
            positions[index] = trajectory.at(round(stamp_s * 1e9))[:3, 3]
        except Rejected as rejected:
            why = rejected
    if len(positions) < FEWEST_POSITIONS:
        raise ValueError(
            f"{len(positions)} of {len(stamps)} frames of {recording.name} have a pose in {path} by their time, and "
            f"{FEWEST_POSITIONS} are needed for the scale ({why}): a video's frames are taken to begin at 0 s"
        )
    return positions


def _work_folder(folder: Path, key: str) -> Path:
    """A folder for what is under way, emptied where it is of something else."""
    work = folder / _WORK
    if work.exists() and not ((work / "key").is_file() and (work / "key").read_text("utf-8") == key):
        shutil.rmtree(work)
    make_folder(work)
    (work / "key").write_text(key, "utf-8")
    return work


def _write_depth(folder: Path, depth: dict[int, Any], to_map: Similarity) -> float:
    """Write the depth images in millimetres of the map; the share of pixels that have depth."""
    if folder.exists():
        shutil.rmtree(folder)
    make_folder(folder)
    for index, image in depth.items():
        write_depth(folder, index, (image * to_map.scale).astype(np.float32))
    return float(np.mean([np.mean(image > 0) for image in depth.values()])) if depth else 0.0


def _report(
    selection: Selection,
    model: SparseModel,
    unconnected: int,
    depth: dict[int, Any],
    share: float,
    scale_by: str,
    clock: Stopwatch,
) -> dict[str, Any]:
    not_placed = Counter({UNCONNECTED: unconnected, "lost": len(selection.stamps_s) - len(depth) - unconnected})
    return {
        "from": "colour",
        "frames": {"read": selection.frames, "taken": len(selection.stamps_s), "posed": len(depth)},
        "drops": selection.drops | dict(+not_placed),
        "sparse_points": len(model.xyz),
        "reprojection_px": model.reprojection_px,
        "intrinsics": {
            "known": model.intrinsics_known,
            **{name: value for name, value in asdict(model.calibration).items() if name != "model"},
            "focal_told_by_images": model.focal_told,
            "doubtful": doubtful(model.focal_told),
        },
        "motion_blur": selection.blur.report(),
        "depth_share": share,
        "scale": scale_by,
        "seconds": dict(clock.seconds),
    }
