"""Objects as every ROS package that takes 3D detections knows them: `detections`."""

from geometry_msgs.msg import PoseWithCovariance
from std_msgs.msg import Header
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesis, ObjectHypothesisWithPose

from ovseg3r_ros.outputs.labelled_map import LabelledMap, LabelledObject
from ovseg3r_ros.outputs.primitives import bounding_box, header_of, pose_of


def detection_array(shown: LabelledMap) -> Detection3DArray:
    """The objects that the topics show, by id: the id as text, the name as class, the confidence as score."""
    header = header_of(shown.stamp_ns, shown.snapshot.map_frame)
    return Detection3DArray(header=header, detections=[_detection(it, header) for it in shown.shown])


def _detection(it: LabelledObject, header: Header) -> Detection3D:
    record = it.record
    hypothesis = ObjectHypothesisWithPose(
        hypothesis=ObjectHypothesis(class_id=record.label, score=float(record.score)),
        pose=PoseWithCovariance(pose=pose_of(record.box)),  # covariance 0: not known, as REP-103's messages have it
    )
    return Detection3D(header=header, results=[hypothesis], bbox=bounding_box(record.box), id=str(record.id))
