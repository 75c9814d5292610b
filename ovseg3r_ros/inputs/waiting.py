"""Image pairs that wait for the pose of their time, which often arrives after them."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_ros.inputs.pose_source import PoseNotYet

Item = TypeVar("Item")


class _Waiting(NamedTuple, Generic[Item]):
    stamp_ns: int
    since_ns: int
    item: Item


class WaitingRoom(Generic[Item]):
    """A queue that items leave in order, with their pose or the reason why there is none.

    Only the oldest is ever asked for: poses come in order of time too. Not for several threads at once.

    Args:
        wait_s: how long an item waits for a pose that can still come; for one that surely does it waits on.
        limit: items that wait; of more, the oldest leaves without a pose.
    """

    def __init__(self, *, wait_s: float, limit: int) -> None:
        self._wait_ns, self._limit = round(wait_s * 1e9), limit
        self._queue: deque[_Waiting[Item]] = deque()
        self.waits_for: PoseNotYet | None = None
        """Why the oldest item waits; None where none does."""

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, stamp_ns: int, now_ns: int, item: Item) -> None:
        """Let an item wait from now on; items come in order of their stamps."""
        self._queue.append(_Waiting(stamp_ns, now_ns, item))

    def leave(
        self, now_ns: int, pose_of: Callable[[int, Item], Float64[ndarray, "4 4"]]
    ) -> Iterator[tuple[int, Item, Float64[ndarray, "4 4"] | Rejected]]:
        """The items whose wait is over, as (stamp in ns, item, pose or `Rejected`), oldest first.

        Args:
            pose_of: gives the pose for a stamp and its item, or raises `PoseNotYet` or another `Rejected`.
        """
        while self._queue:
            first = self._queue[0]
            outcome = self._outcome(first, now_ns, pose_of)
            self.waits_for = outcome if isinstance(outcome, PoseNotYet) else None
            if isinstance(outcome, PoseNotYet):
                return
            self._queue.popleft()
            yield first.stamp_ns, first.item, outcome

    def clear(self) -> int:
        """Forget all items; gives their number."""
        count = len(self._queue)
        self._queue.clear()
        self.waits_for = None
        return count

    def _outcome(
        self, first: _Waiting[Item], now_ns: int, pose_of: Callable[[int, Item], Float64[ndarray, "4 4"]]
    ) -> Float64[ndarray, "4 4"] | Rejected:
        try:
            return pose_of(first.stamp_ns, first.item)
        except PoseNotYet as not_yet:
            if not_yet.is_sure:
                return not_yet
            waited_ns = now_ns - first.since_ns
            if waited_ns < self._wait_ns and len(self._queue) <= self._limit:
                return not_yet
            return Rejected("no_pose", f"{not_yet} (waited {waited_ns / 1e9:.2f} s, {len(self._queue)} frames wait)")
        except Rejected as rejected:
            return rejected
