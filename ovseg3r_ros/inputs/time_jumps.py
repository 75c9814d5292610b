"""One answer to a jump of time, however it was noticed."""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Protocol

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node

_SAME_JUMP_S = 0.5  # the clock and the streams all notice one jump, within a moment
_BACK = Duration(seconds=-1)


class Resettable(Protocol):
    """What knows something of time."""

    def reset(self) -> None:
        """Forget it."""
        ...


class TimeJumps:
    """Resets the inputs when time goes back by more than a second, and tells the node once a jump.

    The node's clock tells of jumps of /clock, and of simulated time being switched on or off; the cameras call
    `jumped` where the stamps of their images go back.

    Args:
        on_jump: is told in words what happened, after the inputs were reset; in the thread that noticed it.
    """

    def __init__(self, node: Node, on_jump: Callable[[str], None]) -> None:
        self._on_jump = on_jump
        self._inputs: tuple[Resettable, ...] = ()
        self._lock = Lock()  # the cameras and the clock notice in threads of their own
        self._noticed_by: set[str] = set()
        self._told_s = -_SAME_JUMP_S
        threshold = JumpThreshold(min_forward=None, min_backward=_BACK, on_clock_change=True)
        self._handle = node.get_clock().create_jump_callback(threshold, post_callback=self._clock_jumped)

    def watch(self, *inputs: Resettable) -> None:
        """Reset these too: poses first, then cameras, which ask them."""
        self._inputs += inputs

    def jumped(self, source: str, by_s: float) -> None:
        """Something noticed a jump: who, and by how many seconds time went forth (or back, where it is negative)."""
        for resettable in self._inputs:
            resettable.reset()
        if self._is_new(source, monotonic()):
            self._on_jump(f"{source} jumped by {by_s:.3f} s")

    def destroy(self) -> None:
        """Watch no longer."""
        self._handle.unregister()
        self._inputs = ()

    def _is_new(self, source: str, now_s: float) -> bool:
        """Whether this is another jump than the last: that source saw the last one too, or it is long ago."""
        with self._lock:
            is_new = source in self._noticed_by or now_s - self._told_s >= _SAME_JUMP_S
            if is_new:
                self._noticed_by, self._told_s = set(), now_s
            self._noticed_by.add(source)
            return is_new

    def _clock_jumped(self, jump: TimeJump) -> None:
        self.jumped("the node's clock", jump.delta.nanoseconds / 1e9)
