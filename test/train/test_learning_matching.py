"""Which query answers for which instance: held to plain loops."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from targets_parts import predictions, some_targets
from torch.nn.functional import binary_cross_entropy_with_logits

from ovseg3r_train.learning.matching import MatchingConfig, match, matching_cost, seed_inside
from ovseg3r_train.learning.seeds import all_seeds, random_seeds

CONFIG = MatchingConfig()
ALL, NONE = torch.tensor([True, True]), torch.tensor([False, False])


@pytest.fixture
def problem():
    targets = some_targets()
    seeds = all_seeds((6, 4))
    return predictions(targets, seeds), targets, seeds


def plain_cost(said, targets, problem: int, query: int, instance: int) -> float:
    real = targets.superpoint_real[problem]
    logits, truth = said.mask_logits[problem, query][real], targets.masks[problem, instance][real].float()
    bce = binary_cross_entropy_with_logits(logits, truth)
    covered = logits.sigmoid()
    dice = 1 - (2 * (covered * truth).sum() + 1) / (covered.sum() + truth.sum() + 1)
    name = said.name_logits[problem, query].softmax(-1)[targets.name[problem, instance]]
    centre = (said.boxes.centre[problem, query] - targets.boxes.centre[problem, instance]).abs().sum()
    size = (said.boxes.size[problem, query] - targets.boxes.size[problem, instance]).abs().sum()
    return float(-0.5 * name + bce + dice + 0.5 * centre + 0.5 * size)


def test_costs_are_those_of_the_formula(problem) -> None:
    said, targets, _ = problem
    cost = matching_cost(said, targets, CONFIG, boxed=ALL)
    for p in range(2):
        for q in range(int(said.real[p].sum())):
            for g in range(int(targets.real[p].sum())):
                assert cost[p, q, g] == pytest.approx(plain_cost(said, targets, p, q, g), abs=1e-5)


def test_the_cheapest_query_whose_seed_lies_inside_answers(problem) -> None:
    said, targets, seeds = problem
    cost = matching_cost(said, targets, CONFIG, boxed=ALL)
    matches = match(said, targets, seeds, CONFIG, boxed=ALL)
    for p in range(2):
        for g in range(targets.masks.shape[1]):
            inside = [q for q, s in enumerate(seeds[p].tolist()) if s >= 0 and targets.masks[p, g, s]]
            assert bool(matches.found[p, g]) == bool(inside and targets.real[p, g])
            if inside:
                assert int(matches.query[p, g]) == min(inside, key=lambda q: float(cost[p, q, g]))


def test_without_boxes_they_cost_nothing(problem) -> None:
    said, targets, _ = problem
    free = matching_cost(said, targets, MatchingConfig(centre_weight=0.0, size_weight=0.0), boxed=ALL)
    assert torch.allclose(matching_cost(said, targets, CONFIG, boxed=NONE), free)


def test_hungarian_matching_is_the_cheapest_assignment(problem) -> None:
    said, targets, seeds = problem
    cost = matching_cost(said, targets, CONFIG, boxed=ALL)
    matches = match(said, targets, seeds, MatchingConfig(matcher="hungarian"), boxed=ALL)
    for p in range(2):
        queries, instances = int((seeds[p] >= 0).sum()), int(targets.real[p].sum())
        rows, columns = linear_sum_assignment(cost[p, :queries, :instances].numpy())
        assert matches.query[p, columns].tolist() == rows.tolist()
        assert int(matches.found[p].sum()) == min(queries, instances)


def test_an_instance_whose_superpoints_are_no_seeds_is_answered_by_nobody(problem) -> None:
    _, targets, _ = problem
    only = torch.tensor([[5, -1], [0, -1]])
    matches = match(predictions(targets, only), targets, only, CONFIG, boxed=NONE)
    held = targets.masks[0, :, 5] & targets.real[0]
    assert matches.found[0].tolist() == held.tolist()
    assert seed_inside(targets, only).shape == (2, 2, targets.masks.shape[1])


def test_seeds_are_a_random_half_to_all_of_the_superpoints() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = []
    for _ in range(50):
        seeds = random_seeds((40, 8), generator)
        for row, superpoints in zip(seeds, (40, 8), strict=True):
            chosen = row[row >= 0].tolist()
            assert len(set(chosen)) == len(chosen) and max(chosen) < superpoints
        counts.append(int((seeds[0] >= 0).sum()))
    assert min(counts) >= 20 and max(counts) <= 40 and np.ptp(counts) > 10
    assert all_seeds((3, 1)).tolist() == [[0, 1, 2], [0, -1, -1]]
