"""Which keyframe a map can do without: one that was taken from nearly where another was.

A robot that lives in a place sees the same things again and again, and its map must not grow with the hours. Of the two
keyframes that are most alike the older goes, so that those that stay look everywhere, and are of today.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.reconstruction.keyframes import KeyframeConfig


def most_spare(poses: Sequence[Float64[ndarray, "4 4"]], config: KeyframeConfig) -> int:
    """The place, among poses `T_map_camera` in the order in which they were taken, of the one that is missed least.

    Distances and turns count in units of what makes a new keyframe. The newest is never chosen.
    """
    if len(poses) < 3:
        return 0
    T = np.stack(poses)
    place = T[:, :3, 3] / config.translation_m
    ahead, down = T[:, :3, 2] / config.rotation_rad, T[:, :3, 1] / config.rotation_rad  # short chords are turns
    features = np.concatenate([place, ahead, down], axis=1)
    distance, nearest = map(np.asarray, KDTree(features).query(features, k=2))
    one = int(distance[:, 1].argmin())
    return min(one, *(int(other) for other in nearest[one] if other != one))
