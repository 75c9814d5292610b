"""Rulers of superpoints, on cases that can be counted by hand."""

import numpy as np
import pytest

from ovseg3r_train.scene import Truth
from ovseg3r_train.superpoint_quality import mean_quality, quality

TRUTH = Truth(instance=np.repeat(np.int32([-1, 3, 8]), [400, 200, 400]), names={3: "cup", 8: "desk"})
"""Background, a small thing and a larger one."""


def test_superpoints_that_keep_to_things_are_perfect() -> None:
    part = np.repeat(np.arange(10), 100)
    found = quality(part, TRUTH)
    assert (found.superpoints, found.purity, found.undersegmentation) == (10, 1.0, 0.0)
    assert found.overlaps.tolist() == [1, 1] and found.small.tolist() == [1]
    mean = mean_quality([found, found])
    assert mean.achievable.ap == mean.achievable_small.ap == mean.overlap == mean.overlap_small == 1


def test_what_crosses_from_one_thing_to_another_counts_by_its_smaller_part() -> None:
    part = np.repeat(np.arange(10), 100)
    part[400:430] = 3  # 30 points of the cup in a superpoint of the background
    found = quality(part, TRUTH)
    assert found.purity == pytest.approx(0.97)
    assert found.undersegmentation == pytest.approx(0.06)  # once for the cup and once for the background
    assert found.overlaps.tolist() == [0.85, 1] and found.small.tolist() == [0.85]
    assert mean_quality([found]).achievable_small.ap == pytest.approx(7 / 9)  # overlaps of .5 to .8 are exceeded


def test_one_superpoint_for_everything_finds_at_most_the_largest() -> None:
    found = quality(np.zeros(1000, np.int64), TRUTH)
    assert (found.superpoints, found.purity) == (1, 0.4)
    assert found.overlaps.tolist() == [0, 0] and mean_quality([found]).achievable.ap25 == 0


def test_a_scene_without_things_or_points_can_be_judged() -> None:
    background = quality(np.arange(5), Truth(instance=np.full(5, -1, np.int32), names={}))
    assert background.purity == 1 and not len(background.overlaps)
    assert quality(np.zeros(0, np.int64), Truth(instance=np.zeros(0, np.int32), names={})).superpoints == 0
