"""ARKitScenes (Baruch et al. 2021), its 3DOD part: meshes of a tablet with oriented boxes of large furniture.

The truth is coarse: a vertex belongs to the smallest box that it lies in, with what of floor and wall the box holds.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from jaxtyping import Float32, Float64, UInt16
from numpy import ndarray
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import Rejected, check_pose
from ovseg3r_core.geometry import invert
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.sequences.association import associate
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import read_numbers
from ovseg3r_core.sequences.images import read_color, read_depth
from ovseg3r_train.datasets.assemble import Annotated3d, ReadConfig, assemble, truth_of
from ovseg3r_train.datasets.files import Official, finite_numbers, json_list, plain_name, read_json
from ovseg3r_train.datasets.frames import Shot, ShotSequence, scaled
from ovseg3r_train.datasets.mesh import read_mesh
from ovseg3r_train.datasets.names import truth_name
from ovseg3r_train.scene import LabelledScene, Truth

OFFICIAL = Official(
    name="ARKitScenes (3dod)",
    page="GitHub - apple/ARKitScenes",
    layout=(
        "Training/<scene> or Validation/<scene> with <scene>_3dod_mesh.ply and <scene>_3dod_annotation.json; for views "
        "<scene>_frames/lowres_wide.traj with lowres_wide/, lowres_depth/ and lowres_wide_intrinsics/"
    ),
)
_PARTS = {"train": "Training", "val": "Validation"}
_IMAGE_SKEW_S, _INTRINSICS_SKEW_S, _POSE_SKEW_S = 0.0005, 0.0015, 0.005  # the tolerances of the dataset's own loader

Other = TypeVar("Other")


def list_arkitscenes(folder: Path, split: Literal["train", "val"] | None = None) -> list[str]:
    """The scenes of a fold, or all that are there; raises `Rejected` where there are none."""
    parts = [_PARTS[split]] if split else list(_PARTS.values())
    scenes = sorted(mesh.parent.name for part in parts for mesh in folder.glob(f"{part}/*/*_3dod_mesh.ply"))
    if not scenes:
        raise OFFICIAL.missing(folder / parts[0] / "<scene>" / "<scene>_3dod_mesh.ply")
    return scenes


def read_arkitscenes(
    folder: Path, scene: str, *, proposer: MaskProposer | None = None, config: ReadConfig | None = None
) -> LabelledScene:
    """One scene on the vertices of ARKit's mesh; ids of instances count the boxes of the annotation from 0.

    Raises:
        Rejected: a file is missing or damaged; the text names it.
    """
    config, here = config or ReadConfig(), _scene_folder(folder, plain_name(scene))
    mesh = read_mesh(OFFICIAL.file(here / f"{scene}_3dod_mesh.ply"))
    truth = _truth(OFFICIAL.file(here / f"{scene}_3dod_annotation.json"), mesh.xyz)
    found = Annotated3d(
        official=OFFICIAL,
        name=scene,
        cloud=mesh.cloud(np.eye(4)),
        truth=truth,
        facts={"truth": "the smallest annotated box that a vertex lies in"},
    )
    return assemble(found, _frames(here / f"{scene}_frames", scene, config), proposer, config)


def _scene_folder(folder: Path, scene: str) -> Path:
    for part in _PARTS.values():
        if (folder / part / scene).is_dir():
            return folder / part / scene
    raise OFFICIAL.missing(folder / "Training" / scene)


def _truth(path: Path, xyz: Float32[ndarray, "points 3"]) -> Truth:
    owner = np.full(len(xyz), -1, np.int64)
    smallest = np.full(len(xyz), np.inf)
    names: dict[int, str | None] = {}
    for number, item in enumerate(json_list(read_json(path), "data", path)):
        names[number] = _label(item, number, path)
        centre, size, R_box_map = _box(item, number, path)
        local = (xyz - centre) @ R_box_map.T  # the rows of normalizedAxes are the axes of the box
        inside = (np.abs(local) <= size / 2).all(axis=1) & (size.prod() < smallest)
        owner[inside], smallest[inside] = number, size.prod()
    return truth_of(owner, names)


def _label(item: object, number: int, path: Path) -> str | None:
    label = item.get("label") if isinstance(item, dict) else None
    if not isinstance(label, str):
        raise Rejected("bad_file", f"{path}: data[{number}] has no label")
    return truth_name(label)


def _box(
    item: Mapping, number: int, path: Path
) -> tuple[Float64[ndarray, "3"], Float64[ndarray, "3"], Float64[ndarray, "3 3"]]:
    segments = item.get("segments")
    box = segments.get("obbAligned") if isinstance(segments, dict) else None
    fields = box if isinstance(box, dict) else {}
    centre, size, axes = (
        finite_numbers(fields.get(key), count, path, f"data[{number}].segments.obbAligned.{key}")
        for key, count in (("centroid", 3), ("axesLengths", 3), ("normalizedAxes", 9))
    )
    return centre, size, axes.reshape(3, 3)


def _frames(frames: Path, scene: str, config: ReadConfig) -> ShotSequence | None:
    """Images, intrinsics and poses paired by the times in their names; None without images."""
    color, depth = _by_stamp(frames / "lowres_wide", ".png"), _by_stamp(frames / "lowres_depth", ".png")
    if not color or not depth:
        return None
    intrinsics = _by_stamp(frames / "lowres_wide_intrinsics", ".pincam")
    traj = OFFICIAL.file(frames / "lowres_wide.traj")
    stamps = sorted(color)[config.frames]
    partners = zip(
        _partners(stamps, depth, _IMAGE_SKEW_S),
        _partners(stamps, intrinsics, _INTRINSICS_SKEW_S),
        _partners(stamps, _trajectory(traj), _POSE_SKEW_S),
        strict=True,
    )
    shots = []
    for index, (stamp, (of_depth, of_intrinsics, row)) in enumerate(zip(stamps, partners, strict=True)):
        calibration = partial(_calibration, of_intrinsics, color[stamp])
        shots.append(
            Shot(
                index=index * max(config.frame_step, 1),
                stamp_s=stamp / 1e9,
                name=str(color[stamp]),
                color=partial(read_color, color[stamp]),
                depth=partial(_depth, of_depth, color[stamp]),
                pose=partial(_pose, row, f"{traj} at {stamp / 1e9:.3f} s"),
                color_calibration=calibration,
                depth_calibration=calibration,
            )
        )
    return ShotSequence(name=scene, shots=tuple(shots))


def _by_stamp(folder: Path, suffix: str) -> dict[int, Path]:
    """Files named `<scene>_<seconds>` by their time, ns."""
    found = {}
    for path in folder.glob(f"*_*{suffix}") if folder.is_dir() else ():
        seconds = path.name[: -len(suffix)].rpartition("_")[2]
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", seconds):
            found[round(float(seconds) * 1e9)] = path
    return found


def _partners(stamps_ns: list[int], others: Mapping[int, Other], skew_s: float) -> list[Other | None]:
    """What of the others lies nearest in time to each stamp, None where nothing is near enough."""
    others_ns = sorted(others)
    places = associate(np.array(stamps_ns, np.int64), np.array(others_ns, np.int64), skew_s).tolist()
    return [others[others_ns[place]] if place >= 0 else None for place in places]


def _trajectory(traj: Path) -> dict[int, tuple[float, ...]]:
    """Rotation vector and translation from the world to the camera, by time in ns."""
    numbers = np.array(read_numbers(traj))
    if len(numbers) % 7:
        raise Rejected("bad_file", f"{traj} holds {len(numbers)} numbers; 7 a line are expected")
    rows = numbers.reshape(-1, 7)
    rows = rows[np.isfinite(rows).all(axis=1) & (np.abs(rows[:, 0]) < 1e9)]
    return {round(row[0] * 1e9): tuple(row[1:]) for row in rows.tolist()}


def _depth(path: Path | None, color: Path) -> UInt16[ndarray, "height width"]:
    if path is None:
        raise Rejected("no_depth", f"{color} has no depth image of its time")
    return read_depth(path)


def _pose(row: tuple[float, ...] | None, name: str) -> Float64[ndarray, "4 4"]:
    if row is None:
        raise Rejected("no_pose", f"{name}: no pose within {_POSE_SKEW_S} s")
    T_camera_map = np.eye(4)
    T_camera_map[:3, :3] = Rotation.from_rotvec(row[:3]).as_matrix()
    T_camera_map[:3, 3] = row[3:]
    try:
        return check_pose(invert(T_camera_map))
    except Rejected as rejected:
        raise Rejected(rejected.reason, f"{name}: {rejected}") from rejected


def _calibration(pincam: Path | None, color: Path, width: int, height: int) -> Calibration:
    """Of an image of that size; the file says width, height, fx, fy, cx, cy of the image that it is for."""
    if pincam is None:
        raise Rejected("bad_intrinsics", f"{color} has no intrinsics of its time")
    numbers = read_numbers(pincam)
    if len(numbers) != 6 or min(numbers[:2]) <= 0:
        raise Rejected("bad_intrinsics", f"{pincam} holds {len(numbers)} numbers; give width height fx fy cx cy")
    of_width, of_height, fx, fy, cx, cy = numbers
    return scaled(Calibration(fx=fx, fy=fy, cx=cx, cy=cy), width / of_width, height / of_height)
