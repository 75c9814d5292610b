"""Serialised messages that give the pose of one body."""

from dataclasses import dataclass

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.sequences.bag_messages import read_message, time_ns
from ovseg3r_core.sequences.poses import pose_from_quaternion
from ovseg3r_core.sequences.ros_types import Header, Odometry, Pose, PoseStamped


@dataclass(frozen=True, kw_only=True)
class BodyPose:
    """Where a body was at a time."""

    stamp_ns: int
    frame_id: str
    """What the pose is given in."""
    child_frame_id: str
    """The body; empty where the message does not say."""
    T_frame_body: Float64[ndarray, "4 4"]


def read_odometry(raw: bytes) -> BodyPose:
    """The pose of a nav_msgs/Odometry; raises `Rejected` with `bad_message` or `bad_pose`."""
    message = read_message(raw, Odometry)
    return _body_pose(message.header, message.child_frame_id, message.pose.pose)


def read_pose_stamped(raw: bytes) -> BodyPose:
    """The pose of a geometry_msgs/PoseStamped; raises `Rejected` with `bad_message` or `bad_pose`."""
    message = read_message(raw, PoseStamped)
    return _body_pose(message.header, "", message.pose)


def _body_pose(header: Header, child_frame_id: str, pose: Pose) -> BodyPose:
    t, q = pose.position, pose.orientation
    return BodyPose(
        stamp_ns=time_ns(header.stamp),
        frame_id=header.frame_id.lstrip("/"),
        child_frame_id=child_frame_id.lstrip("/"),
        T_frame_body=pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)),
    )
