"""The messages say what the map says, whole and finite, on the other side of DDS too."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outputs_maps import CHAIR, CUP, NAMES, STAMP_NS, THING, WALL, answer, labelled, record, snapshot, there_and_back
from sensor_msgs.msg import PointField
from visualization_msgs.msg import Marker

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.vocabulary import Vocabulary, scannet200
from ovseg3r_core.mapping.standing import AnswerChange, standing_texts
from ovseg3r_core.types import Box, ObjectRecord
from ovseg3r_ros.outputs.clouds import POINT, cloud_of, instance_cloud
from ovseg3r_ros.outputs.colors import text_color
from ovseg3r_ros.outputs.detections import detection_array
from ovseg3r_ros.outputs.events import query_state
from ovseg3r_ros.outputs.instances import instance_array, instances_of
from ovseg3r_ros.outputs.labelled_map import QUERY_CLASS_BASE, LabelledMap
from ovseg3r_ros.outputs.labels import label_info
from ovseg3r_ros.outputs.markers import marker_array
from ovseg3r_ros.outputs.primitives import time_of_seconds

SEAT = answer("seat", 2, (CHAIR, 0.75))


def points_in(cloud) -> np.ndarray:
    return np.frombuffer(cloud.data, POINT)


def all_messages(shown: LabelledMap) -> list:
    return [
        instance_array(shown),
        instance_cloud(shown, background=True),
        marker_array(shown),
        detection_array(shown),
        label_info(shown.vocabulary, [it.asked for it in shown.answers], stamp_ns=shown.stamp_ns, map_frame="map"),
        *(query_state(AnswerChange(answer=it), shown) for it in shown.answers),
    ]


def numbers_in(message) -> list[float]:
    """Every number in a message, however deep."""
    if hasattr(message, "get_fields_and_field_types"):
        return [n for name in message.get_fields_and_field_types() for n in numbers_in(getattr(message, name))]
    if isinstance(message, str | bytes):
        return []
    if hasattr(message, "__iter__"):
        return [n for item in message for n in numbers_in(item)]
    return [message]


def test_instances_say_what_the_records_say():
    array = there_and_back(instance_array(labelled(None, SEAT)))
    assert (array.header.frame_id, array.revision) == ("odom", 7)
    assert array.header.stamp.sec * 10**9 + array.header.stamp.nanosec == STAMP_NS
    chair = array.instances[0]
    assert (chair.id, chair.label, chair.class_id, chair.state) == (CHAIR, "chair", 1, "present")
    assert list(chair.queries) == ["seat"]
    assert chair.confidence == pytest.approx(0.83)
    assert (chair.centroid.x, chair.centroid.y, chair.centroid.z) == (0.0, 0.25, 0.5)
    assert (chair.bbox.size.x, chair.bbox.size.y, chair.bbox.size.z) == (1.0, 0.5, 0.25)
    assert 2 * math.atan2(chair.bbox.center.orientation.z, chair.bbox.center.orientation.w) == pytest.approx(0.5)
    assert (chair.observations, chair.first_seen.sec, chair.first_seen.nanosec) == (4, 1, 500_000_000)


def test_the_range_of_an_instance_holds_its_points_and_no_others():
    shown = labelled(None, SEAT)
    points = points_in(there_and_back(instance_cloud(shown, background=True)))
    end = 0
    for it in instance_array(shown).instances:
        own = points[it.cloud_begin : it.cloud_begin + it.cloud_size]
        assert len(own) == 100
        assert set(own["instance"]) == {it.id}
        assert set(own["y"]) == {it.id}  # the map's points say who owns them
        assert set(own["confidence"]) == {np.float32(it.confidence)}
        end = it.cloud_begin + it.cloud_size
    rest = points[end:]
    assert len(rest) == 200  # structure and what belongs to nothing
    assert (set(rest["instance"]), set(rest["label"]), set(rest["confidence"])) == ({-1}, {0}, {0.0})


def test_points_carry_the_class_of_the_name_or_of_the_text_that_asks_for_them():
    points = points_in(instance_cloud(labelled(None, SEAT)))
    label = {id_: set(points["label"][points["instance"] == id_]) for id_ in (CHAIR, CUP, THING)}
    assert label == {CHAIR: {QUERY_CLASS_BASE + 2}, CUP: {2}, THING: {4}}


def test_the_cloud_is_laid_out_as_rviz_and_pcl_expect():
    cloud = there_and_back(instance_cloud(labelled(None, SEAT)))
    floats = ["x", "y", "z", "rgb", "confidence"]
    assert [(it.name, it.offset) for it in cloud.fields] == [
        (name, 4 * i) for i, name in enumerate(["x", "y", "z", "rgb", "instance", "label", "confidence"])
    ]
    assert all((it.datatype == PointField.FLOAT32) == (it.name in floats) for it in cloud.fields)
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 300, 28, 8400)
    assert len(cloud.data) == cloud.row_step
    assert (cloud.is_dense, cloud.is_bigendian) == (True, False)
    red, green, blue = text_color(2)
    assert set(points_in(cloud)["rgb"][:100]) == {red << 16 | green << 8 | blue}


def test_every_colour_is_a_finite_float():
    white = replace(snapshot(), cloud=replace(snapshot().cloud, color=np.full((500, 3), 255, np.uint8)))
    cloud = instance_cloud(labelled(white), colors="camera", background=True)
    assert set(points_in(cloud)["rgb"]) == {0xFFFFFF}
    assert np.isfinite(points_in(cloud)["rgb"].view(np.float32)).all()


def test_camera_colours_are_those_of_the_map():
    assert set(points_in(instance_cloud(labelled(), colors="camera"))["rgb"]) == {10 << 16 | 20 << 8 | 30}


def test_a_service_gives_the_cloud_of_the_objects_it_names_in_their_order():
    shown = labelled()
    asked = [shown.by_id[WALL], shown.by_id[CHAIR]]
    wall, chair = instances_of(asked)
    points = points_in(cloud_of(shown, asked))
    assert len(points) == 200
    assert set(points["instance"][wall.cloud_begin : wall.cloud_begin + wall.cloud_size]) == {WALL}
    assert set(points["instance"][chair.cloud_begin : chair.cloud_begin + chair.cloud_size]) == {CHAIR}
    assert [(it.cloud_begin, it.cloud_size) for it in instances_of(asked, with_cloud=False)] == [(0, 0), (0, 0)]


def test_an_empty_map_gives_empty_messages():
    nothing = replace(snapshot(), objects=(), structure=())
    shown = labelled(nothing)
    assert instance_cloud(shown).width == 0
    assert instance_array(shown).instances == []
    assert [it.action for it in marker_array(shown).markers] == [Marker.DELETEALL]


def test_markers_replace_whatever_a_viewer_had():
    markers = there_and_back(marker_array(labelled(None, SEAT))).markers
    assert markers[0].action == Marker.DELETEALL
    assert all(it.action == Marker.ADD for it in markers[1:])
    assert {it.header.frame_id for it in markers} == {"odom"}
    keys = [(it.ns, it.id) for it in markers[1:]]
    assert len(set(keys)) == len(keys)


def test_each_object_has_an_outline_and_a_name():
    markers = marker_array(labelled()).markers
    by_key = {(it.ns, it.id): it for it in markers[1:]}
    assert sorted(by_key) == [(ns, id_) for ns in ("boxes", "names") for id_ in (CHAIR, CUP, THING)]
    box, name = by_key["boxes", CHAIR], by_key["names", CHAIR]
    assert name.text == "chair 0.83"
    assert name.pose.position.z > 0.5 + 0.25 / 2  # above the box
    assert len(box.points) == 24
    corners = np.array([(it.x, it.y, it.z) for it in box.points])
    assert np.ptp(corners, axis=0).tolist() == [1.0, 0.5, 0.25]
    edges = np.abs(corners[::2] - corners[1::2])
    assert sorted(edges.sum(axis=1)) == [0.25] * 4 + [0.5] * 4 + [1.0] * 4


def test_a_text_has_its_own_namespace_and_colour():
    markers = [it for it in marker_array(labelled(None, SEAT)).markers if it.ns == "query: seat"]
    fill, caption = markers
    assert (fill.type, fill.id, caption.text) == (Marker.CUBE, CHAIR, "seat 0.75")
    assert tuple(round(255 * it) for it in (fill.color.r, fill.color.g, fill.color.b)) == text_color(2)


def test_detections_carry_id_name_and_score():
    chair = there_and_back(detection_array(labelled())).detections[0]
    assert (chair.id, chair.results[0].hypothesis.class_id, chair.results[0].hypothesis.score) == ("3", "chair", 0.83)
    assert chair.bbox.center == chair.results[0].pose.pose
    assert chair.header.frame_id == "odom"


def test_labels_hold_the_vocabulary_and_the_texts():
    shown = labelled()
    info = label_info(shown.vocabulary, standing_texts(["seat"]), stamp_ns=0, map_frame="map")
    assert [(it.class_id, it.class_name) for it in there_and_back(info).class_map] == [
        *enumerate(NAMES, start=1),
        (QUERY_CLASS_BASE, "seat"),
    ]
    assert label_info(scannet200(), (), stamp_ns=0, map_frame="map").class_map[0].class_id == 1


@pytest.mark.parametrize("id_", [0, -1, QUERY_CLASS_BASE, 70_000])
def test_a_vocabulary_that_no_message_can_number_is_refused(id_: int):
    with pytest.raises(Rejected, match=f"label id {id_}; topics carry 1..9999") as refused:
        label_info(Vocabulary(name="long", names=("cup",), ids=(id_,)), (), stamp_ns=0, map_frame="map")
    assert refused.value.reason == "bad_vocabulary"


def test_an_event_tells_people_and_programs():
    shown = labelled(None, SEAT)
    state = there_and_back(query_state(AnswerChange(answer=SEAT, previous="none"), shown))
    assert (state.text, state.verdict, state.previous_verdict) == ("seat", "found", "none")
    assert (list(state.ids), list(state.scores), state.class_id) == ([CHAIR], [0.75], QUERY_CLASS_BASE + 2)
    assert state.summary == "seat: found (object 3 at 0.0, 0.2, 0.5)"


def test_an_event_without_an_object_says_so_and_several_are_counted():
    none = answer("piano", 0, verdict="none")
    several = answer("seat", 1, (CUP, 0.9), (CHAIR, 0.8), (THING, 0.7), verdict="ambiguous")
    shown = labelled(None, none, several)
    state = query_state(AnswerChange(answer=none), shown)
    assert (state.summary, state.previous_verdict, list(state.ids)) == ("piano: none", "", [])
    line = query_state(AnswerChange(answer=several), shown).summary
    assert line == "seat: ambiguous (object 5 at 1.0, 0.2, 0.5 and 2 more)"


anything = st.floats() | st.floats(-10, 10)
triple = st.tuples(anything, anything, anything)


@st.composite
def any_record(draw: st.DrawFn) -> ObjectRecord:
    box = Box(centre=draw(triple), size=draw(triple), yaw=draw(anything))
    return replace(
        record(draw(st.integers(-2, 20)), draw(st.sampled_from(NAMES))),
        score=draw(anything),
        centre=draw(triple),
        box=box,
        observations=draw(st.integers(-1, 2**33)),
        first_seen=draw(anything),
        last_seen=draw(anything),
    )


@given(
    records=st.lists(st.one_of(any_record(), st.builds(record, st.integers(1, 20), st.just("cup")))),
    xyz=st.lists(triple, min_size=4, max_size=4),
    hit=st.integers(-2, 20),
)
def test_no_message_carries_a_number_that_is_none_whatever_the_map_holds(records, xyz, hit):
    map_ = replace(snapshot(), objects=tuple({it.id: it for it in records}.values()), structure=())
    with np.errstate(over="ignore"):
        map_.cloud.xyz[:4] = xyz
    for message in all_messages(labelled(map_, answer("seat", 0, (hit, 0.5)))):
        whole = there_and_back(message)
        assert all(math.isfinite(number) for number in numbers_in(whole))
        if hasattr(whole, "data"):
            points = points_in(whole)
            assert all(np.isfinite(points[name]).all() for name in ("x", "y", "z", "confidence"))


@pytest.mark.parametrize("seconds", [0.0, 1.9999999, 1_700_000_000.9999998])
def test_times_near_a_full_second_do_not_overflow(seconds: float):
    stamp = time_of_seconds(seconds)
    assert 0 <= stamp.nanosec < 10**9
    assert stamp.sec + stamp.nanosec / 1e9 == pytest.approx(seconds, abs=1e-6)
