"""Felzenszwalb's graph segmentation by the rule of the ScanNet segmentator, with clusters that exclude each other.

Edges go from light to heavy. An edge joins two clusters if it is no heavier than both allow; a cluster allows its
heaviest inner edge plus `k` over its size. Two further passes join what is left too small. In every pass, clusters
that were told apart (`exclusive`) stay apart.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from ovseg3r_core.compiled import compiled
from ovseg3r_core.graph.edges import Edges, light_first

VALUE_BITS = 32  # of a fact; what stands before them is the respect


@dataclass(frozen=True, kw_only=True)
class Exclusive:
    """What nodes are in some respects, as compressed rows: nodes that differ in any respect never share a cluster.

    A fact is `respect << VALUE_BITS | value`, neither of them negative. Those of node i are `offsets[i]` to
    `offsets[i + 1]`.
    """

    offsets: Int64[ndarray, " rows"]
    facts: Int64[ndarray, " facts"]
    """Ascending in each row, of each respect at most one."""

    @classmethod
    def nothing(cls, nodes: int) -> "Exclusive":
        """Nodes of which nothing is known."""
        return cls(offsets=np.zeros(nodes + 1, np.int64), facts=np.zeros(0, np.int64))


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
    store = exclusive.facts
    _share(row, store)
    state = parent, size, row
    lightest = light_first(weight)
    lightest = lightest[~cut[lightest]] if cut.any() else lightest
    a, b = edges.a[lightest], edges.b[lightest]  # so that the loops go along memory
    store = _grow(a, b, weight[lightest], float(k), *state, store)
    store = _join_small(a, b, _smaller(min_points, parent, size), min_points, *state, store)
    limit = min(sliver_points, min_points)
    small = _smaller(limit, parent, size)
    some = np.flatnonzero(small[edges.a] | small[edges.b])
    shortest = some[light_first(edges.length_m[some])]
    _join_small(edges.a[shortest], edges.b[shortest], small, limit, *state, store)
    return _numbered(parent)


@compiled
@no_type_check
def _share(row, store):
    """Let nodes of which the same is known as of the one before share its row, as neighbours mostly do."""
    for i in range(1, len(row)):
        length, n = row[i, 1] - row[i, 0], 0
        if row[i - 1, 1] - row[i - 1, 0] == length:
            while n < length and store[row[i, 0] + n] == store[row[i - 1, 0] + n]:
                n += 1
            if n == length:
                row[i, 0], row[i, 1] = row[i - 1, 0], row[i - 1, 1]


@compiled
@no_type_check
def _grow(a, b, weight, k, parent, size, row, store):
    """Join what both sides allow; the arrays are brought up to date.

    Args:
        row: from where to where in the store the facts of each cluster lie.

    Returns:
        The store, which may have grown.
    """
    allowed, used = k / size, len(store)
    for e in range(len(a)):
        i, j = _root(parent, a[e]), _root(parent, b[e])
        if i != j and weight[e] <= allowed[i] and weight[e] <= allowed[j]:
            store = _with_room(i, j, row, store, used)
            i, used = _join(i, j, parent, size, row, store, used)
            if i >= 0:
                allowed[i] = weight[e] + k / size[i]
    return store[:used]


@compiled
@no_type_check
def _join_small(a, b, small, limit, parent, size, row, store):
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
            store = _with_room(i, j, row, store, used)
            _, used = _join(i, j, parent, size, row, store, used)
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
    """Make one cluster of two, unless they exclude each other: then it is -1. And what is used of the store."""
    if size[i] < size[j]:
        i, j = j, i
    new = _new_facts(row[i, 0], row[i, 1], row[j, 0], row[j, 1], store) if used else 0
    if new < 0:
        return -1, used
    if new > 0:
        end = _unite(row[i, 0], row[i, 1], row[j, 0], row[j, 1], store, used)
        row[i, 0], row[i, 1], used = used, end, end
    parent[j] = i
    size[i] += size[j]
    return i, used


@compiled
@no_type_check
def _new_facts(p, p_end, q, q_end, store):
    """In how many respects the row from q tells more than the row from p; -1 where they differ in one."""
    new = 0
    if p == q and p_end == q_end:
        return new
    while q < q_end:
        respect = store[q] >> VALUE_BITS
        while p < p_end and store[p] >> VALUE_BITS < respect:
            p += 1
        if p == p_end or store[p] >> VALUE_BITS > respect:
            new += 1
        elif store[p] != store[q]:
            return -1
        q += 1
    return new


@compiled
@no_type_check
def _unite(p, p_end, q, q_end, store, at):
    """Write the union of two rows, and tell where it ends."""
    while p < p_end and q < q_end:
        one, other = store[p], store[q]
        store[at] = min(one, other)
        p += one <= other
        q += other <= one
        at += 1
    for n in range(p, p_end):
        store[at] = store[n]
        at += 1
    for n in range(q, q_end):
        store[at] = store[n]
        at += 1
    return at


@compiled
@no_type_check
def _with_room(i, j, row, store, used):
    """The store, or a copy of twice the length if it has no room for the facts of two clusters."""
    more = row[i, 1] - row[i, 0] + row[j, 1] - row[j, 0] if used else 0
    if used + more <= len(store):
        return store
    longer = np.empty(2 * (used + more), store.dtype)
    for n in range(used):  # numba compiles a loop in a tenth of the time that it takes for a slice
        longer[n] = store[n]
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
