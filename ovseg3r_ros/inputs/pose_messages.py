"""Serialised messages that give poses: of one body, or of all keyframes of a SLAM system."""

from dataclasses import dataclass

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.bag_messages import read_message, time_ns
from ovseg3r_core.sequences.poses import pose_from_quaternion
from ovseg3r_core.sequences.ros_types import Header, Odometry, Path, Pose, PoseStamped


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


MOST_KEYFRAMES = 100_000


def read_path(raw: bytes) -> tuple[str, dict[float, Float64[ndarray, "4 4"]]]:
    """The frame of a nav_msgs/Path, and its poses by stamp in seconds; of two with one stamp the later in the list.

    Raises:
        Rejected: `bad_message`, `bad_pose`, `zero_stamp` where a pose has no time, `other_frame` where the poses are in
            several frames, or `too_long`.
    """
    message = read_message(raw, Path)
    frame = message.header.frame_id.lstrip("/")
    if len(message.poses) > MOST_KEYFRAMES:
        raise Rejected("too_long", f"a path of {len(message.poses)} poses: at most {MOST_KEYFRAMES} are taken")
    poses = {}
    for item in message.poses:
        pose = _body_pose(item.header, "", item.pose)
        if pose.stamp_ns <= 0:
            raise Rejected("zero_stamp", "a pose of the path has no stamp: give each the stamp of its keyframe")
        if pose.frame_id not in ("", frame):
            raise Rejected(
                "other_frame", f"a path in {frame!r} with a pose in {pose.frame_id!r}: give all in one frame"
            )
        poses[pose.stamp_ns / 1e9] = pose.T_frame_body
    return frame, poses


def _body_pose(header: Header, child_frame_id: str, pose: Pose) -> BodyPose:
    t, q = pose.position, pose.orientation
    return BodyPose(
        stamp_ns=time_ns(header.stamp),
        frame_id=header.frame_id.lstrip("/"),
        child_frame_id=child_frame_id.lstrip("/"),
        T_frame_body=pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)),
    )
