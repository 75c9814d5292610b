"""What the perception node publishes, as a node that starts after the mapping sees it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from harness_camera import THINGS
from harness_client import LATCHED, Client
from harness_clouds import points_of, xyz_of
from harness_perception import Perception
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import Marker, MarkerArray

from ovseg3r_ros.msg import ObjectInstance, ObjectInstanceArray, QueryState

ASKED = "something to drink from"
PUBLISHED = {
    "/instances": "ovseg3r_ros/msg/ObjectInstanceArray",
    "/instance_cloud": "sensor_msgs/msg/PointCloud2",
    "/markers": "visualization_msgs/msg/MarkerArray",
    "/detections": "vision_msgs/msg/Detection3DArray",
    "/labels": "vision_msgs/msg/LabelInfo",
    "/object_events": "ovseg3r_ros/msg/ObjectEvent",
    "/query_events": "ovseg3r_ros/msg/QueryState",
}


@dataclass(frozen=True)
class Heard:
    """All that a late joiner gets."""

    instances: ObjectInstanceArray
    cloud: PointCloud2
    markers: MarkerArray
    detections: Detection3DArray
    labels: LabelInfo
    event: QueryState

    @property
    def by_label(self) -> dict[str, ObjectInstance]:
        return {instance.label: instance for instance in self.instances.instances}


@pytest.fixture(scope="module")
def node(mapped: Perception) -> Perception:
    """The node with a map and one standing text."""
    assert mapped.set_queries(ASKED).success
    return mapped


@pytest.fixture(scope="module")
def heard(node: Perception) -> Iterator[Heard]:
    """What comes to a node that starts now, while nothing moves any more."""
    with Client(node.client.domain, "late_joiner") as late:
        topics = {
            "instances": late.listen(ObjectInstanceArray, "/instances", LATCHED),
            "cloud": late.listen(PointCloud2, "/instance_cloud", LATCHED),
            "markers": late.listen(MarkerArray, "/markers", LATCHED),
            "detections": late.listen(Detection3DArray, "/detections", LATCHED),
            "labels": late.listen(LabelInfo, "/labels", LATCHED),
            "event": late.listen(QueryState, "/query_events", LATCHED),
        }
        first = topics["instances"].wait_for("map with the answer", lambda it: any(o.queries for o in it.instances))
        stamp = first.header.stamp
        cloud = topics["cloud"].wait_for("cloud of that map", lambda it: it.header.stamp == stamp)
        others = {
            name: topic.wait_for("message") for name, topic in topics.items() if name not in ("instances", "cloud")
        }
        yield Heard(instances=first, cloud=cloud, **others)


@pytest.mark.parametrize("topic", PUBLISHED)
def test_topics_of_the_map_are_latched_and_reliable(node: Perception, topic: str):
    (publisher,) = node.client.node.get_publishers_info_by_topic(topic)
    assert publisher.topic_type == PUBLISHED[topic]
    assert publisher.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_objects_are_the_things_that_stand_in_the_room(heard: Heard):
    assert tuple(sorted(heard.by_label)) == THINGS
    cabinet = heard.by_label["cabinet"].bbox
    centre = (cabinet.center.position.x, cabinet.center.position.y, cabinet.center.position.z)
    assert centre == pytest.approx((-0.85, 0.75, 0.45), abs=0.08)
    assert (cabinet.size.x, cabinet.size.y, cabinet.size.z) == pytest.approx((0.5, 0.5, 0.9), abs=0.12)


def test_objects_say_how_sure_and_how_often_seen(heard: Heard):
    ids = [instance.id for instance in heard.instances.instances]
    assert ids == sorted(set(ids))
    assert heard.instances.header.frame_id == "map"
    for instance in heard.instances.instances:
        assert instance.state == "present"
        assert 0.5 < instance.confidence <= 1
        assert instance.observations >= 2
        assert (instance.first_seen.sec, instance.first_seen.nanosec) < (
            instance.last_seen.sec,
            instance.last_seen.nanosec,
        )


def test_each_object_has_its_range_of_the_cloud(heard: Heard):
    points = points_of(heard.cloud)
    assert set(points.dtype.names) == {"x", "y", "z", "rgb", "instance", "label", "confidence"}
    assert heard.cloud.header == heard.instances.header
    assert sum(instance.cloud_size for instance in heard.instances.instances) == len(points)
    for instance in heard.instances.instances:
        own = points[instance.cloud_begin : instance.cloud_begin + instance.cloud_size]
        assert len(own) > 20
        assert set(own["instance"].tolist()) == {instance.id}
        centroid = (instance.centroid.x, instance.centroid.y, instance.centroid.z)
        np.testing.assert_allclose(xyz_of(own).mean(axis=0), centroid, atol=1e-3)


def test_no_number_of_the_map_is_infinite_or_none(heard: Heard):
    points = points_of(heard.cloud)
    assert np.isfinite(xyz_of(points)).all()
    assert np.isfinite(points["confidence"]).all()
    boxes = [instance.bbox for instance in heard.instances.instances]
    assert all(math.isfinite(v) for box in boxes for v in (box.center.position.x, box.size.x, box.center.orientation.z))


def test_labels_say_what_the_class_ids_mean(heard: Heard):
    name_of = {entry.class_id: entry.class_name for entry in heard.labels.class_map}
    named = [instance for instance in heard.instances.instances if instance.class_id]
    assert named
    assert all(name_of[instance.class_id] == instance.label for instance in named)
    assert name_of[heard.event.class_id] == ASKED


def test_a_standing_text_is_on_every_topic(heard: Heard):
    cup = heard.by_label["cup"]
    assert list(cup.queries) == [ASKED]
    assert (heard.event.text, heard.event.verdict, list(heard.event.ids)) == (ASKED, "found", [cup.id])
    own = points_of(heard.cloud)[cup.cloud_begin : cup.cloud_begin + cup.cloud_size]
    assert set(own["label"].tolist()) == {heard.event.class_id}
    answers = [marker for marker in heard.markers.markers if marker.ns == f"query: {ASKED}"]
    assert answers
    assert {marker.color == heard.event.color for marker in answers if marker.type == Marker.TEXT_VIEW_FACING} == {True}


def test_markers_draw_every_object_over_a_clean_picture(heard: Heard):
    first, *rest = heard.markers.markers
    assert first.action == Marker.DELETEALL
    outlined = {marker.id for marker in rest if marker.ns == "boxes"}
    assert outlined == {instance.id for instance in heard.instances.instances}
    captions = {marker.text.rsplit(" ", 1)[0] for marker in rest if marker.ns == "names"}
    assert captions == set(heard.by_label)
    assert all(marker.header.frame_id == "map" for marker in rest)
    assert len({(marker.ns, marker.id) for marker in rest}) == len(rest)


def test_detections_are_the_same_objects(heard: Heard):
    assert [int(it.id) for it in heard.detections.detections] == [it.id for it in heard.instances.instances]
    for detection, instance in zip(heard.detections.detections, heard.instances.instances, strict=True):
        assert detection.bbox == instance.bbox
        assert detection.results[0].hypothesis.class_id == instance.label


def test_the_input_topics_are_subscribed_by_relative_names(node: Perception):
    subscribed = dict(node.client.node.get_subscriber_names_and_types_by_node("perception", "/"))
    for topic in ("/color/image", "/depth/image", "/color/camera_info", "/tf", "/tf_static"):
        assert topic in subscribed


def test_diagnostics_come_again_and_again(node: Perception):
    before = len(node.diagnostics.messages)
    topic = node.diagnostics
    topic.wait_for("two more", lambda it: len(topic.messages) >= before + 2, after=before, timeout_s=10)
    assert all(status.name.startswith("perception") for it in topic.messages[before:] for status in it.status)
    assert isinstance(topic.messages[-1], DiagnosticArray)
