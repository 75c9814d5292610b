"""What the node costs and how fast it answers: `pytest -m benchmark -s test/ros/bench_node.py` prints the figures."""

import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import count

import numpy as np
import pytest
from harness_camera import THINGS, ScriptedCamera, WallClock, walk
from harness_crowd import save_crowd
from harness_perception import Perception
from harness_robot import Robot
from rclpy.qos import ReliabilityPolicy
from rich.console import Console

from ovseg3r_ros.faults import off

pytestmark = pytest.mark.benchmark

SECONDS = 20.0
RATE_HZ = 30.0
MAPPED_HZ = 5.0
IN_FLIGHT = 100
ADJECTIVES = ("red", "small", "wooden", "old", "round", "soft", "broken", "tall", "heavy", "shiny")
NOUNS = ("chair", "mug", "lamp", "box", "shelf", "bin", "pillow", "plant", "screen", "tool")
console = Console(width=120)


@pytest.mark.parametrize("reliability", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
@pytest.mark.parametrize("mode", ["no poses", "decoded and checked", "mapped"])
def test_cost_of_a_camera(robot: Robot, mode: str, reliability: ReliabilityPolicy):
    """640x480 colour and depth at 30 Hz; without poses no image is decoded, and what is left is transport.

    "decoded and checked" runs the real node with `Perception.fuse` taken out: conversion and transport alone.
    """
    node = robot.perception(arguments=["--decode-only"] if mode == "decoded and checked" else [])
    shots = walk(frames=60, width=640, height=480)
    camera = robot.camera(shots, clock=WallClock(period_s=1 / RATE_HZ), reliability=reliability)
    camera.wait_until_heard()
    if mode == "no poses":
        camera.fault(off, "tf")
    with camera.run(RATE_HZ):
        run_for(node, 2.0)
        before, sent, counts = node.program.usage(), camera.sent["color"], node.counts()
        run_for(node, SECONDS)
        after, counts_after = node.program.usage(), node.counts()
    took = after.at_s - before.at_s
    difference = {name: counts_after[name] - counts[name] for name in counts_after}
    console.print(
        f"[bold]{mode}, {reliability.name.lower()}[/]: CPU {after.cpu_share_since(before):.1%} of a core, "
        f"{(camera.sent['color'] - sent) / took:.1f} Hz sent, memory {after.resident_mb:.0f} MB; {difference}"
    )


@pytest.fixture(scope="module")
def crowded(shared_robot: Robot, tmp_path_factory: pytest.TempPathFactory) -> tuple[Perception, ScriptedCamera]:
    """A node with a thousand objects, and a camera in another room that it has begun to map."""
    maps = tmp_path_factory.mktemp("maps")
    objects = save_crowd(maps / "crowd")
    node = shared_robot.perception({"map_directory": str(maps)})
    assert node.load_map("crowd").objects == objects
    camera = shared_robot.camera()
    camera.wait_until_heard()
    with camera.run(MAPPED_HZ):
        node.wait_for_objects(THINGS, timeout_s=120)
    assert node.list_objects().total >= 1000
    return node, camera


def new_texts() -> Iterator[str]:
    """Texts that were never asked before."""
    return (f"{ADJECTIVES[i % 10]} {NOUNS[i // 10 % 10]} number {i}" for i in count())


@pytest.mark.parametrize("mapping", [False, True], ids=["at rest", "while mapping"])
@pytest.mark.parametrize("texts", ["new", "asked before"])
def test_latency_of_a_question(crowded: tuple[Perception, ScriptedCamera], texts: str, mapping: bool):
    node, camera = crowded
    node.wait_until_settled(timeout_s=120)
    with camera.run(MAPPED_HZ) if mapping else nullcontext():
        measure_answers(node, f"{texts}, {'while mapping' if mapping else 'at rest'}", texts)


def measure_answers(node: Perception, title: str, texts: str) -> None:
    ask = new_texts() if texts == "new" else iter(lambda: "something to sit on", None)
    node.query("something to sit on")
    before, taken, end = node.counts(), list[float](), time.perf_counter() + SECONDS
    while not taken or time.perf_counter() < end:
        start = time.perf_counter()
        assert node.query(next(ask), top_k=5).success
        taken.append(1000 * (time.perf_counter() - start))
    p50, p99 = np.percentile(taken, (50, 99))
    looked = node.counts()["looked"] - before["looked"]
    objects = node.list_objects().total
    console.print(
        f"[bold]{title}[/]: {objects} objects, {len(taken)} questions, {looked} keyframes looked at meanwhile: "
        f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {max(taken):.1f} ms"
    )


def test_flood_of_questions(crowded: tuple[Perception, ScriptedCamera]):
    """A hundred requests are on their way at any time: all are answered, and mapping goes on."""
    node, camera = crowded
    answered, texts = 0, new_texts()

    def flood() -> None:
        nonlocal answered
        answered = node.flood(texts, SECONDS / 2, IN_FLIGHT)

    with camera.run(MAPPED_HZ):
        quiet = looked_per_second(node, lambda: run_for(node, SECONDS / 2))
        flooded = looked_per_second(node, flood)
    console.print(
        f"[bold]flood[/]: {answered / (SECONDS / 2):.0f} answers/s with {IN_FLIGHT} on their way; "
        f"keyframes looked at: {quiet:.2f}/s before, {flooded:.2f}/s meanwhile"
    )


def looked_per_second(node: Perception, work) -> float:
    before, start = node.counts()["looked"], time.monotonic()
    work()
    return (node.counts()["looked"] - before) / (time.monotonic() - start)


@pytest.fixture(scope="module", autouse=True)
def other_load() -> None:
    """Say how busy the machine was before: on a busy one the figures are those of its other work."""
    console.print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def run_for(node: Perception, seconds: float) -> None:
    """Let time pass; what is measured here is how much happens in it."""
    end = time.monotonic() + seconds
    node.client.until(lambda: time.monotonic() >= end, "end of the measurement", timeout_s=seconds + 5)
