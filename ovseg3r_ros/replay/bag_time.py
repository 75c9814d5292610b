"""When, by the clock of the wall, the played clock showed what: the way from stamps to delays that people feel."""

from array import array
from bisect import bisect_left


class BagTime:
    """Remembers the readings of /clock; a clock that jumps back starts anew."""

    def __init__(self) -> None:
        self._bag_ns, self._wall_s = array("q"), array("d")

    def add(self, bag_ns: int, wall_s: float) -> None:
        """A reading, and when it came."""
        if self._bag_ns and bag_ns < self._bag_ns[-1]:
            self._bag_ns, self._wall_s = array("q"), array("d")
        stands = len(self._bag_ns) > 1 and self._bag_ns[-2] == bag_ns
        if stands:  # its first and last reading tell all
            self._wall_s[-1] = wall_s
        else:
            self._bag_ns.append(bag_ns)
            self._wall_s.append(wall_s)

    def wall_s(self, bag_ns: int) -> float | None:
        """When the clock showed that time; None outside of what was read."""
        after = bisect_left(self._bag_ns, bag_ns)
        if after == len(self._bag_ns) or (after == 0 and self._bag_ns[0] != bag_ns):
            return None
        if self._bag_ns[after] == bag_ns:
            return self._wall_s[after]
        (b0, b1), (w0, w1) = self._bag_ns[after - 1 : after + 1], self._wall_s[after - 1 : after + 1]
        return w0 + (w1 - w0) * (bag_ns - b0) / (b1 - b0)
