"""`ovseg3r replay` as people run it: a bag through the live node over DDS, metrics, a verdict, and no leftovers."""

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from harness_process import Program
from harness_robot import SCENE_NODE, Robot
from replay_bags import RoomBag, write_room_bag

from ovseg3r_ros.replay.main import split_arguments

VERB = (sys.executable, "-c", "from ovseg3r_ros.cli import main; main()", "replay")
QUICK = ("min_interval_s:=0.1", "settle_s:=0.3", "diagnostics_period_s:=0.2")
END_S = 120.0


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> RoomBag:
    return write_room_bag(tmp_path_factory.mktemp("room"))


@dataclass(frozen=True)
class Replayed:
    code: int
    metrics: dict
    program: Program


class Replays:
    """Starts the verb, which finds a free domain by itself."""

    def __init__(self, robot: Robot, folder: Path) -> None:
        self._robot, self._out = robot, folder / "metrics.json"

    @property
    def node_log(self) -> Path:
        return self._out.with_suffix(".node.log")

    def start(self, bag: Path, *options: str, node: Path | str = SCENE_NODE) -> Program:
        parameters = [word for text in QUICK for word in ("--param", text)] if node == SCENE_NODE else []
        return self._robot.start(*VERB, str(bag), "--out", str(self._out), "--node", str(node), *parameters, *options)

    def finish(self, program: Program) -> Replayed:
        code = program.wait(END_S)
        return Replayed(code, json.loads(self._out.read_text()) if self._out.exists() else {}, program)

    def run(self, bag: Path, *options: str, node: Path | str = SCENE_NODE) -> Replayed:
        return self.finish(self.start(bag, *options, node=node))


@pytest.fixture
def replays(robot: Robot, tmp_path: Path) -> Replays:
    return Replays(robot, tmp_path)


def a_node(folder: Path, lines: Sequence[str]) -> Path:
    path = folder / "node.py"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_good_bag_passes_and_every_frame_is_accounted_for(replays: Replays, room: RoomBag):
    marks = ("--min", "ap50=0.9,found=3", "--max", "unexplained=0,duplicates=0,queries_unanswered=0")
    done = replays.run(room.path, "--ground-truth", str(room.truth), *marks)
    assert done.code == 0, done.program.log.tail()
    metrics = done.metrics
    assert (metrics["schema"], metrics["ended"], metrics["settled"]) == (1, "finished", True)
    frames = metrics["frames"]
    assert frames["published"] == room.frames == metrics["played"]["published"]["color/image"]
    assert frames["published"] == frames["missed"] + frames["received"]
    dropped = sum(frames["dropped"].values())
    assert frames["received"] + frames["keyframes"] == frames["fused"] + frames["looked"] + dropped
    assert metrics["truth"]["ghosts"] == metrics["truth"]["outside"] == 0
    assert {"cabinet", "dining table"} <= {item["label"] for item in metrics["objects"]}
    assert set(metrics["objects"][0]) >= {"id", "label", "score", "centre", "box", "points", "observations", "state"}
    assert metrics["identity"]["id_switches"] == 0
    assert 0 < metrics["latency"]["publication_age_s"]["p50"] < 30
    assert metrics["latency"]["query_s"]["count"] >= 2
    assert metrics["node"]["cpu_cores"] > 0 and metrics["node"]["memory_peak_mb"] > 100
    assert metrics["node_ready_s"] > 0 and metrics["first_object_s"] > 0


def test_a_missed_mark_fails_and_is_named(replays: Replays, room: RoomBag):
    done = replays.run(room.path, "--duration", "0.5", "--min", "object_count=1000", "--max", "unexplained=0")
    assert done.code == 1, done.program.log.tail()
    (line,) = done.program.log.holding("failed:")
    assert "object_count is" in line and "min 1000" in line
    assert done.metrics["truth"] is None


