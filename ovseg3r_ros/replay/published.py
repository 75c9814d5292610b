"""The node's messages back into the core's types."""

import math

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import PointCloud2

from ovseg3r_core.types import Box, ObjectRecord
from ovseg3r_ros.msg import ObjectInstance
from ovseg3r_ros.replay.recording import PublishedCloud


def stamp_ns(time: Time) -> int:
    """A ROS time in nanoseconds."""
    return time.sec * 10**9 + time.nanosec


def record_of(message: ObjectInstance) -> ObjectRecord:
    """An object of `instances`."""
    pose, size = message.bbox.center, message.bbox.size
    place, turn = pose.position, pose.orientation
    return ObjectRecord(
        id=message.id,
        label=message.label,
        score=message.confidence,
        centre=(message.centroid.x, message.centroid.y, message.centroid.z),
        box=Box(centre=(place.x, place.y, place.z), size=(size.x, size.y, size.z), yaw=2 * math.atan2(turn.z, turn.w)),
        points=message.cloud_size,
        observations=message.observations,
        first_seen=stamp_ns(message.first_seen) / 1e9,
        last_seen=stamp_ns(message.last_seen) / 1e9,
        state=message.state,
    )


def cloud_of(message: PointCloud2) -> PublishedCloud:
    """The points of `instance_cloud`; raises ValueError where it lacks x, y, z or instance."""
    offsets = {field.name: field.offset for field in message.fields}
    wanted = {"x": "<f4", "y": "<f4", "z": "<f4", "instance": "<i4"}
    if missing := wanted.keys() - offsets:
        raise ValueError(f"the cloud has no {', '.join(sorted(missing))}; it has {', '.join(offsets)}")
    kind = np.dtype(
        {
            "names": list(wanted),
            "formats": list(wanted.values()),
            "offsets": [offsets[name] for name in wanted],
            "itemsize": message.point_step,
        }
    )
    points = np.frombuffer(message.data, kind, count=message.width * message.height)
    xyz = np.stack([points[axis] for axis in "xyz"], axis=-1)
    return PublishedCloud(xyz=xyz, instance=points["instance"].astype(np.int32))
