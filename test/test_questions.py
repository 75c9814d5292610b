"""Questions about things and their places, to a furnished room whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
from maps import NoLikeness, make_record

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import fit_box
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.questions import ask
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.standing import answer_all, standing_texts
from ovseg3r_core.outputs import answer_json
from ovseg3r_core.synthetic.furniture import MissingFurnitureError
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.types import Box, ObjectRecord, SceneCloud
from ovseg3r_train.sampled.surface_samples import sample_parts

ENGINE = QueryEngine(NoLikeness())


def record_of(id_: int, label: str, box: Box, **fields) -> ObjectRecord:
    return make_record(id_, label, centre=box.centre, box=box, **fields)


@pytest.fixture(scope="module")
def room() -> MapSnapshot:
    """The demo's room as a perfect map of its surfaces: walls and floor are told apart by their normals."""
    try:
        scene = build_room(RoomConfig(seed=7))
    except MissingFurnitureError as missing:
        pytest.skip(str(missing))
    samples = sample_parts(scene.parts, spacing_m=0.02)
    owner = samples.instance.copy()
    level = np.abs(samples.normal[:, 2]) > 0.7
    floor, wall = 1001, 1002
    owner[(owner == 0) & level & (samples.xyz[:, 2] < 0.1)] = floor
    owner[(owner == 0) & ~level] = wall
    owner[owner == 0] = -1
    names = {**scene.names, floor: "floor", wall: "wall"}
    records = [record_of(id_, name, fit_box(samples.xyz[owner == id_])) for id_, name in names.items()]
    return MapSnapshot(
        map_frame="map",
        cloud=SceneCloud(xyz=samples.xyz, color=samples.color, normal=samples.normal),
        owner=owner,
        objects=tuple(it for it in records if it.id < floor),
        structure=tuple(it for it in records if it.id >= floor),
        up=(0.0, 0.0, 1.0),
        views=10,
    )


def told(room: MapSnapshot, text: str) -> tuple[str, list[str]]:
    result = ask(ENGINE, room, text)
    return result.verdict, [hit.object.label for hit in result.hits]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("the cup on the desk", "cup"),
        ("find me the laptop on top of the desk", "laptop"),
        ("the vase on the table", "vase"),
        ("tv on the tv stand", "tv"),
        ("microwave on the kitchen cabinet", "microwave"),
        ("the kitchen cabinet next to the refrigerator", "kitchen cabinet"),
        ("the tv stand under the tv", "tv stand"),
        ("the laptop on the desk near the office chair", "laptop"),
        ("the bed on the floor", "bed"),
    ],
)
def test_what_stands_where_the_text_says_is_found(room, text, label):
    assert told(room, text) == ("found", [label])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("the cup on the bed", "both are in the map, but it is not on bed 2"),
        ("the desk on the cup", "both are in the map"),
        ("the bottle in the refrigerator", "both are in the map"),
        ("the cup on the piano", "nothing in the map is called 'the piano'"),
        ("the giraffe on the desk", "nothing in the map is called 'the giraffe'"),
        ("cup on the desk near the piano", "nothing in the map is called 'the piano'"),
        ("cup on the desk on the bed", "both are in the map"),
    ],
)
def test_what_is_not_there_is_none_and_the_answer_says_why(room, text, why):
    result = ask(ENGINE, room, text)
    assert (result.verdict, result.hits) == ("none", ())
    assert why in result.explanation


def test_several_things_in_that_place_leave_it_ambiguous(room):
    result = ask(ENGINE, room, "the chair near the dining table")
    assert result.verdict == "ambiguous"
    assert {hit.object.label for hit in result.hits} == {"chair", "office chair"}
    assert "3 things are there" in result.explanation


def test_what_is_on_a_thing_may_be_anything(room):
    verdict, labels = told(room, "what is on the desk?")
    assert (verdict, sorted(labels)) == ("found", ["cup", "laptop"])
    assert sorted(told(room, "show me everything on the dining table")[1]) == ["bottle", "vase"]


