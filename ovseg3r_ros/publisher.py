"""The topics of the node: the whole map whenever it changed, latched, and an event for every new answer and turn."""

import time

from rclpy.node import Node
from sensor_msgs.msg import PointCloud2
from vision_msgs.msg import Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from ovseg3r_core.repeater import Repeater
from ovseg3r_core.rolling import RollingWindow
from ovseg3r_ros.answers import Answers
from ovseg3r_ros.config import OutputConfig
from ovseg3r_ros.latched import latched
from ovseg3r_ros.msg import ObjectEvent, ObjectInstanceArray, QueryState
from ovseg3r_ros.outputs.clouds import instance_cloud
from ovseg3r_ros.outputs.detections import detection_array
from ovseg3r_ros.outputs.events import object_event, query_state
from ovseg3r_ros.outputs.instances import instance_array
from ovseg3r_ros.outputs.labelled_map import LabelledMap
from ovseg3r_ros.outputs.labels import label_info
from ovseg3r_ros.outputs.markers import marker_array

_EVENTS_KEPT = 100
_SHORTEST_INTERVAL_S = 0.05


class MapPublisher:
    """Publishes the newest map, no more often than `min_interval_s`; maps in between are never sent."""

    def __init__(self, node: Node, answers: Answers, config: OutputConfig) -> None:
        self._node, self._answers, self._config = node, answers, config
        self._published, self._newest_ns = -1, 0
        self.age_s = RollingWindow(60.0)
        """Of the newest keyframe in each map that went out, where it was a new one."""
        self._instances = node.create_publisher(ObjectInstanceArray, "instances", latched())
        self._cloud = node.create_publisher(PointCloud2, "instance_cloud", latched())
        self._markers = node.create_publisher(MarkerArray, "markers", latched())
        self._detections = node.create_publisher(Detection3DArray, "detections", latched())
        self._labels = node.create_publisher(LabelInfo, "labels", latched())
        self._events = node.create_publisher(QueryState, "query_events", latched(_EVENTS_KEPT))
        self._object_events = node.create_publisher(ObjectEvent, "object_events", latched(_EVENTS_KEPT))
        self._at_s: float | None = None
        self._repeater: Repeater | None = None

    @property
    def published_ago_s(self) -> float | None:
        """Since a map went out; None before the first time."""
        return None if self._at_s is None else time.monotonic() - self._at_s

    def start(self) -> None:
        """Publish from now on, in a thread of its own: a thousand objects take a sixth of a second to write."""
        self._repeater = Repeater("publish", max(self._config.min_interval_s, _SHORTEST_INTERVAL_S), self.publish)

    def stop(self) -> None:
        """Send what is new, and publish no more."""
        if self._repeater is not None:
            self._repeater.stop()
            self._repeater = None
            self.publish()

    def configure(self, config: OutputConfig) -> None:
        """Other settings from the next map on."""
        self._config = config

    def publish(self) -> None:
        """Send the newest map if it was not sent yet."""
        shown = self._answers.shown
        if shown.revision == self._published or not self._node.context.ok():  # nobody hears a node that was ended
            return
        try:
            self._send(shown)
        except RuntimeError:  # of rcl, where the node is ended in between
            if self._node.context.ok():
                raise

    def _send(self, shown: LabelledMap) -> None:
        config, standing = self._config, [answer.asked for answer in shown.answers]
        frame, stamp_ns = shown.snapshot.map_frame, shown.stamp_ns
        self._labels.publish(label_info(shown.vocabulary, standing, stamp_ns=stamp_ns, map_frame=frame))
        self._cloud.publish(instance_cloud(shown, colors=config.cloud_colors, background=config.cloud_background))
        self._instances.publish(instance_array(shown))
        self._detections.publish(detection_array(shown))
        self._markers.publish(marker_array(shown))
        for change in self._answers.take_changes():
            event = query_state(change, shown)
            self._node.get_logger().info(event.summary)
            self._events.publish(event)
        for turn in self._answers.take_events():
            event = object_event(turn, frame)
            self._node.get_logger().info(event.summary)
            self._object_events.publish(event)
        self._published, self._at_s = shown.revision, time.monotonic()
        if stamp_ns > self._newest_ns:  # what changes the map without a newer keyframe has no age
            self.age_s.add((self._node.get_clock().now().nanoseconds - stamp_ns) / 1e9)
        self._newest_ns = stamp_ns

    def destroy(self) -> None:
        """Take the topics away."""
        self.stop()
        for publisher in (
            self._instances,
            self._cloud,
            self._markers,
            self._detections,
            self._labels,
            self._events,
            self._object_events,
        ):
            self._node.destroy_publisher(publisher)
