"""Whatever ends a save, power, a signal or a full disk, the folder holds the old map or the new one, whole."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from map_saver import generation
from maps import assert_same_map, assert_same_memory

from ovseg3r_core.mapping.storage import load_both, save_map

TESTS = Path(__file__).parent
KILLS = int(os.environ.get("OVSEG3R_KILLS", "20"))


@pytest.fixture(scope="module")
def saver() -> Iterator[Callable[[str], str]]:
    """Gives an order to the process that comes to harm; with no order, waits for its next answer."""
    path = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    process = subprocess.Popen(
        [sys.executable, str(TESTS / "map_saver.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert process.stdin and process.stdout

    def order(text: str = "") -> str:
        if text:
            process.stdin.write(text + "\n")
            process.stdin.flush()
        return process.stdout.readline().strip()

    with process:
        yield order
        process.stdin.close()
        process.wait(timeout=10)


def held_by(folder: Path) -> int:
    """The generation that the folder holds, every part of it."""
    snapshot, memory = load_both(folder)
    expected_snapshot, expected_memory = generation(snapshot.views)
    assert_same_map(snapshot, expected_snapshot)
    assert_same_memory(memory, expected_memory)
    return snapshot.views


def save(number: int, folder: Path) -> None:
    snapshot, memory = generation(number)
    save_map(snapshot, folder, memory)


def test_a_process_killed_at_any_step_of_a_save_leaves_the_old_map_or_the_new(tmp_path, saver):
    outcomes = []
    for step in count():
        folder = tmp_path / str(step)
        save(0, folder)
        answer = saver(f"at {step} {folder}")
        outcomes.append(held_by(folder))
        if answer == "saved":
            break
        assert answer == "killed"
        save(2, folder)  # what the dead process left behind is in nobody's way, and is removed
        assert held_by(folder) == 2
        assert len(list(folder.iterdir())) == 2 + len(generation(2)[1].views)
    assert outcomes == sorted(outcomes)  # old up to one step, new from there on
    assert outcomes.count(0) > 10 and outcomes.count(1) > 3


def test_a_process_killed_at_any_moment_leaves_a_whole_map(tmp_path, saver):
    save(0, tmp_path)
    moment, span_s = random.Random(0), 0.2
    reached = set()
    for _ in range(KILLS):
        pid = int(saver(f"loop {tmp_path}"))
        time.sleep(moment.uniform(0.001, span_s))  # the moment of the accident; nothing waits for it
        os.kill(pid, signal.SIGKILL)
        assert saver() == "killed"
        reached.add(held_by(tmp_path))
        if len(reached) == 1:  # a busy machine needs longer for its first save
            span_s = min(1.5 * span_s, 5.0)
    assert len(reached) > 1  # some were killed after they had saved


def test_a_full_disk_leaves_the_old_map_and_says_why(tmp_path, saver):
    outcomes = []
    for limit in range(0, 6000, 250):
        folder = tmp_path / str(limit)
        save(0, folder)
        answer = saver(f"limit {limit} {folder}")
        outcomes.append(held_by(folder))
        assert (answer == "saved") == (outcomes[-1] == 1)
        if answer != "saved":
            assert "File too large" in answer
            assert len(list(folder.iterdir())) == 3  # nothing of the new map takes up space
    assert set(outcomes) == {0, 1}


def test_every_part_is_on_the_disk_before_the_index_names_it(tmp_path, monkeypatch):
    steps: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        steps.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> None:
        steps.append(("rename", source.name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    save(1, tmp_path / "new" / "map")
    assert steps[:2] == [("sync", tmp_path.name), ("sync", "new")]  # the folders themselves
    renames = [place for place, (what, _) in enumerate(steps) if what == "rename"]
    assert len(renames) == 4
    for place in renames:
        name = steps[place][1]
        assert steps[place - 1] == ("sync", name) and steps[place + 1] == ("sync", "map")
    assert re.fullmatch(r"\.map\..*\.json", steps[renames[-1]][1])
