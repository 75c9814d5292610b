"""VIP on the toy of method 6.4: two views, one thing that crosses both, and a prediction that is right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_scenes import tiny_scene

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_train.learning.example import Example, ViewMasks, example_of
from ovseg3r_train.learning.losses import segmenter_losses
from ovseg3r_train.learning.matching import MatchingConfig, match
from ovseg3r_train.learning.partition import Partition, partition
from ovseg3r_train.learning.seeds import all_seeds
from ovseg3r_train.learning.targets import NOT_ASKED
from ovseg3r_train.learning.view_targets import ChosenView, sees_of, view_targets, whole_scene_targets
from ovseg3r_train.learning.vip_statistics import vip_counts
from ovseg3r_train.scene import Truth

TEXTS = {"table": 0, "lamp": 1}
# Six superpoints in a row. The table is 1 to 4; the first view sees 0 to 2, the second 3 to 5, the third half of 5.
TABLE = torch.tensor([0, 1, 1, 1, 1, 0], dtype=torch.bool)
MASKS = ViewMasks(
    share=np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0.3]], np.float32),
    inside=np.array([[0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]], bool),
    view=np.array([0, 1]),
    score=np.array([0.9, 0.5], np.float32),
    names=("table", "table"),
)
VIEWS = [ChosenView(scene=0, masks=MASKS, view=0), ChosenView(scene=0, masks=MASKS, view=1)]
SEEDS = all_seeds((6,))


def said(sure: float = 20.0) -> Prediction:
    """The right answer: every query whose seed is the table says all of it, every other one itself and nothing."""
    masks = torch.where(TABLE[:, None], TABLE, torch.eye(6, dtype=torch.bool))
    names = torch.full((1, 6, 3), -sure)
    names[0, TABLE, 0] = sure
    names[0, ~TABLE, 2] = sure
    return Prediction(
        mask_logits=torch.where(masks, sure, -sure)[None],
        name_logits=names,
        boxes=Boxes(torch.zeros(1, 6, 3), torch.ones(1, 6, 3)),
        real=torch.ones(1, 6, dtype=torch.bool),
        semantic_logits=names,
    )


def of_views(views: list[ChosenView]):
    part = partition(sees_of(views), torch.tensor([it.scene for it in views]), SEEDS)
    return part, view_targets(views, part, TEXTS)


def test_a_right_prediction_has_no_mask_loss_in_any_view() -> None:
    part, targets = of_views(VIEWS)
    losses = segmenter_losses([part.cut(said())], targets, part.seeds, boxes=False)
    assert losses.bce < 1e-6 and losses.dice < 1e-6 and losses.centre == 0


def test_without_vip_the_right_prediction_is_punished() -> None:
    targets = whole_scene_targets(VIEWS, [6], TEXTS)
    losses = segmenter_losses([said()], targets, SEEDS, boxes=False)
    assert losses.bce > 1 and losses.dice > 0.3


def test_a_view_judges_the_queries_whose_seeds_it_sees_on_the_superpoints_that_it_sees() -> None:
    part, _ = of_views(VIEWS)
    assert part.queries.tolist() == part.columns.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert part.seeds.tolist() == [[0, 1, 2], [0, 1, 2]]
    whole = said()
    assert torch.equal(part.cut(whole).mask_logits[1], whole.mask_logits[0, 3:, 3:])


def test_queries_that_start_elsewhere_and_padding_are_left_out() -> None:
    seeds = torch.tensor([[4, 1, -1]])
    part = partition(sees_of(VIEWS), torch.tensor([0, 0]), seeds)
    assert part.queries.tolist() == [[1], [0]]
    assert part.columns.gather(1, part.seeds).tolist() == [[1], [4]]


def test_where_a_view_sees_little_its_silence_teaches_nothing() -> None:
    part, targets = of_views([*VIEWS, ChosenView(scene=0, masks=MASKS, view=2)])
    assert part.columns[2].tolist() == [5, -1, -1]
    assert targets.nothing.tolist() == [[True] * 3, [True] * 3, [False] * 3]
    lies = said()
    lies.name_logits[0, 5] = torch.tensor([20.0, -20.0, -20.0])  # "5 is a table": nobody who looked well says no but 1
    only = [ChosenView(scene=0, masks=MASKS, view=2)]
    part, targets = of_views(only)
    assert segmenter_losses([part.cut(lies)], targets, part.seeds, boxes=False).total == 0


def test_a_mask_without_a_name_is_left_alone_or_learned_without_one() -> None:
    nameless = ViewMasks(share=MASKS.share, inside=MASKS.inside, view=MASKS.view, score=MASKS.score, names=(None, "?"))
    views = [ChosenView(scene=0, masks=nameless, view=0)]
    part, left = of_views(views)
    assert not left.real.any() and left.nothing.tolist() == [[True, False, False]]
    learned = view_targets(views, part, TEXTS, nameless=True)
    assert learned.name.tolist() == [[NOT_ASKED]] and learned.nothing.all()
    cut = part.cut(said())
    assert match(cut, learned, part.seeds, MatchingConfig(), boxed=torch.tensor([False])).found.all()
    wrong = part.cut(said())
    wrong.name_logits[0, 1] = torch.tensor([-20.0, 20.0, -20.0])
    assert segmenter_losses([cut], learned, part.seeds, boxes=False).semantic == 0
    assert segmenter_losses([wrong], learned, part.seeds, boxes=False).name.isfinite()
    assert not whole_scene_targets(views, [6], TEXTS).real.any()
    assert whole_scene_targets(views, [6], TEXTS, nameless=True).real.all()


def test_what_one_view_answers_with_another_does_not_call_nothing() -> None:
    # Both views see all six; the first has a mask of the whole table, the second of its right half.
    masks = ViewMasks(
        share=np.ones((2, 6), np.float32),
        inside=np.array([[0, 1, 1, 1, 1, 0], [0, 0, 0, 1, 1, 0]], bool),
        view=np.array([0, 1]),
        score=np.ones(2, np.float32),
        names=("table", "table"),
    )
    part, targets = of_views([replace(it, masks=masks) for it in VIEWS])
    says = said()  # queries 1 and 3 say "table", each the mask of one of the views; the others say nothing
    says.mask_logits[0, 2:] = -20.0
    says.mask_logits[0, 3, 3:5] = 20.0
    says.name_logits[0, [2, 4]] = says.name_logits[0, 0].clone()

    def cost(sparing: Partition | None) -> float:
        layers = [part.cut(says), part.cut(says)]
        return float(segmenter_losses(layers, targets, part.seeds, boxes=False, sparing=sparing).name)

    assert cost(sparing=None) > 1
    assert cost(sparing=part) < 1e-6
    says.name_logits[0, 2] = says.name_logits[0, 1].clone()  # a query that no view answers with is still told
    assert cost(sparing=part) > 1


def test_a_query_is_known_again_in_other_views_of_its_scene_and_layer_alone() -> None:
    views = [*VIEWS, ChosenView(scene=1, masks=MASKS, view=0)]
    seeds = torch.tensor([[1, 2, 3], [1, 2, -1]])
    part = partition(sees_of(views), torch.tensor([it.scene for it in views]), seeds)
    assert part.queries.tolist() == [[0, 1], [2, -1], [0, 1]]
    both = partition(sees_of([VIEWS[0], *views]), torch.tensor([0, 0, 0, 1]), seeds)
    true = torch.zeros(2, 4, 2, dtype=torch.bool)
    true[1, 0, 1] = True
    found = both.in_any_view(true)
    assert found.nonzero().tolist() == [[1, 0, 1], [1, 1, 1]]


def test_masks_may_weigh_what_the_teacher_gave_them() -> None:
    part, _ = of_views(VIEWS)
    weights = view_targets(VIEWS, part, TEXTS, weigh=True).weight
    assert weights.flatten().tolist() == pytest.approx([0.9, 0.5])


def test_views_of_scenes_of_different_sizes_lie_side_by_side() -> None:
    small = ViewMasks(
        share=np.ones((1, 2), np.float32),
        inside=np.array([[True, False]]),
        view=np.array([0]),
        score=np.ones(1, np.float32),
        names=("lamp",),
    )
    views = [*VIEWS, ChosenView(scene=1, masks=small, view=0)]
    seeds = all_seeds((6, 2))
    part = partition(sees_of(views), torch.tensor([0, 0, 1]), seeds)
    targets = view_targets(views, part, TEXTS)
    assert part.columns.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, -1]]
    assert targets.masks[2].tolist() == [[True, False, False]] and targets.name[2].tolist() == [1]
    assert whole_scene_targets(views, [6, 2], TEXTS).masks.sum((1, 2)).tolist() == [4, 1]
    assert whole_scene_targets(VIEWS, [6, 2], TEXTS).masks.sum((1, 2)).tolist() == [4, 0]  # nobody looked at the second


def test_an_example_says_of_superpoints_what_views_say_of_points() -> None:
    scene = tiny_scene()
    example = example_of(scene)
    for row, (view, name) in enumerate(zip(example.masks.view.tolist(), example.masks.names, strict=True)):
        lifted = next(it for it in scene.lifted if it.view == view and it.label == name)
        seen = np.bincount(example.superpoint[scene.seen.view(view).points], minlength=example.superpoints)
        held = np.bincount(example.superpoint[lifted.points], minlength=example.superpoints)
        assert np.array_equal(example.masks.inside[row], held * 2 > seen)
    sizes = np.bincount(example.superpoint)
    seen = np.bincount(example.superpoint[scene.seen.view(0).points], minlength=len(sizes))
    assert np.allclose(example.masks.share[0], seen / sizes)
    assert example.names == {"chair", "desk", "lamp"}


def test_counts_of_what_vip_relies_on() -> None:
    truth = Truth(instance=np.array([-1, 7, 7, 7, 7, 8], np.int32), names={7: "table", 8: "lamp"})
    crossing = ViewMasks(
        share=np.array([[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0.3, 0]], np.float32),
        inside=np.array([[0, 0, 1, 1, 0, 1]], bool),  # most of the table, and the lamp
        view=np.array([0]),
        score=np.ones(1, np.float32),
        names=("table",),
    )
    points = np.arange(6)
    example = Example(
        name="row",
        video="row",
        xyz=np.zeros((6, 3), np.float32),
        color=np.zeros((6, 3), np.uint8),
        superpoint=points.astype(np.int32),
        truth=truth,
        masks=crossing,
    )
    counts = vip_counts([example])
    assert (counts.seeds, counts.in_masks, counts.of_another) == (8, 3, 1)
    assert (counts.missed, counts.missed_well_seen) == (
        3,
        2,
    )  # two of the table in view 0; one of it, barely, in view 1
    assert (counts.background, counts.background_well_seen) == (2, 2)
    assert (counts.masks, counts.ghosts) == (1, 0)
