"""The GPU's way through the network, its kernels interpreted: stage by stage what the plain modules give.

Capturing it as a CUDA graph needs a GPU: `python test/check_segmenter_gpu.py` holds that to the same.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from segmenter_parts import TINY, a_scene, a_segmenter, some_texts

from ovseg3r_core.segmenter import decoder_gpu, engine, heads, position
from ovseg3r_core.segmenter.engine import Given, Room, SegmenterEngine, size_step
from ovseg3r_core.segmenter.inputs import SceneInput, collate
from ovseg3r_core.segmenter.means_gpu import superpoint_means, voxel_means
from ovseg3r_core.segmenter.postprocess import PostprocessConfig, find_instances

TEXTS = some_texts(5)


def a_small_scene() -> SceneInput:
    found = {
        "objects": np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32),
        "object_centre": np.array([[0.1, 0.1, 0], [0.2, 0, 0], [9, 9, 9]], np.float32),
    }
    return a_scene(90, **found)


@pytest.fixture
def tight(monkeypatch) -> None:
    """Little room to spare: the interpreter takes a second for what a GPU does not notice."""
    monkeypatch.setattr(engine, "_SMALLEST_LEVEL", 64)


@pytest.mark.usefixtures("tight")
def test_every_stage_gives_what_the_plain_modules_give() -> None:
    segmenter = a_segmenter(replace(TINY, object_channels=7), seed=3)
    batch = collate([a_small_scene()])
    post = PostprocessConfig(min_points=3)
    ours = SegmenterEngine(segmenter, torch.float32, post)
    room = replace(Room.of(batch, TEXTS), superpoints=batch.most_superpoints + 5, scattered=True)
    given = Given.make(room, batch, TEXTS, torch.float32)
    with torch.inference_mode():
        (plain,) = segmenter(batch, TEXTS)
        pyramid = ours.pyramid(given, room)
        pooled, points = ours.pool(given, pyramid, ours.backbone(given, pyramid))
        said = ours.decode(given, pooled)
        count = batch.most_superpoints
        found = ours.choose(said, pooled, points)
        expected = find_instances(plain, 0, pooled.centre[0, :count], points[:count], post)
    assert pooled.real.sum() == count
    assert torch.allclose(said.mask_logits[:, :count, :count], plain.mask_logits, atol=1e-4)
    assert torch.allclose(said.name_logits[:, :count], plain.name_logits, atol=1e-4)
    assert torch.allclose(said.boxes.size[:, :count], plain.boxes.size, atol=1e-5)
    assert found.kept.sum() == expected.kept.sum() > 0
    kept = int(found.kept.sum())
    assert torch.allclose(found.score[:kept], expected.score[:kept], atol=1e-4)


@pytest.mark.usefixtures("tight")
def test_another_scene_in_the_same_room_leaves_nothing_of_the_one_before() -> None:
    large, small = collate([a_scene(60)]), collate([a_scene(20, seed=1)])
    room = replace(Room.of(large, TEXTS), superpoints=large.most_superpoints + 3)
    reused, fresh = Given.make(room, large, TEXTS, torch.float32), Given.make(room, small, TEXTS, torch.float32)
    reused.fill(small, TEXTS)
    ours = SegmenterEngine(a_segmenter(replace(TINY, levels=1, layers=1)), torch.float32)
    with torch.inference_mode():
        one, two = (ours.compute(given, room)[0] for given in (reused, fresh))
    assert torch.equal(one.score, two.score) and torch.equal(one.masks, two.masks)


def test_one_scene_at_a_time() -> None:
    with pytest.raises(ValueError, match="one scene at a time, not 2"):
        SegmenterEngine(a_segmenter(), torch.float32)(collate([a_scene(30), a_scene(30)]), TEXTS)


def test_room_comes_in_steps_of_a_quarter_at_most() -> None:
    for count in (1, 256, 257, 1000, 1500, 200_000, 540_000, 3_999_999):
        step = size_step(count, smallest=256)
        assert max(count, 256) <= step <= max(1.25 * count, 256)
        assert size_step(step, smallest=256) == step
    assert len({size_step(count, smallest=1024) for count in range(1024, 1_000_000, 1000)}) <= 41


def test_means_of_voxels_and_superpoints_are_means() -> None:
    rows, group = torch.randn(50, 6), torch.randint(0, 9, (50,)).sort().values
    start = torch.searchsorted(group, torch.arange(10)).int()
    order = torch.randperm(50)
    means = voxel_means(rows[order.argsort()], order, start, torch.float32)
    voxel, superpoint = torch.randint(0, 9, (50,)), torch.randint(0, 4, (50,))
    xyz = torch.randn(50, 3)
    features, centre, points = superpoint_means(means, voxel, xyz, superpoint.short(), 4)
    for g in range(9):
        expected = rows[order.argsort()][order[group == g]].mean(0) if (group == g).any() else torch.zeros(6)
        assert torch.allclose(means[g], expected, atol=1e-5)
    for s in range(4):
        assert torch.allclose(features[s], means[voxel[superpoint == s]].mean(0), atol=1e-5)
        assert torch.allclose(centre[s], xyz[superpoint == s].mean(0), atol=1e-5)
        assert points[s] == (superpoint == s).sum()


def test_the_decoders_two_kernels_equal_their_twins() -> None:
    xyz, sharp = torch.rand(2, 13, 3) * 3, torch.rand(2, 13, 3)
    bounds = position.SceneBounds(xyz.amin(1), xyz.amax(1))
    for channels in (64, 96):
        period, axis = position.channel_table(channels, torch.device("cpu"))
        waves = decoder_gpu.sine(xyz, bounds.low, bounds.high, period, axis, sharp, torch.float32)
        assert torch.allclose(waves, position.sine_embedding(xyz, bounds, channels, sharp), atol=1e-6)
    logits, real = torch.randn(2, 7, 1300) - 3, torch.rand(2, 1300) > 0.3
    logits[0, 3] = -9
    assert torch.equal(decoder_gpu.attention_mask(logits, real), heads.attention_mask(logits, real))
