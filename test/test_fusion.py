"""The segmenter's instances among the masks: they join, cut, add and name, as far as the views let them."""

import numpy as np
import pytest
from test_object_map import columns, grid_cloud, mask, same_word, see_all

from ovseg3r_core.mapping.fusion import FusionConfig, Segmented, with_instances
from ovseg3r_core.mapping.instances import Instance
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.recognition import Recognition, surer
from ovseg3r_core.mapping.redraw import Drawing, redraw
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, ObjectRecord, ViewIncidence

CLOUD = grid_cloud()
LEFT, RIGHT, BOTH = columns(CLOUD, 0.0, 0.4), columns(CLOUD, 0.4, 0.8), columns(CLOUD, 0.0, 0.8)
FAR = columns(CLOUD, 1.2, 1.6)
NO_RIM = MappingConfig(rim_m=0.0)
VIEWS = 4


def instance(points: np.ndarray, score: float = 1.0, label: str = "thing", name_score: float = 0.2) -> Instance:
    """Not sure of its name, unless a test says so."""
    return Instance(points=points, score=score, label=label, name_score=name_score)


def draw(lifted: list[LiftedMask], *instances: Instance, views: int = VIEWS, worth: float = 0.75) -> Drawing:
    seen = Incidence.build([see_all(CLOUD)] * views)
    stamps = tuple(10.0 + view for view in range(views))
    segmented = Segmented(instances=instances, stamps_s=stamps, config=FusionConfig(worth=worth))
    return redraw(lifted, seen, CLOUD, NO_RIM, segmented if instances else None)


def mapped(lifted: list[LiftedMask], *instances: Instance, views: int = VIEWS) -> tuple[ObjectRecord, ...]:
    objects = ObjectMap(NO_RIM, same_word)
    objects.adopt(draw(lifted, *instances, views=views), [10.0 + view for view in range(views)])
    return objects.records()


def things(drawing: Drawing) -> list[list[int]]:
    """The points of each thing that is believed, the first point first."""
    owned = [points.tolist() for g, points in drawing.ownership.points_of.items() if g in drawing.evident]
    return sorted(owned)


def test_masks_that_no_view_shows_together_are_joined():
    """Two views show the one half of a sofa, two the other."""
    halves = [mask(0, LEFT), mask(1, LEFT), mask(2, RIGHT), mask(3, RIGHT)]
    assert things(draw(halves)) == [LEFT.tolist(), RIGHT.tolist()]
    assert things(draw(halves, instance(BOTH))) == [BOTH.tolist()]


def test_what_every_view_holds_together_is_cut():
    merged = [mask(view, BOTH) for view in range(VIEWS)]
    assert things(draw(merged)) == [BOTH.tolist()]
    assert things(draw(merged, instance(LEFT), instance(RIGHT))) == [LEFT.tolist(), RIGHT.tolist()]


def test_a_named_thing_is_not_cut_into_parts_that_have_no_name():
    sofa = [mask(view, BOTH, label="sofa") for view in range(VIEWS)]
    assert things(draw(sofa, instance(LEFT), instance(RIGHT))) == [BOTH.tolist()]
    chairs = [instance(part, label="chair", name_score=0.9) for part in (LEFT, RIGHT)]
    assert things(draw(sofa, *chairs)) == [LEFT.tolist(), RIGHT.tolist()]


def test_a_doubtful_instance_cuts_nothing():
    merged = [mask(view, BOTH) for view in range(VIEWS)]
    assert things(draw(merged, instance(LEFT, 0.4), instance(RIGHT, 0.4))) == [BOTH.tolist()]


def test_an_instance_that_is_hardly_sure_has_no_vote_however_many_views_there_are():
    halves = [mask(0, LEFT), mask(1, LEFT), mask(2, RIGHT), mask(3, RIGHT)]
    for score, found in ((0.29, [LEFT.tolist(), RIGHT.tolist()]), (0.31, [BOTH.tolist()])):
        assert things(draw(halves, instance(BOTH, score), worth=3.0)) == found


def test_what_every_view_keeps_apart_stays_apart():
    apart = [mask(view, part, i) for view in range(VIEWS) for i, part in enumerate((LEFT, RIGHT))]
    assert things(draw(apart, instance(BOTH))) == [LEFT.tolist(), RIGHT.tolist()]


def test_what_no_mask_shows_is_added():
    seen = [mask(view, LEFT) for view in range(VIEWS)]
    assert things(draw(seen, instance(LEFT), instance(FAR))) == [LEFT.tolist(), FAR.tolist()]
    assert things(draw(seen, instance(LEFT), instance(FAR, 0.1))) == [LEFT.tolist()]


def test_what_the_segmenter_misses_stays_as_it_was():
    seen = [mask(view, LEFT) for view in range(VIEWS)]
    alone, beside = draw(seen), draw(seen, instance(FAR))
    (g,) = alone.members
    (same,) = (group for group, masks in beside.members.items() if masks)
    assert beside.sightings[same] == alone.sightings[g]


