"""Hostile recordings, without poses and without depth: `python test/bench_hostile.py [--frames 40]`.

A third of a walk round a generated room, 320 x 240, spoilt in one way after another. For each of the two kinds of
input: how many frames are placed, how far from the truth, what is left out, and what the command says of it.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from hostile import blurred, crossed_by_a_person, facing_a_wall, renumbered, repeated, with_focal_length
from rich.console import Console
from rich.table import Table
from speckled import Shots

from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.odometry.doubts import doubts_of_images
from ovseg3r_core.photogrammetry.dense import DenseConfig
from ovseg3r_core.photogrammetry.from_color import ColorConfig
from ovseg3r_core.synthetic.render import Renderer
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.types import Frame

CONFIG = ColorConfig(dense=DenseConfig(width_px=160))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    options = parser.parse_args()
    table = Table("case", "from", "placed", "ATE cm", "depth", "left out", "says", "s")
    with tempfile.TemporaryDirectory() as folder:
        for number, (case, frames) in enumerate(cases(options.frames)):
            if options.only in case:
                for what, from_color in (("colour and depth", False), ("colour", True)):
                    table.add_row(case, what, *verdict(frames, Path(folder) / f"{number}{what}", from_color))
    Console(width=150).print(table)


def cases(count: int) -> Iterator[tuple[str, list[Frame]]]:
    room = build_room(RoomConfig(seed=0))
    walk = WalkConfig(frames=3 * count, width_px=320, height_px=240, focal_px=262.5)
    whole = list(RoomSequence(room, walk).read())
    frames, renderer, (width, depth, _) = whole[:count], Renderer(room.parts), room.size_m

    def shoot(T_map_camera: np.ndarray) -> Frame:
        view = renderer.render(walk.camera, T_map_camera)
        return replace(frames[0], color=view.color, depth_m=view.depth_m, T_map_camera=T_map_camera)

    yield "as it is", frames
    for exposure in (0.3, 1.0):
        yield f"blur, shutter open {exposure:.0%} of the time", blurred(shoot, frames, exposure)
    person, share = crossed_by_a_person(frames, (-0.3 * width, 0.2 * depth), (0.3 * width, -0.2 * depth))
    yield f"a person walks by, {share:.0%} of an image at most", person
    yield "5 frames, one after the other", frames[:5]
    yield "5 frames, round the room", renumbered(whole[:: len(whole) // 5][:5])
    yield "a blank wall alone", [facing_a_wall(frame) for frame in frames]
    wall = slice(count // 3, count // 2)
    yield "a blank wall on the way", _walled(frames, wall)
    yield "each frame three times", repeated(frames, 3)
    yield "one frame all the time", repeated(frames[:1], count)
    for times in (1.4, 0.7):
        yield f"focal length times {times}", with_focal_length(frames, times)


def _walled(frames: Sequence[Frame], where: slice) -> list[Frame]:
    hidden = range(*where.indices(len(frames)))
    return [facing_a_wall(frame) if i in hidden else frame for i, frame in enumerate(frames)]


def verdict(frames: Sequence[Frame], folder: Path, from_color: bool) -> tuple[str, ...]:
    start = time.perf_counter()
    try:
        found = recover(Shots(frames), Recovery(folder=folder, identity="", color=CONFIG), from_color=from_color)
    except ValueError as error:
        return "none", "", "", "", f"refused: {error}", f"{time.perf_counter() - start:.0f}"
    seconds = time.perf_counter() - start
    assert all(np.isfinite(pose).all() for pose in found.poses.values())
    try:
        error = trajectory_error(found.poses, {f.index: f.T_map_camera for f in frames}, scaled=from_color)
    except ValueError:  # a camera that stood still has no scale
        error = None
    left_out = ", ".join(f"{count} {reason}" for reason, count in found.report["drops"].items())
    depth = f"{found.report['depth_share']:.0%}" if from_color else ""
    says = " ".join(doubts_of_images(found.report))
    ate = f"{100 * error.ate_m:.1f}" if error else ""
    return f"{len(found.poses)} of {len(frames)}", ate, depth, left_out, says, f"{seconds:.0f}"


if __name__ == "__main__":
    main()
