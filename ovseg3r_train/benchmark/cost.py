"""What a call costs: seconds, and the memory that it needed beyond what was in use before."""

import threading
import time
from dataclasses import dataclass

import psutil

_EVERY_S = 0.005


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of wall clock and megabytes at the peak."""

    seconds: float
    memory_mb: float


class CostMeter:
    """Measures the block it is the context of; memory is sampled, so that peaks of under 5 ms may be missed."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._done = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._peak = 0

    def __enter__(self) -> "CostMeter":
        self._before = self._peak = self._process.memory_info().rss
        self._watch.start()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._seconds = time.perf_counter() - self._start
        self._done.set()
        self._watch.join()

    @property
    def cost(self) -> Cost:
        """What the block cost; ask after it has ended."""
        return Cost(seconds=self._seconds, memory_mb=(self._peak - self._before) / 2**20)

    def _sample(self) -> None:
        while not self._done.wait(_EVERY_S):
            self._peak = max(self._peak, self._process.memory_info().rss)
