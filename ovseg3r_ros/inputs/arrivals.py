"""Counts what arrives on one stream, and how often."""

from time import monotonic

from ovseg3r_core.rolling import RollingWindow

_WINDOW_S = 5.0


class Arrivals:
    """Number, rate and last time of the messages of a stream, by a clock that never jumps."""

    def __init__(self) -> None:
        self.count = 0
        self._last_s = monotonic()
        self._window: RollingWindow | None = None  # from the first message on: the rate leaves out the wait for it

    def add(self) -> None:
        """A message came now."""
        if self._window is None:
            self._window = RollingWindow(_WINDOW_S)
        self._window.add()
        self.count += 1
        self._last_s = monotonic()

    def rate_hz(self) -> float:
        """Messages a second over the last seconds; 0 for a single one."""
        if self._window is None:
            return 0.0
        recent = self._window.summary()
        return recent.rate_hz if recent.count > 1 else 0.0

    def silent_for_s(self) -> float:
        """Seconds since the last message, or since listening began."""
        return monotonic() - self._last_s
