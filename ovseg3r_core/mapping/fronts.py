"""Which way a thing faces, as far as a map can tell: away from the wall at its back.

Boxes have no front. What stands before a wall is used from the other side, and whoever asks for "left of the monitor"
is thought to stand there and look at it.
"""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.mapping.bodies import Bodies

_REACH_M = 1.0  # a monitor stands half a desk away from the wall
_SQUARE = 1.2  # things less long than this, against their depth, may have their back at any side
_ALONG = 0.8  # cosine of about 37 degrees
_MIN_POINTS = 10


def fronts(anchors: Bodies, walls: Bodies) -> Float64[ndarray, "anchors 2"]:
    """Unit vectors on the floor, away from the wall behind each anchor; NaN where none is near, or none is behind.

    A long thing has its back along the wall.
    """
    found = np.full((len(anchors), 2), np.nan)
    for j in range(len(anchors)):
        nearest_m = _REACH_M
        for wall in walls.surfaces:
            front, away_m = _before(wall.xyz[~wall.lying], anchors, j)
            if front is not None and away_m < nearest_m and _back_fits(anchors, j, front):
                found[j], nearest_m = front, away_m
    return found


def _before(wall: Float64[ndarray, "points 3"], anchors: Bodies, j: int) -> tuple[Float64[ndarray, "2"] | None, float]:
    """The way from the nearest piece of a wall to the anchor, square to that piece, and how far it is."""
    middle = anchors.centre[j, :2]
    reach_m = float(np.hypot(*anchors.half[j, :2])) + _REACH_M
    away = wall[:, :2] - middle
    away = away[(away**2).sum(axis=1) <= reach_m**2]
    if len(away) < _MIN_POINTS:
        return None, np.inf
    nearest = away[np.argmin((away**2).sum(axis=1))]
    piece = away[((away - nearest) ** 2).sum(axis=1) <= 0.25]
    if len(piece) < _MIN_POINTS:
        return None, np.inf
    _, _, axes = np.linalg.svd(piece - piece.mean(axis=0), full_matrices=False)
    normal = axes[1]
    depth_m = float(-(nearest @ normal))
    front = normal if depth_m > 0 else -normal
    long = np.array([np.cos(anchors.yaw[j]), np.sin(anchors.yaw[j])])
    own_m = abs(front @ long) * anchors.half[j, 0] + abs(front @ [-long[1], long[0]]) * anchors.half[j, 1]
    return front, abs(depth_m) - float(own_m)


def _back_fits(anchors: Bodies, j: int, front: Float64[ndarray, "2"]) -> bool:
    width, depth = anchors.half[j, :2]
    if width <= _SQUARE * depth:
        return True
    return bool(abs(front @ [-np.sin(anchors.yaw[j]), np.cos(anchors.yaw[j])]) >= _ALONG)
