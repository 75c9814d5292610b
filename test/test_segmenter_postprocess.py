"""From what queries say to instances."""

import torch
from torch import Tensor

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_core.segmenter.postprocess import (
    FoundOnSuperpoints,
    PostprocessConfig,
    find_instances,
    mask_quality,
    matrix_nms,
)

CENTRE = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [2.0, 0, 0], [2.1, 0, 0]])
POINTS = torch.tensor([200.0, 150.0, 120.0, 50.0])


def said(
    masks: list[list[float]], names: list[list[float]], size: float = 10.0, real: list[bool] | None = None
) -> Prediction:
    """Queries with these mask logits and probabilities of two names and nothing."""
    centre = torch.zeros(1, len(masks), 3)
    return Prediction(
        mask_logits=torch.tensor([masks]),
        name_logits=torch.tensor([names]).log(),
        boxes=Boxes(centre, torch.full_like(centre, size)),
        real=torch.ones(1, len(masks), dtype=torch.bool) if real is None else torch.tensor([real]),
    )


def find(prediction: Prediction, **settings) -> FoundOnSuperpoints:
    return find_instances(prediction, 0, CENTRE, POINTS, PostprocessConfig(**settings))


def masks_of(found: FoundOnSuperpoints) -> list[list[int]]:
    return [mask.nonzero().squeeze(1).tolist() for mask in found.masks[found.kept]]


LEFT, RIGHT = [5.0, 5.0, -5.0, -5.0], [-5.0, -5.0, 5.0, 5.0]
CHAIR, TABLE = [0.8, 0.1, 0.1], [0.2, 0.7, 0.1]


def test_top_1_gives_each_mask_its_best_name() -> None:
    found = find(said([LEFT, RIGHT], [CHAIR, TABLE]), mode="top-1")
    assert masks_of(found) == [[0, 1], [2, 3]]
    assert found.text[found.kept].tolist() == [0, 1]
    assert torch.allclose(found.score[found.kept], torch.tensor([0.8, 0.7]) * torch.tensor(5.0).sigmoid())


def test_top_k_bets_on_every_name_of_a_mask() -> None:
    found = find(said([LEFT, RIGHT], [CHAIR, TABLE]))
    pairs = [(mask, text) for mask, text in zip(masks_of(found), found.text[found.kept].tolist(), strict=True)]
    assert pairs == [([0, 1], 0), ([2, 3], 1), ([2, 3], 0), ([0, 1], 1)]


def test_no_more_pairs_than_asked_for() -> None:
    assert len(find(said([LEFT, RIGHT], [CHAIR, TABLE]), top_k=3).score) == 3


def test_a_repeat_of_the_same_name_is_pressed_down_and_another_name_is_not() -> None:
    again = [4.0, 4.0, -4.0, -4.0]
    found = find(said([LEFT, again], [CHAIR, [0.6, 0.3, 0.1]]))
    assert masks_of(found) == [[0, 1]] * 2 and sorted(found.text[found.kept].tolist()) == [0, 1]
    assert float(found.score[found.kept][0]) > 0.79
    assert (found.score[~found.kept] < 1e-6).all()  # the repeat scores nothing and is dropped


def test_matrix_nms_is_that_of_solov2() -> None:
    masks = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
    text = torch.tensor([0, 0, 0, 0])
    points = torch.ones(4)

    def overlap(i: int, j: int) -> float:
        return float((masks[i] & masks[j]).sum() / (masks[i] | masks[j]).sum())

    expected = []
    for j in range(4):
        repeats = [max([overlap(k, i) for k in range(i)], default=0.0) for i in range(j)]
        expected.append(min([(1 - overlap(i, j)) / (1 - repeats[i]) for i in range(j)], default=1.0))
    assert torch.allclose(matrix_nms(masks, text, points), torch.tensor(expected))


def test_overlaps_are_counted_in_points() -> None:
    masks = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0]], dtype=torch.bool)
    text = torch.tensor([0, 0])
    shared_is_large = matrix_nms(masks, text, torch.tensor([90.0, 5, 5, 1]))[1]
    shared_is_small = matrix_nms(masks, text, torch.tensor([2.0, 50, 50, 1]))[1]
    assert torch.allclose(shared_is_large, torch.tensor(0.1)) and shared_is_small > 0.9


def test_quality_is_how_sure_a_mask_is_of_what_it_covers() -> None:
    probability = torch.tensor([[0.9, 0.7, 0.4, 0.0], [0.4, 0.1, 0.0, 0.0]])
    assert torch.allclose(mask_quality(probability), torch.tensor([0.8, 0.0]))


def test_small_things_and_padding_are_not_kept() -> None:
    tiny = [-5.0, -5.0, -5.0, 5.0]
    found = find(said([tiny, LEFT], [CHAIR, TABLE]), mode="top-1")
    assert masks_of(found) == [[0, 1]]
    queries = said([LEFT, RIGHT], [CHAIR, TABLE], real=[True, False])
    padded = find_instances(queries, 0, CENTRE, torch.tensor([200.0, 0, 300, 0]), PostprocessConfig(mode="top-1"))
    assert masks_of(padded) == [[0]]  # superpoints 1 and 3 are padding too


def test_what_lies_far_outside_the_box_is_taken_out_of_the_mask() -> None:
    everything = [[5.0, 5.0, 5.0, 5.0]]
    assert masks_of(find(said(everything, [CHAIR], size=10.0), mode="top-1")) == [[0, 1, 2, 3]]
    assert masks_of(find(said(everything, [CHAIR], size=1.0), mode="top-1")) == [[0, 1]]


def test_masks_reach_the_points_of_their_superpoints() -> None:
    found = find(said([LEFT], [CHAIR]), mode="top-1")
    superpoint = torch.tensor([3, 1, 0, 2, 1])
    on_points: Tensor = found.on_points(superpoint)
    assert on_points.tolist() == [[False, True, True, False, True]]


def test_a_single_superpoint_and_a_single_text_are_enough() -> None:
    one = said([[5.0]], [[0.9, 0.1]])
    found = find_instances(one, 0, CENTRE[:1], POINTS[:1])
    assert found.kept.tolist() == [True] and found.masks.tolist() == [[True]]