def test_a_place_leaves_out_the_kinds_that_are_elsewhere(room):
    assert told(room, "somewhere to sit next to the dining table")[1] == ["chair", "chair"]
    assert told(room, "the office chair next to the desk") == ("found", ["office chair"])


def test_left_and_right_change_places_when_the_viewer_does(room):
    cup, laptop = (next(it for it in room.objects if it.label == name) for name in ("cup", "laptop"))
    (ax, ay, _), (bx, by, _) = cup.centre, laptop.centre
    middle, away = np.array([ax + bx, ay + by]) / 2, np.array([by - ay, ax - bx])
    sides = []
    for viewer in (middle + 3 * away, middle - 3 * away):
        seen_from = f", seen from {viewer[0]:.3f}, {viewer[1]:.3f}"
        sides.append(tuple(told(room, f"the cup {side} of the laptop{seen_from}")[0] for side in ("left", "right")))
    assert sorted(sides) == [("found", "none"), ("none", "found")]


def test_things_at_a_wall_have_a_left_and_a_right_and_others_only_for_a_viewer(room):
    verdicts = {told(room, f"the cup {side} of the laptop")[0] for side in ("left", "right", "in front", "behind")}
    assert verdicts <= {"found", "none"}
    result = ask(ENGINE, room, "the vase left of the bottle")
    assert result.verdict == "ambiguous"
    assert "depends on where one stands" in result.explanation
    assert told(room, "the vase left of the bottle, seen from the door")[0] in ("found", "none")
    assert (
        "may be meant by 'the piano'"
        in ask(ENGINE, room, "the vase left of the bottle, seen from the piano").explanation
    )


def test_a_doubtful_anchor_is_no_sure_place(room):
    unsure = tuple(replace(it, name_score=0.4) if it.label in ("desk", "dining table") else it for it in room.objects)
    result = ask(ENGINE, replace(room, objects=unsure), "the cup on the desk")
    assert result.verdict == "ambiguous"
    assert [hit.object.label for hit in result.hits] == ["cup"]
    assert result.hits[0].score == pytest.approx(0.4)


def test_names_that_say_a_place_are_names(room):
    renamed = tuple(replace(it, label="cup on the desk") if it.label == "bed" else it for it in room.objects)
    (hit,) = ask(ENGINE, replace(room, objects=renamed), "the cup on the desk").hits
    assert hit.object.label == "cup on the desk"


def test_a_map_that_leans_has_its_own_up(room):
    turn = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # z up becomes y up
    cloud = replace(room.cloud, xyz=room.cloud.xyz @ turn.T, normal=room.cloud.normal @ turn.T)
    leaning = replace(room, cloud=cloud, up=(0.0, -1.0, 0.0))
    assert told(leaning, "the cup on the desk") == ("found", ["cup"])
    assert told(replace(leaning, up=(0.0, 0.0, 1.0)), "the vase under the cup")[0] == "none"


def test_standing_texts_may_say_a_place(room):
    (answer,) = answer_all(standing_texts(["the cup on the desk"]), room, ENGINE)
    assert (answer.verdict, [hit.object.label for hit in answer.hits]) == ("found", ["cup"])


def test_nothing_mapped_is_blind_and_too_many_places_are_refused(room):
    assert ask(ENGINE, replace(room, views=0), "the cup on the desk").verdict == "blind"
    with pytest.raises(Rejected, match="places"):
        ask(ENGINE, room, "cup" + " on the desk" * 9)
    with pytest.raises(Rejected, match="top_k is 0"):
        ask(ENGINE, room, "the cup on the desk", top_k=0)


def test_the_answer_in_json_explains_itself(room):
    answer = answer_json(ask(ENGINE, room, "the cup on the desk"))
    assert answer["verdict"] == "found"
    assert answer["explanation"] == "'the cup' on 'the desk': cup " + str(answer["objects"][0]["id"])
    assert answer_json(ask(ENGINE, room, "cup"))["explanation"] == ""
