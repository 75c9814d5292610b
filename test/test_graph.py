"""The neighbourhood graph of a cloud: each compiled loop against a plain twin, and what no order of points changes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovseg3r_core import compiled
from ovseg3r_core.graph.bending import bending
from ovseg3r_core.graph.clustering import Exclusive, clusters
from ovseg3r_core.graph.edges import Edges, edges_of, light_first
from ovseg3r_core.graph.neighbours import nearest
from ovseg3r_core.graph.normals import surface_normals, unit_or_zero
from ovseg3r_core.graph.order import ordered_nodes
from ovseg3r_core.graph.sides import orient

seeds = st.integers(0, 10_000)


def random_cloud(seed: int, points: int, grid: int = 0) -> np.ndarray:
    """Points in a unit box; on a grid of so many steps, where many distances are equal and points coincide."""
    xyz = np.random.default_rng([seed, points]).random((points, 3))
    return (np.floor(xyz * grid) / grid if grid else xyz).astype(np.float32)


def random_edges(seed: int, nodes: int) -> Edges:
    rng = np.random.default_rng([seed, 1])
    a, b = np.sort(rng.integers(0, nodes, (2, 4 * nodes)), axis=0).astype(np.int32)
    kept = a != b
    return Edges(a=a[kept], b=b[kept], length_m=np.round(rng.random(kept.sum()), 1).astype(np.float32))


@given(seeds, st.integers(1, 90), st.sampled_from([0, 3]))
def test_nodes_come_in_one_order_whatever_that_of_the_points(seed: int, points: int, grid: int) -> None:
    xyz = random_cloud(seed, points, grid)
    kind = np.random.default_rng(seed).integers(0, 2, points)
    mixed = np.random.default_rng(seed).permutation(points)
    one, other = ordered_nodes(xyz, kind), ordered_nodes(xyz[mixed], kind[mixed])
    rows = np.column_stack([xyz, kind])
    assert np.array_equal(rows[one.point], rows[mixed][other.point])
    assert np.array_equal(one.of_point[mixed], other.of_point)
    assert len(one) == len(np.unique(rows, axis=0)) and one.count.sum() == points
    assert np.array_equal(rows[one.point][one.of_point], rows)


def test_the_order_of_a_full_grid_never_jumps() -> None:
    """It is a Hilbert curve; boxes round runs of any other order are larger, and searches slower."""
    grid = np.stack(np.meshgrid(*[np.arange(16)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
    steps = np.abs(np.diff(grid[ordered_nodes(grid).point], axis=0)).sum(axis=1)
    assert (steps == 1).all()


@settings(max_examples=40)
@given(seeds, st.integers(1, 90), st.sampled_from([0, 3, 4]), st.sampled_from([1.0, 1e-4, 1e4]))
def test_nearest_are_those_that_a_full_search_finds(seed: int, points: int, grid: int, scale: float) -> None:
    xyz = random_cloud(seed, points, grid) * np.float32(scale)
    xyz = xyz[ordered_nodes(xyz).point]
    near, distance = nearest(xyz, 8)
    apart = np.sqrt(((xyz[:, None] - xyz) ** 2).sum(axis=-1))
    np.fill_diagonal(apart, np.inf)
    there = min(8, len(xyz) - 1)
    np.testing.assert_allclose(distance[:, :there], np.sort(apart, axis=1)[:, :there], rtol=1e-6)
    assert np.isinf(distance[:, there:]).all() and (near[:, there:] == -1).all()
    np.testing.assert_allclose(np.take_along_axis(apart, near[:, :there].astype(int), 1), distance[:, :there])
    assert all(len(set(row)) == there for row in near[:, :there].tolist())


def test_edges_are_pairs_within_reach_each_once() -> None:
    xyz = np.float32([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [3.5, 0, 0], [60, 0, 0]])
    edges = edges_of(*nearest(xyz, 2), reach=2.0)  # the second neighbour is usually 1.25 away: 2.5 are within reach
    pairs = sorted(zip(edges.a.tolist(), edges.b.tolist(), strict=True))
    assert pairs == [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4)]
    np.testing.assert_allclose(edges.length_m, np.abs(xyz[edges.a, 0] - xyz[edges.b, 0]))


@given(seeds)
def test_light_edges_come_first_and_equal_ones_as_they_were(seed: int) -> None:
    weight = np.round(np.random.default_rng(seed).random(50), 1).astype(np.float32)
    assert light_first(weight).tolist() == np.argsort(weight, kind="stable").tolist()


def fitted(xyz: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The normals of a cloud that gives none."""
    near, distance = nearest(xyz, 8)
    return surface_normals(xyz, np.zeros_like(xyz), count, near, edges_of(near, distance, 100.0), "fitted")


