"""The text encoder in a process of its own answers as the one in this process, and neither outlives the other."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from ovseg3r_core import models
from ovseg3r_core.language.aside import MiniLmAside
from ovseg3r_core.language.minilm import MiniLm

TEXTS = ["fire extinguisher", "something to sit on", "Löschdecke 🧯", "a\nb"]


@pytest.fixture(scope="module")
def aside():
    try:
        encoder = MiniLmAside()
    except models.MissingModel as missing:
        pytest.skip(str(missing))
    yield encoder
    encoder.close()


def test_it_answers_as_the_encoder_in_this_process(aside):
    assert aside.name == MiniLm.name
    assert np.abs(aside.embed(TEXTS) - MiniLm().embed(TEXTS)).max() < 1e-5
    assert aside.embed([]).shape == (0, 384)


def test_many_threads_get_their_own_answers(aside):
    texts = [f"thing number {i}" for i in range(8)]
    together = {}

    def ask(text: str) -> None:
        together[text] = aside.embed([text])[0]

    threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.abs(np.stack([together[text] for text in texts]) - MiniLm().embed(texts)).max() < 1e-5


def test_a_killed_child_is_started_again(aside):
    aside._child._process.kill()
    assert aside.embed(["asked after the crash"]).shape == (1, 384)


def test_the_child_ends_when_the_parent_is_killed():
    program = (
        "from ovseg3r_core.language.aside import MiniLmAside\n"
        "encoder = MiniLmAside(); encoder.embed(['x']); print(encoder._child.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        line = parent.stdout.readline()
        if not line.strip():
            pytest.skip("the model was not fetched")
        child = int(line)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{child}"):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.02)
