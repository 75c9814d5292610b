"""What all messages are made of: names, class ids, answers, colours and points of every object."""

from dataclasses import replace

import numpy as np
import pytest
from outputs_maps import CHAIR, CUP, THING, WALL, answer, labelled, large, record, snapshot

from ovseg3r_core.visual.colors import object_color
from ovseg3r_ros.outputs.colors import text_color
from ovseg3r_ros.outputs.labelled_map import QUERY_CLASS_BASE


def test_things_carry_names_and_numbers_of_the_vocabulary_and_structure_stands_apart():
    shown = labelled()
    assert [(it.record.id, it.record.label, it.class_id) for it in shown.things] == [
        (CHAIR, "chair", 1),
        (CUP, "cup", 2),
        (THING, "object", 4),
    ]
    assert [(it.record.id, it.record.label, it.class_id) for it in shown.structure] == [(WALL, "wall", 3)]
    assert shown.shown == shown.things


def test_objects_come_by_id_whatever_their_order_in_the_map():
    mixed = replace(snapshot(), objects=snapshot().objects[::-1])
    assert [it.record.id for it in labelled(mixed).shown] == [CHAIR, CUP, THING]


def test_every_object_has_its_own_points():
    for it in labelled().things:
        assert len(it.points) == 100
        assert set(snapshot().owner[it.points]) == {it.record.id}


def test_an_object_without_points_has_none():
    more = replace(snapshot(), objects=(*snapshot().objects, record(77, "cup")))
    assert len(labelled(more).by_id[77].points) == 0


def test_points_of_a_large_map_are_those_that_a_scan_finds():
    map_ = large(objects=50, points=5000)
    for it in labelled(map_).things:
        assert sorted(it.points) == np.flatnonzero(map_.owner == it.record.id).tolist()


def test_an_object_that_answers_texts_has_the_class_and_colour_of_the_one_it_answers_best():
    shown = labelled(None, answer("seat", 0, (CHAIR, 0.6)), answer("red thing", 5, (CHAIR, 0.9), (CUP, 0.7)))
    chair, cup, thing = shown.things
    assert [found.asked.text for found in chair.queries] == ["red thing", "seat"]
    assert chair.cloud_label == cup.cloud_label == QUERY_CLASS_BASE + 5
    assert chair.color == cup.color == text_color(5)
    assert (chair.class_id, thing.cloud_label) == (1, 4)


def test_structure_that_answers_a_text_is_shown():
    shown = labelled(None, answer("wall", 0, (WALL, 1.0)))
    assert [it.record.id for it in shown.shown] == [CHAIR, CUP, THING, WALL]


def spread(rgb: tuple[int, int, int]) -> int:
    """How far a colour is from grey."""
    return max(rgb) - min(rgb)


def test_objects_keep_the_colour_of_their_id_and_unnamed_ones_are_greyer():
    chair, _, thing = labelled().things
    assert chair.color == object_color(CHAIR)
    assert spread(thing.color) < spread(object_color(THING))


def test_while_texts_stand_the_rest_steps_back():
    chair = labelled(None, answer("cup", 0, (CUP, 1.0))).by_id[CHAIR]
    assert spread(chair.color) < 0.5 * spread(object_color(CHAIR))


def test_all_64_texts_have_colours_of_their_own():
    colors = np.array([text_color(place) for place in range(64)], int)
    apart = np.abs(colors[:, None] - colors[None]).sum(axis=2) + 1000 * np.eye(64, dtype=int)
    assert apart.min() >= 8
    assert np.abs(colors[1:] - colors[:-1]).sum(axis=1).min() > 200  # the first few are the ones people use


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1e30])
def test_what_no_message_may_carry_is_left_out_and_counted(bad: float):
    map_ = snapshot()
    map_.cloud.xyz[:3, 1] = bad
    bad_chair = replace(map_.objects[0], centre=(0.0, bad, 0.0))
    shown = labelled(replace(map_, objects=(bad_chair, *map_.objects[1:])))
    assert shown.refused == {"bad_object": 1, "bad_point": 3}
    assert [it.record.id for it in shown.things] == [CUP, THING]
    assert not {0, 1, 2} & set(np.concatenate([it.points for it in (*shown.things, *shown.structure)]))
