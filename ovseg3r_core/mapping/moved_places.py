"""The remembered places of things follow a correction of the poses: of what left the map, and of what depth doubts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.geometry import fit_box, transform
from ovseg3r_core.mapping.life import Departure, Life, Place

Motion = Callable[[Float32[ndarray, "points 3"]], Float64[ndarray, "4 4"]]
"""How a place, given by the points of its thing, moved: T_new_old."""


def motion_nearby(
    xyz: Float32[ndarray, "points 3"], follows: Int32[ndarray, " points"], T_new_old: Float64[ndarray, "views 4 4"]
) -> Motion:
    """A place moves with the point of the cloud that is nearest to its middle: with what stood about the thing.

    Args:
        xyz: the cloud as it was.
        follows: the view that each of its points moves with.
    """
    if not len(xyz):
        return lambda _: np.eye(4)

    @cache  # of a large map it takes half a second, and most corrections meet nothing that has left
    def tree() -> KDTree:
        return KDTree(xyz)

    return lambda place: T_new_old[follows[tree().query(place.mean(axis=0))[1]]]


def moved_departures(departures: tuple[Departure, ...], motion: Motion) -> tuple[Departure, ...]:
    """The places that things left, where they turn out to be."""
    return tuple(replace(it, place=_moved(it.place, motion(it.place.xyz))) for it in departures)


def moved_lives(lives: Mapping[int, Life], motion: Motion) -> dict[int, Life]:
    """The things that depth doubts, where they turn out to stand; the others are noted anew where they are."""
    moved = {}
    for id_, life in lives.items():
        if life.against:
            T = motion(life.place.xyz)
            moved[id_] = replace(life, place=_moved(life.place, T), samples=_as_float32(transform(T, life.samples)))
    return moved


def _moved(place: Place, T_new_old: Float64[ndarray, "4 4"]) -> Place:
    xyz = _as_float32(transform(T_new_old, place.xyz))
    x, y, z = transform(T_new_old, np.array(place.record.centre)).tolist()
    return replace(place, xyz=xyz, record=replace(place.record, centre=(x, y, z), box=fit_box(xyz)))


def _as_float32(xyz: Float[ndarray, "points 3"]) -> Float32[ndarray, "points 3"]:
    return xyz.astype(np.float32)
