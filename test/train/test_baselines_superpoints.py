"""Geometric superpoints: the fast segmentation against its slow twin, and what they mean on boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_scenes import tiny_scene

from ovseg3r_core.types import SceneCloud
from ovseg3r_train.baselines.superpoints import SuperpointConfig, segment_graph, superpoints


def slow_twin(nodes: int, i: np.ndarray, j: np.ndarray, weight: np.ndarray, k: float, min_points: int) -> np.ndarray:
    """Felzenszwalb's algorithm edge by edge, in the same order among equals."""
    order = np.lexsort((np.random.default_rng(0).random(len(weight)), weight)).tolist()
    segment, allowed = np.arange(nodes), np.full(nodes, float(k))
    for e in order:
        a, b = segment[i[e]], segment[j[e]]
        if a != b and weight[e] <= min(allowed[a], allowed[b]):
            segment[segment == b] = a
            allowed[a] = weight[e] + k / np.count_nonzero(segment == a)
    for e in order:
        a, b = segment[i[e]], segment[j[e]]
        if a != b and min(np.count_nonzero(segment == a), np.count_nonzero(segment == b)) < min_points:
            segment[segment == b] = a
    return segment


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    pairs = np.unique(np.stack([one, other]), axis=1).shape[1]
    return pairs == len(np.unique(one)) == len(np.unique(other))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 60), st.sampled_from([0.0, 0.05, 0.5, 3.0]), st.sampled_from([1, 4]))
def test_fast_segmentation_is_the_sequential_one(seed: int, nodes: int, k: float, min_points: int) -> None:
    rng = np.random.default_rng([seed, 1])
    i, j = rng.integers(0, nodes, (2, 4 * nodes))
    i, j = i[i != j], j[i != j]
    weight = np.round(rng.random(len(i)), 1)  # many are equal
    fast = segment_graph(nodes, i, j, weight, k=k, min_points=min_points)
    assert same_partition(fast, slow_twin(nodes, i, j, weight, k, min_points))


def test_the_faces_of_a_box_are_superpoints_of_their_own() -> None:
    scene = tiny_scene(spacing_m=0.02)
    part = superpoints(scene.cloud)
    side = np.round(scene.cloud.normal).astype(int) @ [1, 2, 4]
    face = np.unique(np.stack([scene.truth.instance, side]), axis=1, return_inverse=True)[1]  # pyright: ignore
    mixed = [len(np.unique(face[part == p])) > 1 for p in np.unique(part)]
    assert not any(mixed)


def test_small_segments_join_and_strays_stay() -> None:
    xyz = np.array([[0.02 * n, 0, 0] for n in range(30)] + [[5, 5, 5]], np.float32)
    normal = np.tile(np.array([[0, 0, 1]], np.float32), (31, 1))
    normal[29] = [1, 0, 0]
    cloud = SceneCloud(xyz=xyz, color=np.zeros((31, 3), np.uint8), normal=normal)
    part = superpoints(cloud, SuperpointConfig(min_points=5))
    assert len(np.unique(part[:30])) == 1 and part[30] != part[0]


def test_an_empty_cloud_has_none() -> None:
    assert len(superpoints(SceneCloud.empty())) == 0


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="reach_m"):
        SuperpointConfig(reach_m=0.0)
