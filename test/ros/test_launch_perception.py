"""The launch file that robots start, with real nodes: perception comes up, and comes up again when it was killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from harness_domain import CHECKOUT
from harness_perception import ACTIVE, START_S
from harness_process import Program
from harness_robot import QUICK, SCENE_NODE, Robot
from launch_programs import OVSEG3R_LAUNCH, install
from lifecycle_msgs.srv import GetState

NAMED = "[launch]: perception started with pid "


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An installation whose `perception` sees the true masks of a scene in place of networks."""
    program = tmp_path / "perception"
    program.write_text(
        f"#!/usr/bin/env python3\nimport runpy, sys\nsys.argv[0] = {str(SCENE_NODE)!r}\n"
        f"sys.path.insert(0, {str(SCENE_NODE.parent)!r})\nrunpy.run_path({str(SCENE_NODE)!r}, run_name='__main__')\n"
    )
    program.chmod(0o755)
    return install(tmp_path / "prefix", perception=program)


@pytest.fixture
def launch(robot: Robot, prefix: Path, tmp_path: Path) -> Iterator[Program]:
    """A running launch of perception.launch.py."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"/**": {"ros__parameters": QUICK}}))
    yield robot.start(
        *OVSEG3R_LAUNCH,
        "perception.launch.py",
        f"params:={mine}",
        f"map_directory:={tmp_path / 'maps'}",
        "fresh_map:=true",
        extra={"AMENT_PREFIX_PATH": str(prefix)},
    )


def wait_until_active(robot: Robot) -> None:
    """A question to a node that was killed is never answered, and DDS believes in that node for a while: so again."""

    def is_active() -> bool:
        future = robot.client.ask(GetState, "/perception/get_state", GetState.Request(), timeout_s=START_S)
        try:
            return robot.client.answer(future, timeout_s=2.0).current_state.id == ACTIVE
        except AssertionError:
            return False

    robot.client.until(is_active, "active node", timeout_s=START_S)


def pids(launch: Program) -> list[int]:
    return [int(line.partition(NAMED)[2]) for line in launch.log.holding(NAMED)]


@pytest.mark.slow
def test_perception_comes_up_by_itself_and_again_after_a_crash(robot: Robot, launch: Program) -> None:
    assert (CHECKOUT / "scripts" / "perception").is_file()
    wait_until_active(robot)
    (first,) = pids(launch)
    os.kill(first, signal.SIGKILL)
    launch.wait_for_line("perception starts again in 2 s")
    robot.client.until(lambda: len(pids(launch)) == 2, "second start", timeout_s=START_S)
    robot.client.until(lambda: len(launch.log.holding("activate: done")) == 2, "second activation", timeout_s=START_S)
    wait_until_active(robot)
    assert launch.terminate(20) == 0, launch.log.tail()


@pytest.mark.slow
def test_a_refused_parameter_ends_the_launch_with_its_reason(robot: Robot, prefix: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"voxel_size_m": 5.0}}}))
    words = ("perception.launch.py", f"params:={mine}", f"map_directory:={tmp_path}")
    launch = robot.start(*OVSEG3R_LAUNCH, *words, extra={"AMENT_PREFIX_PATH": str(prefix)})
    assert launch.wait(START_S) == 2
    assert launch.log.holding("voxel_size_m")
