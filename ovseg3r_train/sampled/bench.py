"""Seconds a sampled scene takes, by stage: `python -m ovseg3r_train.sampled.bench --device cuda --scene boxes`."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from ovseg3r_core.devices import pick_device
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.synthetic.mesh import Part, plain, quad
from ovseg3r_core.synthetic.surfaces import shell
from ovseg3r_core.synthetic.trajectory import walk_round
from ovseg3r_core.types import Camera
from ovseg3r_train.sampled.model_library import Placement, compose, load_library
from ovseg3r_train.sampled.sampled_scene import SampledConfig, sampled_scene
from ovseg3r_train.sampled.surface_samples import SurfaceSamples, sample_parts
from ovseg3r_train.sampled.zbuffer import DeviceSamples
from ovseg3r_train.scene import LabelledScene

SIZE_M = (6.0, 5.0, 2.6)
KINECT = Camera(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time the stages and print a line for each."""
    options = _parser().parse_args(arguments)
    device = pick_device(options.device, "--device")
    if options.threads:
        torch.set_num_threads(options.threads)
    samples, names = _samples(options)
    on_device = DeviceSamples.of(samples, device)
    poses, config, clock = walk_round(SIZE_M, options.views), SampledConfig(shrink=options.shrink), Stopwatch()

    def make(seed: int, clock: Stopwatch | None = None) -> LabelledScene:
        return sampled_scene(on_device, poses, KINECT, names, seed=seed, config=config, device=device, clock=clock)

    scene = make(0)  # warms up
    for seed in range(options.repeats):
        make(seed, clock)
    console = Console()
    console.print(
        f"{device}: {len(samples)} samples, {len(poses)} views, {len(scene.cloud)} points, {len(scene.lifted)} masks"
    )
    for stage, seconds in clock.seconds.items():
        console.print(f"{stage:10} {seconds / clock.times[stage]:8.3f} s")
    console.print(f"{'a scene':10} {sum(clock.seconds.values()) / max(options.repeats, 1):8.3f} s")
    return 0


def boxes(count: int, seed: int) -> tuple[tuple[int, Part], ...]:
    """A room with boxes on its floor: a scene that needs no furniture."""
    rng = np.random.default_rng([seed, 0xB0])
    parts = [(0, part) for part in shell(SIZE_M, rng)]
    for id in range(1, count + 1):
        size_m, at = rng.uniform(0.2, 1.0, 3), rng.uniform(-0.45, 0.45, 2) * SIZE_M[:2]
        low = np.array([*(at - size_m[:2] / 2), 0.0], dtype=np.float32)
        color = tuple(int(value) for value in rng.integers(40, 220, 3))
        parts += [(id, side) for side in box(low, low + size_m.astype(np.float32), (color[0], color[1], color[2]))]
    return tuple(parts)


def box(low: np.ndarray, high: np.ndarray, color: tuple[int, int, int]) -> list[Part]:
    """The six sides of an upright box."""
    sides = []
    for axis in range(3):
        for end in (low, high):
            corners = np.tile(low, (4, 1))
            corners[:, axis] = end[axis]
            one, two = (axis + 1) % 3, (axis + 2) % 3
            corners[1:3, one], corners[2:, two] = high[one], high[two]
            sides.append(quad(corners, plain(color), 1.0))
    return sides


def _samples(options: argparse.Namespace) -> tuple[SurfaceSamples, Mapping[int, str]]:
    if options.library:
        return _from_library(options.library, options.spacing)
    if options.scene == "boxes":
        return sample_parts(boxes(20, 7), options.spacing), {id: "box" for id in range(1, 21)}
    from ovseg3r_core.synthetic.room import RoomConfig, build_room  # needs trimesh and the furniture

    room = build_room(RoomConfig(seed=7))
    return sample_parts(room.parts, options.spacing), room.names


def _from_library(path: Path, spacing_m: float) -> tuple[SurfaceSamples, Mapping[int, str]]:
    """Twenty models of a library, strewn over the floor of a room; they may stand in one another."""
    library, rng = load_library(path), np.random.default_rng(7)
    chosen = [library.names[i] for i in rng.integers(len(library.names), size=20)]
    placements = []
    for id, model in enumerate(chosen, start=1):
        T, turn = np.eye(4), rng.uniform(0, 2 * np.pi)
        T[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        T[:2, 3] = rng.uniform(-0.4, 0.4, 2) * SIZE_M[:2]
        placements.append(Placement(model=model, instance=id, T_map_model=T))
    walls = sample_parts([(0, part) for part in shell(SIZE_M, rng)], spacing_m)
    return compose(placements, library, [walls]), dict(enumerate(chosen, start=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Seconds a sampled scene takes, by stage.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--scene", choices=("room", "boxes"), default="room", help="boxes need no furniture libraries")
    parser.add_argument("--library", type=Path, help="take the furniture from this file (model_library.py)")
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--shrink", type=int, default=4, help="pixels of 640 that one drawn pixel stands for")
    parser.add_argument("--spacing", type=float, default=0.01, help="metres between samples")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch on the CPU; 0 for its own choice")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
