"""Plain geometric superpoints: Felzenszwalb's graph segmentation on the neighbourhood graph of a cloud.

The rule is that of the ScanNet segmentator. Edges go from light to heavy; an edge joins two segments if it is no
heavier than both allow, and a segment allows its heaviest inner edge plus `k` over its size. A second pass joins
segments that are too small to what they hang on by their lightest edge.

An edge that is the lightest of *both* its segments can be judged at once: no edge that comes before it touches either
of them. So all such edges are judged together, round by round; a segment that was refused will be refused by all its
heavier edges, and drops out. When few edges a round are left that may go together (one large segment takes in its
neighbours one after the other), the rest is done in order. The outcome is that of the sequential algorithm.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.types import SceneCloud

_NOTHING = -1.0  # what a segment allows that has refused an edge: no weight is less than 0
_STALLED = 0.01  # rounds go on while they judge this share of the edges that are left


@dataclass(frozen=True, kw_only=True)
class SuperpointConfig:
    """The neighbourhood graph and how it is cut."""

    neighbours: Annotated[int, Within(1, 64)] = 8
    """Points that each point is linked to."""
    reach_m: Annotated[float, Within(0.001, 10.0)] = 0.06
    """Links longer than this are left out: three voxels."""
    k: Annotated[float, Within(0.0, 100.0)] = 0.01
    """How much rougher than itself a segment may grow, over its size; ScanNet's value."""
    min_points: Annotated[int, Within(1, 100_000)] = 20
    """Smaller segments join a neighbour, as in ScanNet."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class _Edges:
    """Edges from light to heavy."""

    a: Int64[ndarray, " edges"]
    b: Int64[ndarray, " edges"]
    weight: Float64[ndarray, " edges"]

    def __getitem__(self, chosen: ndarray) -> "_Edges":
        return _Edges(self.a[chosen], self.b[chosen], self.weight[chosen])

    def between(self, into: Int64[ndarray, " nodes"], allowed: Float64[ndarray, " segments"]) -> "_Edges":
        """The edges between other segments, without those that will be refused."""
        a, b = into[self.a], into[self.b]
        open_ = (a != b) & (allowed[a] > _NOTHING) & (allowed[b] > _NOTHING)
        return _Edges(a[open_], b[open_], self.weight[open_])

    def lightest(self) -> "_Edges":
        """Of the edges between the same two segments the lightest: it alone can matter."""
        nodes = int(max(self.a.max(initial=0), self.b.max(initial=0))) + 1
        pair = np.minimum(self.a, self.b) * nodes + np.maximum(self.a, self.b)
        return self[np.sort(np.unique(pair, return_index=True)[1])]


def superpoints(cloud: SceneCloud, config: SuperpointConfig | None = None) -> Int64[ndarray, " points"]:
    """The superpoint that each point belongs to, numbered from 0."""
    config = config or SuperpointConfig()
    if not len(cloud):
        return np.zeros(0, np.int64)
    i, j = _links(cloud, config)
    return segment_graph(len(cloud), i, j, _bend(cloud, i, j), k=config.k, min_points=config.min_points)


def segment_graph(
    nodes: int,
    i: Int64[ndarray, " edges"],
    j: Int64[ndarray, " edges"],
    weight: Float64[ndarray, " edges"],
    *,
    k: float,
    min_points: int,
) -> Int64[ndarray, " nodes"]:
    """Segments of any graph, numbered from 0; weights are not negative, and equal ones go in a fixed random order."""
    order = np.lexsort((np.random.default_rng(0).random(len(weight)), weight))
    edges = _Edges(i[order], j[order], weight[order])
    segment, size, allowed = np.arange(nodes), np.ones(nodes), np.full(nodes, float(k))
    live = edges
    while len(live.weight):
        into, judged = _judge_mutual(live, size, allowed, k)
        segment, live = into[segment], live.between(into, allowed)
        if judged < _STALLED * len(live.weight):
            break
    segment = _judge_in_order(live.lightest(), size, allowed, k)[segment]
    segment, size = np.unique(segment, return_inverse=True, return_counts=True)[1:]
    segment = _join_small(edges.between(segment, np.zeros(len(size))).lightest(), size, min_points)[segment]
    return np.unique(segment, return_inverse=True)[1]


def _judge_mutual(
    edges: _Edges, size: Float64[ndarray, " nodes"], allowed: Float64[ndarray, " nodes"], k: float
) -> tuple[Int64[ndarray, " nodes"], int]:
    """Judge every edge that is the lightest of both its segments; `size` and `allowed` are brought up to date.

    Returns:
        The segment that each one is now part of, and the number of edges judged.
    """
    into, place = np.arange(len(size)), np.arange(len(edges.weight))
    lightest = np.full(len(size), len(place))
    np.minimum.at(lightest, edges.a, place)
    np.minimum.at(lightest, edges.b, place)
    judged = edges[(lightest[edges.a] == place) & (lightest[edges.b] == place)]
    a_allows, b_allows = judged.weight <= allowed[judged.a], judged.weight <= allowed[judged.b]
    joins = judged[a_allows & b_allows]
    into[joins.b] = joins.a
    size[joins.a] += size[joins.b]
    allowed[joins.a] = joins.weight + k / size[joins.a]
    allowed[judged.a[~a_allows]] = _NOTHING
    allowed[judged.b[~b_allows]] = _NOTHING
    return into, len(judged.weight)


def _judge_in_order(
    edges: _Edges, size: Float64[ndarray, " nodes"], allowed: Float64[ndarray, " nodes"], k: float
) -> Int64[ndarray, " nodes"]:
    """The sequential algorithm, for what is left of the graph: the root of each segment."""
    root, sizes, allow = list(range(len(size))), size.tolist(), allowed.tolist()
    for a, b, weight in zip(edges.a.tolist(), edges.b.tolist(), edges.weight.tolist(), strict=True):
        a, b = _root(root, a), _root(root, b)
        if a != b and weight <= allow[a] and weight <= allow[b]:
            root[b] = a
            sizes[a] += sizes[b]
            allow[a] = weight + k / sizes[a]
    return _roots(root)


def _join_small(edges: _Edges, size: Int64[ndarray, " nodes"], min_points: int) -> Int64[ndarray, " nodes"]:
    """Join segments that are too small along their lightest edges, whatever those weigh."""
    root, sizes = list(range(len(size))), size.tolist()
    for a, b in zip(edges.a.tolist(), edges.b.tolist(), strict=True):
        a, b = _root(root, a), _root(root, b)
        if a != b and (sizes[a] < min_points or sizes[b] < min_points):
            root[b] = a
            sizes[a] += sizes[b]
    return _roots(root)


def _root(root: list[int], node: int) -> int:
    while root[node] != node:
        root[node] = node = root[root[node]]
    return node


def _roots(root: list[int]) -> Int64[ndarray, " nodes"]:
    roots = np.array(root, dtype=np.int64)
    while (roots != roots[roots]).any():
        roots = roots[roots]
    return roots


def _links(cloud: SceneCloud, config: SuperpointConfig) -> tuple[Int64[ndarray, " edges"], Int64[ndarray, " edges"]]:
    """Pairs of points that are neighbours, each pair once."""
    k = min(config.neighbours + 1, len(cloud))
    distance, near = KDTree(cloud.xyz).query(cloud.xyz, k, distance_upper_bound=config.reach_m, workers=-1)
    near, distance = near.reshape(len(cloud), k), distance.reshape(len(cloud), k)
    source, column = np.nonzero(np.isfinite(distance))
    target = near[source, column]
    pair = np.unique((np.minimum(source, target) * len(cloud) + np.maximum(source, target))[source != target])
    return pair // len(cloud), pair % len(cloud)


def _bend(cloud: SceneCloud, i: Int64[ndarray, " edges"], j: Int64[ndarray, " edges"]) -> Float64[ndarray, " edges"]:
    """How much the surface turns from one point to the other: 1 - cosine, squared where it bulges outwards."""
    n_i, n_j = cloud.normal[i].astype(np.float64), cloud.normal[j].astype(np.float64)
    bend = np.clip(1 - (n_i * n_j).sum(axis=1), 0, 2)
    bulges = (n_j * (cloud.xyz[j] - cloud.xyz[i])).sum(axis=1) > 0
    return np.where(bulges, bend**2, bend)
