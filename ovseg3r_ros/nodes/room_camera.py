"""The node `room_camera`: a camera that walks through a generated room, for a demo without hardware.

Frames are rendered once, in a thread that runs ahead, and shown again and again: forth and back along the walk, so
that neither the camera nor the clock ever jumps. Every message carries the time at which it is sent.
"""

import array
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import rclpy
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from jaxtyping import Float64
from numpy import ndarray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.sequences.poses import quaternion_of
from ovseg3r_core.stage import step_back
from ovseg3r_core.synthetic.furniture import MissingFurnitureError, furniture_folder
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.types import Camera, Frame
from ovseg3r_ros.parameters import declare_settings

_MAP, _OPTICAL = "map", "camera_color_optical_frame"
_NICENESS = 5  # rendering has time; what is published has not
_REFUSED = 2


@dataclass(frozen=True, kw_only=True)
class RoomCameraConfig:
    """The room and the walk; all are ROS parameters under the names they have here."""

    seed: Annotated[int, Within(0, 10**6)] = 7
    """The same seed furnishes the same room."""
    frames: Annotated[int, Within(2, 1000)] = 60
    """Frames of the walk, 1.5 MB each."""
    rate_hz: Annotated[float, Within(0.5, 30.0)] = 5.0
    """Frames a second."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class _Shot:
    """The messages of one frame; they are stamped anew each time they are sent."""

    transform: TransformStamped
    info: CameraInfo
    color: Image
    depth: Image


class RoomCamera(Node):
    """Publishes the frames of a walk as those of a camera."""

    def __init__(self) -> None:
        super().__init__("room_camera")
        self.config = declare_settings(self, "", RoomCameraConfig())
        self._shots: list[_Shot] = []
        self._next, self._step = 0, 1
        self._tf = self.create_publisher(TFMessage, "/tf", 100)
        self._info = self.create_publisher(CameraInfo, "color/camera_info", 5)
        self._color = self.create_publisher(Image, "color/image", 5)
        self._depth = self.create_publisher(Image, "depth/image", 5)
        self.create_timer(1 / self.config.rate_hz, self._publish)
        threading.Thread(target=self._render, name="render", daemon=True).start()

    def _render(self) -> None:
        step_back(_NICENESS)
        room = build_room(RoomConfig(seed=self.config.seed))
        walk = WalkConfig(frames=self.config.frames, rate_hz=self.config.rate_hz)
        for frame in RoomSequence(room, walk).read():
            self._shots.append(_shot_of(frame))
        self.get_logger().info(f"the walk is rendered: {len(self._shots)} frames, {len(room.objects)} things")

    def _publish(self) -> None:
        """Send the next frame; where rendering is not there yet, the camera stands still."""
        ready = len(self._shots)
        if not ready:
            return
        shot = self._shots[min(self._next, ready - 1)]
        stamp = self.get_clock().now().to_msg()
        for message in (shot.transform, shot.info, shot.color, shot.depth):
            message.header.stamp = stamp
        self._tf.publish(TFMessage(transforms=[shot.transform]))
        self._info.publish(shot.info)
        self._color.publish(shot.color)
        self._depth.publish(shot.depth)
        if self._next + self._step in (-1, self.config.frames):
            self._step = -self._step
        self._next = min(self._next + self._step, ready)


def _shot_of(frame: Frame) -> _Shot:
    header = Header(frame_id=_OPTICAL)
    return _Shot(
        transform=_transform(frame.T_map_camera),
        info=_camera_info(header, frame.camera),
        color=_image(header, "rgb8", frame.color),
        depth=_image(header, "16UC1", np.round(frame.depth_m * 1000).astype(np.uint16)),
    )


def _image(header: Header, encoding: str, pixels: ndarray) -> Image:
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).view(np.uint8).data.cast("B"))
    height, width = pixels.shape[:2]
    return Image(header=header, encoding=encoding, height=height, width=width, step=len(data) // height, data=data)


def _camera_info(header: Header, camera: Camera) -> CameraInfo:
    projection = np.hstack([camera.K, np.zeros((3, 1))])
    return CameraInfo(
        header=header,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
    )


def _transform(T_map_camera: Float64[ndarray, "4 4"]) -> TransformStamped:
    x, y, z = map(float, T_map_camera[:3, 3])
    qx, qy, qz, qw = map(float, quaternion_of(T_map_camera))
    turn = Quaternion(x=qx, y=qy, z=qz, w=qw)
    moved = Transform(translation=Vector3(x=x, y=y, z=z), rotation=turn)
    return TransformStamped(header=Header(frame_id=_MAP), child_frame_id=_OPTICAL, transform=moved)


def main() -> None:
    """The executable."""
    rclpy.init()
    try:
        furniture_folder()
        node = RoomCamera()
    except (MissingFurnitureError, ValueError) as error:
        get_logger("room_camera").fatal(str(error))
        sys.exit(_REFUSED)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        executor.spin()
