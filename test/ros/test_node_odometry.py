"""A robot that nobody localises: the node finds its way by sight, tells it, and stops mapping when it is lost."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from harness_camera import THINGS, ScriptedCamera, Shot, there_and_back
from harness_perception import ACTIVATE, DEACTIVATE, Perception, values_of
from harness_robot import Robot
from nav_msgs.msg import Odometry
from speckled import CAMERA, round_the_room, shoot
from tf2_msgs.msg import TFMessage

from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.sequences.poses import pose_from_quaternion

STALE_S = 2.0


def walk() -> tuple[Shot, ...]:
    """Round the speckled room, and back again."""
    return there_and_back([shoot(T) for T in round_the_room(40)])


def blank() -> Shot:
    """A blank wall: grey, and one distance everywhere."""
    size = (CAMERA.height, CAMERA.width)
    grey = np.full((*size, 3), 128, np.uint8)
    return Shot(color=grey, depth_mm=np.full(size, 1500, np.uint16), camera=CAMERA, T_map_camera=np.eye(4))


class Withheld:
    """A fault of /tf: nothing comes, and what would have come is kept as the truth."""

    def __init__(self) -> None:
        self.poses: dict[int, np.ndarray] = {}

    def __call__(self, message: TFMessage, now_s: float) -> list[TFMessage]:
        self.poses.update(poses_of(message, "map"))
        return []


def poses_of(message: TFMessage, parent: str) -> dict[int, np.ndarray]:
    found = {}
    for it in message.transforms:
        assert it.header.frame_id == parent and it.child_frame_id == "camera_optical_frame"
        found[ns(it.header.stamp)] = rigid(it.transform.translation, it.transform.rotation)
    return found


def ns(stamp) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def rigid(t, q) -> np.ndarray:
    return pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


@pytest.fixture(scope="module")
def withheld() -> Withheld:
    return Withheld()


@pytest.fixture(scope="module")
def camera(shared_robot: Robot, withheld: Withheld) -> Iterator[ScriptedCamera]:
    """A camera whose robot publishes no transforms, running at 4 Hz."""
    camera = shared_robot.camera(walk())
    camera.fault(withheld, "tf")
    yield camera


@pytest.fixture(scope="module")
def node(shared_robot: Robot, camera: ScriptedCamera) -> Perception:
    settings = {"poses": "odometry", "stale_after_s": STALE_S, "odometry_queue": 4}
    node = shared_robot.perception(settings, arguments=["--painted"])
    camera.wait_until_heard("color", "depth", "info")
    return node


def wait_for_poses(node: Perception, what: str, fits: Callable[[DiagnosticStatus], bool]) -> DiagnosticStatus:
    return node.wait_for_status(what, fits, name=": poses", timeout_s=60.0)


def level_of(status: DiagnosticStatus) -> int:
    return int.from_bytes(status.level, "little")


def test_without_tf_objects_appear_and_the_robot_is_told_where_it_is(
    node: Perception, camera: ScriptedCamera, withheld: Withheld
):
    tf = node.client.listen(TFMessage, "/tf")
    told = node.client.listen(Odometry, "/odometry")
    with camera.run(rate_hz=4.0):
        node.wait_for_objects(THINGS, timeout_s=90.0)
        node.client.until(lambda: len(tf.messages) >= 40, "40 poses", timeout_s=90.0)
    found = {stamp: T for message in tf.messages for stamp, T in poses_of(message, "map").items()}
    error = trajectory_error(found, withheld.poses)
    assert error and error.frames >= 40 and error.ate_m < 0.03 and error.rpe_rad < 0.02
    stamp = min(found.keys() & withheld.poses.keys())
    up = (found[stamp] @ np.linalg.inv(withheld.poses[stamp]))[:3, 2]
    assert up[2] > np.cos(np.deg2rad(5))  # z of the room is z of the map
    by_topic = {ns(it.header.stamp): rigid(it.pose.pose.position, it.pose.pose.orientation) for it in told.messages}
    common = sorted(by_topic.keys() & found.keys())
    assert common and all(it.child_frame_id == "camera_optical_frame" for it in told.messages)
    np.testing.assert_allclose(by_topic[common[0]], found[common[0]], atol=1e-9)
    status = wait_for_poses(node, "poses", lambda it: level_of(it) == 0)
    assert "odometry places" in status.message and int(values_of(status)["odometry: placed"]) >= 40


def test_a_blind_camera_is_lost_maps_nothing_and_is_found_again(node: Perception, camera: ScriptedCamera):
    camera.show([blank()])
    with camera.run(rate_hz=4.0):
        wait_for_poses(node, "a warning", lambda it: level_of(it) >= 1 and it.message.startswith("lost for "))
        fused = node.counts()["fused"]
        status = wait_for_poses(node, "an error", lambda it: level_of(it) == 2)
        assert "nothing is mapped meanwhile: bring the camera back to where it was" in status.message
        assert float(values_of(status)["odometry: lost for [s]"]) >= STALE_S
        assert node.counts()["fused"] == fused and node.drops()["lost"] >= 2
        camera.show(walk())
        wait_for_poses(node, "the way back", lambda it: level_of(it) == 0)
        node.wait_for_more_keyframes(1, timeout_s=60.0)
    node.wait_until_settled()
    node.objects()  # two of a name would be a mistake


def test_a_node_that_rested_finds_its_map_again(node: Perception, camera: ScriptedCamera):
    before = {label: it.centroid for label, it in node.objects().items()}
    assert node.change(DEACTIVATE) and node.change(ACTIVATE)
    camera.show(walk()[20:])
    with camera.run(rate_hz=4.0):
        node.wait_for_more_keyframes(1, timeout_s=60.0)
    node.wait_until_settled()
    after = node.objects()
    assert set(before) <= set(after)
    for label, was in before.items():
        now = after[label].centroid
        assert np.linalg.norm([now.x - was.x, now.y - was.y, now.z - was.z]) < 0.1


def test_another_runs_map_is_refused_and_a_reset_begins_a_new_one(node: Perception, camera: ScriptedCamera):
    assert node.save_map("mine").success
    refused = node.load_map("mine")
    assert not refused.success and "which odometry chose" in refused.message
    assert node.reset_map().success
    assert len(node.list_objects().objects) == 0
    with camera.run(rate_hz=4.0):
        node.wait_for_more_keyframes(2, timeout_s=60.0)
        status = wait_for_poses(node, "poses", lambda it: level_of(it) == 0)
    assert int(values_of(status)["odometry: keyframes"]) >= 1
