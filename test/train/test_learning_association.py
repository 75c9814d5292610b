"""Masks of different views that show one thing: which, and what each view is told then."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_parts import TINY, examples, texts

from ovseg3r_train.learning.association import associated, same_thing
from ovseg3r_train.learning.example import ViewMasks
from ovseg3r_train.learning.partition import partition
from ovseg3r_train.learning.seeds import all_seeds
from ovseg3r_train.learning.view_targets import ChosenView, sees_of, view_targets
from ovseg3r_train.training.config import LessonConfig
from ovseg3r_train.training.lessons import Lessons

SIZE = np.full(6, 10)


def row_of_six(share: list, inside: list, view: list[int], names: tuple | None = None) -> ViewMasks:
    """Six superpoints of ten points in a row."""
    return ViewMasks(
        share=np.array(share, np.float32),
        inside=np.array(inside, bool),
        view=np.array(view),
        score=np.ones(len(view), np.float32),
        names=names or ("table",) * len(view),
    )


# The table is 1 to 4. The first view sees 0 to 2, the second 2 to 5 (and 4 only by half).
TABLE = row_of_six(
    [[1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 0.5, 1]], [[0, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 0]], [0, 1], ("table", "desk")
)


def test_views_that_agree_where_both_see_are_told_of_each_other():
    assert same_thing(TABLE, SIZE).tolist() == [[False, True], [True, False]]
    grown = associated(TABLE, SIZE)
    assert grown.inside.tolist() == [[False, True, True, True, True, False]] * 2
    assert grown.share.tolist() == [[1, 1, 1, 1, 0.5, 0], [0, 1, 1, 1, 0.5, 1]]
    assert TABLE.inside.sum() == 5  # the masks that were given stay as they were


def test_the_losses_of_a_view_reach_as_far_as_it_was_told():
    grown = associated(TABLE, SIZE)
    views = [ChosenView(scene=0, masks=grown, view=0)]
    part = partition(sees_of(views), torch.tensor([0]), all_seeds((6,)))
    targets = view_targets(views, part, {"table": 0, "desk": 1})
    assert part.columns.tolist() == [
        [0, 1, 2, 3, 4]
    ]  # 5 was seen by the other view, and is not the table: unknown here
    assert targets.masks.tolist() == [[[False, True, True, True, True]]]


def test_masks_that_disagree_where_both_see_are_two_things():
    other = replace(TABLE, inside=np.array([[0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]], bool))
    assert not same_thing(other, SIZE).any()
    assert np.array_equal(associated(other, SIZE).inside, other.inside)


def test_a_mask_with_a_name_and_one_without_say_nothing_of_each_other():
    assert not same_thing(replace(TABLE, names=("table", None)), SIZE).any()
    assert same_thing(replace(TABLE, names=(None, None)), SIZE).any()


def test_what_two_masks_of_a_view_would_grow_over_stays_unknown():
    torn = row_of_six(
        [[1, 1, 1, 0, 0, 0], [0, 1, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]],
        [[0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 1, 0, 1, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 0, 0]],
        [0, 0, 1, 1, 2],
    )
    grown = associated(torn, SIZE)
    assert grown.inside[:2].tolist() == torn.inside[:2].tolist() and grown.share[0, 3] == 0


def test_large_superpoints_count_more():
    halves = row_of_six([[1] * 6, [1] * 6], [[1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]], [0, 1])
    assert not same_thing(halves, SIZE).any()
    assert same_thing(halves, np.array([100, 10, 10, 1, 1, 1])).any()


def test_no_masks_are_no_masks():
    none = replace(TABLE, inside=TABLE.inside[:0], view=TABLE.view[:0], score=TABLE.score[:0], names=())
    assert associated(none, SIZE) is none


def test_lessons_grow_masks_when_told_to():
    plain = Lessons(examples(), texts().places, TINY)[0]
    told = Lessons(examples(), texts().places, replace(TINY, lessons=replace(TINY.lessons, associate_views=True)))[0]
    assert plain.views and told.views and plain.truth and told.truth
    assert told.views.masks.sum() > plain.views.masks.sum()
    assert torch.equal(plain.truth.masks, told.truth.masks)
    with pytest.raises(ValueError, match="partition=views"):
        LessonConfig(partition="none", associate_views=True)
