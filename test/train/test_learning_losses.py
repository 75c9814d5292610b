"""What predictions cost, held to plain loops; what should cost nothing does."""

import math
from dataclasses import replace

import pytest
import torch
from targets_parts import TEXTS, perfect, predictions, some_targets
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ovseg3r_train.learning.losses import LossConfig, segmenter_losses
from ovseg3r_train.learning.matching import match
from ovseg3r_train.learning.seeds import all_seeds
from ovseg3r_train.learning.soft_names import soft_names

SEEDS = all_seeds((6, 4))
CONFIG = LossConfig()
NONE = torch.tensor([False, False])
ONE = replace(CONFIG, last_dice_factor=1.0)


def test_to_be_right_costs_next_to_nothing() -> None:
    targets = some_targets()
    said = perfect(targets, SEEDS)
    losses = segmenter_losses([said, said], targets, SEEDS)
    assert losses.total < 1e-4


def test_each_part_is_that_of_plain_loops() -> None:
    targets = some_targets()
    said = predictions(targets, SEEDS)
    losses = segmenter_losses([said, said], targets, SEEDS, ONE)
    costs = {part: list[float]() for part in ("bce", "dice", "centre", "size")}
    logits, names = [], []
    for with_boxes in (False, True):
        matches = match(said, targets, SEEDS, CONFIG.matching, boxed=torch.tensor([with_boxes] * 2))
        for p, superpoints in enumerate((6, 4)):
            name = torch.full((superpoints,), TEXTS)
            for g in range(3):
                if not matches.found[p, g]:
                    continue
                query = int(matches.query[p, g])
                name[query] = targets.name[p, g]
                mask, truth = said.mask_logits[p, query, :superpoints], targets.masks[p, g, :superpoints].float()
                costs["bce"].append(float(binary_cross_entropy_with_logits(mask, truth)))
                covered = mask.sigmoid()
                costs["dice"].append(float(1 - (2 * (covered * truth).sum() + 1) / (covered.sum() + truth.sum() + 1)))
                if with_boxes:
                    for part in ("centre", "size"):
                        off = getattr(said.boxes, part)[p, query] - getattr(targets.boxes, part)[p, g]
                        costs[part].append(0.5 * float(off.abs().sum()))
            logits.append(said.name_logits[p, :superpoints])
            names.append(name)
    sums = {part: sum(each) / len(each) for part, each in costs.items()}  # two layers that say the same
    sums["bce"], sums["dice"] = 2 * sums["bce"], 2 * sums["dice"]
    weight = torch.tensor([1.0] * TEXTS + [0.1])
    layers = [(torch.cat(logits[i : i + 2]), torch.cat(names[i : i + 2])) for i in (0, 2)]
    sums["name"] = sum(0.5 * float(cross_entropy(said_, name, weight)) for said_, name in layers)
    made_of = [said.semantic_logits[p, :superpoints] for p, superpoints in enumerate((6, 4))]
    truly = [targets.semantic[p, :superpoints] for p, superpoints in enumerate((6, 4))]
    sums["semantic"] = 0.5 * float(cross_entropy(torch.cat(made_of), torch.cat(truly)))
    for part, expected in sums.items():
        assert float(getattr(losses, part)) == pytest.approx(expected, abs=1e-5), part


def test_the_last_dice_counts_four_times() -> None:
    targets = some_targets()
    said = predictions(targets, SEEDS)
    one, four = (segmenter_losses([said], targets, SEEDS, config).dice for config in (ONE, CONFIG))
    assert torch.allclose(four, 4 * one)


def test_boxes_cost_nothing_before_anyone_has_predicted_one() -> None:
    targets = some_targets()
    losses = segmenter_losses([predictions(targets, SEEDS)], targets, SEEDS)
    assert losses.centre == 0 and losses.size == 0


def test_padding_costs_nothing() -> None:
    targets = some_targets()
    said = predictions(targets, SEEDS)
    wild = replace(
        said,
        mask_logits=said.mask_logits.clone(),
        name_logits=said.name_logits.clone(),
        semantic_logits=said.semantic_logits.clone(),
    )
    wild.mask_logits[1, :, 4:] = 1e4  # superpoints that the second scene does not have
    for values in (wild.mask_logits, wild.name_logits, wild.semantic_logits):
        values[1, 4:] = -1e4  # and queries
    assert torch.allclose(
        segmenter_losses([said, said], targets, SEEDS).total, segmenter_losses([wild, wild], targets, SEEDS).total
    )


def test_a_scene_without_instances_teaches_that_there_is_nothing() -> None:
    targets = some_targets(empty=True)
    said = predictions(targets, SEEDS)
    said.mask_logits.requires_grad_()
    losses = segmenter_losses([said, said], targets, SEEDS)
    assert losses.total.isfinite() and losses.name > 0
    (grad,) = torch.autograd.grad(losses.bce + losses.dice, said.mask_logits)
    assert not grad[1].any() and grad[0].any()


def test_gradients_flow_from_what_matches_only() -> None:
    targets = some_targets()
    said = predictions(targets, SEEDS)
    said.mask_logits.requires_grad_()
    matches = match(said, targets, SEEDS, CONFIG.matching, boxed=NONE)
    (grad,) = torch.autograd.grad(segmenter_losses([said], targets, SEEDS).bce, said.mask_logits)
    for p in range(2):
        matched = set(matches.query[p][matches.found[p]].tolist())
        assert {q for q in range(6) if grad[p, q].any()} == matched


def test_soft_names_share_with_names_near_by_and_nothing_shares_with_nobody() -> None:
    texts = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.3], [0.0, 1.0]]), dim=1)
    assert torch.equal(soft_names(texts, 0.0), torch.eye(4))
    soft = soft_names(texts, 0.05)
    assert torch.allclose(soft.sum(1), torch.ones(4)) and torch.equal(soft[3], torch.eye(4)[3])
    near, far = float(texts[0] @ texts[1]), float(texts[0] @ texts[2])
    assert float(soft[0, 1] / soft[0, 0]) == pytest.approx(math.exp((near - 1) / 0.05), rel=1e-4)
    assert float(soft[0, 2] / soft[0, 0]) == pytest.approx(math.exp((far - 1) / 0.05), rel=1e-3)


def test_with_soft_names_a_near_name_costs_less_than_a_far_one() -> None:
    targets = some_targets()
    texts = torch.nn.functional.normalize(torch.randn(TEXTS, 8, generator=torch.Generator().manual_seed(1)), dim=1)
    right, said = int(targets.name[0, 0]), perfect(targets, SEEDS)
    near, *_, far = (texts @ texts[right]).argsort(descending=True)[1:].tolist()
    query = int(match(said, targets, SEEDS, CONFIG.matching, boxed=NONE).query[0, 0])

    def cost(name: int, soft: torch.Tensor | None) -> float:
        logits = torch.full_like(said.name_logits, -5.0)
        logits[0, query, name] = 5.0
        return float(segmenter_losses([replace(said, name_logits=logits)], targets, SEEDS, boxes=False, soft=soft).name)

    eye, soft = soft_names(texts, 0.0), soft_names(texts, 0.3)
    assert cost(near, eye) == pytest.approx(cost(far, eye))
    assert cost(near, soft) < cost(far, soft)
    assert cost(right, eye) == pytest.approx(cost(right, None))
