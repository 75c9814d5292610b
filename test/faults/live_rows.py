"""Rows that are measured on the running node: the box room of the tests, through the package's fault injector."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from harness_camera import THINGS, ScriptedCamera
from harness_perception import Perception, ids_of, values_of
from harness_robot import Robot, map_scene
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from test_node_overload import Flood, flooded

from ovseg3r_ros.faults import WORDS
from ovseg3r_ros.nodes.fault_injector import STREAMS

INJECTOR = Path(__file__).parents[2] / "scripts" / "fault_injector"
STALE_AFTER_S, RATED_HZ, PATIENCE_S = 1.0, 10.0, 90.0
FLOOD_S, IN_FLIGHT = 20.0, 100
AMOUNTS = {"slow": " 3", "delayed": " 0.3", "intermittent": " 0.3"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came out, and whether it keeps the promise."""

    figure: str
    passed: bool


@dataclass(frozen=True)
class Rig:
    """A node that knows the room, behind an injector that passes everything, before a camera that runs."""

    node: Perception
    camera: ScriptedCamera
    ids: dict[str, int]

    def ask(self, stream: str, fault: str) -> None:
        """Have the injector spoil a stream from now on."""
        parameters = [Parameter(stream, value=fault).to_parameter_msg()]
        request = SetParameters.Request(parameters=parameters)
        (result,) = self.node.client.call(SetParameters, "/fault_injector/set_parameters", request).results
        assert result.successful, result.reason

    def delivered(self) -> int:
        return int(values_of(self.node.wait_for_camera("word", lambda it: True))["delivered"])

    def seconds_until(self, what: str, fits: Callable[[DiagnosticStatus], bool]) -> float:
        start_s = time.monotonic()
        self.node.wait_for_camera(what, fits, timeout_s=PATIENCE_S)
        return time.monotonic() - start_s

    def is_whole(self) -> bool:
        """Whether the map has each thing once, under its old id, and no number that is none."""
        objects = self.node.list_objects(page_size=1000).objects
        boxes = [(it.bbox.center.position, it.bbox.size, it.confidence) for it in objects]
        numbers = [(at.x, at.y, at.z, size.x, size.y, size.z, sure) for at, size, sure in boxes]
        same = sorted(it.label for it in objects) == sorted(self.ids)
        return same and bool(np.isfinite(numbers).all()) and {it.label: it.id for it in objects} == self.ids


@contextmanager
def rig() -> Iterator[Rig]:
    """Everything up, and the room mapped."""
    with Robot() as robot:
        robot.start_node(INJECTOR, {})
        node = robot.perception({"stale_after_s": STALE_AFTER_S})
        camera = robot.camera(name="healthy", tf_topic="/healthy/tf")
        ids = ids_of(map_scene(node, camera))
        with camera.run(RATED_HZ):
            yield Rig(node, camera, ids)


@cache
def flood_of(factor: int) -> Flood:
    """Half a minute of frames at some times the rated rate; A1 to A3 look at the same floods."""
    with Robot() as robot:
        return flooded(robot, factor * RATED_HZ, round(30 * factor * RATED_HZ))


def drops_under_load() -> Measured:
    """A1."""
    told, passed = [], True
    for factor in (1, 2, 4):
        flood = flood_of(factor)
        sent, fused = flood.sent["color"], flood.count("fused")
        told.append(f"{factor}x: {100 * (1 - fused / sent):.1f} % of {sent}, {flood.unexplained()} unexplained")
        passed &= flood.unexplained() == 0 and (factor > 1 or fused >= 0.99 * sent)
    return Measured(figure="; ".join(told), passed=passed)


def age_under_load() -> Measured:
    """A2: of a frame when it is in the map."""
    age_s = {factor: float(flood_of(factor).pipeline["fused: age p99 [s]"]) for factor in (1, 4)}
    figure = ", ".join(f"{factor}x: {1000 * age:.0f} ms" for factor, age in age_s.items())
    return Measured(figure=figure, passed=age_s[4] <= 2 * age_s[1])


def question_times() -> Measured:
    """A3: of new texts, one after the other, while the node maps at the rated rate."""
    answers_s = flood_of(1).answers_s
    p50, p99 = 1000 * np.percentile(answers_s, (50, 99))
    figure = f"{len(answers_s)} questions at 1x: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    return Measured(figure=figure, passed=bool(p99 < 50))


