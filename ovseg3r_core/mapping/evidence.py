"""What one depth image says of the things that the map knows: there, gone, or nothing.

A ray that ends on a thing's surface has met it. One that ends well behind the place of that surface went through where
the thing should be. One that ends before it is blocked, and one without a reading is lost: both say nothing, and so
does all that lies outside the image. Not to have seen a thing is no evidence; to have seen what is behind it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32, Int8, Int32
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import invert
from ovseg3r_core.types import PosedDepth

Verdict = Literal["there", "gone"]

NOTHING, MET, THROUGH = 0, 1, 2
BACKGROUND = -1
"""Owner of the points that belong to no thing."""

_RING = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (0.7, -0.7), (-0.7, 0.7), (-0.7, -0.7)])


@dataclass(frozen=True, kw_only=True)
class EvidenceConfig:
    """When depth speaks for or against a thing."""

    every_s: Annotated[float, Within(0.0, 60.0)] = 0.5
    """Time between two frames of a camera that are asked: frames that follow closely repeat each other's errors."""
    margin_m: Annotated[float, Within(0.0, 1.0)] = 0.03
    """A ray that ends this far behind a point, or further, went through it; one that ends nearer to it has met it."""
    margin_ratio: Annotated[float, Within(0.0, 0.2)] = 0.01
    """How much further, as a share of the depth, for the noise of the camera and its poses."""
    reach_m: Annotated[float, Within(0.0, 0.2)] = 0.015
    """The rays beside a point, this far away, must have gone through too: a pose is off by as much."""
    reach_ratio: Annotated[float, Within(0.0, 0.1)] = 0.004
    """How much further away they are, as a share of the depth, as orientations are off too."""
    max_range_m: Annotated[float, Within(0.1, 100.0)] = 4.0
    """Points further away are not judged."""
    min_clear: Annotated[float, Within(0.01, 1.0)] = 0.3
    """A view judges a thing when the rays to this share of its points are neither blocked nor lost."""
    min_through: Annotated[float, Within(0.5, 1.0)] = 0.7
    """It is gone for the view when this share of those rays went through."""
    min_met: Annotated[float, Within(0.0, 1.0)] = 0.6
    """It is there for the view when this share of them met it."""
    max_disagreement: Annotated[float, Within(0.0, 1.0)] = 0.1
    """A view that goes through more than this share of the walls, the floor and whatever else is no thing has a wrong
    pose, and is not believed."""
    max_slip_m: Annotated[float, Within(0.001, 10.0)] = 0.05
    """Nor is one that sees through a thing, and whose shape fits that of a view which showed it only when it is moved
    so far where the thing is: poses drift until a loop is closed, and a drifted view looks beside all that is small."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if self.min_through + self.min_met <= 1:
            raise ValueError(f"min_through {self.min_through} and min_met {self.min_met} must add up to more than 1")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """Some points of each thing, and of what is about them; map frame, metres."""

    xyz: Float32[ndarray, "points 3"]
    owner: Int32[ndarray, " points"]
    """Id of the thing, `BACKGROUND` for none."""

    @classmethod
    def of(cls, things: Mapping[int, Float32[ndarray, "_ 3"]], background: Float32[ndarray, "_ 3"]) -> "Watched":
        """The points of each thing by its id."""
        sizes = [*(len(xyz) for xyz in things.values()), len(background)]
        return cls(
            xyz=np.concatenate([*things.values(), background]).astype(np.float32, copy=False),
            owner=np.repeat(np.array([*things, BACKGROUND], np.int32), sizes),
        )

    def with_things(self, things: Mapping[int, Float32[ndarray, "_ 3"]]) -> "Watched":
        """Other things before the same background."""
        return Watched.of(things, self.xyz[self.owner == BACKGROUND])


def verdicts(watched: Watched, view: PosedDepth, config: EvidenceConfig) -> dict[int, Verdict]:
    """The things that one view can judge, and how; nothing where its pose is not believed."""
    sight = sights(watched.xyz, view, config)
    thing = watched.owner != BACKGROUND
    if _share_through(sight[~thing]) > config.max_disagreement:
        return {}
    ids, thing_of = np.unique(watched.owner[thing], return_inverse=True)
    watched_of, met, through = (
        np.bincount(thing_of[at], minlength=len(ids))
        for at in (sight[thing] >= NOTHING, sight[thing] == MET, sight[thing] == THROUGH)
    )
    clear = met + through
    judged = (clear > 0) & (clear >= config.min_clear * watched_of)
    gone, there = judged & (through >= config.min_through * clear), judged & (met >= config.min_met * clear)
    return {int(id_): "gone" if g else "there" for id_, g, t in zip(ids, gone, there, strict=True) if g or t}


def sights(xyz: Float32[ndarray, "points 3"], view: PosedDepth, config: EvidenceConfig) -> Int8[ndarray, " points"]:
    """What a view makes of each point of the map: `MET`, `THROUGH`, or `NOTHING`.

    Through means: the ray to the point and the rays round it end well behind it. One without a reading beside a ray
    that has one is let pass, as there is none along most edges.
    """
    camera, answer = view.camera, np.full(len(xyz), NOTHING, np.int8)
    T = invert(view.T_map_camera).astype(np.float32)
    x, y, z = T[:3, :3] @ xyz.T + T[:3, 3:]
    near = np.flatnonzero((z > 1e-3) & (z <= config.max_range_m))
    x, y, z = x[near], y[near], z[near]
    u, v = x / z * np.float32(camera.fx) + np.float32(camera.cx), y / z * np.float32(camera.fy) + np.float32(camera.cy)
    reach_m = config.reach_m + config.reach_ratio * z
    across, down = reach_m * camera.fx / z, reach_m * camera.fy / z
    inside = (u >= across) & (u <= camera.width - 1 - across) & (v >= down) & (v <= camera.height - 1 - down)
    near, u, v, z, across, down = (it[inside] for it in (near, u, v, z, across, down))
    column = np.rint(u[:, None] + across[:, None] * _RING[:, 0]).astype(np.int64)
    row = np.rint(v[:, None] + down[:, None] * _RING[:, 1]).astype(np.int64)
    ends_m = view.depth_m[row, column]
    margin_m = config.margin_m + config.margin_ratio * z
    behind = (ends_m >= (z + margin_m)[:, None]) | (ends_m <= 0)
    at = ends_m[:, 0]
    answer[near[(at > 0) & (np.abs(at - z) < margin_m)]] = MET
    answer[near[(at > 0) & behind.all(axis=1)]] = THROUGH
    return answer


def _share_through(sight: Int8[ndarray, " points"]) -> float:
    clear = np.count_nonzero(sight != NOTHING)
    return np.count_nonzero(sight == THROUGH) / clear if clear else 0.0
