"""What views make of points: the same from lifted masks and from an array, and compared view by view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, ViewIncidence
from ovseg3r_core.view_labels import BACKGROUND, UNSEEN, ViewLabels


def random_labels(seed: int, views: int = 4, points: int = 30) -> np.ndarray:
    """A mask of each view and point among three, background or unseen."""
    return np.random.default_rng(seed).integers(UNSEEN, 3, (views, points))


def table(labels: ViewLabels, views: int) -> np.ndarray:
    """Back to an array."""
    ids = np.full((views, len(labels)), UNSEEN)
    point = np.repeat(np.arange(len(labels)), np.diff(labels.offsets))
    ids[labels.view, point] = labels.mask
    return ids


@given(st.integers(0, 1000))
def test_lifted_masks_and_an_array_say_the_same(seed: int) -> None:
    ids = random_labels(seed)
    members = [np.flatnonzero(row != UNSEEN) for row in ids]
    seen = [ViewIncidence(points=points, pixels=np.zeros((len(points), 2), np.int32)) for points in members]
    lifted = [
        LiftedMask(view=view, mask=mask, points=np.flatnonzero(row == mask), score=1.0)
        for view, row in enumerate(ids)
        for mask in np.unique(row[row >= 0]).tolist()
    ]
    incidence = Incidence.build(seen)
    for labels in (ViewLabels.of_array(ids), ViewLabels.of_masks(incidence, lifted, ids.shape[1])):
        assert np.array_equal(table(labels, len(ids)), ids)


@given(st.integers(0, 1000))
def test_masks_of_points_are_facts_of_the_views(seed: int) -> None:
    ids, some = random_labels(seed), np.array([7, 3, 3, 29])
    masks = ViewLabels.of_array(ids).masks_of(some)
    expected = [
        [view << 32 | mask for view, mask in enumerate(column) if mask >= 0] for column in ids[:, some].T.tolist()
    ]
    assert [row.tolist() for row in np.split(masks.facts, masks.offsets[1:-1])] == expected


@given(st.integers(0, 1000))
def test_views_that_see_both_say_together_or_apart_or_nothing(seed: int) -> None:
    ids = random_labels(seed)
    a, b = np.random.default_rng(seed).integers(0, 30, (2, 40))
    both = (ids[:, a] != UNSEEN) & (ids[:, b] != UNSEEN)
    together, apart = ViewLabels.of_array(ids).compare(a, b)
    assert np.array_equal(together, (both & (ids[:, a] == ids[:, b]) & (ids[:, a] != BACKGROUND)).sum(axis=0))
    assert np.array_equal(apart, (both & (ids[:, a] != ids[:, b])).sum(axis=0))


def test_signatures_tell_labels_apart() -> None:
    ids = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 4), axis=0).reshape(4, -1)
    assert len(np.unique(ViewLabels.of_array(ids).signature())) == 5**4
    assert len(np.unique(ViewLabels.of_array(np.repeat(ids, 2, axis=1)).signature())) == 5**4


@pytest.mark.parametrize("bad", [-3, 1 << 31])
def test_ids_without_a_meaning_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=str(bad)):
        ViewLabels.of_array(np.array([[0, bad]]))


def test_no_views_and_no_points_are_labels_too() -> None:
    assert len(ViewLabels.of_array(np.zeros((0, 5), np.int64))) == 5
    assert len(ViewLabels.of_array(np.zeros((2, 0), np.int64))) == 0
    assert len(ViewLabels.of_masks(Incidence.build([]), [], 3)) == 3
