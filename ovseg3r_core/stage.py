"""A worker behind a bounded mailbox: what does not fit pushes the oldest out, and nothing is lost untold."""

import contextlib
import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ovseg3r_core.checks import Rejected

Item = TypeVar("Item")

logger = logging.getLogger(__name__)


class Stage(Generic[Item]):
    """Does one thing to items that come faster than it can do it.

    Args:
        name: of the thread.
        capacity: items that wait at most, in each lane.
        work: what is done to each item, in the thread.
        left_out: told of each item that was not worked on to the end, and why: `NAME_busy` where it had to make room
            for a newer one, `stopped`, what `work` rejected, or `internal_error`.
        newest_first: whether the newest item is taken first, and older ones when there is time.
        idle_s, idle: what is done once, in the thread, when no item has come for so long.
        niceness: how far the thread steps back behind others of the machine, 0..19; threads of the pools that
            libraries start in it inherit that.
        threads: how many items are worked on at the same time.
    """

    def __init__(
        self,
        name: str,
        capacity: int,
        work: Callable[[Item], None],
        left_out: Callable[[Item, Rejected], None],
        *,
        newest_first: bool = False,
        idle_s: float | None = None,
        idle: Callable[[], None] = lambda: None,
        niceness: int = 0,
        threads: int = 1,
    ) -> None:
        self.name, self._capacity, self._work, self._left_out = name, capacity, work, left_out
        self._newest_first, self._idle_s, self._idle, self._niceness = newest_first, idle_s, idle, niceness
        self._waiting: deque[tuple[str, Item]] = deque()
        self._lanes: Counter[str] = Counter()
        self._changed = threading.Condition()
        self._stopping, self._working = False, 0
        self._count, self._threads = threads, list[threading.Thread]()

    @property
    def waiting(self) -> int:
        """Items in the mailbox."""
        return len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether an item waits or is in work."""
        return bool(self._waiting) or self._working > 0

    def put(self, item: Item, lane: str = "") -> None:
        """Hand over an item; never waits. Lanes share the thread, and none pushes out another's items."""
        with self._changed:
            oldest = self._take_first(lane) if self._lanes[lane] >= self._capacity else None
            self._waiting.append((lane, item))
            self._lanes[lane] += 1
            self._changed.notify()
        if oldest is not None:
            self._left_out(oldest, Rejected(f"{self.name}_busy", f"{self._capacity} newer ones wait"))

    def start(self) -> None:
        """Begin to work on what waits."""
        self._stopping = False
        self._threads = [threading.Thread(target=self._run, name=self.name, daemon=True) for _ in range(self._count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the item in work and end the thread; what waits is left out."""
        with self._changed:
            self._stopping = True
            left = [item for _, item in self._waiting]
            self._waiting.clear()
            self._lanes.clear()
            self._changed.notify_all()
        for item in left:
            self._left_out(item, Rejected("stopped", "it still waited when the work was stopped"))
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _take_first(self, lane: str) -> Item:
        place = next(i for i, (other, _) in enumerate(self._waiting) if other == lane)
        item = self._waiting[place][1]
        del self._waiting[place]
        self._lanes[lane] -= 1
        return item

    def _run(self) -> None:
        step_back(self._niceness)
        rested = True
        while (items := self._next(None if rested else self._idle_s)) is not None:
            rested = not items
            for item in items:
                self._do(item)
            if rested:
                self._idle()
            with self._changed:
                self._working -= 1

    def _next(self, timeout_s: float | None) -> list[Item] | None:
        """The next item, nothing after the timeout, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping, timeout_s)
            if self._stopping:
                return None
            self._working += 1
            if not self._waiting:
                return []
            lane, item = self._waiting.pop() if self._newest_first else self._waiting.popleft()
            self._lanes[lane] -= 1
            return [item]

    def _do(self, item: Item) -> None:
        try:
            self._work(item)
        except Rejected as rejected:
            self._left_out(item, rejected)
        except Exception as error:
            logger.exception("%s: going on with the next", self.name)
            self._left_out(item, Rejected("internal_error", repr(error)))


def step_back(niceness: int) -> None:
    """Lower the priority of the calling thread; Linux has one for each thread, other systems leave it as it is."""
    if niceness and hasattr(os, "setpriority"):
        with contextlib.suppress(PermissionError):  # it was lower already
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
