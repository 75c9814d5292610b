"""The edges of the neighbourhood graph, each once, and the order in which graph algorithms take them."""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray

from ovseg3r_core.compiled import compiled
from ovseg3r_core.graph.neighbours import NOBODY


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Pairs of nodes, `a < b`."""

    a: Int32[ndarray, " edges"]
    b: Int32[ndarray, " edges"]
    length_m: Float32[ndarray, " edges"]

    def __len__(self) -> int:
        return len(self.a)


def edges_of(near: Int32[ndarray, "nodes k"], distance_m: Float32[ndarray, "nodes k"], reach: float) -> Edges:
    """The pairs of which at least one is among the nearest of the other.

    Args:
        near, distance_m: from `nearest`.
        reach: edges longer than this many times the usual distance are left out. The usual one is the median, over
            the nodes, of the distance to the furthest of the k.
    """
    furthest = distance_m[:, -1]
    known = furthest[np.isfinite(furthest)]
    limit_m = reach * np.median(known) if len(known) else np.inf
    a, b, length_m = _pairs(near, distance_m, np.float32(limit_m))
    return Edges(a=a, b=b, length_m=length_m)


def light_first(weight: Float32[ndarray, " edges"]) -> Int64[ndarray, " edges"]:
    """The edges from light to heavy, equal ones as they come; weights are not negative.

    Such floats are ordered as their bits are. Sorting those together with the places is several times as fast as
    sorting the places alone.
    """
    keys = weight.view(np.uint32).astype(np.uint64) << np.uint64(32) | np.arange(len(weight), dtype=np.uint64)
    return (np.sort(keys) & np.uint64(0xFFFFFFFF)).astype(np.int64)


@compiled
@no_type_check
def _pairs(near, distance_m, limit_m):
    nodes, k = near.shape
    a, b, length_m = (np.empty(nodes * k, np.int32), np.empty(nodes * k, np.int32), np.empty(nodes * k, np.float32))
    found = 0
    for i in range(nodes):
        for place in range(k):
            j = near[i, place]
            if j == NOBODY or distance_m[i, place] > limit_m:
                break
            met = False
            for back in range(k if j < i else 0):
                met |= near[j, back] == i
            if not met:
                a[found], b[found], length_m[found] = min(i, j), max(i, j), distance_m[i, place]
                found += 1
    return a[:found].copy(), b[:found].copy(), length_m[:found].copy()
