"""The node `viewer`: what perception publishes, in the Rerun viewer, from a process of its own.

It takes nothing from perception but messages: the newest of each topic, and of the images only those that it shows.
"""

import logging
import os
import sys
from collections import Counter
from functools import partial

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from ovseg3r_core.checks import Rejected, check_color
from ovseg3r_core.sequences.bag_messages import (
    header_stamp_ns,
    image_kind,
    read_camera_info,
    read_image,
    read_transforms,
)
from ovseg3r_core.sequences.tf_buffer import TfBuffer
from ovseg3r_ros.latched import latched
from ovseg3r_ros.logs import to_ros
from ovseg3r_ros.msg import ObjectInstanceArray, QueryState
from ovseg3r_ros.parameters import declare_settings
from ovseg3r_ros.viewer.config import ViewerConfig
from ovseg3r_ros.viewer.messages import object_of, points_of
from ovseg3r_ros.viewer.scene import Rgb, Scene
from ovseg3r_ros.viewer.sink import Sink, open_sink

_EVENTS_KEPT = 100
_CAMERA = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
_TF = QoSProfile(depth=100)
_TF_STATIC = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Viewer(Node):
    """Draws the messages of the map into a recording."""

    def __init__(self) -> None:
        super().__init__("viewer")
        self.config = declare_settings(self, "", ViewerConfig())
        self._tf = TfBuffer()
        self._images: dict[str, bytes] = {}
        self._waiting: dict[str, bytes] = {}
        self._infos: dict[str, bytes] = {}
        self._text_colors: dict[str, Rgb] = {}
        self._cloud_ns = 0
        self._left_out: Counter[str] = Counter()

    def show(self, sink: Sink) -> None:
        """Draw into the sink from now on."""
        sensors = {name or "camera": f"{name}/" if name else "" for name in self.config.cameras or ("",)}
        self._scene, self._sink = Scene(sink.recording, list(sensors), self.config.background_height_m), sink
        self.create_subscription(ObjectInstanceArray, "instances", self._draw_objects, latched())
        self.create_subscription(PointCloud2, "instance_cloud", self._draw_cloud, latched())
        self.create_subscription(QueryState, "query_events", self._tell_event, latched(_EVENTS_KEPT))
        self.create_subscription(TFMessage, "/tf", partial(self._add_tf, fixed=False), _TF, raw=True)
        self.create_subscription(TFMessage, "/tf_static", partial(self._add_tf, fixed=True), _TF_STATIC, raw=True)
        for sensor, prefix in sensors.items():
            self._listen_to_camera(sensor, prefix)
        self.create_timer(1 / self.config.image_rate_hz, self._draw_images)

    def _listen_to_camera(self, sensor: str, prefix: str) -> None:
        kind, topic = (CompressedImage, "color/image/compressed") if self._is_compressed else (Image, "color/image")
        take_image, take_info = partial(self._images.__setitem__, sensor), partial(self._infos.__setitem__, sensor)
        self.create_subscription(kind, f"{prefix}{topic}", take_image, _CAMERA, raw=True)
        self.create_subscription(CameraInfo, f"{prefix}color/camera_info", take_info, _CAMERA, raw=True)

    @property
    def _is_compressed(self) -> bool:
        return self.config.transport == "compressed"

    def _draw_objects(self, message: ObjectInstanceArray) -> None:
        self._scene.draw_objects(_seconds(message), [object_of(each) for each in message.instances], self._text_colors)

    def _draw_cloud(self, message: PointCloud2) -> None:
        now_ns = self.get_clock().now().nanoseconds
        if 0 <= now_ns - self._cloud_ns < self.config.cloud_period_s * 1e9:
            return
        self._cloud_ns = now_ns
        self._scene.draw_cloud(_seconds(message), *points_of(message))

    def _tell_event(self, message: QueryState) -> None:
        color = message.color
        self._text_colors[message.text] = (round(255 * color.r), round(255 * color.g), round(255 * color.b))
        self._scene.tell(_seconds(message), message.summary)

    def _add_tf(self, raw: bytes, *, fixed: bool) -> None:
        for parent, child, stamp_ns, T_parent_child in read_transforms(raw):
            if not isinstance(T_parent_child, Rejected):
                self._tf.insert(parent, child, stamp_ns, T_parent_child, fixed=fixed)

    def _draw_images(self) -> None:
        """Draw the images of the last time: by now their poses are there. A viewer that was closed ends the node."""
        if not self._sink.is_open():
            self.get_logger().info("the viewer was closed")
            rclpy.shutdown()
            return
        for name, raw in self._waiting.items():
            try:
                self._draw_image(name, raw)
            except Rejected as rejected:
                self._left_out[rejected.reason] += 1
                if self._left_out[rejected.reason] == 1:
                    self.get_logger().warning(f"not shown ({rejected.reason}): {rejected}")
        self._waiting = dict(self._images)
        self._images.clear()

    def _draw_image(self, name: str, raw: bytes) -> None:
        _, frame_id = image_kind(raw, compressed=self._is_compressed)
        T_map_camera = self._tf.lookup(self.config.map_frame, frame_id, header_stamp_ns(raw))
        if name not in self._infos:
            raise Rejected("no_camera_info", f"no CameraInfo of {name} has come yet")
        calibration, width, height = read_camera_info(self._infos[name], rectified=False)
        color = check_color(read_image(raw, compressed=self._is_compressed))
        self._scene.draw_image(header_stamp_ns(raw) / 1e9, name, color, calibration.camera(width, height), T_map_camera)


def _seconds(message: ObjectInstanceArray | PointCloud2 | QueryState) -> float:
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def main() -> None:
    """The executable."""
    rclpy.init()
    try:
        node = Viewer()
    except ValueError as error:
        get_logger("viewer").fatal(str(error))
        sys.exit(2)
    to_ros(node.get_logger())
    with open_sink(node.config) as sink:
        run(node, sink)
    logging.shutdown()
    os._exit(0)  # what can arrive has arrived; at exit the SDK would wait for a viewer that is gone


def run(node: Viewer, sink: Sink) -> None:
    """Show until told to stop, be it in the middle of the start."""
    try:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        node.show(sink)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():
            raise