@settings(max_examples=30)
@given(seeds)
def test_a_fitted_normal_is_where_the_neighbours_spread_least(seed: int) -> None:
    xyz = random_cloud(seed, 40) * np.float32([1, 1, 0.2]) + np.float32([1e3, 0, 0])
    count = np.random.default_rng(seed).integers(1, 4, 40)
    near, _ = nearest(xyz, 8)
    for i, normal in enumerate(fitted(xyz, count)):
        members = np.append(i, near[i])
        spread, axes = np.linalg.eigh(np.cov(xyz[members].T, fweights=count[members]))
        if spread[1] > 1.01 * spread[0]:
            assert abs(normal @ axes[:, 0]) == pytest.approx(1, abs=1e-5)


def test_a_line_has_no_normal_and_nor_has_a_point() -> None:
    for xyz in (np.linspace([0, 0, 0], [1, 2, 3], 20), np.zeros((1, 3)), np.float32([[0, 0, 0], [1, 1, 1]])):
        xyz = xyz.astype(np.float32)
        assert not fitted(xyz, np.ones(len(xyz), np.int64)).any()


def test_normals_that_are_none_become_zero_and_others_one_long() -> None:
    normal = np.float32([[0, 0, 4], [0, 0, 0], [np.nan, 0, 1], [np.inf, 0, 0], [0, 1e-20, 0]])
    assert unit_or_zero(normal).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 1, 0]]


def half_sphere(seed: int = 0, points: int = 800) -> np.ndarray:
    direction = np.random.default_rng(seed).normal(size=(points, 3))
    direction[:, 2] = np.abs(direction[:, 2])
    return (direction / np.linalg.norm(direction, axis=1, keepdims=True)).astype(np.float32)


def test_signs_are_those_of_the_neighbours() -> None:
    """A dome faces up on the whole, hence outwards all round; one given normal turns all of it."""
    outwards = half_sphere()
    outwards = outwards[ordered_nodes(outwards).point]
    mixed = outwards * np.random.default_rng(1).choice(np.float32([-1, 1]), (len(outwards), 1))
    edges = edges_of(*nearest(outwards, 8), reach=3.0)
    nobody = np.zeros(len(outwards), bool)
    np.testing.assert_array_equal(orient(mixed, nobody, edges), outwards)
    mixed[5], fixed = -outwards[5], np.arange(len(outwards)) == 5
    np.testing.assert_array_equal(orient(mixed, fixed, edges), -outwards)


def test_missing_normals_are_fitted_on_the_side_of_the_given_ones() -> None:
    xyz = half_sphere()
    xyz = xyz[ordered_nodes(xyz).point]
    near, distance = nearest(xyz, 8)
    known = xyz[:, 0] > 0
    given_ = np.where(known[:, None], -xyz, 0)
    normal = surface_normals(xyz, given_, np.ones(len(xyz), np.int64), near, edges_of(near, distance, 3.0), "given")
    np.testing.assert_array_equal(normal[known], given_[known])
    assert ((normal * -xyz).sum(axis=1) > 0.9).all()


