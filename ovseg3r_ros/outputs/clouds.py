"""Objects as points: `instance_cloud`, and the clouds in the answers of services."""

import array
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8, UInt32
from numpy import ndarray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from ovseg3r_ros.outputs.labelled_map import LabelledMap, LabelledObject
from ovseg3r_ros.outputs.primitives import header_of

CloudColors = Literal["instance", "camera"]

NO_INSTANCE = -1
_LAYOUT = (
    ("x", "<f4", PointField.FLOAT32),
    ("y", "<f4", PointField.FLOAT32),
    ("z", "<f4", PointField.FLOAT32),
    ("rgb", "<u4", PointField.FLOAT32),  # a packed colour is announced as a float: PCL and RViz expect that
    ("instance", "<i4", PointField.INT32),
    ("label", "<i4", PointField.INT32),
    ("confidence", "<f4", PointField.FLOAT32),
)
POINT = np.dtype([(name, kind) for name, kind, _ in _LAYOUT])
_FIELDS = [
    PointField(name=name, offset=4 * i, datatype=datatype, count=1) for i, (name, _, datatype) in enumerate(_LAYOUT)
]


def instance_cloud(shown: LabelledMap, *, colors: CloudColors = "instance", background: bool = False) -> PointCloud2:
    """The points of all objects that the topics show, object by object as in `instances`.

    Args:
        background: whether the points of no object follow, with instance -1, label 0 and confidence 0.
    """
    return cloud_of(shown, shown.shown, colors=colors, background=background)


def cloud_of(
    shown: LabelledMap, objects: Sequence[LabelledObject], *, colors: CloudColors = "instance", background: bool = False
) -> PointCloud2:
    """The points of these objects, one object after the other: the ranges of `instances.instances_of`."""
    members = np.concatenate([np.zeros(0, np.int64), *(it.points for it in objects)])
    rest = _others(shown, members) if background else np.zeros(0, np.int64)
    index = np.concatenate([members, rest])
    sizes = [*(len(it.points) for it in objects), len(rest)]

    def each_point(values: list[int] | list[float]) -> ndarray:
        return np.repeat(values, sizes)

    points = np.empty(len(index), POINT)
    points["x"], points["y"], points["z"] = shown.snapshot.cloud.xyz[index].T
    points["instance"] = each_point([*(it.record.id for it in objects), NO_INSTANCE])
    points["label"] = each_point([*(it.cloud_label for it in objects), 0])
    points["confidence"] = each_point([*(it.record.score for it in objects), 0.0])
    points["rgb"] = packed_rgb(shown.snapshot.cloud.color[index])
    if colors == "instance":  # the background keeps what the camera saw: it is what tells people where they are
        own = packed_rgb(np.array([it.color for it in objects], np.uint8).reshape(-1, 3))
        points["rgb"][: len(members)] = np.repeat(own, sizes[:-1])
    return _message(header_of(shown.stamp_ns, shown.snapshot.map_frame), points)


def packed_rgb(rgb: UInt8[ndarray, "points 3"]) -> UInt32[ndarray, " points"]:
    """0x00RRGGBB. The high byte stays 0: read as a float such a number is never NaN or infinite."""
    wide = rgb.astype(np.uint32)
    return wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]


def _others(shown: LabelledMap, members: Int64[ndarray, " members"]) -> Int64[ndarray, " others"]:
    others = shown.usable.copy()
    others[members] = False
    return np.flatnonzero(others)


def _message(header: Header, points: ndarray) -> PointCloud2:
    data = array.array("B")
    data.frombytes(points.view(np.uint8).data)  # a list, bytes or an array of numpy takes rclpy up to 500 times longer
    return PointCloud2(
        header=header,
        height=1,
        width=len(points),
        fields=_FIELDS,
        is_bigendian=False,
        point_step=POINT.itemsize,
        row_step=POINT.itemsize * len(points),
        data=data,
        is_dense=True,
    )
