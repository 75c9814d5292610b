"""Messages of the map as what the scene draws."""

import math

import numpy as np
from jaxtyping import Float32, Int32, UInt8
from numpy import ndarray
from sensor_msgs.msg import PointCloud2

from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.types import Box
from ovseg3r_ros.msg import ObjectInstance
from ovseg3r_ros.viewer.scene import ShownObject

_FIELDS = {"x": "<f4", "y": "<f4", "z": "<f4", "rgb": "<u4", "instance": "<i4"}


def points_of(
    cloud: PointCloud2,
) -> tuple[Float32[ndarray, "points 3"], UInt8[ndarray, "points 3"], Int32[ndarray, " points"]]:
    """Positions, colours and instances of an `instance_cloud`.

    Raises:
        ValueError: the cloud lacks a field.
    """
    offsets = {field.name: field.offset for field in cloud.fields}
    missing = sorted(_FIELDS.keys() - offsets.keys())
    if missing:
        raise ValueError(f"the cloud has no {', '.join(missing)}; it has {', '.join(offsets)}")
    names, formats = list(_FIELDS), list(_FIELDS.values())
    layout = {"names": names, "formats": formats, "offsets": [offsets[name] for name in names]}
    points = np.frombuffer(cloud.data, np.dtype(layout | {"itemsize": cloud.point_step}))  # pyright: ignore
    packed = points["rgb"].astype("<u4").view(np.uint8).reshape(-1, 4)  # blue, green, red, nothing
    xyz = np.stack([points["x"], points["y"], points["z"]], axis=-1)
    return xyz.astype(np.float32), packed[:, [2, 1, 0]], points["instance"].astype(np.int32)


def object_of(instance: ObjectInstance) -> ShownObject:
    """An object as it is drawn."""
    pose, size = instance.bbox.center, instance.bbox.size
    centre = (pose.position.x, pose.position.y, pose.position.z)
    yaw = 2 * math.atan2(pose.orientation.z, pose.orientation.w)
    return ShownObject(
        id=instance.id,
        name=None if instance.label == UNNAMED else instance.label,
        confidence=instance.confidence,
        box=Box(centre=centre, size=(size.x, size.y, size.z), yaw=yaw),
        queries=tuple(instance.queries),
    )
