"""The way of one camera's images from their bytes to a posed frame, without ROS.

clock -> partner -> calibration -> pose -> proof of the pose -> delivered. Whatever leaves the way on any step is
counted there under one reason; see `health.py` for the equation that holds.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.registration import place_of_depth
from ovseg3r_core.types import Frame
from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.inputs.calibrations import Calibrations
from ovseg3r_ros.inputs.frame_loader import DepthPlace, FrameLoader, ImageMessage, ImagePair
from ovseg3r_ros.inputs.gate import StartGate, check_clock
from ovseg3r_ros.inputs.headers import read_header
from ovseg3r_ros.inputs.health import CameraHealth, StreamHealth
from ovseg3r_ros.inputs.pose_guard import PoseGuard
from ovseg3r_ros.inputs.pose_source import PoseSource
from ovseg3r_ros.inputs.stamp_jumps import StampJumps
from ovseg3r_ros.inputs.stamp_matcher import Kind, Pair, StampMatcher
from ovseg3r_ros.inputs.waiting import WaitingRoom

Deliver = Callable[[str, int, Callable[[], Frame]], None]
"""Takes (sensor, stamp in ns, load); must not block, nor call back into the camera that it is called by."""

OnJump = Callable[[str, float], None]
"""Takes whose time jumped, and by how many seconds; has to reset the camera that calls it, see `TimeJumps.jumped`."""

_MOST_WAITING = 64  # pairs of 640x480 that wait for their pose hold 100 MB then

STREAMS = ("color", "depth", "camera_info", "depth_camera_info")
_NOT_READY = ("no_calibration", "no_extrinsics")  # what is bad may be judged by a newer one when the frame is loaded

logger = logging.getLogger(__name__)


class CameraPipeline:
    """One camera; its methods may be called in any thread.

    Args:
        name: of the camera; empty for the only one.
        deliver: takes each frame, in order of time; decoding is up to it.
        on_jump: is told that stamps went back, before the image that shows it is taken.
        now_ns: the node's time, which may be that of a simulation.
        rectified: whether the colour images have no lens distortion left.
        depth_rectified: the same of depth, where it comes from a camera of its own.
        depth_info_comes: whether somebody publishes the CameraInfo of depth.
    """

    def __init__(
        self,
        *,
        name: str,
        config: InputConfig,
        poses: PoseSource,
        deliver: Deliver,
        on_jump: OnJump,
        now_ns: Callable[[], int],
        rectified: bool,
        depth_rectified: bool = False,
        depth_info_comes: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name, self._sensor = name, name or "camera"
        self._poses, self._deliver, self._on_jump, self._now_ns = poses, deliver, on_jump, now_ns
        self._lock = Lock()
        self._received: Counter[str] = Counter()
        self._refused: dict[str, Counter[str]] = {stream: Counter() for stream in STREAMS}
        self._jumps: dict[Kind, StampJumps] = {"color": StampJumps(), "depth": StampJumps()}
        self._matcher: StampMatcher[ImageMessage] = StampMatcher(slop_s=config.pair_slop_s, queue=config.pair_queue)
        self._calibrations = Calibrations(rectified=rectified)
        self._depth_calibrations = Calibrations(rectified=depth_rectified)
        self._depth_info_comes = depth_info_comes
        self._waiting: WaitingRoom[ImagePair] = WaitingRoom(wait_s=config.pose_wait_s, limit=_MOST_WAITING)
        self._guard = PoseGuard(
            max_speed_mps=config.max_speed_mps,
            max_turn_radps=config.max_turn_radps,
            proving_frames=config.proving_frames,
        )
        self._gate = StartGate()
        self._dropped: Counter[str] = Counter()
        self._pairs = self._delivered = 0
        self._last_drop = ""
        self._camera_frame = ""
        self._closed = False

    def take_image(self, kind: Kind, raw: bytes, *, compressed: bool) -> None:
        """A serialised image of one of the two streams has come."""
        now_ns = self._now_ns()
        with self._lock:
            if self._closed:
                return
            try:
                stamp_ns, frame_id = read_header(raw)
                check_clock(stamp_ns, now_ns)
            except Rejected as why:
                self._received[kind] += 1
                self._drop(self._refused[kind], why)
                return
            back_s = self._jumps[kind].back_by_s(stamp_ns)
        if back_s:  # without the lock: it resets other cameras too, which may be about to reset this one
            self._on_jump(f"the time of {self._sensor}'s {kind} images", -back_s)
        with self._lock:
            if self._closed:
                return
            self._received[kind] += 1
            image = ImageMessage(frame_id=frame_id, raw=raw, compressed=compressed)
            for pair in self._matcher.add(kind, stamp_ns, image):
                self._take_pair(pair, now_ns)
            self._advance(now_ns)

    def take_info(self, raw: bytes) -> None:
        """A serialised CameraInfo of the colour camera has come."""
        self._take_info("camera_info", self._calibrations, raw)

    def take_depth_info(self, raw: bytes) -> None:
        """A serialised CameraInfo of the depth camera has come."""
        self._take_info("depth_camera_info", self._depth_calibrations, raw)

    def advance(self) -> None:
        """Let the pairs go on whose pose has come, and those go that have waited too long."""
        if len(self._waiting) == 0:  # poses come hundreds of times a second, and mostly nothing waits for them
            return
        now_ns = self._now_ns()
        with self._lock:
            self._advance(now_ns)

    def reset(self, reason: str = "time_jump") -> None:
        """Forget what is known of time and place; what waits is counted under the reason."""
        with self._lock:
            self._clear(reason)

    def close(self) -> None:
        """Take nothing any more; what waits is counted as `stopped`."""
        with self._lock:
            self._clear("stopped")
            self._closed = True

    def health(self) -> CameraHealth:
        """The counts, of one moment; topics, rates and publishers are for whoever subscribes to fill in."""
        with self._lock:
            newest_ns = self._poses.newest_ns(self._camera_frame) if self._camera_frame else None
            return CameraHealth(
                name=self._name,
                color=self._image_health("color"),
                depth=self._image_health("depth"),
                camera_info=self._stream_health("camera_info"),
                depth_camera_info=self._stream_health("depth_camera_info"),
                paired=self._matcher.paired,
                delivered=self._delivered,
                dropped=+self._dropped,
                waiting=len(self._waiting),
                last_drop=self._last_drop,
                pose_age_s=None if newest_ns is None else (self._now_ns() - newest_ns) / 1e9,
                gate=self._gate.message,
                relocations=self._guard.relocations,
            )

    def _take_info(self, stream: str, calibrations: Calibrations, raw: bytes) -> None:
        with self._lock:
            self._received[stream] += 1
            try:
                calibrations.add(raw)
            except Rejected as why:
                self._drop(self._refused[stream], why)

    def _take_pair(self, pair: Pair[ImageMessage], now_ns: int) -> None:
        if pair.color.frame_id != self._camera_frame:
            self._take_frame_id(pair)
        try:
            depth_place = self._depth_place(pair)
            self._calibrations.at(pair.stamp_ns)
        except Rejected as why:
            if why.reason in _NOT_READY:
                self._drop_pair(why)
                return
            depth_place = None
        images = ImagePair(
            sensor=self._sensor,
            number=self._pairs,
            stamp_ns=pair.stamp_ns,
            color=pair.color,
            depth=pair.depth,
            calibrations=self._calibrations,
            depth_place=depth_place,
        )
        self._pairs += 1
        self._poses.observe(pair.color.frame_id, images)
        self._waiting.add(pair.stamp_ns, now_ns, images)

    def _depth_place(self, pair: Pair[ImageMessage]) -> DepthPlace | None:
        """Where the depth camera is; None where depth is registered to colour, or nothing speaks against that."""
        color, depth = pair.color.frame_id, pair.depth.frame_id
        if depth == color:
            return None
        if not self._received["depth_camera_info"]:
            if self._depth_info_comes():
                raise Rejected("no_calibration", f"depth is in frame {depth!r}, and its CameraInfo has not come yet")
            return None
        return DepthPlace(
            calibrations=self._depth_calibrations,
            T_color_depth=place_of_depth(self._poses.lookup, color, depth, pair.stamp_ns),
        )

    def _take_frame_id(self, pair: Pair[ImageMessage]) -> None:
        self._camera_frame = pair.color.frame_id
        if pair.depth.frame_id != pair.color.frame_id and not self._depth_info_comes():
            logger.warning(
                "%s: depth is in frame %r but colour in %r, and depth/camera_info is not published: taken as "
                "registered to colour",
                *(self._sensor, pair.depth.frame_id, pair.color.frame_id),
            )

    def _advance(self, now_ns: int) -> None:
        for stamp_ns, images, pose in self._waiting.leave(now_ns, self._pose_of):
            if isinstance(pose, Rejected):
                self._drop_pair(pose)
                continue
            try:
                self._guard.check(stamp_ns, pose)
            except Rejected as why:
                self._drop_pair(why)
                continue
            self._pass(stamp_ns, images, pose)
        if self._waiting.waits_for is not None:
            self._gate.refused(self._waiting.waits_for)

    def _pose_of(self, stamp_ns: int, images: ImagePair) -> Float64[ndarray, "4 4"]:
        return self._poses.T_map_camera(images.color.frame_id, stamp_ns)

    def _pass(self, stamp_ns: int, images: ImagePair, T_map_camera: Float64[ndarray, "4 4"]) -> None:
        frame = FrameLoader(index=self._delivered, images=images, T_map_camera=T_map_camera)
        self._gate.passed()
        self._delivered += 1
        self._deliver(self._sensor, stamp_ns, frame.load)

    def _drop_pair(self, why: Rejected) -> None:
        self._drop(self._dropped, why)

    def _drop(self, counter: Counter[str], why: Rejected) -> None:
        if why.reason not in counter:
            logger.warning("%s: %s: %s (further ones are only counted)", self._sensor, why.reason, why)
        counter[why.reason] += 1
        self._last_drop = f"{why.reason}: {why}"
        self._gate.refused(why)

    def _clear(self, reason: str) -> None:
        self._matcher.clear(reason)
        self._dropped[reason] += self._waiting.clear()
        self._guard.reset()
        self._gate.close()
        for calibrations in (self._calibrations, self._depth_calibrations):
            calibrations.reset()
        for jumps in self._jumps.values():
            jumps.reset()

    def _image_health(self, kind: Kind) -> StreamHealth:
        health = self._stream_health(kind)
        dropped = health.dropped + self._matcher.dropped[kind]
        return replace(health, dropped=dropped, waiting=self._matcher.waiting(kind))

    def _stream_health(self, stream: str) -> StreamHealth:
        return StreamHealth(received=self._received[stream], dropped=+self._refused[stream])
