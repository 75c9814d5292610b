"""How far sampled scenes are from rendered ones: `python -m ovseg3r_train.sampled.compare` on a furnished room.

The rendered side is the core's: 640x480 images, depth with the same noise, `TsdfVolume`, `see_points`, `lift`. Truth is
the nearest surface of the meshes on both sides.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray
from rich.console import Console
from rich.table import Table
from scipy.spatial import KDTree

from ovseg3r_core.lifting import lift
from ovseg3r_core.reconstruction.incidence import see_points
from ovseg3r_core.reconstruction.tsdf import TsdfVolume
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.synthetic.room import RoomConfig, RoomScene, build_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.synthetic.trajectory import walk_round
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Frame, LiftedMask, SceneCloud, ViewIncidence
from ovseg3r_train.sampled.measured_depth import MeasuredDepthConfig
from ovseg3r_train.sampled.sampled_scene import SampledConfig, sampled_scene
from ovseg3r_train.sampled.surface_samples import sample_parts

_NEAR_M = 0.04  # two voxels


@dataclass(frozen=True, kw_only=True)
class Side:
    """What is compared of a scene."""

    cloud: SceneCloud
    pairs: int
    lifted: tuple[LiftedMask, ...]
    instance: Int32[ndarray, " points"]
    """Of the nearest surface of the meshes."""
    off_m: Float32[ndarray, " points"]
    """Distance to it."""


class _Surfaces:
    """The exact surfaces of a room: the distance to them is measured in samples, along their normals."""

    def __init__(self, room: RoomScene) -> None:
        self.samples = sample_parts(room.parts)
        self._tree = KDTree(self.samples.xyz)
        self._truth = TruthSurface(room)

    def side(self, cloud: SceneCloud, pairs: int, lifted: tuple[LiftedMask, ...]) -> Side:
        distance_m, nearest = self._tree.query(cloud.xyz)
        along_m = np.abs(((cloud.xyz - self.samples.xyz[nearest]) * self.samples.normal[nearest]).sum(axis=1))
        aside_m = np.sqrt(np.maximum(distance_m**2 - along_m**2, 0))
        return Side(
            cloud=cloud,
            pairs=pairs,
            lifted=lifted,
            instance=self._truth.instance_at(cloud.xyz),
            off_m=np.hypot(along_m, np.maximum(aside_m - self.samples.spacing_m[nearest], 0)),
        )


def rendered(sequence: RoomSequence, frames: Sequence[Frame], surfaces: _Surfaces, seed: int) -> Side:
    """The room by way of the core, from its clean frames."""
    rng, noise, volume, noisy = np.random.default_rng(seed), MeasuredDepthConfig(), TsdfVolume(), []
    for frame in frames:
        sigma_m = noise.floor_m + noise.growth * np.clip(frame.depth_m - 0.4, 0, None) ** 2
        depth_m = frame.depth_m + sigma_m * rng.standard_normal(sigma_m.shape)
        noisy.append(replace(frame, depth_m=np.where(frame.depth_m > 0, depth_m, 0).astype(np.float32)))
        volume.integrate(noisy[-1])
    cloud = volume.extract()
    seen = [see_points(cloud.xyz, frame) for frame in noisy]
    proposer = PerfectMasks(sequence.instances, sequence.scene.names)
    lifted = [mask for view, frame in enumerate(noisy) for mask in _lift(frame, proposer, seen[view], cloud)]
    return surfaces.side(cloud, sum(len(one.points) for one in seen), tuple(lifted))


def sampled(room: RoomScene, views: int, surfaces: _Surfaces, seed: int, shrink: int) -> tuple[Side, float]:
    """The room by way of samples, and the share of its points whose truth is that of the nearest mesh."""
    poses, config = walk_round(room.size_m, views), SampledConfig(shrink=shrink)
    scene = sampled_scene(surfaces.samples, poses, WalkConfig().camera, room.names, seed=seed, config=config)
    side = surfaces.side(scene.cloud, len(scene.seen.points), scene.lifted)
    assert scene.truth is not None
    return side, float((scene.truth.instance == side.instance).mean())


def _lift(frame: Frame, proposer: PerfectMasks, seen: ViewIncidence, cloud: SceneCloud) -> list[LiftedMask]:
    masks = proposer.propose(frame, np.zeros(frame.depth_m.shape, dtype=bool))
    return lift(masks, seen, cloud, frame.depth_m, frame.index)


def figures(side: Side, real: Side) -> list[str]:
    """What is said of one side."""
    thing, real_thing = side.instance > 0, real.instance > 0
    gap_m, excess_m = KDTree(side.cloud.xyz).query(real.cloud.xyz)[0], KDTree(real.cloud.xyz).query(side.cloud.xyz)[0]
    off_mm = np.percentile(side.off_m, [50, 75, 90, 95, 99]) * 1000
    pure = [np.bincount(side.instance[mask.points] + 1).max() / len(mask.points) for mask in side.lifted]
    return [
        f"{len(side.cloud)}",
        f"{thing.sum()}",
        " ".join(f"{value:.1f}" for value in off_mm),
        f"{100 * (gap_m > _NEAR_M).mean():.2f} / {100 * (gap_m[real_thing] > _NEAR_M).mean():.2f}",
        f"{100 * (excess_m > _NEAR_M).mean():.2f} / {100 * (excess_m[thing] > _NEAR_M).mean():.2f}",
        f"{side.pairs / len(side.cloud):.2f}",
        f"{len(side.lifted)}",
        f"{np.mean([len(mask.points) for mask in side.lifted]):.0f}",
        f"{100 * np.mean(pure):.1f}",
        " ".join(f"{value:.0f}" for value in side.cloud.color.mean(axis=0)),
    ]


_ROWS = (
    "points",
    "of things",
    "mm off the surface (50 75 90 95 99 %)",
    "% of the rendered side missing beyond 4 cm / of things",
    "% not on the rendered side / of things",
    "views that see a point",
    "lifted masks",
    "points a mask",
    "% of a mask on one thing",
    "mean colour",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both sides in a table."""
    parser = argparse.ArgumentParser(description="How far sampled scenes are from rendered ones.")
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7, help="of the room; the settings were chosen on 7")
    parser.add_argument("--shrink", type=int, nargs="+", default=[4])
    options = parser.parse_args(arguments)
    room = build_room(RoomConfig(seed=options.seed))
    surfaces = _Surfaces(room)
    sequence = RoomSequence(room, WalkConfig(frames=options.views))
    frames = list(sequence.read())
    real = rendered(sequence, frames, surfaces, 0)
    table = Table("", "rendered", "rendered again", *(f"sampled, shrink {shrink}" for shrink in options.shrink))
    sides = [real, rendered(sequence, frames, surfaces, 1)]
    agreement = ["", ""]
    for shrink in options.shrink:
        side, right = sampled(room, options.views, surfaces, 0, shrink)
        sides.append(side)
        agreement.append(f"{100 * right:.2f}")
    for row, *cells in zip(_ROWS, *(figures(side, real) for side in sides), strict=True):
        table.add_row(row, *cells)
    table.add_row("% of points with the truth of the nearest mesh", *agreement)
    Console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
