"""A SLAM system says on `keyframe_poses` that its keyframes are elsewhere, and the map of the node follows."""

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from harness_camera import THINGS, WallClock
from harness_messages import path_message
from harness_perception import Perception, ids_of, values_of
from harness_robot import Robot
from nav_msgs.msg import Path
from rclpy.publisher import Publisher
from scipy.spatial.transform import Rotation

from ovseg3r_core.geometry import transform
from ovseg3r_ros.latched import latched
from ovseg3r_ros.msg import ObjectInstance

VOXEL_M = 0.02
ENOUGH = 14  # frames; after four of them the cup has hardly more points than an object must have


class RecordedClock(WallClock):
    """Remembers the stamps it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def stamp_ns(self) -> int:
        self.given.append(super().stamp_ns())
        return self.given[-1]


@pytest.fixture(scope="module")
def clock() -> RecordedClock:
    return RecordedClock()


@pytest.fixture(scope="module")
def before(shared_robot: Robot, clock: RecordedClock) -> tuple[Perception, dict[str, ObjectInstance]]:
    """A node that has mapped the scene and rests, and its objects."""
    node, camera = shared_robot.perception(), shared_robot.camera(clock=clock)
    camera.wait_until_heard()
    with camera.run(4.0):
        node.wait_for_objects(THINGS)
        node.client.until(lambda: len(clock.given) >= ENOUGH, "frames that show the cup well")
    node.wait_until_settled()
    return node, node.objects()


@pytest.fixture(scope="module")
def slam(shared_robot: Robot, before: object) -> Publisher:
    return shared_robot.client.node.create_publisher(Path, "/keyframe_poses", latched())


def path(stamps_ns: list[int], T_map_before: np.ndarray, frame: str = "map") -> Path:
    """A body that drove along x while the camera looked round, seen after a correction."""
    drive = [
        T_map_before @ np.array([[1, 0, 0, 0.01 * place], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
        for place in range(len(stamps_ns))
    ]
    return path_message(dict(zip(stamps_ns, drive, strict=True)), frame)


def wait_for_map_values(node: Perception, what: str, said: Callable[[Mapping[str, str]], bool]) -> Mapping[str, str]:
    return values_of(node.wait_for_status(what, lambda status: said(values_of(status)), name=": map"))


def received(values: Mapping[str, str]) -> int:
    return int(values["keyframe poses: received"])


def assert_moved(objects: dict[str, ObjectInstance], before: dict[str, ObjectInstance], T: np.ndarray) -> None:
    assert ids_of(objects) == ids_of(before)
    for label, item in objects.items():
        at, was = item.bbox.center.position, before[label].bbox.center.position
        assert (at.x, at.y, at.z) == pytest.approx(transform(T, np.array([was.x, was.y, was.z])), abs=2 * VOXEL_M)


def test_paths_that_are_none_are_counted_and_move_nothing(before, slam, clock):
    node, objects = before
    slam.publish(path(clock.given, np.eye(4), frame="odom"))
    wait_for_map_values(node, "word of the frame", lambda it: "keyframe poses: dropped: other_frame" in it)
    slam.publish(path([0], np.eye(4)))
    wait_for_map_values(node, "word of the stamp", lambda it: "keyframe poses: dropped: zero_stamp" in it)
    nowhere = path(clock.given[:1], np.eye(4))
    nowhere.poses[0].pose.position.x = np.nan
    slam.publish(nowhere)
    wait_for_map_values(node, "word of the pose", lambda it: "keyframe poses: dropped: bad_pose" in it)
    assert_moved(node.objects(), objects, np.eye(4))


def test_the_map_moves_with_the_keyframes_and_ids_and_names_stay(before, slam, clock):
    node, objects = before
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("z", 12, degrees=True).as_matrix(), (0.6, -0.3, 0.1)
    earlier = received(wait_for_map_values(node, "word of the topic", lambda it: "keyframe poses: received" in it))
    slam.publish(path(clock.given, np.eye(4)))
    values = wait_for_map_values(node, "the first path", lambda it: received(it) > earlier)
    assert values["corrections of poses"] == "0"
    slam.publish(path(clock.given, T))
    values = wait_for_map_values(node, "a correction", lambda it: it["corrections of poses"] == "1")
    assert values["last correction: keyframes"] == values["keyframes"]
    assert values["duplicates merged by corrections"] == "0"
    node.wait_until_settled()
    assert_moved(node.objects(), objects, T)
