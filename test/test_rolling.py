"""Rates and percentiles forget what is old."""

import pytest

from ovseg3r_core.rolling import NOTHING, RollingWindow


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_window_in_which_nothing_happened_is_empty():
    assert RollingWindow().summary() == NOTHING


def test_rate_counts_the_time_that_has_passed_and_percentiles_the_values():
    clock = Clock()
    window = RollingWindow(window_s=10.0, clock=clock)
    for value in range(101):
        window.add(float(value))
        clock.now_s += 0.02
    summary = window.summary()
    assert (summary.count, summary.p50, summary.p99) == (101, 50, 99)
    assert summary.rate_hz == pytest.approx(50)


def test_what_is_older_than_the_window_is_forgotten():
    clock = Clock()
    window = RollingWindow(window_s=10.0, clock=clock)
    window.add(7.0)
    clock.now_s += 8
    window.add(1.0)
    clock.now_s += 4
    assert (window.summary().count, window.summary().p99) == (1, 1.0)
    assert window.summary().rate_hz == pytest.approx(0.1)
    clock.now_s += 10
    assert window.summary() == NOTHING


def test_a_full_window_still_gives_the_right_rate():
    clock = Clock()
    window = RollingWindow(window_s=10.0, capacity=50, clock=clock)
    for _ in range(500):
        clock.now_s += 0.01
        window.add()
    assert window.summary().count == 50
    assert window.summary().rate_hz == pytest.approx(100, rel=0.05)
