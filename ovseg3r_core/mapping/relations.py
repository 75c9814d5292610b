"""Where things are to each other, told by geometry: on, in, near, left of, and so on, for all pairs of two lists.

Boxes decide which pairs come into question, and the surface in them decides: a pillow lies on a bed though the bed's
box reaches up to its headboard, and a bin under a desk is not in it though it lies within its box. Where nothing is
known but boxes they decide alone. docs/queries.md says the rules in words.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.mapping.bodies import Bodies, Surface
from ovseg3r_core.mapping.footprints import gaps, inside, shares

Relation = Literal[
    "on", "in", "under", "above", "near", "next to", "left of", "right of", "in front of", "behind", "across from"
]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
NEEDS_VIEWER: tuple[Relation, ...] = ("left of", "right of", "in front of", "behind")
"""Relations that depend on where one looks from."""
_TALL_M, _FLAT_M, _BESIDE_M = 1.5, 0.25, 0.08  # what pictures hang on; how thick they are; how far off it
_SECTORS = 8
_PAIRS_AT_ONCE = 20_000  # 30 MB for the largest array


@dataclass(frozen=True, kw_only=True)
class RelationConfig:
    """How near is near, and how exactly things must touch. Metres."""

    below_m: Annotated[float, Within(0.0, 1.0)] = 0.08
    """The surface that a thing stands on lies at most this far under its lower end: rims are lost to the surface."""
    within_m: Annotated[float, Within(0.0, 1.0)] = 0.04
    """And at most this far above it: a pillow sinks in, and surfaces are as thick as their noise."""
    round_m: Annotated[float, Within(0.0, 1.0)] = 0.05
    """It is looked for this far round the thing, as no camera sees what is covered."""
    min_share: Annotated[float, Within(0.01, 1.0)] = 0.4
    """Share of its ground that a thing has over what it stands on."""
    min_points: Annotated[int, Within(1, 1000)] = 3
    """Points that make a surface."""
    min_near_m: Annotated[float, Within(0.0, 100.0)] = 0.3
    """Things this near are near to each other, however small."""
    max_near_m: Annotated[float, Within(0.0, 100.0)] = 1.0
    """Things further apart are not near, however large; between the two, the longer side of the larger one counts."""
    aside_m: Annotated[float, Within(0.0, 100.0)] = 2.0
    """Left, right, before and behind reach this far."""
    over_m: Annotated[float, Within(0.0, 1.0)] = 0.2
    """What is above a thing may be this far to its side, as a picture on the wall behind a couch is."""
    min_across_m: Annotated[float, Within(0.0, 100.0)] = 0.8
    """Things across from each other have this much between them."""
    max_across_m: Annotated[float, Within(0.0, 100.0)] = 8.0
    """And at most this much."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def related(
    relation: Relation,
    things: Bodies,
    anchors: Bodies,
    looking: Float64[ndarray, "things anchors 2"] | None = None,
    facing: Float64[ndarray, "anchors 2"] | None = None,
    config: RelationConfig | None = None,
) -> Bool[ndarray, "things anchors"]:
    """Which things are so to which anchors: `related("on", cups, desks)[i, j]` says that cup i is on desk j.

    Args:
        looking: which way the viewer looks at each pair, a direction on the floor; NaN, or nothing, where none is
            known, and then nothing is left, right, before or behind.
        facing: the same for the front of each anchor, for "across from".
    """
    config = config or RelationConfig()
    count = max(_PAIRS_AT_ONCE // max(len(anchors), 1), 1)
    parts = [slice(low, low + count) for low in range(0, max(len(things), 1), count)]
    return np.concatenate(
        [
            _related(relation, things.rows(at), anchors, None if looking is None else looking[at], facing, config)
            for at in parts
        ]
    )


def _related(
    relation: Relation,
    things: Bodies,
    anchors: Bodies,
    looking: Float64[ndarray, "things anchors 2"] | None,
    facing: Float64[ndarray, "anchors 2"] | None,
    config: RelationConfig,
) -> Bool[ndarray, "things anchors"]:
    if relation == "on":
        return on(things, anchors, config)
    if relation == "in":
        return within(things, anchors, config)
    if relation == "under":
        beneath = over(anchors, things, 0.0, config).T
        return beneath & ~on(things, anchors, config) & ~within(things, anchors, config)
    if relation == "above":
        return over(things, anchors, config.over_m, config)
    if relation == "near":
        return distances(things, anchors) <= reaches(things, anchors, config)
    if relation == "next to":
        return _next_to(things, anchors, config)
    if relation == "across from":
        return _across(things, anchors, facing, config)
    return _aside(relation, things, anchors, looking, config)


def distances(things: Bodies, anchors: Bodies) -> Float64[ndarray, "things anchors"]:
    """Metres between the boxes of each pair, 0 where they touch or share space."""
    level = np.maximum(things.low[:, None] - anchors.high, anchors.low - things.high[:, None])
    return np.hypot(gaps(things.corners, anchors.corners), np.maximum(level, 0))


def reaches(things: Bodies, anchors: Bodies, config: RelationConfig) -> Float64[ndarray, "things anchors"]:
    """Metres within which the things of each pair are near: the longest side of the larger one, within bounds."""
    larger = np.maximum(2 * things.half.max(axis=1, initial=0)[:, None], 2 * anchors.half.max(axis=1, initial=0))
    return np.clip(larger, config.min_near_m, config.max_near_m)


def on(things: Bodies, anchors: Bodies, config: RelationConfig) -> Bool[ndarray, "things anchors"]:
    """What stands or lies on a surface of the anchor, on whatever level; flat things that hang on a wall, too."""
    over_it = shares(things.corners, anchors.corners) >= config.min_share
    near = gaps(things.corners, anchors.corners) <= _BESIDE_M
    tall = (2 * anchors.half[:, 2] >= _TALL_M) & (anchors.half[:, 2] > things.half[:, None, 2])
    raised = things.low[:, None] > anchors.low + 0.15
    flat = (2 * things.half[:, :2].min(axis=1) <= np.minimum(_FLAT_M, things.half[:, :2].max(axis=1)))[:, None]
    hung = near & tall & raised & flat
    on_level = (things.low[:, None] <= anchors.high + config.below_m) & (things.low[:, None] >= anchors.low - 0.1)
    result = np.zeros_like(over_it)
    for i, j in np.argwhere((over_it & on_level) | hung).tolist():
        stands = over_it[i, j] and _stands(things, i, anchors, j, config)
        result[i, j] = stands or (hung[i, j] and _hangs(things, i, anchors.surfaces[j]))
    return result


def within(things: Bodies, anchors: Bodies, config: RelationConfig) -> Bool[ndarray, "things anchors"]:
    """What an anchor encloses: its middle in the anchor's box, and the anchor over it or round it on most sides."""
    result = shares(things.corners, anchors.corners) >= 0.75
    result &= (things.centre[:, None, 2] > anchors.low) & (things.centre[:, None, 2] < anchors.high)
    result &= things.half.prod(axis=1)[:, None] < anchors.half.prod(axis=1)
    for i, j in np.argwhere(result).tolist():
        surface = anchors.surfaces[j]
        if len(surface.xyz):
            result[i, j] = _enclosed(things, i, surface, _stands(things, i, anchors, j, config), config)
    return result


def over(uppers: Bodies, lowers: Bodies, aside_m: float, config: RelationConfig) -> Bool[ndarray, "uppers lowers"]:
    """What is higher than all of another thing that lies under it, touching or not.

    Args:
        aside_m: how far to the side of the other's ground it may be.
    """
    result = gaps(uppers.corners, lowers.corners) <= aside_m
    result &= uppers.high[:, None] > lowers.high - config.within_m
    for i, j in np.argwhere(result).tolist():
        allowed = min(config.within_m, float(lowers.half[j, 2]))
        least = _top_under(lowers, j, uppers, i, config) - allowed
        upper = uppers.surfaces[i].xyz
        there = upper[_inside(upper, lowers, j, aside_m)]
        if len(upper) == 0:
            result[i, j] = uppers.low[i] >= least
        else:
            higher = there[:, 2] >= least
            result[i, j] = len(there) >= config.min_points and higher.mean() >= 0.9
    return result


def _stands(things: Bodies, i: int, anchors: Bodies, j: int, config: RelationConfig) -> bool:
    low, surface = things.low[i], anchors.surfaces[j]
    if len(surface.xyz) == 0:
        return bool(-config.within_m <= low - anchors.high[j] <= config.below_m)
    lying = surface.xyz[surface.lying]
    lying = lying[(lying[:, 2] >= low - config.below_m) & (lying[:, 2] <= low + config.within_m)]
    return int(_inside(lying, things, i, config.round_m).sum()) >= config.min_points


def _hangs(things: Bodies, i: int, surface: Surface) -> bool:
    level = (surface.xyz[:, 2] >= things.low[i] - 0.1) & (surface.xyz[:, 2] <= things.high[i] + 0.1)
    wall = surface.xyz[level & ~surface.lying]
    return int(_inside(wall, things, i, _BESIDE_M).sum()) >= 10


def _enclosed(things: Bodies, i: int, surface: Surface, stands: bool, config: RelationConfig) -> bool:
    xyz = surface.xyz
    roof = xyz[xyz[:, 2] >= things.high[i] - config.within_m]
    roofed = int(_inside(roof, things, i, 0.0).sum()) >= config.min_points
    level = xyz[(xyz[:, 2] >= things.centre[i, 2]) & (xyz[:, 2] <= things.high[i] + config.round_m)]
    away = level[:, :2] - things.centre[i, :2]
    sectors = np.floor((np.arctan2(away[:, 1], away[:, 0]) / (2 * np.pi) + 0.5) * _SECTORS).clip(0, _SECTORS - 1)
    sides = len(np.unique(sectors))
    return (roofed or sides >= 5) if stands else (not roofed and sides >= 6)


def _top_under(lowers: Bodies, j: int, uppers: Bodies, i: int, config: RelationConfig) -> float:
    """How high the lower thing reaches where the upper one is over it."""
    xyz = lowers.surfaces[j].xyz
    there = xyz[_inside(xyz, uppers, i, config.round_m), 2]
    return float(np.quantile(there, 0.95)) if len(there) >= config.min_points else float(lowers.high[j])


def _inside(xyz: Float64[ndarray, "points 3"], bodies: Bodies, i: int, margin_m: float) -> Bool[ndarray, " points"]:
    return inside(xyz[:, :2], bodies.centre[i, :2], bodies.half[i, :2] + margin_m, float(bodies.yaw[i]))


def _next_to(things: Bodies, anchors: Bodies, config: RelationConfig) -> Bool[ndarray, "things anchors"]:
    near = distances(things, anchors) <= reaches(things, anchors, config) / 2
    level = (things.low[:, None] < anchors.high) & (anchors.low < things.high[:, None])
    stacked = on(things, anchors, config) | on(anchors, things, config).T
    enclosed = within(things, anchors, config) | within(anchors, things, config).T
    covered = over(things, anchors, 0.0, config) | over(anchors, things, 0.0, config).T
    return near & level & ~stacked & ~enclosed & ~covered


def _aside(
    relation: Relation,
    things: Bodies,
    anchors: Bodies,
    looking: Float64[ndarray, "things anchors 2"] | None,
    config: RelationConfig,
) -> Bool[ndarray, "things anchors"]:
    """Left, right, before, behind: the quarter round each of these directions, as the viewer has them."""
    if looking is None:
        return np.zeros((len(things), len(anchors)), bool)
    away = things.centre[:, None, :2] - anchors.centre[None, :, :2]
    forward = (away * looking).sum(axis=2)
    right = away[..., 0] * looking[..., 1] - away[..., 1] * looking[..., 0]
    along = {"left of": -right, "right of": right, "in front of": -forward, "behind": forward}[relation]
    across = np.abs(forward if relation in ("left of", "right of") else right)
    return (along > 0) & (along > across) & (distances(things, anchors) <= config.aside_m)


def _across(
    things: Bodies, anchors: Bodies, facing: Float64[ndarray, "anchors 2"] | None, config: RelationConfig
) -> Bool[ndarray, "things anchors"]:
    """Beyond free floor before the anchor's front; of an anchor without one, before either of its long sides."""
    long = np.stack([np.cos(anchors.yaw), np.sin(anchors.yaw)], axis=1)
    short = np.stack([-long[:, 1], long[:, 0]], axis=1)
    facing = np.full_like(short, np.nan) if facing is None else facing
    known = np.all(np.isfinite(facing), axis=1)
    front = np.where(known[:, None], facing, short)
    side = np.stack([-front[:, 1], front[:, 0]], axis=1)
    depth, width = (
        np.abs((way * long).sum(axis=1)) * anchors.half[:, 0] + np.abs((way * short).sum(axis=1)) * anchors.half[:, 1]
        for way in (front, side)
    )
    away = things.corners[:, None] - anchors.centre[None, :, None, :2]  # things anchors corners 2
    before, aside = ((away * way[None, :, None]).sum(axis=3) for way in (front, side))
    gap = before.min(axis=2) - depth
    gap = np.where(known, gap, np.maximum(gap, -before.max(axis=2) - depth))
    opposite = (aside.min(axis=2) <= width) & (aside.max(axis=2) >= -width)
    return opposite & (gap >= config.min_across_m) & (gap <= config.max_across_m)
