"""A child answers, raises, is started again when it dies, and hands on the masks of any source."""

import os
import threading
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from maps import make_view

from ovseg3r_core.checks import Rejected
from ovseg3r_core.child import Child
from ovseg3r_core.masks.aside import MasksAside, answers
from ovseg3r_core.masks.files import FileMasks


@pytest.fixture(autouse=True)
def child_of_test_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.fixture
def child():
    child = Child("child_of_test", "3")
    yield child
    child.close()


def test_it_answers_and_raises(child):
    assert child.ask(4) == 12
    with pytest.raises(Rejected, match="nothing to multiply") as rejected:
        child.ask(None)
    assert rejected.value.reason == "no_number"
    with pytest.raises(RuntimeError, match="Stubborn"):
        child.ask("stubborn")
    assert child.ask(5) == 15


def test_one_that_died_is_started_again(child):
    before = child.pid
    child._process.kill()
    assert child.ask(1) == 3
    assert child.pid != before


def test_a_question_that_kills_it_twice_is_given_up(child):
    with pytest.raises(ChildProcessError, match="child_of_test ended with code 7"):
        child.ask("die")
    assert child.ask(2) == 6


def test_what_cannot_be_loaded_is_raised_for_whoever_asks():
    child = Child("child_of_test", "three")
    with pytest.raises(ValueError, match="three"):
        child.ask(1)
    child.close()


def test_threads_get_their_own_answers(child):
    got: dict[int, int] = {}
    threads = [threading.Thread(target=lambda i=i: got.update({i: child.ask(i)})) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {i: 3 * i for i in range(20)}


# Masks


@pytest.fixture
def masks(tmp_path):
    ids = np.zeros((12, 16), np.uint8)
    ids[2:6], ids[8:, 3:] = 1, 2
    cv2.imwrite(str(tmp_path / "000001.instances.png"), ids)
    cv2.imwrite(str(tmp_path / "000002.instances.png"), ids[:-1])
    (tmp_path / "labels.json").write_text('{"1": "couch", "2": null}')
    return tmp_path


def test_masks_come_over_as_they_were_found(masks):
    aside, frame = MasksAside(f"files:{masks}"), make_view(1).frame()
    nothing = np.zeros((12, 16), bool)
    try:
        here, there = FileMasks(masks).propose(frame, nothing), aside.propose(frame, nothing)
        assert (
            [(m.label, m.score) for m in there] == [(m.label, m.score) for m in here] == [("couch", 1.0), (None, 1.0)]
        )
        np.testing.assert_array_equal([m.pixels for m in there], [m.pixels for m in here])
        assert aside.encoder is None and aside.stats == Counter()
        with pytest.raises(Rejected) as rejected:
            aside.propose(make_view(2).frame(), nothing)  # an image of masks of another size
        assert rejected.value.reason == "bad_mask"
    finally:
        aside.close()


def test_a_source_that_cannot_be_built_is_told_at_once(tmp_path):
    with pytest.raises(ValueError, match="no masks are called 'bogus'"):
        MasksAside("bogus")
    with pytest.raises(Rejected, match="no folder of masks"):
        MasksAside(f"files:{tmp_path / 'nowhere'}")


def test_what_is_looked_for_is_told_with_every_frame(masks, monkeypatch):
    asked: list[tuple[str, ...]] = []

    class Told(FileMasks):
        def look_for(self, texts):
            asked.append(tuple(texts))

    monkeypatch.setattr("ovseg3r_core.masks.build.build_proposer", lambda *_, **__: Told(masks))
    aside = MasksAside.__new__(MasksAside)
    aside._child, aside._texts = type("Here", (), {"ask": staticmethod(answers("told", "cpu", "null"))})(), None
    frame, nothing = make_view(1).frame(), np.zeros((12, 16), bool)
    aside.propose(frame, nothing)
    aside.look_for(["cup", "mug"])
    aside.propose(frame, nothing)
    assert len(aside.propose(frame, nothing)) == 2
    assert asked == [("cup", "mug")]
