"""The rims of things: lifting takes them off the masks, for no outline is exact; here they are given back.

A point that nobody owns goes to the owner of the nearest owned point, if that is as near as an eroded rim is wide.
Where two things meet, each gets the half that is nearer to it.
"""

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.mapping.ownership import NOBODY, Ownership


def with_rims(ownership: Ownership, xyz: Float32[ndarray, "points 3"], width_m: float) -> Ownership:
    """The ownership with the points about each object that nobody owns; they have no votes, and yield to any mask."""
    owned, free = np.flatnonzero(ownership.owner != NOBODY), np.flatnonzero(ownership.owner == NOBODY)
    owner = ownership.owner.copy()
    if len(owned) and len(free):
        distance, nearest = KDTree(xyz[owned]).query(xyz[free], distance_upper_bound=width_m, workers=-1)
        near = np.isfinite(distance)
        owner[free[near]] = ownership.owner[owned[np.asarray(nearest)[near]]]
    return Ownership(owner, ownership.votes)
