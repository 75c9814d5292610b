"""ROS messages of frames, made as a camera driver makes them."""

import array
from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Transform, TransformStamped, Vector3
from jaxtyping import Float64, Shaped
from nav_msgs.msg import Path
from numpy import ndarray
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ovseg3r_core.sequences.poses import quaternion_of
from ovseg3r_core.types import Camera


def time_of(stamp_ns: int) -> Time:
    return Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


def bytes_of(pixels: ndarray) -> array.array:
    """The only type whose bytes rclpy takes over whole; anything else it checks byte by byte."""
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(pixels)).cast("B"))
    return data


def image_message(header: Header, encoding: str, pixels: Shaped[ndarray, "height width *channels"]) -> Image:
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding)
    message.step, message.data = pixels.nbytes // height, bytes_of(pixels)
    return message


def camera_info_message(header: Header, camera: Camera) -> CameraInfo:
    K = camera.K
    return CameraInfo(
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=K.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([K, np.zeros((3, 1))]).ravel(),
    )


def path_message(poses: Mapping[int, Float64[ndarray, "4 4"]], frame: str = "map") -> Path:
    """What a SLAM system says of its keyframes: their poses by stamp, ns."""
    message = Path(header=Header(frame_id=frame))
    for stamp_ns, T in poses.items():
        x, y, z, w = map(float, quaternion_of(T))
        at = Point(**dict(zip("xyz", T[:3, 3].tolist(), strict=True)))
        pose = Pose(position=at, orientation=Quaternion(x=x, y=y, z=z, w=w))
        message.poses.append(PoseStamped(header=Header(stamp=time_of(stamp_ns), frame_id=frame), pose=pose))
    return message


def transform_message(header: Header, child: str, T_parent_child: Float64[ndarray, "4 4"]) -> TFMessage:
    x, y, z = map(float, T_parent_child[:3, 3])
    qx, qy, qz, qw = map(float, quaternion_of(T_parent_child))
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return TFMessage(transforms=[TransformStamped(header=header, child_frame_id=child, transform=transform)])
