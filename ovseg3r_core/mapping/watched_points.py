"""Which points stand for a thing when depth is asked whether it is still there.

A few of each do, so that a frame costs the same however large things are. Points close to something else, such as the
foot of a cup, are left out: were the cup gone, the rays would end on the table right behind them, and tell nothing.
"""

from collections.abc import Mapping, Sequence, Set

import numpy as np
from jaxtyping import Float32, Int32, Int64, Shaped
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.geometry import voxel_keys
from ovseg3r_core.mapping.ownership import NOBODY
from ovseg3r_core.packing import STEPS_PACKED, find

POINTS_A_THING = 64
MIN_POINTS = 8  # fewer are no witness
_SURFACE_LEFT = 0.3


def watched_points(
    things: Mapping[int, Int64[ndarray, " members"]],
    xyz: Float32[ndarray, "points 3"],
    owner: Int32[ndarray, " points"],
    clear_m: float,
) -> dict[int, Float32[ndarray, "_ 3"]]:
    """Up to 64 points of each thing that are clear of everything else; none where a thing has fewer than 8 such.

    Args:
        things: the points of each, indices into the cloud.
        owner: what each point of the cloud belongs to, -1 for nothing.
        clear_m: points within about this distance of another owner's are left out.
    """
    if not things:
        return {}
    chosen = {id_: points[:: max(len(points) // (4 * POINTS_A_THING), 1)] for id_, points in things.items()}
    index = np.concatenate(list(chosen.values()))
    sizes = [len(points) for points in chosen.values()]
    alone = _are_alone(index, xyz, owner, clear_m)
    parts = np.split(alone, np.cumsum(sizes)[:-1])
    return {id_: _spread(xyz[points[free]]) for (id_, points), free in zip(chosen.items(), parts, strict=True)}


def spread_over(points: Shaped[ndarray, "points *_"], count: int) -> Shaped[ndarray, "some *_"]:
    """At most so many of the points, evenly along their order, which in a scene cloud follows space."""
    return points if len(points) <= count else points[np.linspace(0, len(points) - 1, count).astype(np.int64)]


def background_points(
    xyz: Float32[ndarray, "points 3"],
    owner: Int32[ndarray, " points"],
    things: Set[int],
    places: Sequence[Float32[ndarray, "_ 3"]],
    apart_m: float,
    count: int = 1024,
) -> Float32[ndarray, "_ 3"]:
    """Some points that belong to none of the things, and are no rim of one that nobody gave it.

    Args:
        places: the points of things, where they are and where they were.
        apart_m: points that are nearer to one of these are left out.
    """
    some = spread_over(np.arange(len(xyz)), 16 * count)
    chosen = spread_over(xyz[some[~np.isin(owner[some], list(things))]], 4 * count)
    if len(chosen) and places:
        tree = KDTree(np.concatenate(places), balanced_tree=False, compact_nodes=False)  # quickly built, asked little
        distance, _ = tree.query(chosen, distance_upper_bound=apart_m)
        chosen = chosen[np.isinf(distance)]
    return spread_over(chosen, count)


def vanished(
    samples: Mapping[int, Float32[ndarray, "_ 3"]], xyz: Float32[ndarray, "points 3"], reach_m: float
) -> set[int]:
    """The things whose surface is no more in a cloud: few of their watched points have one of its points near.

    Args:
        samples: the watched points of each thing; of one without any, nothing can be said.
    """
    watched = {id_: it for id_, it in samples.items() if len(it)}
    if not watched or not len(xyz):
        return set()
    samples_xyz = np.concatenate(list(watched.values()))
    low, high = samples_xyz.min(axis=0) - reach_m, samples_xyz.max(axis=0) + reach_m
    about = xyz[((xyz >= low) & (xyz <= high)).all(axis=1)]
    if not len(about):
        return set(watched)
    distance, _ = KDTree(about).query(samples_xyz, distance_upper_bound=reach_m)
    parts = np.split(np.isfinite(distance), np.cumsum([len(it) for it in watched.values()])[:-1])
    return {id_ for id_, near in zip(watched, parts, strict=True) if near.mean() < _SURFACE_LEFT}


def _spread(xyz: Float32[ndarray, "points 3"]) -> Float32[ndarray, "_ 3"]:
    return spread_over(xyz, POINTS_A_THING) if len(xyz) >= MIN_POINTS else xyz[:0]


def _are_alone(
    index: Int64[ndarray, " chosen"],
    xyz: Float32[ndarray, "points 3"],
    owner: Int32[ndarray, " points"],
    clear_m: float,
) -> ndarray:
    """Whether the cell of each chosen point, and the 26 about it, hold nothing of another owner."""
    about = np.all(
        (xyz >= xyz[index].min(axis=0) - 2 * clear_m) & (xyz <= xyz[index].max(axis=0) + 2 * clear_m), axis=1
    )
    near_xyz, near_owner = xyz[about], owner[about]
    keys = voxel_keys(near_xyz, clear_m)
    order = np.argsort(keys)
    keys = keys[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    keys = keys[starts]
    least, most = (ufunc.reduceat(near_owner[order], starts) for ufunc in (np.minimum, np.maximum))
    cells, cell_of = np.unique(voxel_keys(xyz[index], clear_m), return_inverse=True)
    at = find(cells, keys)
    least_about, most_about = least[at], most[at]
    for lowest in cells + STEPS_PACKED[::3, None]:  # the cells above one are the next numbers: nine columns of three
        first = np.searchsorted(keys, lowest)
        for at in (first, first + 1, first + 2):
            at = np.minimum(at, len(keys) - 1)
            held = (lowest <= keys[at]) & (keys[at] <= lowest + 2)
            np.minimum(least_about, least[at], out=least_about, where=held)
            np.maximum(most_about, most[at], out=most_about, where=held)
    mine = owner[index]
    return (least_about[cell_of] == mine) & (most_about[cell_of] == mine) & (mine != NOBODY)
