"""Rectangles on the floor, turned by a yaw, and how they lie to each other: all pairs of two lists at once."""

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy import ndarray

_SIDE = 9  # samples along a side, where the share of two rectangles is measured


def corners(
    centre: Float64[ndarray, "bodies 2"], half: Float64[ndarray, "bodies 2"], yaw: Float64[ndarray, " bodies"]
) -> Float64[ndarray, "bodies 4 2"]:
    """The four corners, one after the other round the rectangle."""
    signs = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)], dtype=np.float64)
    return centre[:, None] + _turned(signs * half[:, None], yaw[:, None])


def inside(
    xy: Float[ndarray, "points 2"], centre: Float64[ndarray, "2"], half: Float64[ndarray, "2"], yaw: float
) -> Bool[ndarray, " points"]:
    """Which points lie in one rectangle."""
    own = _turned(np.asarray(xy, np.float64) - centre, np.array(-yaw))
    return np.all(np.abs(own) <= half, axis=-1)


def gaps(a: Float64[ndarray, "a 4 2"], b: Float64[ndarray, "b 4 2"]) -> Float64[ndarray, "a b"]:
    """Distance between the rectangles of two lists, 0 where they share ground."""
    apart = np.minimum(_corners_to_sides(a, b), _corners_to_sides(b, a).T)
    return np.where(_meet(a, b), 0.0, apart)


def shares(a: Float64[ndarray, "a 4 2"], b: Float64[ndarray, "b 4 2"]) -> Float64[ndarray, "a b"]:
    """Share of each rectangle of `a` that lies in each of `b`, measured on a grid of 81 points."""
    steps = (np.arange(_SIDE) + 0.5) / _SIDE
    s, t = (grid.ravel()[:, None] for grid in np.meshgrid(steps, steps))
    points = a[:, None, 0] + s * (a[:, 1] - a[:, 0])[:, None] + t * (a[:, 3] - a[:, 0])[:, None]
    low, high = b[:, 0], b[:, [1, 3]] - b[:, :1]
    from_corner = points[:, None] - low[None, :, None]
    along = np.einsum("abpk,bek->abpe", from_corner, high)
    return ((along >= -1e-12) & (along <= (high**2).sum(axis=2)[None, :, None] + 1e-12)).all(axis=3).mean(axis=2)


def _turned(xy: Float64[ndarray, "*shape 2"], yaw: Float64[ndarray, "*_"]) -> Float64[ndarray, "*shape 2"]:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([cos * xy[..., 0] - sin * xy[..., 1], sin * xy[..., 0] + cos * xy[..., 1]], axis=-1)


def _corners_to_sides(a: Float64[ndarray, "a 4 2"], b: Float64[ndarray, "b 4 2"]) -> Float64[ndarray, "a b"]:
    """The least distance from a corner of one to a side of the other."""
    side = np.roll(b, -1, axis=1) - b
    away = a[:, None, :, None] - b[None, :, None, :]  # a b corners sides 2
    length = np.maximum((side**2).sum(axis=-1), 1e-18)
    along = np.clip((away * side[None, :, None]).sum(axis=-1) / length[None, :, None], 0, 1)
    off = away - along[..., None] * side[None, :, None]
    return np.sqrt((off**2).sum(axis=-1)).min(axis=(2, 3))


def _meet(a: Float64[ndarray, "a 4 2"], b: Float64[ndarray, "b 4 2"]) -> Bool[ndarray, "a b"]:
    """Whether they share ground: no side of either has all of the other beyond it."""
    return ~(_split(a, b) | _split(b, a).T)


def _split(a: Float64[ndarray, "a 4 2"], b: Float64[ndarray, "b 4 2"]) -> Bool[ndarray, "a b"]:
    axes = a[:, [1, 3]] - a[:, :1]  # a 2 2
    own, other = np.einsum("aek,ack->aec", axes, a), np.einsum("aek,bck->abec", axes, b)
    low, high = own.min(axis=2)[:, None], own.max(axis=2)[:, None]
    return ((other.max(axis=3) < low) | (other.min(axis=3) > high)).any(axis=2)
