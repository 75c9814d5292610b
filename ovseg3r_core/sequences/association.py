"""Pairing two streams by time."""

import numpy as np
from jaxtyping import Int64
from numpy import ndarray


def associate(
    stamps_ns: Int64[ndarray, " views"], others_ns: Int64[ndarray, " others"], max_difference_s: float
) -> Int64[ndarray, " views"]:
    """For each stamp the index of its partner in the other stream, or -1.

    Partners are each other's nearest, so that no message is used twice. Neither stream needs to be sorted.
    """
    if len(stamps_ns) == 0 or len(others_ns) == 0:
        return np.full(len(stamps_ns), -1, dtype=np.int64)
    partner = _nearest(stamps_ns, others_ns)
    mutual = _nearest(others_ns, stamps_ns)[partner] == np.arange(len(stamps_ns))
    close = np.abs(others_ns[partner] - stamps_ns) <= round(max_difference_s * 1e9)
    return np.where(mutual & close, partner, -1)


def _nearest(stamps: Int64[ndarray, " queries"], others: Int64[ndarray, " others"]) -> Int64[ndarray, " queries"]:
    order = np.argsort(others, kind="stable")
    ordered = others[order]
    right = np.searchsorted(ordered, stamps).clip(1, max(len(others) - 1, 1))
    right = np.minimum(right, len(others) - 1)
    left = np.maximum(right - 1, 0)
    take_left = stamps - ordered[left] <= ordered[right] - stamps
    return order[np.where(take_left, left, right)]
