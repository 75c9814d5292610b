"""What a keyframe costs while the map grows: `python test/bench_growth.py [--metres 250]`.

A store without an end: a floor, two walls, and four things every metre, along which a camera drives a quarter of a
metre a keyframe. What it sees stays the same, and so should what it costs, however much lies behind it. Masks are the
true ones and cost nothing; seconds are those of all stages of `Perception` in one thread.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from jaxtyping import Bool
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scenes import Block, Plane, Solid, camera, look_at, render

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.types import Frame, Mask

NAMES = ("suitcase", "chair", "couch", "refrigerator", "tv", "laptop", "oven", "bench", "vase", "bottle")
STEP_M, SIGHT_M, RANGE_M = 0.25, 5.0, 5.0
STUFF: tuple[Solid, ...] = (
    Plane(name="floor", color=(150, 120, 90), normal=(0, 0, 1)),
    Plane(name="wall", color=(200, 200, 190), normal=(0, 1, 0), offset=-1.6),
    Plane(name="wall", color=(190, 195, 205), normal=(0, -1, 0), offset=-1.6),
)
VOXEL_M = 0.04


class Store:
    """Frames and true masks of a camera that drives past things."""

    def __init__(self, metres: int) -> None:
        rng = np.random.default_rng(0)
        self.things = [thing for x in range(metres + 6) for thing in _things_at(x, rng)]
        self.frames = int(metres / STEP_M)
        self._masks: dict[int, list[Mask]] = {}

    def frame(self, index: int) -> Frame:
        """The view from so many steps on; its masks are kept."""
        x = index * STEP_M
        near = [thing for thing in self.things if x - 1.0 < thing.low[0] < x + SIGHT_M]
        seen = (*STUFF, *near)
        shot, ids = render(seen, camera(160, 120, 80.0), look_at((x, 0.0, 1.3), (x + 1.5, 0.4, 0.7)), index)
        self._masks = {
            index: [
                Mask(pixels=ids == i, score=0.9, label=seen[i].name)
                for i in range(len(STUFF), len(seen))
                if (ids == i).sum() > 20
            ]
        }
        depth_m = np.where(shot.depth_m < RANGE_M, shot.depth_m, np.float32(0))
        return replace(shot, stamp_s=0.5 * index, depth_m=depth_m)

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """The true masks of the frame that was rendered last."""
        return self._masks[frame.index]


def _things_at(x: int, rng: np.random.Generator) -> list[Block]:
    found = []
    for place in range(4):
        near, side = x + 0.5 * (place % 2), 1 if place < 2 else -1
        size = rng.uniform((0.2, 0.3, 0.3), (0.35, 0.5, 1.1))
        y = sorted((side * 1.4, side * (1.4 - size[1])))
        color = (int(rng.integers(30, 220)), int(rng.integers(30, 220)), int(rng.integers(30, 220)))
        low, high = (near, y[0], 0.0), (near + float(size[0]), y[1], float(size[2]))
        found.append(Block(name=NAMES[int(rng.integers(len(NAMES)))], color=color, low=low, high=high))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metres", type=int, default=250)
    options = parser.parse_args()
    store, config = Store(options.metres), config_of(online=True)
    config = replace(
        config,
        max_views=10**6,
        tsdf=replace(config.tsdf, voxel_size_m=VOXEL_M, memory_budget_mb=2048.0),
        keyframes=replace(config.keyframes, translation_m=0.001, sharpness_ratio=0.0),
    )
    perception, console = Perception(store, same_name, config), Console(width=150)
    columns = ("fuse", "witness", "extract", "masks", "lift", "associate", "refine", "snapshot")
    table = Table("keyframes", "objects", "points", *(f"{name} [ms]" for name in columns), "a keyframe [ms]")
    every, before, snapshot_s, refines = 40, dict[str, float](), 0.0, 0
    for index in range(store.frames):
        frame = store.frame(index)
        keyframe = perception.fuse(frame)
        assert keyframe is not None
        perception.look(keyframe)
        if perception.refinement_is_due:
            perception.refine()
            refines += 1
        start = time.perf_counter()
        snapshot = perception.snapshot()
        snapshot_s += time.perf_counter() - start
        if (index + 1) % every == 0:
            now = dict(perception.clock.seconds)
            spent = {name: now[name] - before.get(name, 0.0) for name in now}
            spent["snapshot"], each = snapshot_s, {**{n: every for n in columns}, "refine": refines}
            row = [f"{1000 * spent.get(name, 0.0) / max(each[name], 1):.1f}" for name in columns]
            total = f"{1000 * sum(spent.values()) / every:.0f}"
            table.add_row(str(index + 1), str(len(snapshot.objects)), str(len(snapshot.cloud)), *row, total)
            before, snapshot_s, refines = now, 0.0, 0
    console.print(table)


if __name__ == "__main__":
    main()
