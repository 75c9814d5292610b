"""Rates and percentiles of what happened lately, for diagnostics."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a window holds: how often something happened, and what was measured when it did."""

    count: int
    rate_hz: float
    p50: float
    """Median of the values; 0 while there is none."""
    p99: float


NOTHING = Summary(count=0, rate_hz=0.0, p50=0.0, p99=0.0)


class RollingWindow:
    """The values of the last seconds; safe to share between threads.

    Args:
        window_s: how far back it remembers.
        capacity: values it keeps at most; beyond that the window gets shorter, and the rate stays right.
        clock: seconds that only grow.
    """

    def __init__(
        self, window_s: float = 10.0, capacity: int = 1000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window_s, self._clock = window_s, clock
        self._entries: deque[tuple[float, float]] = deque(maxlen=capacity)
        self._since = clock()
        self._lock = threading.Lock()

    def add(self, value: float = 0.0) -> None:
        """Note that it happened now."""
        with self._lock:
            if len(self._entries) == self._entries.maxlen:
                self._since = self._entries[0][0]
            self._entries.append((self._clock(), value))

    def summary(self) -> Summary:
        """What the window holds now."""
        with self._lock:
            now = self._clock()
            self._since = max(self._since, now - self._window_s)
            while self._entries and self._entries[0][0] < self._since:
                self._entries.popleft()
            values, span_s = [value for _, value in self._entries], now - self._since
        if not values:
            return NOTHING
        p50, p99 = np.percentile(values, (50, 99)).tolist()
        return Summary(count=len(values), rate_hz=len(values) / max(span_s, 1e-3), p50=p50, p99=p99)
