"""A worker behind a bounded mailbox: everything put is worked on or told of."""

import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovseg3r_core.checks import Rejected
from ovseg3r_core.stage import Stage

TIMEOUT_S = 10


class Box:
    """A stage whose work waits at a gate, and what became of its items."""

    def __init__(self, capacity: int = 2, **options: object) -> None:
        self.gate, self.taken = threading.Event(), threading.Event()
        self.done: list[object] = []
        self.left_out: list[tuple[object, str]] = []
        self.stage: Stage[object] = Stage(
            "box", capacity, self.work, lambda item, why: self.left_out.append((item, why.reason)), **options
        )

    def work(self, item: object) -> None:
        self.taken.set()
        assert self.gate.wait(TIMEOUT_S)
        if isinstance(item, Exception):
            raise item
        self.done.append(item)

    def finish(self) -> None:
        self.gate.set()
        deadline = time.monotonic() + TIMEOUT_S
        while self.stage.busy:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        self.stage.stop()


def hold_first(box: Box) -> None:
    box.stage.start()
    box.stage.put("first")
    assert box.taken.wait(TIMEOUT_S)


def test_the_oldest_makes_room_and_is_told():
    box = Box(capacity=2)
    hold_first(box)
    for item in (1, 2, 3, 4):
        box.stage.put(item)
    box.finish()
    assert box.done == ["first", 3, 4]
    assert box.left_out == [(1, "box_busy"), (2, "box_busy")]


def test_the_newest_goes_first_where_asked_for():
    box = Box(capacity=3, newest_first=True)
    hold_first(box)
    for item in (1, 2, 3, 4):
        box.stage.put(item)
    box.finish()
    assert box.done == ["first", 4, 3, 2]
    assert box.left_out == [(1, "box_busy")]


def test_failed_work_is_told_and_the_next_item_is_worked_on(caplog):
    box = Box(capacity=5)
    box.stage.start()
    for item in (Rejected("no_pose", "none"), RuntimeError("a bug"), "fine"):
        box.stage.put(item)
    box.finish()
    assert [reason for _, reason in box.left_out] == ["no_pose", "internal_error"]
    assert box.done == ["fine"]
    assert "a bug" in caplog.text


def test_what_waits_when_the_stage_stops_is_told():
    box = Box(capacity=5)
    hold_first(box)
    box.stage.put("waits")
    threading.Timer(0.05, box.gate.set).start()
    box.stage.stop()
    assert box.done == ["first"]
    assert box.left_out == [("waits", "stopped")]


def test_a_stopped_stage_starts_again():
    box = Box()
    box.stage.start()
    box.stage.stop()
    box.stage.start()
    box.stage.put("again")
    box.finish()
    assert box.done == ["again"]


def test_idleness_is_told_once_after_work_and_not_before():
    idle = threading.Semaphore(0)
    box = Box(idle_s=0.02, idle=idle.release)
    box.gate.set()
    box.stage.start()
    assert not idle.acquire(timeout=0.1)
    box.stage.put("work")
    assert idle.acquire(timeout=TIMEOUT_S)
    assert not idle.acquire(timeout=0.1)
    box.finish()


@pytest.mark.skipif(not hasattr(os, "setpriority"), reason="this system has no priorities for threads")
def test_the_worker_and_the_threads_it_starts_step_back():
    found: list[int] = []

    def look() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def work(_: object) -> None:
        look()
        child = threading.Thread(target=look)
        child.start()
        child.join()

    stage: Stage[object] = Stage("nice", 1, work, lambda *_: None, niceness=7)
    look()
    stage.start()
    stage.put(1)
    while stage.busy:
        time.sleep(0.001)
    stage.stop()
    assert found == [found[0], 7, 7]
    assert found[0] != 7


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers()), max_size=30), st.integers(1, 4), st.booleans())
def test_nothing_is_lost_untold(items, capacity, newest_first):
    box = Box(capacity=capacity, newest_first=newest_first)
    for lane, item in items:
        box.stage.put((lane, item), lane=lane)
    kept = {lane: [it for it in items if it[0] == lane][-capacity:] for lane in "ab"}
    assert box.stage.waiting == sum(map(len, kept.values()))
    box.gate.set()
    box.stage.start()
    box.finish()
    assert sorted(box.done) == sorted(kept["a"] + kept["b"])
    assert len(box.done) + len(box.left_out) == len(items)


def test_two_threads_work_at_the_same_time():
    both = threading.Barrier(2, timeout=TIMEOUT_S)
    done: list[int] = []

    def work(item: int) -> None:
        both.wait()
        done.append(item)

    stage: Stage[int] = Stage("pair", 4, work, lambda *_: None, threads=2)
    stage.start()
    for item in range(4):
        stage.put(item)
    deadline = time.monotonic() + TIMEOUT_S
    while stage.busy:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    stage.stop()
    assert sorted(done) == [0, 1, 2, 3]
    assert not [it for it in threading.enumerate() if it.name == "pair"]
