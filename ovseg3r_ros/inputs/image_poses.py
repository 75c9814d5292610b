"""Poses from the images themselves: our own odometry, in a thread behind a short queue.

pair of images ─► odometry (the oldest makes room) ─► pose, or the reason why there is none ─► /tf and `odometry`

Every pair that is observed gets an answer, so that a frame waits for it however long that takes, and is counted under
the reason where there is none: `lost`, `no_shape`, `odometry_busy`, or what is wrong with its images.
"""

import time
from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

from jaxtyping import Float64
from numpy import ndarray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from ovseg3r_core.checks import Rejected
from ovseg3r_core.odometry.live import LiveTracker
from ovseg3r_core.rolling import RollingWindow
from ovseg3r_core.stage import Stage
from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.inputs.frame_loader import ImagePair
from ovseg3r_ros.inputs.health import OdometryHealth, StreamHealth
from ovseg3r_ros.inputs.pose_source import Listeners, PoseNotYet
from ovseg3r_ros.inputs.transforms import Transforms
from ovseg3r_ros.outputs.pose_publisher import PosePublisher

_KEPT = 256  # answers: whoever asks does so at once
_NICENESS = 1  # before the mapping, which needs its poses, and behind whoever asks a question
_WINDOW_S = 60.0
_NOT_SEEN = ("odometry_busy", "stopped")  # frames that odometry did not look at say nothing of where the camera is


class _Observed(NamedTuple):
    camera_frame: str
    images: ImagePair
    era: int


class ImagePoses(Listeners):
    """A `PoseSource` that tracks one camera by what it sees.

    Args:
        tracker: may know the map already, from before the node was inactive; the camera is lost then at first.
    """

    def __init__(self, node: Node, config: InputConfig, callback_group: CallbackGroup, tracker: LiveTracker) -> None:
        super().__init__()
        self._lock = Lock()
        self._answers: OrderedDict[int, Float64[ndarray, "4 4"] | Rejected] = OrderedDict()
        self._asked: set[int] = set()
        self._era, self._order = 0, "lose"
        self._placed, self._newest_ns, self._lost_since_ns, self._last_ns = 0, None, None, 0
        self._why = ""
        self._took_s = RollingWindow(_WINDOW_S)
        self._tracker = tracker
        self._transforms = Transforms(
            node, max_gap_s=config.pose_max_gap_s, on_change=self._tell, callback_group=callback_group
        )
        self._publisher = PosePublisher(node, config, self._transforms)
        self._stage = Stage("odometry", config.odometry_queue, self._track, self._left_out, niceness=_NICENESS)
        self._stage.start()

    def observe(self, camera_frame: str, images: ImagePair) -> None:
        """See `PoseSource`."""
        with self._lock:
            self._asked.add(images.stamp_ns)
            observed = _Observed(camera_frame, images, self._era)
        self._stage.put(observed)

    def T_map_camera(self, camera_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """See `PoseSource`."""
        with self._lock:
            if stamp_ns in self._asked:
                raise PoseNotYet("odometry is at work on it", is_sure=True)
            answer = self._answers.get(stamp_ns)
        if answer is None:
            raise Rejected("no_pose", f"odometry never saw an image of {stamp_ns / 1e9:.3f} s, or long ago")
        if isinstance(answer, Rejected):
            raise Rejected(answer.reason, str(answer))
        return answer

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """See `PoseSource`."""
        return self._transforms.lookup(target, source, stamp_ns)

    def newest_ns(self, camera_frame: str) -> int | None:
        """See `PoseSource`."""
        return self._newest_ns

    def reset(self) -> None:
        """Forget what is under way; the map stays, and the camera is lost until it sees a place of it."""
        self._turn_over("lose")

    def begin_anew(self) -> None:
        """See `PoseSource`."""
        self._turn_over("anew")

    def health(self) -> tuple[StreamHealth, ...]:
        """Of /tf and /tf_static, which tell where the camera sits on its robot."""
        return self._transforms.health()

    def odometry_health(self) -> OdometryHealth:
        """See `PoseSource`."""
        with self._lock:
            since_ns = self._lost_since_ns
            return OdometryHealth(
                placed=self._placed,
                keyframes=self._tracker.keyframes,
                lost_for_s=None if since_ns is None else (self._last_ns - since_ns) / 1e9,
                why=self._why,
                took_s=self._took_s.summary(),
                waiting=self._stage.waiting,
            )

    def destroy(self) -> None:
        """See `PoseSource`."""
        self._stage.stop()
        self._transforms.destroy()
        self._publisher.destroy()

    def _track(self, observed: _Observed) -> None:
        if not self._is_of_now(observed):
            return
        start_s = time.perf_counter()
        try:
            T_map_camera = self._tracker.track(observed.images.load())
        except Rejected as why:
            self._answer(observed, why)
        else:
            if self._answer(observed, T_map_camera):
                self._publisher.publish(observed.camera_frame, observed.images.stamp_ns, T_map_camera)
        self._took_s.add(time.perf_counter() - start_s)
        self._tell()

    def _is_of_now(self, observed: _Observed) -> bool:
        """Whether the images are of the present era; what was ordered with its beginning is done first."""
        with self._lock:
            if observed.era != self._era:
                return False
            order, self._order = self._order, ""
        if order == "anew":
            self._tracker.begin_anew()
        elif order == "lose":
            self._tracker.lose()
        return True

    def _answer(self, observed: _Observed, answer: Float64[ndarray, "4 4"] | Rejected) -> bool:
        """Note the answer, unless it is of a former era."""
        stamp_ns = observed.images.stamp_ns
        with self._lock:
            if observed.era != self._era:
                return False
            self._asked.discard(stamp_ns)
            self._answers[stamp_ns] = answer
            while len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
            self._note(stamp_ns, answer)
            return True

    def _note(self, stamp_ns: int, answer: Float64[ndarray, "4 4"] | Rejected) -> None:
        if isinstance(answer, Rejected):
            if answer.reason in _NOT_SEEN:
                return
            self._lost_since_ns = stamp_ns if self._lost_since_ns is None else self._lost_since_ns
            self._last_ns, self._why = stamp_ns, str(answer)
            return
        self._placed += 1
        self._newest_ns, self._lost_since_ns = stamp_ns, None

    def _left_out(self, observed: _Observed, why: Rejected) -> None:
        self._answer(observed, why)  # told to nobody: whoever handed over a newer pair asks anyway

    def _turn_over(self, order: str) -> None:
        with self._lock:
            self._era += 1
            self._order = "anew" if "anew" in (order, self._order) else order
            self._answers.clear()
            self._asked.clear()
            self._newest_ns = self._lost_since_ns = None
