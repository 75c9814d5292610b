"""What the tests over real DDS share: a clean environment, a robot a test, and the logs of its programs on failure."""

import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

with warnings.catch_warnings():  # what ROS imports itself warns of Python modules that will go: no fault of ours
    warnings.simplefilter("ignore", DeprecationWarning)
    pytest.importorskip("rclpy", reason="no ROS 2: source one, or install the wheels")
    pytest.importorskip("rosidl_generator_py")

from harness_domain import enter_ros_environment

enter_ros_environment()
signal.signal(signal.SIGTERM, signal.default_int_handler)  # a run that is told to end takes its programs with it

from harness_camera import ScriptedCamera  # noqa: E402
from harness_perception import Perception  # noqa: E402
from harness_robot import Robot, log_of_programs, map_scene  # noqa: E402

collect_ignore = ["launch"]  # launch_testing tests, for machines that have it: `launch_test test/ros/launch/FILE`


@pytest.fixture
def robot() -> Iterator[Robot]:
    """A robot of this test alone."""
    with Robot() as robot:
        yield robot


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show the logs of all running programs beside the failure."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {title}", log) for title, log in log_of_programs(Robot.opened)]
    return report


@pytest.fixture(scope="module")
def map_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the node of `mapped` keeps its maps."""
    return tmp_path_factory.mktemp("robot") / "maps"


@pytest.fixture(scope="module")
def shared_robot() -> Iterator[Robot]:
    """One robot for all tests of a file."""
    with Robot() as robot:
        yield robot


@pytest.fixture(scope="module")
def scene_camera(shared_robot: Robot) -> ScriptedCamera:
    """A camera that walks round the scene of `mapped` while it runs."""
    return shared_robot.camera()


@pytest.fixture(scope="module")
def mapped(shared_robot: Robot, scene_camera: ScriptedCamera, map_directory: Path) -> Perception:
    """A node that has mapped the whole scene, and rests."""
    node = shared_robot.perception({"map_directory": str(map_directory)})
    map_scene(node, scene_camera)
    return node
