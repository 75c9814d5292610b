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
    first, last = exclusive.offsets[:-1].copy(), exclusive.offsets[1:].copy()
    store = np.stack([exclusive.key, exclusive.value], axis=1)
    state = parent, size, first, last
    lightest = light_first(weight)
    lightest = lightest[~cut[lightest]]
    a, b = edges.a[lightest], edges.b[lightest]
    store = _grow(a, b, weight[lightest], float(k), *state, store)
    store = _join_small(a, b, _smaller(min_points, parent, size), min_points, *state, store)
    limit = min(sliver_points, min_points)
    small = _smaller(limit, parent, size)
    some = np.flatnonzero(small[edges.a] | small[edges.b])
    some = some[light_first(edges.length_m[some])]
    _join_small(edges.a[some], edges.b[some], small, limit, *state, store)
    return _numbered(parent)


@compiled
@no_type_check
def _grow(a, b, weight, k, parent, size, first, last, store):
    """Join what both sides allow; the arrays are brought up to date.

    Args:
        first, last: from where to where in the store the pairs of key and value of each cluster lie.

    Returns:
        The store, which may have grown.
    """
    allowed, used = k / size, len(store)
    for e in range(len(a)):
        i, j = _root(parent, a[e]), _root(parent, b[e])
        if i != j and weight[e] <= allowed[i] and weight[e] <= allowed[j]:
            room = last[i] - first[i] + last[j] - first[j]
            if used + room > len(store):
                store = _longer(store, used, room)
            i, used = _join(i, j, parent, size, first, last, store, used)
            if i >= 0:
                allowed[i] = weight[e] + k / size[i]
    return store[:used]


@compiled
@no_type_check
def _join_small(a, b, small, limit, parent, size, first, last, store):
    """Join clusters of fewer points than the limit along the first edges that may; arguments as above.

    Args:
        small: the nodes of such clusters.
    """
    used = len(store)
    for e in range(len(a)):
        if not (small[a[e]] or small[b[e]]):
            continue
        i, j = _root(parent, a[e]), _root(parent, b[e])
        if i != j and min(size[i], size[j]) < limit:
            room = last[i] - first[i] + last[j] - first[j]
            if used + room > len(store):
                store = _longer(store, used, room)
            _, used = _join(i, j, parent, size, first, last, store, used)
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
def _join(i, j, parent, size, first, last, store, used):
    """Make one cluster of two, unless they exclude each other: then it is -1. And what is used of the store."""
    if size[i] < size[j]:
        i, j = j, i
    new = _new_keys(first[i], last[i], first[j], last[j], store)
    if new < 0:
        return -1, used
    if new > 0:
        end = _unite(first[i], last[i], first[j], last[j], store, used)
        first[i], last[i], used = used, end, end
    parent[j] = i
    size[i] += size[j]
    return i, used


@compiled
@no_type_check
def _new_keys(p, p_end, q, q_end, store):
    """How many keys the row from q has that the row from p has not; -1 where they differ in one that both have."""
    new = 0
    while q < q_end:
        while p < p_end and store[p, 0] < store[q, 0]:
            p += 1
        if p == p_end or store[p, 0] > store[q, 0]:
            new += 1
        elif store[p, 1] != store[q, 1]:
            return -1
        q += 1
    return new


@compiled
@no_type_check
def _unite(p, p_end, q, q_end, store, at):
    """Write the union of two rows, and tell where it ends."""
    while p < p_end or q < q_end:
        if q == q_end or (p < p_end and store[p, 0] <= store[q, 0]):
            q += q < q_end and store[p, 0] == store[q, 0]
            store[at, 0], store[at, 1] = store[p, 0], store[p, 1]
            p += 1
        else:
            store[at, 0], store[at, 1] = store[q, 0], store[q, 1]
            q += 1
        at += 1
    return at


@compiled
@no_type_check
def _longer(store, used, room):
    """A copy with room for so many more pairs, and as much again."""
    longer = np.empty((2 * (used + room), 2), store.dtype)
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
