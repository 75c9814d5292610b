"""Objects as our own messages: `instances`, and the objects in the answers of services."""

from collections.abc import Sequence

from ovseg3r_ros.msg import ObjectInstance, ObjectInstanceArray
from ovseg3r_ros.outputs.labelled_map import LabelledMap, LabelledObject
from ovseg3r_ros.outputs.primitives import bounding_box, header_of, point_of, time_of_seconds


def instance_array(shown: LabelledMap) -> ObjectInstanceArray:
    """All objects that the topics show, with their ranges in the `instance_cloud` of the same stamp."""
    return ObjectInstanceArray(
        header=header_of(shown.stamp_ns, shown.snapshot.map_frame),
        revision=shown.revision,
        instances=instances_of(shown.shown),
    )


def instances_of(objects: Sequence[LabelledObject], *, with_cloud: bool = True) -> list[ObjectInstance]:
    """The objects in their order, with their ranges in the cloud of the same objects (`clouds.cloud_of`).

    Args:
        with_cloud: False where no cloud goes with them; the ranges are then empty.
    """
    instances, begin = [], 0
    for it in objects:
        size = len(it.points) if with_cloud else 0
        instances.append(_instance(it, begin, size))
        begin += size
    return instances


def _instance(it: LabelledObject, cloud_begin: int, cloud_size: int) -> ObjectInstance:
    record = it.record
    return ObjectInstance(
        id=record.id,
        label=record.label,
        class_id=it.class_id,
        confidence=float(record.score),
        state=record.state,
        queries=[found.asked.text for found in it.queries],
        centroid=point_of(record.centre),
        bbox=bounding_box(record.box),
        observations=record.observations,
        first_seen=time_of_seconds(record.first_seen),
        last_seen=time_of_seconds(record.last_seen),
        cloud_begin=cloud_begin,
        cloud_size=cloud_size,
    )
