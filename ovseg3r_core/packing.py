"""Places on a grid as one sortable number each, and the places about a place."""

import numpy as np
from jaxtyping import Int, Int64
from numpy import ndarray

_BITS = 21  # three coordinates share one int64
REACH = 1 << (_BITS - 1)
"""Coordinates go from -REACH to REACH - 1: 20 km at 2 cm."""
STEPS = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(27, 3)
"""To a place itself and the 26 that touch it: step (x, y, z) stands at 9 (x + 1) + 3 (y + 1) + z + 1."""


def pack(place: Int[ndarray, "*places 3"]) -> Int64[ndarray, "*places"]:
    """Places (x, y, z) as numbers that sort by x, then y, then z."""
    place = place.astype(np.int64) + REACH
    return (place[..., 0] << 2 * _BITS) | (place[..., 1] << _BITS) | place[..., 2]


STEPS_PACKED = pack(STEPS) - pack(np.zeros_like(STEPS))
"""What each of `STEPS` adds to a packed place, REACH aside."""


def find(wanted: Int64[ndarray, "*places"], keys: Int64[ndarray, " keys"]) -> Int64[ndarray, "*places"]:
    """Where packed places stand among sorted ones; -1 where they do not."""
    if not len(keys):
        return np.full(wanted.shape, -1, np.int64)
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)


def unpack(keys: Int64[ndarray, " places"]) -> Int64[ndarray, "places 3"]:
    """The places that `pack` made these numbers of."""
    mask = (1 << _BITS) - 1
    return np.stack([keys >> 2 * _BITS, (keys >> _BITS) & mask, keys & mask], axis=-1) - REACH
