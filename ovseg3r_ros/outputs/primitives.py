"""The small messages that the large ones are made of."""

import math

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import BoundingBox3D

from ovseg3r_core.types import Box
from ovseg3r_ros.outputs.colors import Rgb

NS = 1_000_000_000


def time_of(stamp_ns: int) -> Time:
    """Nanoseconds since the epoch of the clock in use."""
    return Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)


def time_of_seconds(stamp_s: float) -> Time:
    """Seconds since the epoch of the clock in use, to the microsecond that a float holds of today's date."""
    return time_of(round(stamp_s * 1e6) * 1000)


def header_of(stamp_ns: int, frame_id: str) -> Header:
    """A header."""
    return Header(stamp=time_of(stamp_ns), frame_id=frame_id)


def point_of(xyz: tuple[float, float, float]) -> Point:
    """Metres."""
    return Point(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def pose_of(box: Box) -> Pose:
    """The middle of an upright box and its heading."""
    turn = Quaternion(x=0.0, y=0.0, z=math.sin(box.yaw / 2), w=math.cos(box.yaw / 2))
    return Pose(position=point_of(box.centre), orientation=turn)


def bounding_box(box: Box) -> BoundingBox3D:
    """An upright box."""
    x, y, z = box.size
    return BoundingBox3D(center=pose_of(box), size=Vector3(x=float(x), y=float(y), z=float(z)))


def color_of(rgb: Rgb, alpha: float = 1.0) -> ColorRGBA:
    """A colour of 0..255 as one of 0..1."""
    red, green, blue = (channel / 255 for channel in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)
