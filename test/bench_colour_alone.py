"""Colour alone against the truth: `python test/bench_colour_alone.py RECORDING... [--rooms 1]`.

Poses and depth of the recordings are withheld, then compared. Beside ours: pycolmap's own pipeline (incremental,
default settings, camera unknown) on the same images. Surface errors are between clouds, after the fit of the camera
centres.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.spatial import KDTree

from ovseg3r_core.alignment import IDENTITY, Similarity, fit
from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.photogrammetry.from_color import color_config
from ovseg3r_core.photogrammetry.selection import select
from ovseg3r_core.photogrammetry.sparse import structure_from_motion
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.sequences.colmap import load_pycolmap
from ovseg3r_core.sequences.sequence import Recording, Sequence, open_sequence
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.saving import save_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.types import Frame, SceneCloud

console = Console(width=120)
Poses = Mapping[int, Float64[ndarray, "4 4"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="*")
    parser.add_argument("--rooms", type=int, default=0, help="also so many generated rooms")
    parser.add_argument("--room-frames", type=int, default=120)
    parser.add_argument("--poses-only", action="store_true", help="no depth, no surfaces")
    parser.add_argument("--beside", action="store_true", help="pycolmap's own pipeline on the same images, too")
    options = parser.parse_args()
    table = Table("recording", "what", "placed", "ATE cm", "RPE mm", "RPE deg", "s a frame")
    surfaces = Table("recording", "surface of", "median cm", "within 5 cm %", "complete to 5 cm %")
    with tempfile.TemporaryDirectory() as folder:
        paths = [*options.recordings, *make_rooms(options.rooms, options.room_frames, Path(folder))]
        for number, path in enumerate(paths):
            recording = open_sequence(path)
            if options.poses_only:
                place_alone(recording, Path(folder) / f"run{number}", table)
            else:
                compare(recording, Path(folder) / f"run{number}", table, surfaces)
            if options.beside:
                row(table, recording, "pycolmap", *by_pycolmap(recording, Path(folder) / f"plain{number}"))
    console.print(table)
    if not options.poses_only:
        console.print(surfaces)


def make_rooms(count: int, frames: int, folder: Path) -> list[Path]:
    for seed in range(count):
        save_room(RoomSequence(build_room(RoomConfig(seed=seed)), WalkConfig(frames=frames)), folder / f"room{seed}")
    return [folder / f"room{seed}" for seed in range(count)]


def place_alone(recording: Recording, folder: Path, table: Table) -> None:
    """The shipped selection and structure from motion."""
    start, config = time.perf_counter(), color_config()
    folder.mkdir()
    selection = select(recording, folder, config.selection)
    model = structure_from_motion(selection, folder, config.sparse)
    row(table, recording, f"poses alone, {len(selection.stamps_s)} taken", model.poses, time.perf_counter() - start)


def compare(recording: Recording, folder: Path, table: Table, surfaces: Table) -> None:
    true = recording.read_poses()
    reference = cloud_of(recording)
    for what, from_color in (("colour alone", True), ("colour and depth", False)):
        start = time.perf_counter()
        recovery = Recovery(folder=folder / what, identity="bench", color=color_config())
        found = recover(recording, recovery, from_color=from_color)
        row(table, recording, what, found.poses, time.perf_counter() - start)
        both = sorted(found.poses.keys() & true.keys())
        if len(both) < 3:  # they do not tell where the map lies in the true one
            continue
        centres = [np.array([poses[i][:3, 3] for i in both]) for poses in (found.poses, true)]
        to_true = fit(*centres, scaled=not found.scale_known)
        surface_row(surfaces, recording.name, what, cloud_of(found.of(recording), to_true), reference)


def row(table: Table, recording: Recording, what: str, poses: Poses, seconds: float) -> None:
    error = trajectory_error(poses, recording.read_poses(), scaled=what != "colour and depth")
    errors = ["", "", ""]
    if error:
        errors = [f"{100 * error.ate_m:.1f}", f"{1000 * error.rpe_m:.1f}", f"{np.degrees(error.rpe_rad):.2f}"]
    placed = f"{len(poses)} of {len(recording)}"
    cells = recording.name, what, placed, *errors, f"{seconds / len(recording):.2f}"
    table.add_row(*cells)
    console.print(*cells, sep=", ")  # the table comes at the end, after an hour


def cloud_of(source: Sequence, to_true: Similarity = IDENTITY) -> SceneCloud:
    """The fused surface, in the true frame and metres."""
    volume = TsdfVolume(TsdfConfig())
    for item in source.read():
        if isinstance(item, Frame):
            stretched = item.depth_m * np.float32(to_true.scale)
            moved = {**vars(item), "depth_m": stretched, "T_map_camera": to_true.pose(item.T_map_camera)}
            try:
                volume.integrate(Frame(**moved))
            except Rejected:
                continue
    return volume.extract()


def surface_row(table: Table, name: str, what: str, cloud: SceneCloud, reference: SceneCloud) -> None:
    off, _ = KDTree(reference.xyz).query(cloud.xyz)
    missing, _ = KDTree(cloud.xyz).query(reference.xyz)
    shares = (100 * float(np.mean(it < 0.05)) for it in (off, missing))
    cells = name, what, f"{100 * np.median(off):.1f}", *(f"{share:.0f}" for share in shares)
    table.add_row(*cells)
    console.print(*cells, sep=", ")


def by_pycolmap(recording: Recording, folder: Path) -> tuple[dict[int, np.ndarray], float]:
    """Poses of the largest model of pycolmap's defaults, and the seconds that it took."""
    colmap = load_pycolmap()
    (folder / "images").mkdir(parents=True)
    for item in recording.read_color():
        if not isinstance(item, Rejected):
            Image.fromarray(item.color).save(folder / "images" / f"{item.index:06d}.png")
    start = time.perf_counter()
    colmap.extract_features(folder / "database.db", folder / "images", camera_mode=colmap.CameraMode.SINGLE)
    colmap.match_sequential(folder / "database.db")
    models = colmap.incremental_mapping(folder / "database.db", folder / "images", folder)
    largest = max(models.values(), key=lambda model: model.num_reg_images(), default=None)
    poses = {}
    for image in largest.images.values() if largest else ():
        if image.has_pose:
            T_camera_map = np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])
            poses[int(Path(image.name).stem)] = np.linalg.inv(T_camera_map)
    return poses, time.perf_counter() - start


if __name__ == "__main__":
    main()
