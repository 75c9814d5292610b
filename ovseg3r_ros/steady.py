"""Timers that go by a clock of their own: simulated time that stands still must not stop diagnostics or saving."""

from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType  # pyright: ignore[reportPrivateImportUsage] # where Humble has it
from rclpy.node import Node
from rclpy.timer import Timer


def steady_timer(
    node: Node, period_s: float, callback: Callable[[], None], group: CallbackGroup | None = None
) -> Timer:
    """Call back every so many seconds of real time, in a callback group of its own where none is given."""
    clock = Clock(clock_type=ClockType.STEADY_TIME)
    return node.create_timer(period_s, callback, group or MutuallyExclusiveCallbackGroup(), clock=clock)
