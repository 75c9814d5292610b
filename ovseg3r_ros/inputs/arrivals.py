"""Counts what arrives on one stream, and how often."""

from collections import deque
from time import monotonic

_WINDOW_S = 5.0
_MOST = 1024  # arrivals kept: 200 a second over the window


class Arrivals:
    """Number, rate and last time of the messages of a stream, by a clock that never jumps."""

    def __init__(self) -> None:
        self.count = 0
        self._times_s: deque[float] = deque(maxlen=_MOST)
        self._first_s = self._opened_s = monotonic()

    def add(self) -> None:
        """A message came now."""
        now_s = monotonic()
        if self.count == 0:
            self._first_s = now_s
        self.count += 1
        self._times_s.append(now_s)

    def rate_hz(self) -> float:
        """Messages a second over the last seconds."""
        now_s = monotonic()
        recent = sum(now_s - time_s <= _WINDOW_S for time_s in tuple(self._times_s))
        return recent / min(max(now_s - self._first_s, 1e-3), _WINDOW_S) if recent > 1 else 0.0

    def silent_for_s(self) -> float:
        """Seconds since the last message, or since listening began."""
        return monotonic() - (self._times_s[-1] if self._times_s else self._opened_s)