def question_flood() -> Measured:
    """A4: a hundred questions are on their way at any time, each a new text, while the node maps at the rated rate."""
    with Robot() as robot:
        node, camera = robot.perception(), robot.camera()
        map_scene(node, camera)
        answered = 0

        def lost_while(work: Callable[[], object]) -> float:
            """Share of the frames that were sent meanwhile and did not get into the map."""
            node.wait_until_settled()
            fused, sent = node.counts()["fused"], camera.sent["color"]
            with camera.run(RATED_HZ):
                work()
            node.wait_until_settled()
            return 1 - (node.counts()["fused"] - fused) / (camera.sent["color"] - sent)

        def flood() -> None:
            nonlocal answered
            texts = (f"thing number {number}" for number in count())
            answered = node.flood(texts, FLOOD_S, IN_FLIGHT, timeout_s=PATIENCE_S)

        quiet, flooded_ = lost_while(lambda: time.sleep(FLOOD_S)), lost_while(flood)
    told = f"{answered} answered in {FLOOD_S:.0f} s, {IN_FLIGHT} on their way at any time, 0 without an answer"
    figure = f"{told}; frames lost meanwhile {100 * flooded_:.1f} %, without questions {100 * quiet:.1f} %"
    return Measured(figure=figure, passed=flooded_ - quiet < 0.1)


def first_object() -> Measured:
    """A5: from the start of the program to the first object on the topic."""
    with Robot() as robot:
        camera = robot.camera()
        with camera.run(RATED_HZ):
            start_s = time.monotonic()
            node = robot.perception()
            up_s = time.monotonic() - start_s
            node.instances.wait_for("an object", lambda it: len(it.instances) > 0, timeout_s=PATIENCE_S)
            first_s = time.monotonic() - start_s
    return Measured(figure=f"active after {up_s:.1f} s, an object after {first_s:.1f} s", passed=first_s < 15)


def camera_off() -> Measured:
    """B1: told within a second of the limit, back within two, no object lost or doubled."""
    told, passed = [], True
    with rig() as it:
        for off_s in (1, 10):
            it.seconds_until("all well", lambda status: status.level == DiagnosticStatus.OK)
            it.ask("color", f"off from 0 to {off_s}")
            ends_s = time.monotonic() + off_s
            stale_s = None
            if off_s > STALE_AFTER_S:
                stale_s = it.seconds_until("word of it", lambda status: "/color/image" in status.message)
            time.sleep(max(ends_s - time.monotonic(), 0))
            back_s = it.seconds_until("all well again", lambda status: status.level == DiagnosticStatus.OK)
            whole = it.is_whole()
            told.append(
                f"{off_s} s: {f'told after {stale_s:.1f} s, ' if stale_s is not None else ''}well after {back_s:.1f} s"
                f"{'' if whole else ', map changed'}"
            )
            passed &= whole and back_s <= 2 and (stale_s is None or stale_s <= STALE_AFTER_S + 1)
    return Measured(figure="; ".join(told), passed=passed)


def every_fault() -> Measured:
    """B2: each word on each stream for three seconds."""
    bad: list[str] = []
    with rig() as it:
        for stream in STREAMS:
            for word in WORDS[1:]:
                it.ask(stream, word + AMOUNTS.get(word, ""))
                time.sleep(3)
                it.ask(stream, "ok")
                before = it.delivered()
                it.node.client.until(lambda least=before: it.delivered() > least + 3, "frames", timeout_s=PATIENCE_S)
                if not it.is_whole():
                    bad.append(f"{stream} {word}")
                    it.node.reset_map()
                    it.node.wait_for_objects(THINGS, timeout_s=PATIENCE_S)
                    it.ids.update(ids_of(it.node.objects()))
    asked = len(STREAMS) * len(WORDS[1:])
    figure = f"{asked} injected, 0 crashes, map unchanged by {asked - len(bad)}"
    return Measured(figure=figure + (f"; changed by {', '.join(bad)}" if bad else ""), passed=not bad)


def no_transforms() -> Measured:
    """D3."""
    told, passed = [], True
    with rig() as it:
        for gap_s in (0.1, 1, 5):
            before = it.node.drops().get("no_pose", 0)
            it.ask("tf", f"off from 0 to {gap_s}")
            time.sleep(gap_s + 2)
            back_s = it.seconds_until("all well", lambda status: status.level == DiagnosticStatus.OK)
            whole = it.is_whole()
            dropped = it.node.drops().get("no_pose", 0) - before
            told.append(f"{gap_s} s: {dropped} no_pose, well {back_s:.1f} s later{'' if whole else ', map changed'}")
            passed &= whole
    return Measured(figure="; ".join(told), passed=passed)


LIVE: dict[str, Callable[[], Measured]] = {
    "A1": drops_under_load,
    "A2": age_under_load,
    "A3": question_times,
    "A4": question_flood,
    "A5": first_object,
    "B1": camera_off,
    "B2": every_fault,
    "D3": no_transforms,
}
"""By number of the row."""
