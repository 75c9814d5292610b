"""Whether the perception node keeps up with what it is sent, by what it says on /diagnostics."""

import time
from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from ovseg3r_ros.replay.node_report import NodeReport, read_report

_FRAMES = 4  # under way at most: more than that and the node's mailboxes overflow before it can tell
_LOST_AFTER_S = 1.0
_STUCK_AFTER_S = 60.0  # a slow machine looks at a keyframe for seconds


class Backlog:
    """Hears the diagnostics, and compares them with what was published.

    Images that have not reached the node's workers within a second are no backlog: DDS lost them, or they wait for
    what comes next.

    Args:
        color: the colour topic, whose images are counted.
    """

    def __init__(self, node: Node, color: str) -> None:
        self._color, self._report = color, NodeReport()
        self._written_off = 0
        self._last, self._since_s = 0, time.monotonic()
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._take, 10)

    def is_small(self, published: Mapping[str, int]) -> bool:
        """Whether the node has dealt with all but the last few frames."""
        self._executor.spin_once(timeout_sec=0)
        camera, sent = self._report.camera(self._color), published.get(self._color, 0)
        queued = sum(self._report.waiting[stage] for stage in ("odometry", "fuse", "look"))
        behind = queued + (sent - camera.missed - camera.received + camera.in_work if camera else sent)
        if behind != self._last:
            self._last, self._since_s = behind, time.monotonic()
        elif time.monotonic() - self._since_s > (_STUCK_AFTER_S if queued else _LOST_AFTER_S):
            self._written_off = behind
        self._written_off = min(self._written_off, behind)
        return behind - self._written_off < (1 if queued else _FRAMES)

    def _take(self, message: DiagnosticArray) -> None:
        self._report = report_of(message) or self._report


def report_of(message: DiagnosticArray) -> NodeReport | None:
    """The perception node's report in a diagnostics message; None where it is another node's."""
    return read_report((status.name, {it.key: it.value for it in status.values}) for status in message.status)