def test_edges_weigh_one_minus_the_cosine_and_less_where_they_bulge() -> None:
    xyz = np.float32([[0, 0, 0], [1, 0, 0]])
    edges = Edges(a=np.int32([0]), b=np.int32([1]), length_m=np.float32([1]))
    up, left, right = np.float32([0, 0, 1]), np.float32([-0.6, 0, 0.8]), np.float32([0.6, 0, 0.8])
    for one, other, weight in (
        *((up, up, 0), (right, left, 0.72), (left, right, 0.72**2), (right, up, 0.2), (left, up, 0.04)),
        (up, np.zeros(3, np.float32), 1),
    ):
        assert bending(xyz, np.stack([one, other]), edges)[0] == pytest.approx(weight, abs=1e-7)


def plain_twin(
    edges: Edges,
    weight: np.ndarray,
    cut: np.ndarray,
    count: np.ndarray,
    facts: list[dict[int, int]],
    k: float,
    min_points: int,
    sliver_points: int,
) -> list[int]:
    """The same rules on sets, edge by edge."""
    cluster, allowed = [{i} for i in range(len(count))], [k / c for c in count]

    def size(members: set[int]) -> int:
        return sum(int(count[i]) for i in members)

    def join(one: set[int], other: set[int]) -> bool:
        if any(facts[i].get(key, v) != v for i in one for j in other for key, v in facts[j].items()):
            return False
        one |= other
        for i in other:
            cluster[i] = one
        return True

    def apart(order: np.ndarray) -> Iterator[tuple[int, set[int], set[int]]]:
        for e in order.tolist():
            one, other = cluster[edges.a[e]], cluster[edges.b[e]]
            if one is not other:
                yield e, one, other

    lightest = np.argsort(weight, kind="stable")
    for e, one, other in apart(lightest[~cut[lightest]]):
        heavy = float(weight[e])
        if heavy <= allowed[min(one)] and heavy <= allowed[min(other)] and join(one, other):
            allowed[min(one)] = heavy + k / size(one)
    for _, one, other in apart(lightest[~cut[lightest]]):
        if min(size(one), size(other)) < min_points:
            join(one, other)
    for _, one, other in apart(np.argsort(edges.length_m, kind="stable")):
        if min(size(one), size(other)) < min(sliver_points, min_points):
            join(one, other)
    first = [min(members) for members in cluster]
    return np.unique(first, return_inverse=True)[1].tolist()


@settings(max_examples=60)
@given(seeds, st.integers(2, 50), st.sampled_from([0.0, 0.05, 0.5, 3.0]), st.sampled_from([1, 4, 9]), st.integers(0, 4))
def test_clusters_are_those_of_the_plain_twin(seed: int, nodes: int, k: float, min_points: int, views: int) -> None:
    rng, edges = np.random.default_rng([seed, 2]), random_edges(seed, nodes)
    weight = np.round(rng.random(len(edges)), 1).astype(np.float32)  # many are equal
    cut, count = rng.random(len(edges)) < 0.3, rng.integers(1, 3, nodes)
    label = rng.integers(-1, 3, (nodes, views))
    facts = [{view: mask for view, mask in enumerate(row) if mask >= 0} for row in label.tolist()]
    pairs = np.array([view << 32 | mask for row in facts for view, mask in row.items()], np.int64)
    exclusive = Exclusive(offsets=np.cumsum([0, *map(len, facts)]), facts=pairs)
    found = clusters(edges, weight, cut, count, exclusive, k=k, min_points=min_points, sliver_points=3)
    assert found.tolist() == plain_twin(edges, weight, cut, count, facts, k, min_points, 3)


def test_loops_may_run_in_several_threads_at_once() -> None:
    """A robot maps in several threads; what each asks for is whole, and the same as alone."""
    xyz = random_cloud(0, 20_000)
    xyz = xyz[ordered_nodes(xyz).point]
    alone = nearest(xyz, 8)
    with ThreadPoolExecutor(4) as pool:
        for near, distance in pool.map(lambda _: nearest(xyz, 8), range(8)):
            assert np.array_equal(near, alone[0]) and np.array_equal(distance, alone[1])


def test_loops_compile_where_no_cache_can_be_written(monkeypatch) -> None:
    def refuse(**options: bool):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return lambda loop: loop

    monkeypatch.setattr(numba, "njit", refuse)
    assert compiled.compiled(abs) is abs
