"""Maps of three kinds of input against the truth: `python test/bench_inputs.py [--rooms 2] [--first 0] [--frames 60]`.

Generated rooms with their true masks, so that poses and depth are all that differs: as recorded; poses withheld; poses
and depth withheld. Either kind of poses is moved to where the truth is, those of colour alone with a scale.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from room_maps import precision
from scipy.spatial import KDTree

from ovseg3r_core.alignment import fit
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.photogrammetry.from_color import scale_of
from ovseg3r_core.scene_files import read_cloud_ply
from ovseg3r_core.sequences.sequence import Recording, open_sequence
from ovseg3r_core.sequences.trajectory_file import write_trajectory
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.saving import save_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig

SURFACE = ("median cm", "within 5 cm %", "complete to 5 cm %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="number of the first room")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--width", type=int, default=320, help="of the images, pixels; 4:3")
    options = parser.parse_args()
    walk = WalkConfig(
        frames=options.frames,
        width_px=options.width,
        height_px=options.width * 3 // 4,
        focal_px=options.width * 525 / 640,
    )
    table = Table("room", "input", "placed", "ATE cm", "AP, AP50, AP25", *SURFACE, "s for poses and depth")
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(options.first, options.first + options.rooms):
            folder = Path(temporary) / f"room{seed}"
            save_room(RoomSequence(build_room(RoomConfig(seed=seed)), walk), folder)
            for what, poses, placed, seconds in inputs(open_sequence(folder), Path(temporary) / f"found{seed}"):
                out = Path(temporary) / f"{seed}{what}"
                ap = precision(folder, poses, out)
                table.add_row(folder.name, what, *placed, ap, *surface(out, folder / "truth.ply"), f"{seconds:.0f}")
    Console(width=140).print(table)


def inputs(recording: Recording, folder: Path) -> Iterator[tuple[str, str, tuple[str, str], float]]:
    """Each kind of input, what `--poses` is to it, how it was placed, and the seconds that took."""
    true = recording.read_poses()
    yield "colour, depth, poses", "recorded", (f"{len(true)} of {len(recording)}", ""), 0.0
    for what, from_color in (("colour, depth", False), ("colour", True)):
        start = time.perf_counter()
        scale = scale_of(recording, positions_from="recorded")
        recovery = Recovery(folder=folder / what, identity="bench", scale=scale)
        found = recover(recording, recovery, from_color=from_color)
        seconds = time.perf_counter() - start
        error = trajectory_error(found.poses, true, scaled=from_color)
        placed = f"{len(found.poses)} of {len(recording)}", f"{100 * error.ate_m:.1f}" if error else ""
        where = folder / what
        if not from_color:
            both = sorted(found.poses.keys() & true.keys())
            T_true_map = fit(
                *(np.array([it[i][:3, 3] for i in both]) for it in (found.poses, true)), scaled=False
            ).T_b_a
            where = folder / "moved.txt"
            write_trajectory(where, {found.stamps_s[i]: T_true_map @ found.poses[i] for i in both})
        yield what, str(where), placed, seconds


def surface(out: Path, truth: Path) -> tuple[str, ...]:
    """How far the map's points lie from the seen surface, how many within 5 cm, and how much of it they cover."""
    ours, true = (read_cloud_ply(path).xyz for path in (out / "scene.ply", truth))
    off, _ = KDTree(true).query(ours)
    missing, _ = KDTree(ours).query(true)
    return f"{100 * np.median(off):.1f}", *(f"{100 * np.mean(it < 0.05):.0f}" for it in (off, missing))


if __name__ == "__main__":
    main()
