"""The time of a bag while it is played."""

import time
from collections.abc import Callable


class PlayClock:
    """Bag time that runs at some speed, and can be held; it begins held.

    Args:
        speed: bag seconds a second.
        now_s: the clock of the wall.
    """

    def __init__(self, start_ns: int, speed: float, now_s: Callable[[], float] = time.perf_counter) -> None:
        self._speed, self._now_s = speed, now_s
        self._held = True
        self.jump(start_ns)

    def now_ns(self) -> int:
        """The bag's time."""
        passed_s = 0.0 if self._held else self._now_s() - self._from_s
        return self._from_ns + round(passed_s * self._speed * 1e9)

    def wait_s(self, at_ns: int) -> float:
        """Seconds of the wall until a bag time, negative after it, if the clock runs on."""
        return (at_ns - self.now_ns()) / 1e9 / self._speed

    def jump(self, to_ns: int) -> None:
        """Go on from another time."""
        self._from_ns, self._from_s = to_ns, self._now_s()

    def hold(self) -> None:
        """Stand still."""
        self.jump(self.now_ns())
        self._held = True

    def run(self, speed: float | None = None) -> None:
        """Run on from where it stands, at another speed where one is given."""
        self.jump(self.now_ns())
        self._held, self._speed = False, speed or self._speed