def test_an_added_object_knows_when_its_place_was_seen_and_counts_no_masks():
    near = ViewIncidence(points=LEFT, pixels=np.zeros((len(LEFT), 2), np.int32))
    seen = Incidence.build([near, see_all(CLOUD), see_all(CLOUD), near])
    segmented = Segmented(instances=(instance(FAR, 0.9, "lamp", 0.8),), stamps_s=(1.0, 2.0, 3.0, 4.0))
    objects = ObjectMap(NO_RIM, same_word)
    objects.adopt(redraw([], seen, CLOUD, NO_RIM, segmented), [1.0, 2.0, 3.0, 4.0])
    (record,) = objects.records()
    assert (record.label, record.name_score, record.observations) == ("lamp", 0.8, 0)
    assert (record.first_seen, record.last_seen, record.points) == (2.0, 3.0, len(FAR))
    assert 0 < record.score < 0.5  # two views saw it and masked nothing


def test_the_name_of_a_detector_goes_before_the_segmenters():
    chair = instance(LEFT, label="armchair", name_score=0.9)
    (named,) = mapped([mask(view, LEFT, label="chair") for view in range(VIEWS)], chair)
    assert named.label == "chair"
    (nameless,) = mapped([mask(view, LEFT) for view in range(VIEWS)], chair)
    assert (nameless.label, nameless.name_score) == ("armchair", 0.9)


def test_a_name_that_the_segmenter_is_not_sure_of_is_none():
    (record,) = mapped([mask(view, LEFT) for view in range(VIEWS)], instance(LEFT, label="armchair", name_score=0.3))
    assert record.label == "object"


def test_an_instance_counts_for_views_that_see_its_points():
    seen = Incidence.build([see_all(CLOUD)] * 10)
    segmented = Segmented(instances=(instance(LEFT), instance(FAR, 0.4)), stamps_s=(0.0,) * 10)
    masks, more = with_instances([mask(0, RIGHT)], seen, len(CLOUD), segmented)
    assert [(m.view, m.mask) for m in masks[1:4]] == [(10, 0), (10, 1), (11, 0)]
    assert len(more) == 10 + 8 and len(masks) == 1 + 8 + 3  # 7.5 and 3 views, to the nearest even
    assert more.view(10).points.tolist() == [*LEFT.tolist(), *FAR.tolist()]
    assert more.view(17).points.tolist() == LEFT.tolist()


def test_a_smaller_instance_is_painted_over_a_larger_one():
    cup = columns(CLOUD, 0.1, 0.14)
    assert things(draw([], instance(LEFT), instance(cup))) == sorted([cup.tolist(), np.setdiff1d(LEFT, cup).tolist()])


def test_no_instances_change_nothing():
    seen = [mask(view, LEFT) for view in range(VIEWS)]
    empty = redraw(seen, Incidence.build([see_all(CLOUD)] * VIEWS), CLOUD, NO_RIM, Segmented(instances=(), stamps_s=()))
    assert things(empty) == things(draw(seen)) and empty.recognised == {}


@pytest.fixture
def added() -> ObjectMap:
    """A map with a book that masks show, and a lamp that only the segmenter found."""
    objects = ObjectMap(NO_RIM, same_word)
    lamp = instance(FAR, 0.9, "lamp", 0.8)
    objects.adopt(draw([mask(v, LEFT, label="book") for v in range(VIEWS)], lamp), [float(v) for v in range(VIEWS)])
    return objects


def id_by_label(objects: ObjectMap) -> dict[str, int]:
    return {record.label: record.id for record in objects.records()}


def test_ids_stay_when_the_segmenter_looks_again(added):
    before = id_by_label(added)
    again = draw([mask(v, LEFT, label="book") for v in range(VIEWS)], instance(FAR, 0.8, "lamp", 0.7))
    added.adopt(again, [float(v) for v in range(VIEWS)])
    assert set(before) == {"book", "lamp"} and id_by_label(added) == before


def test_what_only_the_segmenter_found_outlives_a_look_without_it(added):
    before = added.records()
    added.adopt(draw([mask(v, LEFT, label="book") for v in range(VIEWS)]), [float(v) for v in range(VIEWS)])
    after = added.records()
    assert [(r.id, r.label, r.points) for r in after] == [(r.id, r.label, r.points) for r in before]


def test_masks_that_come_to_show_it_take_its_place(added):
    stamps = [float(v) for v in range(VIEWS)]
    masks = [mask(v, LEFT, 0, "book") for v in range(VIEWS)] + [mask(v, FAR, 1, "vase") for v in range(VIEWS)]
    added.adopt(draw(masks), stamps)
    assert set(id_by_label(added)) == {"book", "vase"}


def test_the_surer_word_counts():
    one, other = (
        Recognition(label=name, score=score, name_score=0.5, first_seen=0.0, last_seen=1.0)
        for name, score in (("lamp", 0.4), ("vase", 0.6))
    )
    assert surer(one, other) is other and surer(None, one) is one and surer(one, None) is one
