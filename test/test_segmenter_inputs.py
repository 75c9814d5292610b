"""What the segmenter refuses, each with its reason; what it takes becomes a batch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from segmenter_parts import TINY, a_scene, a_segmenter, some_texts, surface, tiles

from ovseg3r_core.checks import Rejected
from ovseg3r_core.segmenter import inputs
from ovseg3r_core.segmenter.inputs import collate, scene_input
from ovseg3r_core.types import SceneCloud

CLOUD = surface()
TILES = tiles(CLOUD)


def moved(xyz: np.ndarray) -> SceneCloud:
    return replace(CLOUD, xyz=xyz.astype(np.float32))


def with_one(value: float) -> np.ndarray:
    xyz = CLOUD.xyz.copy()
    xyz[7, 1] = value
    return xyz


@pytest.mark.parametrize(
    ("cloud", "superpoint", "reason", "says"),
    [
        (SceneCloud.empty(), np.zeros(0, np.int64), "empty_cloud", "no points"),
        (moved(with_one(np.nan)), TILES, "bad_cloud", "1 points are not finite"),
        (moved(with_one(np.inf)), TILES, "bad_cloud", "1 points are not finite"),
        (moved(with_one(1e6)), TILES, "bad_cloud", r"1e\+06 m from the origin; at most 10000 m"),
        (CLOUD, TILES[:-1], "bad_superpoints", "299 superpoint ids for 300 points"),
        (CLOUD, TILES - 1, "bad_superpoints", "ids are 0 or more"),
        (CLOUD, np.where(TILES == 3, 4, TILES), "bad_superpoints", "no point has superpoint 3"),
        (CLOUD, np.where(TILES == 3, 50_000, TILES), "bad_superpoints", "at most 16384 a scene"),
    ],
)
def test_a_scene_that_cannot_be_segmented_is_refused(cloud, superpoint, reason: str, says: str) -> None:
    with pytest.raises(Rejected, match=says) as refused:
        scene_input(cloud, superpoint)
    assert refused.value.reason == reason


def test_ten_million_points_are_refused_before_anything_is_made_of_them() -> None:
    points = 10_000_000
    xyz = np.broadcast_to(np.zeros(3, np.float32), (points, 3))
    cloud = SceneCloud(xyz=xyz, color=np.broadcast_to(np.zeros(3, np.uint8), (points, 3)), normal=xyz)
    with pytest.raises(Rejected, match="10000000 points; at most 4000000 are segmented at once") as refused:
        scene_input(cloud, np.broadcast_to(np.int64(0), (points,)))
    assert refused.value.reason == "too_many_points"


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({"image": np.full((300, 4), np.nan, np.float32)}, "300 rows are not finite"),
        ({"image": np.zeros((299, 4), np.float32)}, "299 rows where 300 are expected"),
        ({"objects": np.zeros((2, 4), np.float32)}, "one of them is missing"),
        ({"objects": np.zeros((2, 4), np.float32), "object_centre": np.zeros((3, 3), np.float32)}, "2 rows where 3"),
        (
            {"objects": np.zeros((1, 4), np.float32), "object_centre": np.full((1, 3), np.inf, np.float32)},
            "1 rows are not finite",
        ),
    ],
)
def test_features_that_do_not_fit_are_refused(features, says: str) -> None:
    with pytest.raises(Rejected, match=says) as refused:
        scene_input(CLOUD, TILES, **features)
    assert refused.value.reason == "bad_features"


@pytest.mark.parametrize("points", [1, 2, 9])
def test_a_handful_of_points_in_one_superpoint_is_a_scene(points: int) -> None:
    cloud = surface(points)
    batch = collate([scene_input(cloud, np.zeros(points, np.int64))])
    with torch.inference_mode():
        (said,) = a_segmenter()(batch, some_texts(3))
    assert said.mask_logits.shape == (1, 1, 1) and said.mask_logits.isfinite().all()
    assert said.name_logits.isfinite().all() and said.boxes.size.isfinite().all()


def test_points_ten_kilometres_out_are_segmented_as_those_at_the_origin() -> None:
    near = moved(np.round(CLOUD.xyz, 2) + 0.005)
    far = replace(near, xyz=(near.xyz + np.float32([-9000, 8192, 0])).astype(np.float32))
    one, two = (collate([scene_input(cloud, TILES)]) for cloud in (near, far))
    assert (one.features - two.features).abs().max() < 2e-3  # half a millimetre is what float32 has left out there


def test_scenes_of_a_batch_are_padded_to_the_same_number_of_superpoints() -> None:
    small, large = a_scene(40), a_scene(300)
    batch = collate([small, large])
    assert batch.superpoints == (small.superpoints, large.superpoints) and batch.scenes == 2
    assert batch.superpoint[40:].min() == large.superpoints == batch.most_superpoints
    assert torch.allclose(batch.features[:40, 3:].mean(0), torch.zeros(3), atol=1e-5)


def test_a_batch_is_all_with_2d_features_or_all_without() -> None:
    image = np.ones((300, 4), np.float32)
    with pytest.raises(ValueError, match="1 of 2 scenes have 2D features"):
        collate([a_scene(), a_scene(image=image)])
    found = {"objects": np.ones((2, 4), np.float32), "object_centre": np.ones((2, 3), np.float32)}
    with pytest.raises(ValueError, match="1 of 2 scenes have 2D objects"):
        collate([a_scene(), a_scene(**found)])
    assert collate([a_scene(image=image)]).features.shape[1] == 6 + 4


def test_a_batch_has_scenes_and_no_more_points_than_one_scene_may_have(monkeypatch) -> None:
    with pytest.raises(ValueError, match="a batch of 0 scenes"):
        collate([])
    monkeypatch.setattr(inputs, "MAX_POINTS", 500)
    with pytest.raises(Rejected, match="a batch of 600 points; at most 500"):
        collate([a_scene(), a_scene()])


def test_a_config_that_makes_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of twice the 3 heads"):
        replace(TINY, heads=3)
    with pytest.raises(ValueError, match=r"voxel_size_m is 0.0; it must lie in 0.001..1"):
        replace(TINY, voxel_size_m=0.0)