def test_at_rate_max_nothing_is_dropped_for_want_of_time(replays: Replays, room: RoomBag):
    done = replays.run(room.path, "--rate", "max")
    assert done.code == 0, done.program.log.tail()
    frames = done.metrics["frames"]
    assert not {"fuse_busy", "look_busy"} & {reason for reason, count in frames["dropped"].items() if count}
    assert (frames["missed"], frames["looked"]) == (0, frames["keyframes"])
    assert done.metrics["latency"]["fusion_age_s"] is None


def test_a_node_that_dies_is_an_error_with_its_last_words(replays: Replays, room: RoomBag, tmp_path: Path):
    node = a_node(tmp_path, ["import sys", "sys.exit('the camera driver ate my memory')"])
    done = replays.run(room.path, node=node)
    assert done.code == 2
    assert done.program.log.holding("the camera driver ate my memory")
    assert done.program.log.holding("the node ended with exit code 1")
    assert done.metrics["ended"] == "failed" and done.metrics["frames"] is None


def test_a_node_that_cannot_configure_is_an_error_at_once(replays: Replays, room: RoomBag):
    done = replays.run(room.path, "--param", "vocabulary:=/nowhere/words.txt")
    assert done.code == 2
    assert done.program.log.holding("the node could not configure")
    assert done.program.log.holding("/nowhere/words.txt")


def test_interrupted_it_leaves_the_metrics_of_so_far_and_no_process(replays: Replays, robot: Robot, room: RoomBag):
    program = replays.start(room.path, "--rate", "0.05")
    log = replays.node_log
    robot.client.until(
        lambda: log.exists() and "activate: done" in log.read_text(), "the node listens", timeout_s=END_S
    )
    children = psutil.Process(program.pid).children(recursive=True)
    assert len(children) >= 2
    program.signal(signal.SIGINT)
    program.signal(signal.SIGINT)  # an impatient person
    done = replays.finish(program)
    assert done.code == 130, done.program.log.tail()
    assert done.metrics["ended"] == "interrupted"
    assert done.program.log.holding("what was measured until then is in")
    assert psutil.wait_procs(children, timeout=5)[1] == []


def test_a_running_node_is_measured_and_left_running(replays: Replays, robot: Robot, room: RoomBag):
    node = robot.perception({"use_sim_time": True, "map_frame": "map"})
    options = ("--duration", "1", "--max", "unexplained=0", "--domain", str(robot.domain))
    done = replays.run(room.path, *options, node="running")
    assert done.code == 0, done.program.log.tail()
    assert done.metrics["frames"]["fused"] > 0 and done.metrics["node_ready_s"] is None
    assert node.program.alive


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--rate", "fast"), "give 0.01 to 100, or max"),
        (("--min", "apples=3"), "no number 'apples'"),
        (("--min", "ap50=0.3"), "can only be measured against --ground-truth"),
        (("--ground-truth", "/nowhere"), "no ground truth at /nowhere"),
        (("--node", "/nowhere/node"), "no such program"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_starts(
    replays: Replays, room: RoomBag, options: tuple[str, ...], problem: str
):
    done = replays.run(room.path, *options)
    assert done.code == 2
    assert problem in " ".join(done.program.log.lines)
    assert done.metrics == {}


def test_no_bag_and_what_is_no_bag_are_one_line(replays: Replays, tmp_path: Path):
    assert replays.run(tmp_path / "nowhere").program.log.holding("no bag at")
    (tmp_path / "notes").mkdir()
    done = replays.run(tmp_path / "notes")
    assert done.code == 2 and done.program.log.holding("cannot be read as a rosbag2")
    assert not done.program.log.holding("Traceback")


def test_arguments_of_ros_are_told_from_our_own():
    words = ["bag", "--out", "m.json", "--ros-args", "-r", "__node:=replay", "-r", "__ns:=/robot", "--", "--rate", "2"]
    assert split_arguments(words) == (["bag", "--out", "m.json", "--rate", "2"], ("-r", "__ns:=/robot"))
