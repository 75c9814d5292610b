"""Felzenszwalb's graph segmentation by the rule of the ScanNet segmentator, with clusters that exclude each other.

Edges go from light to heavy. An edge joins two clusters if it is no heavier than both allow; a cluster allows its
heaviest inner edge plus `k` over its size. Two further passes join what is left too small. In every pass, clusters
that were told apart (`exclusive`) stay apart.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from numpy import ndarray

from ovseg3r_core.graph.compiled import compiled
from ovseg3r_core.graph.edges import Edges, light_first


@dataclass(frozen=True, kw_only=True)
class Exclusive:
    """What nodes are in some respects, as compressed rows: nodes that differ in any respect never share a cluster.

    Node i is `value[n]` in the respect `key[n]`, for n from `offsets[i]` to `offsets[i + 1]`; keys ascend in a row.
    """

    offsets: Int64[ndarray, " rows"]
    key: Int32[ndarray, " pairs"]
    value: Int32[ndarray, " pairs"]


def clusters(
    edges: Edges,
    weight: Float32[ndarray, " edges"],
    cut: Bool[ndarray, " edges"],
    count: Int64[ndarray, " nodes"],
    exclusive: Exclusive,
    *,
    k: float,
    min_points: int,
    sliver_points: int,
) -> Int64[ndarray, " nodes"]:
    """The cluster of each node, numbered from 0 in the order of the nodes.

    Args:
        weight: not negative; equal edges go in the order given.
        cut: edges that join nothing, except slivers.
        count: how many points each node stands for.
        k: how much rougher than itself a cluster may grow, over its size.
        min_points: smaller clusters join along their lightest edge, whatever it weighs.
        sliver_points: clusters that are smaller even then join along their shortest edge, though it be cut.
    """
    parent, size = np.arange(len(count)), count.copy()
    row = np.stack([exclusive.offsets[:-1], exclusive.offsets[1:]], axis=1)
    store = np.stack([exclusive.key, exclusive.value], axis=1)
    lightest = light_first(weight)
    lightest = lightest[~cut[lightest]]
    store = _grow(edges.a[lightest], edges.b[lightest], weight[lightest], float(k), parent, size, row, store)
    for limit, usable, first in (
        (min_points, ~cut, weight),
        (min(sliver_points, min_points), np.ones_like(cut), edges.length_m),
    ):
        small = _smaller(limit, parent, size)
        some = np.flatnonzero((small[edges.a] | small[edges.b]) & usable)
        some = some[light_first(first[some])]
        store = _join_small(edges.a[some], edges.b[some], limit, parent, size, row, store)
    return _numbered(parent)


@compiled
@no_type_check
def _grow(a, b, weight, k, parent, size, row, store):
    """Join what both sides allow; the arrays are brought up to date.

    Args:
        row: from where to where in the store each cluster's pairs of key and value lie.

    Returns:
        The store, which may have grown.
    """
    allowed, used = k / size, len(store)
    for e in range(len(a)):
        i, j = _root(parent, a[e]), _root(parent, b[e])
        if i != j and weight[e] <= allowed[i] and weight[e] <= allowed[j]:
            i, store, used = _join(i, j, parent, size, row, store, used)
            if i >= 0:
                allowed[i] = weight[e] + k / size[i]
    return store[:used]


@compiled
@no_type_check
def _join_small(a, b, limit, parent, size, row, store):
    """Join clusters of fewer points than the limit along the first edges that may; arguments as above."""
    used = len(store)
    for e in range(len(a)):
        i, j = _root(parent, a[e]), _root(parent, b[e])
        if i != j and min(size[i], size[j]) < limit:
            _, store, used = _join(i, j, parent, size, row, store, used)
    return store[:used]


@compiled
@no_type_check
def _smaller(limit, parent, size):
    """Which nodes are in clusters of fewer points than this."""
    small = np.empty(len(parent), np.bool_)
    for i in range(len(parent)):
        small[i] = size[_root(parent, i)] < limit
    return small


@compiled
@no_type_check
def _root(parent, i):
    """The cluster of a node; halves the way there."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
@no_type_check
def _join(i, j, parent, size, row, store, used):
    """Make one cluster of two, unless they exclude each other: then it is -1."""
    if size[i] < size[j]:
        i, j = j, i
    new = _new_keys(row[i], row[j], store)
    if new < 0:
        return -1, store, used
    if new > 0:
        store = _with_room(store, used, row[i, 1] - row[i, 0] + new)
        end = _unite(row[i], row[j], store, used)
        row[i, 0], row[i, 1], used = used, end, end
    parent[j] = i
    size[i] += size[j]
    return i, store, used


@compiled
@no_type_check
def _new_keys(one, other, store):
    """How many keys the other row has that this one has not; -1 where they differ in a key that both have."""
    p, new = one[0], 0
    for q in range(other[0], other[1]):
        while p < one[1] and store[p, 0] < store[q, 0]:
            p += 1
        if p == one[1] or store[p, 0] > store[q, 0]:
            new += 1
        elif store[p, 1] != store[q, 1]:
            return -1
    return new


@compiled
@no_type_check
def _unite(one, other, store, at):
    """Write the union of two rows, and tell where it ends."""
    p, q = one[0], other[0]
    while p < one[1] or q < other[1]:
        if q == other[1] or (p < one[1] and store[p, 0] <= store[q, 0]):
            q += q < other[1] and store[p, 0] == store[q, 0]
            store[at, 0], store[at, 1] = store[p, 0], store[p, 1]
            p += 1
        else:
            store[at, 0], store[at, 1] = store[q, 0], store[q, 1]
            q += 1
        at += 1
    return at


@compiled
@no_type_check
def _with_room(store, used, more):
    """The store, or a longer copy of it."""
    if used + more <= len(store):
        return store
    longer = np.empty((2 * len(store) + more, 2), store.dtype)
    for n in range(used):  # numba compiles a loop in a tenth of the time that it takes for a slice
        longer[n, 0], longer[n, 1] = store[n, 0], store[n, 1]
    return longer


@compiled
@no_type_check
def _numbered(parent):
    """The clusters, numbered as they come."""
    number, numbers = np.full(len(parent), -1), 0
    cluster = np.empty(len(parent), np.int64)
    for i in range(len(parent)):
        root = _root(parent, i)
        if number[root] < 0:
            number[root] = numbers
            numbers += 1
        cluster[i] = number[root]
    return cluster
