"""Poses without poses, against the recorded ones: `python test/bench_odometry.py RECORDING... [--rooms 3]`.

Beside ours, frame to frame on the same images: Open3D's tensor odometry with its defaults.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import open3d as o3d
from rich.console import Console
from rich.table import Table
from room_maps import precision

from ovseg3r_core.alignment import fit
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.estimate import Estimate, estimate_poses
from ovseg3r_core.sequences.sequence import Recording, open_sequence
from ovseg3r_core.sequences.trajectory_file import write_trajectory
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.saving import save_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.types import Frame

o3c, o3t = o3d.core, o3d.t


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", type=Path, nargs="*")
    parser.add_argument("--rooms", type=int, default=0, help="also so many generated rooms, 120 frames each")
    parser.add_argument(
        "--maps", action="store_true", help="map the rooms with either poses, and compare with the truth"
    )
    parser.add_argument("--beside", action="store_true", help="Open3D's odometry on the same frames, too")
    options = parser.parse_args()
    console = Console(width=120)
    table = Table("recording", "what", "placed", "ATE cm", "RPE mm", "RPE deg", "loops", "ms a frame")
    with tempfile.TemporaryDirectory() as folder:
        for recording in (*map(open_sequence, options.recordings), *rooms(options.rooms, Path(folder))):
            true = {it.index: it.T_map_camera for it in recording.read() if isinstance(it, Frame)}
            start = time.perf_counter()
            found = estimate_poses(recording)
            row(table, recording, "ours", found.poses, true, str(found.loops), time.perf_counter() - start)
            if options.maps and (room := Path(folder) / recording.name).is_dir():
                print_maps(console, room, found, true)
            if options.beside:
                start = time.perf_counter()
                poses = open3d_frame_to_frame(recording)
                row(table, recording, "Open3D, frame to frame", poses, true, "", time.perf_counter() - start)
    console.print(table)


def rooms(count: int, folder: Path) -> Iterator[Recording]:
    for seed in range(count):
        save_room(RoomSequence(build_room(RoomConfig(seed=seed)), WalkConfig(frames=120)), folder / f"room{seed}")
        yield open_sequence(folder / f"room{seed}")


def print_maps(console: Console, room: Path, found: Estimate, true: Mapping[int, np.ndarray]) -> None:
    """The map with true poses and with ours, moved to where the truth is."""
    both = sorted(found.poses.keys() & true.keys())
    centres = (np.array([poses[i][:3, 3] for i in both]) for poses in (found.poses, true))
    T_true_map = fit(*centres, scaled=False).T_b_a
    moved = {found.stamps_s[i]: T_true_map @ found.poses[i] for i in both}
    write_trajectory(room / "moved.txt", moved)
    for what, poses in (("recorded", "recorded"), ("estimated", str(room / "moved.txt"))):
        console.print(f"{room.name}, {what} poses: AP, AP50, AP25 {precision(room, poses, room / 'out' / what)}")


def row(table: Table, recording: Recording, what: str, poses, true, loops: str, seconds: float) -> None:
    error = trajectory_error(poses, true)
    errors = ["", "", ""]
    if error:
        errors = [f"{100 * error.ate_m:.1f}", f"{1000 * error.rpe_m:.1f}", f"{np.degrees(error.rpe_rad):.2f}"]
    placed = f"{len(poses)} of {len(recording)}"
    table.add_row(recording.name, what, placed, *errors, loops, f"{1000 * seconds / len(recording):.0f}")


def open3d_frame_to_frame(recording: Recording) -> dict[int, np.ndarray]:
    """Open3D's hybrid odometry from each frame to the one before, default settings."""
    odometry, poses, T, last = o3t.pipelines.odometry, {}, np.eye(4), None
    for item in recording.read():
        if not isinstance(item, Frame):
            continue
        color = o3t.geometry.Image(o3c.Tensor.from_numpy(item.color.astype(np.float32) / 255))
        image = o3t.geometry.RGBDImage(color, o3t.geometry.Image(o3c.Tensor.from_numpy(item.depth_m)))
        if last is not None:
            K = o3c.Tensor.from_numpy(item.camera.K)
            found = odometry.rgbd_odometry_multi_scale(image, last, K, o3c.Tensor.from_numpy(np.eye(4)), 1.0, 5.0)
            T = T @ found.transformation.numpy()
        last = image
        poses[item.index] = T
    return poses


if __name__ == "__main__":
    main()
