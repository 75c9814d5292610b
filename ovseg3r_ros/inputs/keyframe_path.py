"""What a SLAM system says of its keyframes' poses, again and again: nav_msgs/Path on `keyframe_poses`."""

from collections import Counter
from collections.abc import Callable
from threading import Lock

from nav_msgs.msg import Path
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from ovseg3r_core.checks import Rejected
from ovseg3r_core.pose_correction import KeyframePoses, PoseCorrection
from ovseg3r_ros.inputs.health import StreamHealth
from ovseg3r_ros.inputs.pose_messages import read_path
from ovseg3r_ros.inputs.subscriptions import AutoSubscription, Candidate

_DEPTH = 10


class KeyframePath:
    """Listens to all keyframes' poses, and hands on the correction where they have moved.

    Every pose has the stamp of its keyframe; which body's pose it is does not matter, as only its motion counts.

    Args:
        map_frame: what the poses must be given in.
        keyframes: remembers what was said before.
        correct: takes each correction; must not block.
    """

    def __init__(
        self, node: Node, map_frame: str, keyframes: KeyframePoses, correct: Callable[[PoseCorrection], None]
    ) -> None:
        self._node, self._map_frame = node, map_frame.lstrip("/")
        self._keyframes, self._correct = keyframes, correct
        self._refused: Counter[str] = Counter()
        self._lock = Lock()
        self._subscription = AutoSubscription(
            node,
            (Candidate(topic=node.resolve_topic_name("keyframe_poses"), kind=Path),),
            lambda raw, _: self._take(raw),
            reliability="auto",
            durability="auto",
            depth=_DEPTH,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def health(self) -> StreamHealth:
        """The state of the topic."""
        with self._lock:
            refused = +self._refused
        return self._subscription.health(refused)

    def destroy(self) -> None:
        """Stop listening."""
        self._subscription.destroy()

    def _take(self, raw: bytes) -> None:
        try:
            frame, poses = read_path(raw)
            if frame != self._map_frame:
                raise Rejected(
                    "other_frame", f"keyframe poses are given in {frame!r}, not in map_frame {self._map_frame!r}"
                )
            correction = self._keyframes.take(poses)
        except Rejected as why:
            self._refuse(why)
            return
        if correction is not None:
            self._correct(correction)

    def _refuse(self, why: Rejected) -> None:
        with self._lock:
            self._refused[why.reason] += 1
            first = self._refused[why.reason] == 1
        if first:
            self._node.get_logger().warning(f"keyframe_poses: {why.reason}: {why} (further ones are only counted)")
