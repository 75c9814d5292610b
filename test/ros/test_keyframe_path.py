"""The paths of a SLAM system, from their bytes; what is none is refused with its reason."""

import numpy as np
import pytest
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from harness_messages import time_of
from nav_msgs.msg import Path
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from ovseg3r_core.checks import Rejected
from ovseg3r_ros.inputs.pose_messages import read_path

UPSIDE_DOWN = Quaternion(x=1.0, y=0.0, z=0.0, w=0.0)


def at(stamp_ns: int, x: float, frame: str = "map", turn: Quaternion | None = None) -> PoseStamped:
    header = Header(stamp=time_of(stamp_ns), frame_id=frame)
    return PoseStamped(header=header, pose=Pose(position=Point(x=x), orientation=turn or Quaternion(w=1.0)))


def path(*poses: PoseStamped, frame: str = "map") -> bytes:
    return bytes(serialize_message(Path(header=Header(frame_id=frame), poses=list(poses))))


def test_a_path_is_its_poses_by_stamp():
    frame, poses = read_path(path(at(1_500_000_000, 1.0), at(2_250_000_000, 2.0, turn=UPSIDE_DOWN), frame="/map"))
    assert frame == "map"
    assert list(poses) == [1.5, 2.25]
    np.testing.assert_allclose(poses[1.5][:3, 3], (1, 0, 0))
    np.testing.assert_allclose(poses[2.25][:3, :3], np.diag([1, -1, -1]), atol=1e-12)


def test_poses_may_leave_their_frame_to_the_path():
    assert list(read_path(path(at(10**9, 0.0, frame="")))[1]) == [1.0]


def test_an_empty_path_has_no_pose():
    assert read_path(path()) == ("map", {})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (path(at(0, 1.0)), "zero_stamp"),
        (path(at(10**9, 1.0, frame="odom")), "other_frame"),
        (path(at(10**9, np.nan)), "bad_pose"),
        (path(at(10**9, 1.0, turn=Quaternion(w=2.0))), "bad_pose"),
        (path(at(10**9, 1.0))[:-20], "bad_message"),
        (b"", "bad_message"),
    ],
    ids=["no time", "two frames", "not finite", "no rotation", "cut short", "no bytes"],
)
def test_paths_that_are_none_are_refused(raw, reason):
    with pytest.raises(Rejected) as refused:
        read_path(raw)
    assert refused.value.reason == reason
