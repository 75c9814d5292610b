"""Serialised ROS messages of a camera as images, calibrations and transforms."""

import struct
from collections.abc import Iterator
from typing import TypeVar, cast

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.poses import pose_from_quaternion
from ovseg3r_core.sequences.ros_images import RawImage, decode_compressed, decode_raw
from ovseg3r_core.sequences.ros_types import (
    CameraInfo,
    CompressedImage,
    Image,
    Odometry,
    Path,
    PoseStamped,
    TFMessage,
    Time,
    typestore,
)

Message = TypeVar("Message", CameraInfo, CompressedImage, Image, Odometry, Path, PoseStamped, TFMessage)


def header_stamp_ns(raw: bytes) -> int:
    """The stamp of a serialised message that begins with a header, without reading the rest of it."""
    if len(raw) < 12:
        raise Rejected("bad_message", f"message of {len(raw)} bytes is shorter than its header")
    sec, nanosec = struct.unpack_from("<iI" if raw[1] & 1 else ">iI", raw, 4)  # CDR: 4 bytes say the byte order
    return sec * 10**9 + nanosec


def read_message(raw: bytes, kind: type[Message]) -> Message:
    """Any message; raises `Rejected("bad_message")` where the bytes do not hold one."""
    try:
        return cast(Message, typestore.deserialize_cdr(raw, kind.__msgtype__))
    except Exception as error:  # truncated bytes raise struct.error, IndexError, UnicodeDecodeError, SerdeError, ...
        detail = f"{kind.__msgtype__} of {len(raw)} bytes cannot be read: {error}"
        raise Rejected("bad_message", detail) from error


def read_image(raw: bytes, *, compressed: bool) -> ndarray:
    """The pixels of an Image or CompressedImage: 8-bit colour, or depth as uint16 or float32."""
    if compressed:
        message = read_message(raw, CompressedImage)
        return decode_compressed(message.format, message.data.tobytes())
    message = read_message(raw, Image)
    return decode_raw(
        RawImage(
            encoding=message.encoding,
            height=message.height,
            width=message.width,
            step=message.step,
            big_endian=bool(message.is_bigendian),
            data=message.data,
        )
    )


def image_kind(raw: bytes, *, compressed: bool) -> tuple[str, str]:
    """(encoding, frame) of an image message; the encoding of a compressed one is its `format`."""
    if compressed:
        message = read_message(raw, CompressedImage)
        return message.format, message.header.frame_id
    message = read_message(raw, Image)
    return message.encoding, message.header.frame_id


def read_camera_info(raw: bytes, *, rectified: bool) -> tuple[Calibration, int, int]:
    """Calibration, width and height of a CameraInfo.

    A rectified image has the intrinsics of P and no distortion; any other one has those of K and the distortion D.
    """
    info = read_message(raw, CameraInfo)
    matrix = info.p.reshape(3, 4) if rectified and info.p[0] > 0 else info.k.reshape(3, 3)
    calibration = Calibration(
        fx=float(matrix[0, 0]),
        fy=float(matrix[1, 1]),
        cx=float(matrix[0, 2]),
        cy=float(matrix[1, 2]),
        distortion=() if rectified else tuple(map(float, info.d)),
        model=info.distortion_model,
    )
    return calibration, info.width, info.height


def read_transforms(raw: bytes) -> Iterator[tuple[str, str, int, Float64[ndarray, "4 4"] | Rejected]]:
    """(parent, child, stamp in ns, T_parent_child) of a TFMessage; a transform that is none comes as `Rejected`."""
    for item in read_message(raw, TFMessage).transforms:
        t, q = item.transform.translation, item.transform.rotation
        try:
            T = pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        except Rejected as rejected:
            T = rejected
        yield item.header.frame_id, item.child_frame_id, time_ns(item.header.stamp), T


def time_ns(time: Time) -> int:
    """A ROS time in nanoseconds."""
    return time.sec * 10**9 + time.nanosec
