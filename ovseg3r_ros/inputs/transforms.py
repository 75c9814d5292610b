"""The transform tree of the robot, from /tf and /tf_static."""

from collections import Counter
from collections.abc import Callable
from threading import Lock

from jaxtyping import Float64
from numpy import ndarray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.bag_messages import read_transforms
from ovseg3r_core.sequences.tf_buffer import TfBuffer
from ovseg3r_ros.inputs.health import StreamHealth
from ovseg3r_ros.inputs.pose_source import PoseNotYet
from ovseg3r_ros.inputs.subscriptions import AutoSubscription, Candidate

_DEPTH = 100  # of both topics, as in tf2: a moment without the processor must not lose a transform


class Transforms:
    """Listens to the robot's transforms; may be asked in any thread.

    Args:
        max_gap_s: longest time between two samples of a transform that is interpolated.
        on_change: called whenever transforms have come, in their thread.
        callback_group: a mutually exclusive one.
    """

    def __init__(
        self, node: Node, *, max_gap_s: float, on_change: Callable[[], None], callback_group: CallbackGroup
    ) -> None:
        self._on_change = on_change
        self._buffer = TfBuffer(max_gap_s=max_gap_s)
        self._lock = Lock()
        self._refused: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
        self._moving = AutoSubscription(
            node,
            (Candidate(topic=node.resolve_topic_name("/tf"), kind=TFMessage),),
            lambda raw, _: self._take(raw, fixed=False),
            reliability="reliable",
            depth=_DEPTH,
            callback_group=callback_group,
        )
        self._static = AutoSubscription(
            node,
            (Candidate(topic=node.resolve_topic_name("/tf_static"), kind=TFMessage),),
            lambda raw, _: self._take(raw, fixed=True),
            reliability="reliable",
            depth=_DEPTH,
            durability="transient_local",
            callback_group=callback_group,
        )

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """`T_target_source` at a time.

        Raises:
            PoseNotYet: the frames are not connected yet, or the time is newer than the newest transform.
            Rejected: `no_pose` where the time is too old or in a gap.
        """
        try:
            return self._buffer.lookup(target, source, stamp_ns)
        except Rejected as why:
            if self._can_still_come(target, source, stamp_ns):
                raise PoseNotYet(str(why)) from why
            raise

    def connects(self, target: str, source: str) -> bool:
        """Whether any chain of transforms leads from one frame to the other."""
        try:
            self._buffer.newest_ns(target, source)
        except Rejected:
            return False
        return True

    def ancestors(self, frame: str) -> list[str]:
        """The frame, what it hangs on, and so on to the root; raises `Rejected` where the tree has a loop."""
        return self._buffer.ancestors(frame)

    def newest_ns(self, target: str, source: str) -> int | None:
        """The time up to which two frames are known; None where they are not connected or do not move."""
        try:
            return self._buffer.newest_ns(target, source)
        except Rejected:
            return None

    def reset(self) -> None:
        """Forget what moves; static transforms are sent only once, and hold at any time."""
        self._buffer.forget_moving()

    def health(self) -> tuple[StreamHealth, ...]:
        """The state of /tf and of /tf_static."""
        with self._lock:
            moving, static = +self._refused[False], +self._refused[True]
        return self._moving.health(moving), self._static.health(static)

    def destroy(self) -> None:
        """Stop listening."""
        self._moving.destroy()
        self._static.destroy()

    def _take(self, raw: bytes, *, fixed: bool) -> None:
        with self._lock:
            try:
                for parent, child, stamp_ns, T in read_transforms(raw):
                    self._insert(parent, child, stamp_ns, T, fixed)
            except Rejected as why:
                self._refused[fixed][why.reason] += 1
        self._on_change()

    def _insert(
        self, parent: str, child: str, stamp_ns: int, T: Float64[ndarray, "4 4"] | Rejected, fixed: bool
    ) -> None:
        if isinstance(T, Rejected):
            self._refused[fixed]["bad_tf"] += 1
            return
        try:
            self._buffer.insert(parent, child, stamp_ns, T, fixed=fixed)
        except Rejected as why:
            self._refused[fixed][why.reason] += 1

    def _can_still_come(self, target: str, source: str, stamp_ns: int) -> bool:
        if not self.connects(target, source):
            return True  # the missing transform may be the next to come
        newest_ns = self._buffer.newest_ns(target, source)
        return newest_ns is not None and stamp_ns > newest_ns
