"""The network keeps its promises: order, padding, batches and repeats change nothing; what should matter does."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from segmenter_parts import TINY, a_scene, a_segmenter, some_texts, surface, tiles
from torch import Tensor

from ovseg3r_core.segmenter.boxes import Boxes, BoxStep
from ovseg3r_core.segmenter.build import base_config, build_segmenter, small_config, wide_config
from ovseg3r_core.segmenter.heads import Prediction, attention_mask
from ovseg3r_core.segmenter.inputs import SceneInput, collate, scene_input
from ovseg3r_core.segmenter.pooling import mean_by
from ovseg3r_core.segmenter.position import SceneBounds, axis_channels, sine_embedding
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_core.types import SceneCloud

TEXTS = some_texts(5)
NEAR = {"rtol": 1e-4, "atol": 1e-5}


@torch.inference_mode()
def say(segmenter: Segmenter, *scenes: SceneInput, texts: Tensor = TEXTS) -> Prediction:
    return segmenter(collate(scenes), texts)[-1]


def shuffled(cloud: SceneCloud, superpoint: np.ndarray, seed: int) -> tuple[SceneCloud, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(cloud))
    return SceneCloud(xyz=cloud.xyz[order], color=cloud.color[order], normal=cloud.normal[order]), superpoint[order]


def test_every_superpoint_says_a_mask_a_name_and_a_box() -> None:
    scene = a_scene()
    said = say(a_segmenter(), scene)
    count = scene.superpoints
    assert said.mask_logits.shape == (1, count, count)
    assert said.name_logits.shape == (1, count, len(TEXTS) + 1)
    assert said.boxes.centre.shape == said.boxes.size.shape == (1, count, 3)
    assert said.semantic_logits is not None and said.semantic_logits.shape == said.name_logits.shape


def test_each_layer_speaks_when_asked_and_the_last_one_is_the_same() -> None:
    segmenter, batch = a_segmenter(), collate([a_scene()])
    with torch.inference_mode():
        every, last = segmenter(batch, TEXTS, every_layer=True), segmenter(batch, TEXTS)
    assert len(every) == TINY.layers + 1 and len(last) == 1
    assert torch.equal(every[-1].mask_logits, last[0].mask_logits)
    assert [said.semantic_logits is None for said in every] == [True] * TINY.layers + [False]


def test_the_order_of_points_changes_nothing() -> None:
    segmenter, cloud = a_segmenter(), surface()
    plain = say(segmenter, scene_input(cloud, tiles(cloud)))
    for seed in range(3):
        other = say(segmenter, scene_input(*shuffled(cloud, tiles(cloud), seed)))
        assert torch.allclose(plain.mask_logits, other.mask_logits, **NEAR)
        assert torch.allclose(plain.name_logits, other.name_logits, **NEAR)


def test_the_numbering_of_superpoints_only_renumbers_what_is_said() -> None:
    segmenter, cloud = a_segmenter(), surface()
    ids = tiles(cloud)
    new = np.random.default_rng(0).permutation(ids.max() + 1)
    plain, other = say(segmenter, scene_input(cloud, ids)), say(segmenter, scene_input(cloud, new[ids]))
    assert torch.allclose(plain.mask_logits[0], other.mask_logits[0][new][:, new], **NEAR)


def test_other_scenes_of_the_batch_change_nothing() -> None:
    segmenter, scene = a_segmenter(), a_scene()
    alone = say(segmenter, scene)
    count = scene.superpoints
    for beside in (a_scene(40, seed=1), a_scene(900, seed=2)):
        together = say(segmenter, scene, beside)
        assert torch.allclose(alone.mask_logits[0], together.mask_logits[0, :count, :count], **NEAR)
        assert torch.allclose(alone.name_logits[0], together.name_logits[0, :count], **NEAR)
        assert torch.allclose(alone.boxes.size[0], together.boxes.size[0, :count], **NEAR)


def test_runs_repeat_to_the_bit() -> None:
    segmenter, scene = a_segmenter(), a_scene()
    assert all(torch.equal(say(segmenter, scene).mask_logits, say(segmenter, scene).mask_logits) for _ in range(3))


def test_a_vocabulary_of_any_length_is_answered_and_each_text_for_itself() -> None:
    segmenter, scene = a_segmenter(), a_scene()
    many = some_texts(700)
    said = say(segmenter, scene, texts=many).name_logits
    few = say(segmenter, scene, texts=many[[3, 600]]).name_logits
    assert said.shape[-1] == 701
    assert torch.allclose(said[..., [3, 600, -1]], few, **NEAR)


def test_queries_may_start_from_some_superpoints_only() -> None:
    segmenter, batch = a_segmenter(), collate([a_scene(), a_scene(40, seed=1)])
    seeds = torch.tensor([[2, 0, 5], [1, -1, -1]])
    with torch.inference_mode():
        (said,) = segmenter(batch, TEXTS, seeds)
        (alone,) = segmenter(collate([a_scene(40, seed=1)]), TEXTS, torch.tensor([[1]]))
    assert said.mask_logits.shape == (2, 3, batch.most_superpoints)
    count = alone.mask_logits.shape[-1]
    assert torch.allclose(said.mask_logits[1, :1, :count], alone.mask_logits[0], **NEAR)


def with_objects(centre: np.ndarray, looks: np.ndarray) -> SceneInput:
    return a_scene(objects=looks.astype(np.float32), object_centre=centre.astype(np.float32))


def test_only_objects_near_the_mask_of_a_query_speak_to_it() -> None:
    segmenter = a_segmenter(replace(TINY, object_channels=7, object_reach_m=0.2))
    looks = np.random.default_rng(0).normal(size=(1, 7))
    far = say(segmenter, with_objects(np.full((1, 3), 50.0), looks)).mask_logits
    other = say(segmenter, with_objects(np.full((1, 3), 50.0), -3 * looks)).mask_logits
    near = say(segmenter, with_objects(np.array([[0.1, 0.1, -0.05]]), looks)).mask_logits
    assert torch.equal(far, other)
    assert not torch.allclose(far, near, **NEAR)


def test_padded_objects_say_nothing() -> None:
    segmenter = a_segmenter(replace(TINY, object_channels=7))
    centre, looks = np.array([[0.1, 0.1, -0.05]]), np.ones((1, 7))
    scene = with_objects(centre, looks)
    beside = with_objects(np.zeros((4, 3)), np.ones((4, 7)))
    alone, together = say(segmenter, scene), say(segmenter, scene, beside)
    assert torch.allclose(alone.mask_logits[0], together.mask_logits[0], **NEAR)


def test_2d_features_of_points_enter_the_network() -> None:
    segmenter = a_segmenter(replace(TINY, image_channels=4))
    image = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    assert not torch.allclose(
        say(segmenter, a_scene(image=image)).mask_logits, say(segmenter, a_scene(image=-image)).mask_logits, **NEAR
    )


def test_index_maps_may_be_used_again() -> None:
    segmenter, batch = a_segmenter(), collate([a_scene()])
    pyramid = segmenter.pyramid(batch)
    with torch.inference_mode():
        (fresh,), (again,) = segmenter(batch, TEXTS), segmenter(batch, TEXTS, pyramid=pyramid)
    assert torch.equal(fresh.mask_logits, again.mask_logits)


def test_every_weight_learns() -> None:
    segmenter = a_segmenter(replace(TINY, object_channels=7, image_channels=2)).train()
    image = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
    looks = np.random.default_rng(1).normal(size=(2, 7)).astype(np.float32)
    found = {"objects": looks, "object_centre": np.float32([[0.1, 0.1, -0.05]] * 2)}
    layers = segmenter(collate([a_scene(image=image, **found)]), TEXTS, every_layer=True)
    loss = sum(said.mask_logits.square().mean() + said.name_logits.square().mean() for said in layers)
    loss = loss + sum(said.boxes.centre.sum() + said.boxes.size.sum() for said in layers)
    (loss + layers[-1].semantic_logits.square().mean()).backward()
    still = {name for name, weight in segmenter.named_parameters() if weight.grad is None or not weight.grad.any()}
    # The last layers of box steps are 0 at the start: nothing flows through them to those before yet.
    assert {name for name in still if ".box." not in name} == set()


def test_a_query_whose_mask_is_empty_may_look_everywhere() -> None:
    logits = torch.tensor([[[1.0, -1.0, 2.0], [-1.0, -1.0, 3.0]]])
    real = torch.tensor([[True, True, False]])
    assert attention_mask(logits, real).tolist() == [[[True, False, False], [True, True, False]]]


def test_boxes_start_at_half_a_metre_and_an_untrained_step_leaves_them() -> None:
    boxes = Boxes.about(torch.randn(2, 4, 3))
    stepped = BoxStep(16)(torch.randn(2, 4, 16), boxes)
    assert (boxes.size == 0.5).all()
    assert torch.equal(stepped.centre, boxes.centre) and torch.equal(stepped.size, boxes.size)


def test_no_step_makes_a_box_that_is_none() -> None:
    step = BoxStep(16)
    torch.nn.init.normal_(step.size[-1].weight, 0, 100)
    boxes = Boxes.about(torch.zeros(1, 4, 3))
    for _ in range(20):
        boxes = step(torch.randn(1, 4, 16), boxes)
    assert (boxes.size >= 0.01).all() and (boxes.size <= 100).all()


@pytest.mark.parametrize(("channels", "shared"), [(256, (86, 86, 84)), (128, (44, 42, 42)), (96, (32, 32, 32))])
def test_channels_of_a_position_are_even_and_shared_out(channels: int, shared: tuple) -> None:
    assert axis_channels(channels) == shared


def test_a_position_is_sines_and_cosines_of_where_it_is_in_the_scene() -> None:
    bounds = SceneBounds(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[3.0, 1.0, 0.0]]))
    at = sine_embedding(torch.tensor([[[1.5, 0.0, 0.0]]]), bounds, 12)[0, 0]
    x, y, z = at.split(4)
    quarter = torch.tensor(torch.pi / 2)  # a quarter of the way along x
    assert torch.allclose(
        x,
        torch.stack([quarter.sin(), quarter.cos(), *[f(quarter / 20**0.5) for f in (torch.sin, torch.cos)]]),
        atol=1e-6,
    )
    assert torch.equal(y, torch.tensor([0.0, 1.0, 0.0, 1.0])) and torch.equal(z, y)  # z has no extent


def test_a_small_box_sharpens_the_position() -> None:
    bounds = SceneBounds(torch.zeros(1, 3), torch.ones(1, 3))
    at, sharp = torch.rand(1, 2, 3), torch.tensor([[[1.0, 2.0, 3.0]]]).expand(1, 2, 3)
    plain, sharper = sine_embedding(at, bounds, 12), sine_embedding(at, bounds, 12, sharp)
    assert torch.allclose(sharper, plain * torch.tensor([1.0] * 4 + [2.0] * 4 + [3.0] * 4))


def test_means_do_not_depend_on_the_order_of_rows() -> None:
    rows, group = torch.randn(1000, 5) * 50, torch.randint(0, 7, (1000,))
    order = torch.randperm(1000)
    mean = mean_by(rows, group, 8)
    assert torch.equal(mean, mean_by(rows[order], group[order], 8)) and not mean[7].any()
    assert torch.allclose(mean[3], rows[group == 3].mean(0), atol=1e-4)


def test_means_pass_gradients_on() -> None:
    rows = torch.randn(20, 3, requires_grad=True)
    group = torch.arange(20) % 4
    weight = torch.randn(4, 3)
    (mean_by(rows, group, 4) * weight).sum().backward()
    assert torch.allclose(rows.grad, weight[group] / 5)


def test_sizes_have_the_widths_of_the_paper() -> None:
    assert base_config().widths == (32, 64, 96, 128, 160)
    assert wide_config().widths == (64, 128, 192, 256, 320)
    assert small_config(voxel_size_m=0.04).widths == (16, 32, 48, 64, 80)
    assert sum(p.numel() for p in build_segmenter(small_config()).parameters()) < 5e6
