"""The rims of things: lifting takes them off the masks, for no outline is exact; here they are given back.

Only points that nobody owns are given, and in this order:

1. *What outlines tell.* A point that lies in the outlines of a thing's masks, as they were before lifting took their
   rims off, and not far from what the thing owns.
2. *What is nearest.* A point as near to a thing as a rim is wide. Where two meet, each gets the half nearer to it.

They have no votes, and yield to any mask.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.mapping.ownership import NOBODY, Ownership
from ovseg3r_core.types import LiftedMask


def within_outlines(
    ownership: Ownership,
    members: Mapping[int, Sequence[LiftedMask]],
    looks: Int64[ndarray, " points"],
    xyz: Float32[ndarray, "points 3"],
    *,
    reach_m: float,
    min_share: float,
) -> Ownership:
    """The ownership with the points that lie in the outlines of the masks of a thing, the most of them wins.

    Args:
        members: the masks of each thing.
        looks: how many views see each point.
        reach_m: how far a point may lie from what the thing owns.
        min_share: the outlines must hold a point in this share of the views that see it.
    """
    owner, held = ownership.owner.copy(), np.zeros(len(looks), np.int64)
    free, points_of = owner == NOBODY, ownership.points_of
    for thing in sorted(points_of.keys() & members.keys()):
        points, times = _in_outlines(members[thing], free)
        more = (times > held[points]) & (times >= min_share * looks[points])
        points, times = points[more], times[more]
        if len(points):
            mine = KDTree(xyz[points_of[thing]], balanced_tree=False)
            distance, _ = mine.query(xyz[points], distance_upper_bound=reach_m)
            near = np.isfinite(distance)
            owner[points[near]], held[points[near]] = thing, times[near]
    return Ownership(owner, ownership.votes)


def with_rims(ownership: Ownership, xyz: Float32[ndarray, "points 3"], width_m: float) -> Ownership:
    """The ownership with the points that lie so near to a thing, each with the nearest."""
    owned, free = np.flatnonzero(ownership.owner != NOBODY), np.flatnonzero(ownership.owner == NOBODY)
    owner = ownership.owner.copy()
    if len(owned) and len(free):
        distance, nearest = KDTree(xyz[owned]).query(xyz[free], distance_upper_bound=width_m, workers=-1)
        near = np.isfinite(distance)
        owner[free[near]] = ownership.owner[owned[np.asarray(nearest)[near]]]
    return Ownership(owner, ownership.votes)


def _in_outlines(
    masks: Sequence[LiftedMask], free: Bool[ndarray, " points"]
) -> tuple[Int64[ndarray, " found"], Int64[ndarray, " found"]]:
    """The free points within the outlines of some masks, and of how many."""
    every = np.concatenate([part for mask in masks for part in (mask.points, mask.rim)])
    return np.unique(every[free[every]], return_counts=True)
