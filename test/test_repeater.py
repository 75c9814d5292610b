"""Something done every so often in a thread of its own."""

import threading

from ovseg3r_core.repeater import Repeater

TIMEOUT_S = 10


def test_work_is_repeated_until_it_is_stopped():
    calls = threading.Semaphore(0)
    repeater = Repeater("ticks", 0.01, calls.release)
    for _ in range(3):
        assert calls.acquire(timeout=TIMEOUT_S)
    repeater.stop()
    while calls.acquire(blocking=False):
        pass
    assert not calls.acquire(timeout=0.05)


def test_an_error_does_not_end_it(caplog):
    calls = threading.Semaphore(0)

    def fail() -> None:
        calls.release()
        raise RuntimeError("disk on fire")

    repeater = Repeater("fails", 0.01, fail)
    for _ in range(2):
        assert calls.acquire(timeout=TIMEOUT_S)
    repeater.stop()
    assert "disk on fire" in caplog.text
