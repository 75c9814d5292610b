"""Poses are believed only where they are known, and follow one another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.poses import pose_from_quaternion
from ovseg3r_core.sequences.tf_buffer import TfBuffer
from ovseg3r_ros.inputs.body_poses import BodyPoses
from ovseg3r_ros.inputs.pose_guard import PoseGuard
from ovseg3r_ros.inputs.pose_messages import BodyPose
from ovseg3r_ros.inputs.pose_source import PoseNotYet
from ovseg3r_ros.inputs.waiting import WaitingRoom

MS = 10**6
SECOND = 10**9


def at(x: float, yaw: float = 0.0) -> np.ndarray:
    return pose_from_quaternion((float(x), 0.0, 0.0), (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))


def guard(proving_frames: int = 3) -> PoseGuard:
    return PoseGuard(max_speed_mps=2.0, max_turn_radps=3.0, proving_frames=proving_frames)


def verdicts(it: PoseGuard, *poses: np.ndarray, start_ms: int = 0) -> list[str]:
    """What becomes of one pose every 100 ms: "" where it passes, else the reason."""
    found = []
    for number, pose in enumerate(poses):
        try:
            it.check((start_ms + 100 * number) * MS, pose)
            found.append("")
        except Rejected as why:
            found.append(why.reason)
    return found


def test_the_start_is_proven_by_poses_that_agree():
    assert verdicts(guard(), at(0), at(0.1), at(0.2), at(0.3)) == ["not_ready", "not_ready", "", ""]


def test_a_start_that_flickers_proves_nothing():
    assert verdicts(guard(), at(0), at(5), at(0), at(5)) == ["not_ready"] * 4


def test_a_new_place_is_believed_when_frames_agree_on_it():
    it = guard()
    places = verdicts(it, at(0), at(0), at(0), at(1), at(1.1), at(1.2), at(1.3))
    assert places == ["not_ready", "not_ready", "", "pose_jump", "pose_jump", "", ""]
    assert it.relocations == 1


def test_a_small_jump_does_not_pass_by_waiting():
    """At 2 m/s a jump of 0.3 m could be driven in 150 ms, but the second frame after it stands still."""
    it = guard()
    assert verdicts(it, at(0), at(0), at(0), at(0.3), at(0.3), at(0.3))[3:] == ["pose_jump", "pose_jump", ""]
    assert it.relocations == 1


def test_a_turn_in_place_is_a_jump_too():
    assert verdicts(guard(), at(0), at(0), at(0), at(0, yaw=1.0))[-1] == "pose_jump"


def test_a_glitch_costs_one_frame():
    it = guard()
    assert verdicts(it, at(0), at(0), at(0), at(9), at(0.1), at(0.2))[3:] == ["pose_jump", "", ""]
    assert it.relocations == 0


def test_reset_asks_for_a_new_proof_that_is_no_relocation():
    it = guard()
    verdicts(it, at(0), at(0), at(0))
    it.reset()
    assert verdicts(it, at(9), at(9), at(9)) == ["not_ready", "not_ready", ""]
    assert it.relocations == 0


@given(st.lists(st.floats(-1.9, 1.9), min_size=5, max_size=40))
def test_a_camera_within_its_limits_always_passes(speeds: list[float]):
    places = np.cumsum(speeds) * 0.1
    assert set(verdicts(guard(1), *(at(float(place)) for place in places))) == {""}


def test_what_still_can_come_is_waited_for_and_what_never_will_is_not():
    room: WaitingRoom[str] = WaitingRoom(wait_s=0.5, limit=10)
    known_ns = 0

    def pose_of(stamp_ns: int, _: str) -> np.ndarray:
        if stamp_ns > known_ns:
            raise PoseNotYet("newer than known")
        if stamp_ns == 20:
            raise Rejected("no_pose", "in a gap")
        return at(0)

    for stamp_ns in (10, 20, 30):
        room.add(stamp_ns, now_ns=0, item=f"frame {stamp_ns}")
    assert list(room.leave(0, pose_of)) == []
    assert room.waits_for is not None
    known_ns = 20
    outcomes = [(item, type(outcome)) for _, item, outcome in room.leave(100 * MS, pose_of)]
    assert outcomes == [("frame 10", np.ndarray), ("frame 20", Rejected)]
    ((_, item, outcome),) = room.leave(500 * MS, pose_of)
    assert (item, outcome.reason, len(room)) == ("frame 30", "no_pose", 0)
    assert "waited 0.50 s" in str(outcome)


def test_more_than_the_limit_do_not_wait():
    room: WaitingRoom[int] = WaitingRoom(wait_s=5.0, limit=3)

    def never(stamp_ns: int, _: int) -> np.ndarray:
        raise PoseNotYet("nothing has come")

    left = []
    for stamp_ns in range(5):
        room.add(stamp_ns, 0, stamp_ns)
        left += [item for _, item, _ in room.leave(0, never)]
    assert left == [0, 1]


def body(**changes: object) -> BodyPoses:
    tree = TfBuffer(max_gap_s=0.5)
    tree.insert("base_link", "camera", 0, at(0.5), fixed=True)
    tree.insert("map", "odom", 0, at(10), fixed=True)
    given = {"topic": "/odometry", "map_frame": "odom", "camera_in_body": (), "max_gap_s": 0.5, "lookup": tree.lookup}
    return BodyPoses(**(given | changes))  # type: ignore[arg-type]


def drive(it: BodyPoses, *stamps_ms: int, frame_id: str = "odom", child: str = "base_link") -> BodyPoses:
    """The body goes 1 m/s along x."""
    for stamp in stamps_ms:
        pose = BodyPose(stamp_ns=stamp * MS, frame_id=frame_id, child_frame_id=child, T_frame_body=at(stamp / 1000))
        it.insert(pose)
    return it


def test_odometry_is_interpolated_and_taken_to_the_camera():
    it = drive(body(), 1000, 1200)
    np.testing.assert_allclose(it.T_map_camera("camera", 1100 * MS), at(1.1 + 0.5), atol=1e-9)


def test_odometry_in_another_frame_goes_through_the_transforms():
    it = drive(body(map_frame="map"), 1000)
    np.testing.assert_allclose(it.T_map_camera("camera", SECOND), at(10 + 1 + 0.5), atol=1e-9)


def test_the_camera_in_the_body_may_be_given():
    it = drive(body(camera_in_body=(0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 1.0)), 1000)
    np.testing.assert_allclose(it.T_map_camera("any", SECOND)[:3, 3], (1, 0, 2))


def test_a_pose_without_body_is_that_of_the_camera():
    it = drive(body(), 1000, child="")
    np.testing.assert_allclose(it.T_map_camera("any", SECOND), at(1))


def test_newer_than_known_is_worth_waiting_for():
    it = body()
    for stamp_ms in (1000, 1300):
        with pytest.raises(PoseNotYet):
            it.T_map_camera("camera", stamp_ms * MS)
        drive(it, 1200)


@pytest.mark.parametrize("stamp_ms", [900, 1500], ids=["older than known", "in a gap"])
def test_a_pose_that_never_comes_is_not_waited_for(stamp_ms: int):
    it = drive(body(), 1000, 2000)
    with pytest.raises(Rejected, match="/odometry") as refusal:
        it.T_map_camera("camera", stamp_ms * MS)
    assert (type(refusal.value), refusal.value.reason) == (Rejected, "no_pose")


def test_odometry_in_an_unknown_frame_says_what_to_do():
    it = drive(body(map_frame="map"), 1000, frame_id="somewhere")
    with pytest.raises(Rejected, match="is given in 'somewhere', not in map_frame 'map': set map_frame, or publish"):
        it.T_map_camera("camera", SECOND)


def test_odometry_without_a_frame_is_refused():
    with pytest.raises(Rejected, match="has no frame_id"):
        drive(body(), 1000, frame_id="")


def test_another_body_starts_anew():
    it = drive(drive(body(), 1000), 1200, child="other")
    with pytest.raises(Rejected, match=r"cover 1\.200 to 1\.200"):
        it.T_map_camera("camera", 1100 * MS)


def test_the_tree_forgets_what_moves_and_keeps_what_is_fixed():
    tree = TfBuffer()
    tree.insert("map", "base", 5 * SECOND, at(1))
    tree.insert("base", "camera", 0, at(0.5), fixed=True)
    tree.forget_moving()
    np.testing.assert_array_equal(tree.lookup("base", "camera", SECOND), at(0.5))
    with pytest.raises(Rejected, match="no transform connects"):
        tree.lookup("map", "camera", 5 * SECOND)
    tree.insert("map", "base", SECOND, at(2))
    np.testing.assert_allclose(tree.lookup("map", "camera", SECOND), at(2.5))


def test_the_tree_knows_how_far_two_frames_are_known():
    tree = TfBuffer()
    tree.insert("map", "base", 5 * SECOND, at(0))
    tree.insert("map", "base", 6 * SECOND, at(1))
    tree.insert("base", "camera", 4 * SECOND, at(1))
    tree.insert("camera", "lens", 0, at(0), fixed=True)
    assert tree.newest_ns("map", "lens") == 4 * SECOND
    assert tree.newest_ns("map", "base") == 6 * SECOND
    assert tree.newest_ns("camera", "lens") is None
    with pytest.raises(Rejected, match="no transform connects"):
        tree.newest_ns("map", "moon")
