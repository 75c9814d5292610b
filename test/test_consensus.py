"""View consensus on a toy: things side by side on a line, views that see stretches of it and err."""

import numpy as np
import pytest

from ovseg3r_core.mapping import consensus
from ovseg3r_core.mapping.consensus import ConsensusConfig
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, ViewIncidence

CONFIG = ConsensusConfig()


def cluster(masks: list[LiftedMask], views: list[ViewIncidence], points: int) -> np.ndarray:
    return consensus.cluster_masks(masks, Incidence.build(views), points, CONFIG)


def see(points) -> ViewIncidence:
    points = np.asarray(points, dtype=np.int64)
    return ViewIncidence(points=points, pixels=np.zeros((len(points), 2), np.int32))


def mask(view: int, points, index: int = 0, label: str | None = None) -> LiftedMask:
    return LiftedMask(view=view, mask=index, points=np.asarray(points, dtype=np.int64), score=0.9, label=label)


def test_no_masks_give_no_clusters():
    assert len(cluster([], [see([0, 1])], 10)) == 0


def test_masks_of_one_thing_from_overlapping_views_join():
    views = [see(range(0, 60)), see(range(20, 80)), see(range(40, 100))]
    masks = [mask(0, range(0, 60)), mask(1, range(20, 80)), mask(2, range(40, 100))]
    assert len(set(cluster(masks, views, 100))) == 1


def test_things_that_views_tell_apart_stay_apart():
    views = [see(range(100))] * 4
    masks = [mask(v, part, i) for v in range(4) for i, part in enumerate((range(0, 50), range(50, 100)))]
    clusters = cluster(masks, views, 100)
    assert len(set(clusters)) == 2
    assert len(set(clusters[0::2])) == len(set(clusters[1::2])) == 1


def test_a_mask_that_swallowed_two_things_is_left_out():
    views = [see(range(100))] * 5
    masks = [mask(v, part, i) for v in range(4) for i, part in enumerate((range(0, 50), range(50, 100)))]
    masks.append(mask(4, range(100)))
    clusters = cluster(masks, views, 100)
    assert clusters[-1] == -1
    assert len(set(clusters[:-1])) == 2


def test_nameless_parts_join_the_whole_that_a_detector_named():
    views = [see(range(100))] * 6
    wholes = [mask(v, range(100), 0, "chair") for v in range(3)]
    parts = [mask(v, part, i) for v in range(3, 6) for i, part in enumerate((range(0, 50), range(50, 100)))]
    assert set(cluster(wholes + parts, views, 100)) == {0}


def test_a_named_thing_is_not_lost_in_the_nameless_thing_under_it():
    cup, desk = range(0, 10), range(10, 200)
    views = [see(range(200))] * 8
    apart = [mask(v, part, i, name) for v in range(3) for i, (part, name) in enumerate(((cup, "cup"), (desk, None)))]
    together = [mask(v, range(200)) for v in range(3, 8)]
    clusters = cluster(apart + together, views, 200)
    assert len(set(clusters[0:6:2])) == 1
    assert clusters[0] not in clusters[6:]


def test_two_named_things_are_not_joined_by_one_named_blunder():
    views = [see(range(100))] * 5
    halves = [mask(v, part, i, "tv") for v in range(4) for i, part in enumerate((range(0, 50), range(50, 100)))]
    clusters = cluster([*halves, mask(4, range(100), 0, "tv")], views, 100)
    assert clusters[-1] == -1
    assert len(set(clusters[:-1])) == 2


def test_views_without_masks_on_a_thing_have_no_opinion():
    views = [see(range(100))] * 10
    masks = [mask(0, range(0, 100)), mask(1, range(5, 100))]
    assert len(set(cluster(masks, views, 100))) == 1


def test_the_order_of_masks_does_not_matter():
    rng = np.random.default_rng(0)
    views, masks = noisy_line(rng)
    order = rng.permutation(len(masks))
    straight = cluster(masks, views, 5000)
    shuffled = cluster([masks[i] for i in order], views, 5000)
    back = np.empty_like(shuffled)
    back[order] = shuffled
    np.testing.assert_array_equal(straight[:, None] == straight, back[:, None] == back)


def noisy_line(rng: np.random.Generator) -> tuple[list[ViewIncidence], list[LiftedMask]]:
    """Ten things of 500 points; views see 2000 or so points, merge neighbours, cut things and miss some."""
    thing = np.repeat(np.arange(10), 500)
    views, masks = [], []
    for v in range(30):
        centre = rng.uniform(500, 4500)
        points = np.flatnonzero((abs(np.arange(5000) - centre) < 1200) & (rng.random(5000) < 0.8))
        views.append(see(points))
        label = thing[points].copy()
        for one in range(10):
            if rng.random() < 0.08:
                label[label == one + 1] = one
            if rng.random() < 0.08:
                label[label == one] = -1
            if rng.random() < 0.1:
                cut = rng.integers(500 * one, 500 * one + 500)
                label[(label == one) & (points > cut)] = 100 + one
        for index, one in enumerate(np.unique(label[label >= 0])):
            if np.count_nonzero(label == one) >= 20:
                masks.append(mask(v, points[label == one], index))
    return views, masks


@pytest.mark.parametrize("seed", range(3))
def test_noisy_views_agree_on_nearly_the_true_things(seed):
    views, masks = noisy_line(np.random.default_rng(seed))
    clusters = cluster(masks, views, 5000)
    thing = np.repeat(np.arange(10), 500)
    main = np.array([np.bincount(thing[m.points]).argmax() for m in masks])
    sizes = np.bincount(clusters[clusters >= 0])
    purity = np.mean([np.bincount(main[clusters == c]).max() / sizes[c] for c in np.flatnonzero(sizes >= 3)])
    assert purity > 0.95
    assert 10 <= np.count_nonzero(sizes >= 3) <= 14


def test_1000_equal_masks_join_in_a_few_rounds():
    views = [see(range(100))] * 1000
    assert set(cluster([mask(v, range(100)) for v in range(1000)], views, 100)) == {0}


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_share_out_of_range_is_refused_by_name(value):
    with pytest.raises(ValueError, match="min_held"):
        ConsensusConfig(min_held=value)
