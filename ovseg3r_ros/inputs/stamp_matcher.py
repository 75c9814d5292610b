"""Pairs colour with depth by stamp: each other's nearest within a slop, without waiting longer than needed.

Both streams keep a short queue, sorted by stamp. Two images are a pair when each is the other's nearest and nothing
that is still to come can be nearer: that is certain at once for equal stamps and wherever the earlier stream's
shortest recent interval is at least twice the difference, else when its next image is there. Pairs leave in order
of time, and what is older than a pair that left has lost its chance.

Every image is accounted for: added = paired + dropped + waiting, for each stream, at any time.
"""

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

Kind = Literal["color", "depth"]
Item = TypeVar("Item")

_INTERVALS = 16  # enough to see the shortest of a jittering stream, few enough to follow a change of rate
_WITHOUT_PARTNER: dict[Kind, str] = {"color": "no_depth", "depth": "no_color"}


class _Entry(NamedTuple, Generic[Item]):
    stamp_ns: int
    arrival: int
    item: Item


@dataclass(frozen=True)
class Pair(Generic[Item]):
    """A colour and a depth image of one time."""

    stamp_ns: int
    """Of the colour image, whose pose counts."""
    color: Item
    depth: Item


class StampMatcher(Generic[Item]):
    """Matches two streams; not for several threads at once.

    Dropped images are counted in `dropped[kind]` under `no_depth` or `no_color` (no partner came), `late` (older than
    a pair that left), `duplicate_stamp`, `zero_stamp`, and whatever reason `clear` is given.

    Args:
        slop_s: largest difference of stamps within a pair.
        queue: images of each kind that wait; of more, the one that waited longest is dropped.
    """

    def __init__(self, *, slop_s: float, queue: int) -> None:
        self._slop_ns = round(slop_s * 1e9)
        self._streams: dict[Kind, _Stream[Item]] = {kind: _Stream(kind, queue) for kind in ("color", "depth")}
        self.paired = 0

    @property
    def dropped(self) -> dict[Kind, Counter[str]]:
        """Images that found no use, by stream and reason."""
        return {kind: +stream.dropped for kind, stream in self._streams.items()}

    def waiting(self, kind: Kind) -> int:
        """Images of a stream that wait for their partner."""
        return len(self._streams[kind].entries)

    def add(self, kind: Kind, stamp_ns: int, item: Item) -> list[Pair[Item]]:
        """Take an image; gives the pairs that it completes, oldest first."""
        if not self._streams[kind].add(stamp_ns, item):
            return []
        pairs: list[Pair[Item]] = []
        while (match := self._next_match()) is not None:
            color, depth = match
            self._streams["color"].take(color)
            self._streams["depth"].take(depth)
            self.paired += 1
            pairs.append(Pair(color.stamp_ns, color.item, depth.item))
        return pairs

    def clear(self, reason: str) -> None:
        """Forget all that waits, counted under the reason, and everything that is known of time."""
        for stream in self._streams.values():
            stream.clear(reason)

    def _next_match(self) -> tuple[_Entry[Item], _Entry[Item]] | None:
        colors, depths = self._streams["color"], self._streams["depth"]
        if not depths.entries:
            return None
        for color in colors.entries:
            depth = depths.nearest(color.stamp_ns)
            if abs(depth.stamp_ns - color.stamp_ns) > self._slop_ns or colors.nearest(depth.stamp_ns) is not color:
                continue
            earlier, stream = (color, colors) if color.stamp_ns < depth.stamp_ns else (depth, depths)
            settled = stream.settled(earlier, abs(depth.stamp_ns - color.stamp_ns))
            return (color, depth) if settled else None
        return None


class _Stream(Generic[Item]):
    """One side: what waits, sorted by stamp, and how often images come."""

    def __init__(self, kind: Kind, limit: int) -> None:
        self.entries: list[_Entry[Item]] = []
        self.dropped: Counter[str] = Counter()
        self._without_partner, self._limit = _WITHOUT_PARTNER[kind], limit
        self._arrivals = 0
        self._forget_time()

    def add(self, stamp_ns: int, item: Item) -> bool:
        """Queue an image, or count why not."""
        at = bisect_left(self.entries, stamp_ns, key=_stamp)
        if refused := self._refusal(stamp_ns, at):
            self.dropped[refused] += 1
            return False
        if self._previous_ns is not None and stamp_ns > self._previous_ns:
            self._intervals_ns.append(stamp_ns - self._previous_ns)
        self._previous_ns = stamp_ns
        self._arrivals += 1
        self.entries.insert(at, _Entry(stamp_ns, self._arrivals, item))
        if len(self.entries) > self._limit:  # by arrival: one stamp from the far future must not push out all others
            self.entries.remove(min(self.entries, key=lambda entry: entry.arrival))
            self.dropped[self._without_partner] += 1
        return True

    def nearest(self, stamp_ns: int) -> _Entry[Item]:
        at = bisect_left(self.entries, stamp_ns, key=_stamp)
        around = self.entries[max(at - 1, 0) : at + 1]
        return min(around, key=lambda entry: abs(entry.stamp_ns - stamp_ns))  # of two as near, the earlier

    def settled(self, entry: _Entry[Item], difference_ns: int) -> bool:
        """Whether no later image of this stream can be nearer to a stamp that is this far behind the entry."""
        if difference_ns == 0 or self.entries[-1] is not entry:
            return True
        return bool(self._intervals_ns) and min(self._intervals_ns) >= 2 * difference_ns

    def take(self, entry: _Entry[Item]) -> None:
        """Remove an entry that found its partner, and all before it, which no longer can."""
        at = self.entries.index(entry)
        self.dropped[self._without_partner] += at
        del self.entries[: at + 1]
        self._last_paired_ns = entry.stamp_ns

    def clear(self, reason: str) -> None:
        self.dropped[reason] += len(self.entries)
        self.entries.clear()
        self._forget_time()

    def _forget_time(self) -> None:
        self._last_paired_ns: int | None = None
        self._previous_ns: int | None = None
        self._intervals_ns: deque[int] = deque(maxlen=_INTERVALS)

    def _refusal(self, stamp_ns: int, at: int) -> str | None:
        if stamp_ns <= 0:
            return "zero_stamp"
        waits = at < len(self.entries) and self.entries[at].stamp_ns == stamp_ns
        if waits or stamp_ns == self._last_paired_ns:
            return "duplicate_stamp"
        if self._last_paired_ns is not None and stamp_ns < self._last_paired_ns:
            return "late"
        return None


def _stamp(entry: _Entry[Item]) -> int:
    return entry.stamp_ns
