"""How sure an object is: the views that see it, those that mask it, and how well their masks fit."""

import numpy as np
import pytest

from ovseg3r_core.mapping.sighting import Sighting, overlap, sightings
from ovseg3r_core.mapping.wilson import surely
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, ViewIncidence


def sees(*points: int) -> ViewIncidence:
    return ViewIncidence(points=np.array(points, np.int64), pixels=np.zeros((len(points), 2), np.int32))


def mask(view: int, *points: int, index: int = 0) -> LiftedMask:
    return LiftedMask(view=view, mask=index, points=np.array(points, np.int64), score=0.9)


def test_ten_of_ten_views_are_surer_than_one_of_one():
    one, ten = surely(np.array([1.0, 10.0]), np.array([1.0, 10.0]))
    assert (one, ten) == (pytest.approx(0.5), pytest.approx(10 / 11))


def test_half_of_many_views_is_surer_than_half_of_two():
    few, many = surely(np.array([1.0, 50.0]), np.array([2.0, 100.0]))
    assert few < many < 0.5


def test_views_are_counted_that_see_a_fair_part_and_those_that_masked_it():
    owner = np.array([4] * 10 + [-1] * 5, np.int32)
    seen = Incidence.build([sees(*range(10)), sees(*range(5, 15)), sees(0, 1, 12), sees(*range(15))])
    found = sightings(owner, {4: [mask(0, *range(10)), mask(1, *range(5, 10))]}, seen)
    assert found == {4: Sighting(seen=3, masked=2, overlap=2.0)}  # two points of ten are no fair part


def test_two_masks_of_one_view_are_one_opinion():
    owner = np.zeros(10, np.int32)
    halves = {0: [mask(0, *range(5), index=0), mask(0, *range(5, 10), index=1)]}
    assert sightings(owner, halves, Incidence.build([sees(*range(10))])) == {0: Sighting(seen=1, masked=1, overlap=1.0)}


def test_masks_that_lie_across_the_outline_agree_less():
    owner = np.array([0] * 6 + [1] * 6, np.int32)
    assert overlap([np.arange(3, 9)], owner, 0, 6) == pytest.approx(3 / 9)
    assert overlap([np.arange(6)], owner, 0, 6) == 1.0


def test_an_object_without_points_is_not_sure():
    nothing = sightings(np.full(4, -1, np.int32), {0: []}, Incidence.build([sees(0, 1)]))
    assert nothing == {0: Sighting()} and nothing[0].sureness == 0.0


def test_what_every_view_masks_is_surer_than_what_few_do():
    always = Sighting(seen=8, masked=8, overlap=8.0)
    seldom = Sighting(seen=8, masked=2, overlap=2.0)
    badly = Sighting(seen=8, masked=8, overlap=3.0)
    assert always.sureness > 0.85
    assert seldom.sureness < 0.25 and badly.sureness < 0.4


def test_views_add_up_one_by_one():
    sighting = Sighting().with_view(seen=True, overlap=0.5).with_view(seen=True, overlap=None)
    assert sighting == Sighting(seen=2, masked=1, overlap=0.5)
