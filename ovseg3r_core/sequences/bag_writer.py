"""Any sequence as a rosbag2 (MCAP) that reads back as the same frames and plays to a robot's nodes."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer

from ovseg3r_core.checks import Rejected, check_depth
from ovseg3r_core.sequences.bag_messages import time_ns
from ovseg3r_core.sequences.poses import quaternion_of
from ovseg3r_core.sequences.ros_types import (
    CameraInfo,
    Header,
    Image,
    Quaternion,
    RegionOfInterest,
    TFMessage,
    Time,
    Transform,
    TransformStamped,
    Vector3,
    typestore,
)
from ovseg3r_core.sequences.sequence import Sequence
from ovseg3r_core.types import Camera, Frame

_MAP, _OPTICAL, _BODY = "map", "camera_color_optical_frame", "camera_link"
_COLOR, _DEPTH = "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw"
_INFO, _TF, _TF_STATIC = "/camera/color/camera_info", "/tf", "/tf_static"
_FOREVER = QosTime(2147483647, 4294967295)
_LATCHED = Qos(  # what tf2 offers on /tf_static: a node that starts later still gets it
    QosHistory.KEEP_LAST,
    1,
    QosReliability.RELIABLE,
    QosDurability.TRANSIENT_LOCAL,
    _FOREVER,
    _FOREVER,
    QosLiveliness.AUTOMATIC,
    _FOREVER,
    False,
)
_T_OPTICAL_BODY = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])  # REP-103: body x forward

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class WrittenBag:
    """What went into a bag."""

    frames: int
    rejected: dict[str, int]
    """Frames of the sequence that could not be read, by reason."""


def write_bag(sequence: Sequence, path: Path) -> WrittenBag:
    """Write a sequence as a bag folder, whole or not at all.

    Depth goes as 16UC1 millimetres where that loses nothing, else as 32FC1 metres.

    Raises:
        FileExistsError: something is at `path` already.
        ValueError: the sequence has no frame that can be read.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists already; give another place or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".bag-", dir=path.parent) as folder:
        written = _write(sequence, Path(folder) / path.name)
        (Path(folder) / path.name).rename(path)
    return written


def _write(sequence: Sequence, path: Path) -> WrittenBag:
    frames, rejected = 0, Counter[str]()
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kinds = {_COLOR: Image, _DEPTH: Image, _INFO: CameraInfo, _TF: TFMessage, _TF_STATIC: TFMessage}
        topics = {
            name: writer.add_connection(
                name,
                kind.__msgtype__,
                typestore=typestore,
                offered_qos_profiles=[_LATCHED] if name == _TF_STATIC else [],
            )
            for name, kind in kinds.items()
        }
        for item in sequence.read():
            if isinstance(item, Rejected):
                logger.warning("not written: %s", item)
                rejected[item.reason] += 1
                continue
            stamp = _time(item.stamp_s)
            for name, message in _messages(item, stamp, first=frames == 0):
                writer.write(topics[name], time_ns(stamp), typestore.serialize_cdr(message, message.__msgtype__))
            frames += 1
    if frames == 0:
        raise ValueError(f"{sequence.name}: no frame can be read ({dict(rejected)})")
    return WrittenBag(frames=frames, rejected=dict(rejected))


def _messages(frame: Frame, stamp: Time, *, first: bool) -> list[tuple[str, Image | CameraInfo | TFMessage]]:
    """(topic, message) of one frame, the pose before the images that need it."""
    header = Header(stamp, _OPTICAL)
    messages: list[tuple[str, Image | CameraInfo | TFMessage]] = [
        (_TF, _transform(Header(stamp, _MAP), _OPTICAL, frame.T_map_camera)),
        (_INFO, _camera_info(header, frame.camera)),
        (_COLOR, _image(header, "rgb8", frame.color)),
        (_DEPTH, _depth_image(header, frame.depth_m)),
    ]
    return [(_TF_STATIC, _transform(header, _BODY, _T_OPTICAL_BODY)), *messages] if first else messages


def _time(stamp_s: float) -> Time:
    """A stamp to the nanosecond; one that was of whole nanoseconds reads back as the same float."""
    sec = int(stamp_s // 1)
    nanosec = round((stamp_s - sec) * 1e9)  # the difference is exact: no digit is lost to the seconds
    return Time(sec=sec + nanosec // 10**9, nanosec=nanosec % 10**9)


def _image(header: Header, encoding: str, pixels: ndarray) -> Image:
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    height, width = pixels.shape[:2]
    return Image(header, height, width, encoding, is_bigendian=0, step=len(data) // height, data=data)


def _depth_image(header: Header, depth_m: Float32[ndarray, "height width"]) -> Image:
    depth_mm = np.round(depth_m * 1000).clip(0, 65535).astype(np.uint16)
    if np.array_equal(check_depth(depth_mm), depth_m):
        return _image(header, "16UC1", depth_mm)
    return _image(header, "32FC1", depth_m)


def _camera_info(header: Header, camera: Camera) -> CameraInfo:
    return CameraInfo(
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=camera.K.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([camera.K, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=RegionOfInterest(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
    )


def _transform(header: Header, child: str, T_parent_child: Float64[ndarray, "4 4"]) -> TFMessage:
    transform = Transform(
        translation=Vector3(*map(float, T_parent_child[:3, 3])),
        rotation=Quaternion(*map(float, quaternion_of(T_parent_child))),
    )
    return TFMessage([TransformStamped(header, child, transform)])
