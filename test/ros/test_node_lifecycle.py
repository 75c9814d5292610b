"""The perception node comes up and goes down: as often as asked, with clear errors, and at once when told to end."""

import os
import signal
from itertools import pairwise

import psutil
import pytest
from harness_domain import CHECKOUT
from harness_perception import ACTIVATE, ACTIVE, CONFIGURE, DEACTIVATE, INACTIVE, UNCONFIGURED, Perception
from harness_process import shared_memory_locks
from harness_robot import QUICK, SCENE_NODE, Robot
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters

from ovseg3r_ros.srv import QueryObjects

EXECUTABLE = CHECKOUT / "scripts" / "perception"
CLEAN_EXIT_S = 5.0


@pytest.mark.slow
@pytest.mark.parametrize("cycles", [8, pytest.param(50, marks=pytest.mark.benchmark)])  # fifty take three minutes
def test_cycles_leave_nothing_behind(robot: Robot, cycles: int):
    node = robot.perception()
    camera = robot.camera()
    with camera.run(rate_hz=5):  # images come all the time, as on a robot
        for _ in range(12):  # the first rounds fill pools and caches, on a busy machine not the first five
            node.cycle()
        usages = [node.program.usage()]
        for _ in range(cycles):
            node.cycle()
            usages.append(node.program.usage())
    before, after = usages[0], usages[-1]
    assert node.state() == ACTIVE
    assert after.threads <= before.threads + 2
    assert after.files <= before.files + 5
    told = f"memory in MB: {[round(it.resident_mb) for it in usages]}"
    assert after.resident_mb <= before.resident_mb + 15 + 0.3 * cycles, told
    *grown, _ = sorted(b.resident_mb - a.resident_mb for a, b in pairwise(usages))
    assert sum(grown) <= 5 + 0.3 * cycles, told  # one pool may be filled late
    assert not node.program.log.holding("Traceback")


def test_services_answer_in_every_state(robot: Robot):
    """Nobody who asks at the wrong moment is left waiting: an answer that says so, or no such service."""
    node = robot.perception(up=False)
    assert node.state() == UNCONFIGURED
    assert node.change(CONFIGURE)
    answer = node.query("cup")
    assert answer.verdict == "blind" or (not answer.success and answer.message)
    assert node.change(ACTIVATE)
    assert node.query("cup").verdict == "blind"
    assert node.list_objects().total == 0
    assert node.change(DEACTIVATE)
    assert node.state() == INACTIVE
    answer = node.query("cup")
    assert answer.verdict == "blind" or (not answer.success and answer.message)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("masks", "no_such_masks", "no_such_masks"),
        ("masks", "files:/nonexistent", "/nonexistent"),
        ("vocabulary", "/nonexistent/words.txt", "/nonexistent/words.txt"),
    ],
)
def test_what_cannot_be_configured_is_said_and_the_node_stays_up(robot: Robot, name: str, value: str, says: str):
    program = robot.start_node(EXECUTABLE, QUICK | {name: value})
    node = robot.talk_to(program)
    assert not node.change(CONFIGURE)
    program.wait_for_line(says, timeout_s=5)
    assert node.state() == UNCONFIGURED
    assert not psutil.Process(program.pid).children(), "what was started for it goes with it"
    assert not program.log.holding("Traceback")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_told_to_while_it_maps(robot: Robot, number: signal.Signals):
    node = robot.perception()
    camera = robot.camera()
    with camera.run():
        node.wait_for_objects(["dining table"])
        node.forget()
        node.program.signal(number)
        assert node.program.wait(CLEAN_EXIT_S) == 0
    assert not node.program.log.holding("Traceback")


def test_it_ends_at_once_before_it_is_configured(robot: Robot):
    node = robot.perception(up=False)
    assert node.state() == UNCONFIGURED
    node.forget()
    assert node.program.terminate(CLEAN_EXIT_S) == 0


def test_its_shared_memory_ends_with_it(robot: Robot):
    """70 MB a node: a robot whose node is restarted now and then must not run out of memory."""
    node = robot.perception()
    node.forget()
    node.program.signal(signal.SIGTERM)
    assert node.program.wait(CLEAN_EXIT_S) == 0
    others = shared_memory_locks(os.getpid())  # the test's own
    segments = [lock for lock in node.program.shared_memory - others if "port" not in lock.name]
    assert segments
    assert not [lock for lock in segments if lock.exists()]


@pytest.mark.parametrize(
    ("name", "value"), [("tsdf.voxel_size_m", 7.5), ("queue_depth", 0), ("reliability", "perhaps")]
)
def test_a_start_with_a_parameter_out_of_range_names_it(robot: Robot, name: str, value: object):
    program = robot.start_node(EXECUTABLE, {name: value})
    assert program.wait(60) != 0
    assert program.log.holding(name, str(value))


def test_every_parameter_refuses_what_is_out_of_its_range_by_name(robot: Robot):
    node = robot.perception(up=False)
    limited = [item for item in descriptors(node) if item.integer_range or item.floating_point_range]
    assert len(limited) > 30
    values = values_of_parameters(node)
    for item in limited:
        assert item.description, item.name
        limits = (item.integer_range or item.floating_point_range)[0]
        result = node.set_parameter(item.name, limits.to_value + 1)
        assert not result.successful, item.name
        assert item.name in result.reason or item.read_only, result.reason
    assert values_of_parameters(node) == values


def descriptors(node: Perception) -> list[ParameterDescriptor]:
    client, prefix = node.client, f"/{node.name}"
    names = client.call(ListParameters, f"{prefix}/list_parameters", ListParameters.Request()).result.names
    request = DescribeParameters.Request(names=names)
    return client.call(DescribeParameters, f"{prefix}/describe_parameters", request).descriptors


def values_of_parameters(node: Perception) -> dict[str, object]:
    names = [item.name for item in descriptors(node) if item.type != ParameterType.PARAMETER_NOT_SET]
    request = GetParameters.Request(names=names)
    values = node.client.call(GetParameters, f"/{node.name}/get_parameters", request).values
    return dict(zip(names, map(str, values), strict=True))


def test_all_names_of_a_robot_lie_in_its_namespace(robot: Robot):
    program = robot.start_node(SCENE_NODE, QUICK, remap=["__ns:=/robot1"])
    node = robot.talk_to(program, "robot1/perception", up=True)
    robot.camera(name="robot1").wait_until_heard("color", "depth", "info")
    node.client.call(QueryObjects, "/robot1/query_objects", QueryObjects.Request(text="cup"))
    names = [name for name, _ in node.client.node.get_publisher_names_and_types_by_node("perception", "/robot1")]
    assert [name for name in names if not name.startswith("/robot1/")] == [
        "/diagnostics",
        "/parameter_events",
        "/rosout",
    ]
