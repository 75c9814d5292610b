"""What the points of the map hang on: each on the first keyframe that saw it, to move with it when poses change.

The first and not the nearest or the newest: a camera that comes back with a drift sees floors and walls of the start
again, which slide along themselves unnoticed, and would take them along.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.geometry import transform
from ovseg3r_core.mapping.edits import Cut
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import SceneCloud

NOTHING = -1
_BLOCK = 1 << 16  # points that are moved at once: their rotations take 36 bytes each


def no_anchor(points: int) -> Int32[ndarray, " points"]:
    """No view saw anything."""
    return np.full(points, NOTHING, np.int32)


def anchored(
    anchor: Int32[ndarray, " points"], view: int, points: Int64[ndarray, " members"]
) -> Int32[ndarray, " points"]:
    """One more view saw these points."""
    anchor = anchor.copy()
    anchor[points[anchor[points] == NOTHING]] = view
    return anchor


def first_views(seen: Incidence, points: int) -> Int32[ndarray, " points"]:
    """The anchors of a cloud that all views have seen."""
    anchor = no_anchor(points)
    view_of_pair = np.repeat(np.arange(len(seen), dtype=np.int32), np.diff(seen.offsets))
    anchor[seen.points[::-1]] = view_of_pair[::-1]  # of several writes the last one stays: the first view
    return anchor


def motion_of_points(xyz: Float32[ndarray, "points 3"], anchor: Int32[ndarray, " points"]) -> Int32[ndarray, " points"]:
    """The view that each point moves with; what no view saw goes with its nearest neighbour that one did."""
    loose = anchor == NOTHING
    if loose.all() or not loose.any():
        return np.maximum(anchor, 0)
    _, nearest = KDTree(xyz[~loose]).query(xyz[loose])
    followed = anchor.copy()
    followed[loose] = anchor[~loose][nearest]
    return followed


def moved_cloud(
    cloud: SceneCloud, follows: Int32[ndarray, " points"], T_new_old: Float64[ndarray, "views 4 4"]
) -> SceneCloud:
    """The cloud with every point moved as its view was.

    Args:
        follows: from `motion_of_points`.
        T_new_old: how the map as each view shows it moved.
    """
    xyz, normal = np.empty_like(cloud.xyz), np.empty_like(cloud.normal)
    R, t = T_new_old[:, :3, :3].astype(np.float32), T_new_old[:, :3, 3].astype(np.float32)
    for start in range(0, len(xyz), _BLOCK):
        some = slice(start, start + _BLOCK)
        R_of_point, t_of_point = R[follows[some]], t[follows[some]]
        xyz[some] = np.einsum("nij,nj->ni", R_of_point, cloud.xyz[some]) + t_of_point
        normal[some] = np.einsum("nij,nj->ni", R_of_point, cloud.normal[some])
    return SceneCloud(xyz=xyz, color=cloud.color, normal=normal)


def moved_cuts(
    cuts: Sequence[Cut],
    xyz: Float32[ndarray, "points 3"],
    owner: Int32[ndarray, " points"],
    follows: Int32[ndarray, " points"],
    T_new_old: Float64[ndarray, "views 4 4"],
) -> tuple[Cut, ...]:
    """An operator's cuts, the seeds moved with what they lie on: the nearest point of the things that were cut.

    Args:
        xyz: the cloud as it was.
    """
    moved = []
    for cut in cuts:
        own = np.flatnonzero(np.isin(owner, cut.ids))
        moved.append(Cut(cut.ids, tuple(_moved_seed(seed, xyz[own], follows[own], T_new_old) for seed in cut.seeds)))
    return tuple(moved)


def _moved_seed(
    seed: tuple[float, float, float],
    xyz: Float32[ndarray, "points 3"],
    follows: Int32[ndarray, " points"],
    T_new_old: Float64[ndarray, "views 4 4"],
) -> tuple[float, float, float]:
    nearest = np.argmin(((xyz - np.array(seed, np.float32)) ** 2).sum(axis=1)) if len(xyz) else None
    T = T_new_old[0 if nearest is None else follows[nearest]]  # of a thing that is not there: somewhere
    x, y, z = transform(T, np.array(seed)).tolist()
    return x, y, z
