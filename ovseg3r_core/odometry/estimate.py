"""A whole recording's poses: every frame tracked, loops closed, the map turned so that z is up."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray

from ovseg3r_core.alignment import upright
from ovseg3r_core.checks import Rejected
from ovseg3r_core.focal import doubtful
from ovseg3r_core.motion_blur import MotionBlur, edges_widened
from ovseg3r_core.odometry.diary import Diary
from ovseg3r_core.odometry.focal import focal_told
from ovseg3r_core.odometry.loops import close_loops
from ovseg3r_core.odometry.moving import Look, Moving, look_of, what_moves
from ovseg3r_core.odometry.shape import Shape
from ovseg3r_core.odometry.tracker import Decision, OdometryKeyframe, Tracker, TrackerConfig
from ovseg3r_core.sequences.sequence import Recording
from ovseg3r_core.small_image import grey_of
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.types import RgbdFrame

_BLUR_IMAGES = 200  # of a recording that are looked at for blur, about
_LOOK_S = 1.0  # a camera that stands still has no new keyframes, and is walked past all the same


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Where a camera was, as far as its images tell."""

    poses: Mapping[int, Float64[ndarray, "4 4"]]
    """T_map_camera by frame index; frames of which it is not known are missing."""
    stamps_s: Mapping[int, float]
    frames: int
    """That were read."""
    keyframes: int
    loops: int
    """Pairs of keyframes that saw the same place and agree."""
    focal_told: float = 1.0
    """What the images say the focal length is over what it was taken to be: 1 where intrinsics are right."""
    blur: MotionBlur = field(default_factory=MotionBlur)
    moving: Moving = field(default_factory=Moving)
    drops: Mapping[str, int] = field(default_factory=dict)
    """Frames without a pose, by reason."""
    clock: Stopwatch = field(default_factory=Stopwatch)

    def report(self) -> dict[str, Any]:
        """Counts and seconds, for people and files."""
        return {
            "frames": {"read": self.frames, "posed": len(self.poses)},
            "keyframes": self.keyframes,
            "loops": self.loops,
            "intrinsics": {"focal_told_by_images": self.focal_told, "doubtful": doubtful(self.focal_told)},
            "motion_blur": self.blur.report(),
            "moving": self.moving.report(),
            "drops": dict(self.drops),
            "seconds": dict(self.clock.seconds),
        }


def estimate_poses(
    recording: Recording,
    config: TrackerConfig | None = None,
    on_frame: Callable[[], object] = lambda: None,
    diary: Diary | None = None,
) -> Estimate:
    """Track every frame of a recording; the poses that it may have are not looked at.

    Args:
        diary: tells what an earlier run decided, and takes down what this one does.

    Raises:
        ValueError: no frame has a shape to track by.
    """
    tracker, drops, clock, frames = Tracker(config), Counter[str](), Stopwatch(), 0
    watch, looks = _BlurWatch(every=max(1, len(recording) // _BLUR_IMAGES)), list[Look]()
    for item in recording.read_unposed():
        frames += 1
        on_frame()
        if isinstance(item, Rejected):
            drops[item.reason] += 1
            continue
        try:
            with clock("blur"):
                watch.see(item)
            with clock("track"):
                keyframes = len(tracker.keyframes)
                _track(tracker, item, diary)
            if len(tracker.keyframes) > keyframes or item.stamp_s > looks[-1].stamp_s + _LOOK_S:
                looks.append(look_of(item.index, item.stamp_s, item))
        except Rejected as rejected:
            drops[rejected.reason] += 1
    if not tracker.tracked:
        raise ValueError(f"{recording.name}: no frame can be tracked ({dict(drops)})")
    with clock("loops"):
        of_keyframes, loops = close_loops(tracker.keyframes)
        told = focal_told([keyframe.features for keyframe in tracker.keyframes])
        T_level_map = level(tracker.keyframes, of_keyframes)
    poses = {it.index: T_level_map @ of_keyframes[it.keyframe] @ it.T_keyframe_camera for it in tracker.tracked}
    with clock("moving"):
        moving = what_moves(looks, poses)
    return Estimate(
        poses=poses,
        stamps_s={it.index: it.stamp_s for it in tracker.tracked},
        frames=frames,
        keyframes=len(tracker.keyframes),
        loops=loops,
        focal_told=told,
        blur=MotionBlur.of(watch.widened),
        moving=moving,
        drops=drops,
        clock=clock,
    )


def _track(tracker: Tracker, frame: RgbdFrame, diary: Diary | None) -> None:
    """Track a frame, or take what the diary says of it; raises `Rejected` where it has no place."""
    earlier = None if diary is None else diary.earlier(frame.index)
    if earlier is not None:
        tracker.retrace(frame, earlier)
        return
    keyframes = len(tracker.keyframes)
    try:
        T_map_camera = tracker.track(frame)
    except Rejected as rejected:
        if diary is not None:
            diary.add(Decision(index=frame.index, reason=rejected.reason))
        raise
    if diary is not None:
        is_keyframe, place = len(tracker.keyframes) > keyframes, tracker.tracked[-1].keyframe
        diary.add(Decision(index=frame.index, T_map_camera=T_map_camera, keyframe=place, is_keyframe=is_keyframe))


class _BlurWatch:
    """Looks at every so many frames, each with the one before it."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._seen = 0
        self._before: UInt8[ndarray, "rows columns"] | None = None
        self.widened: list[float | None] = []

    def see(self, frame: RgbdFrame) -> None:
        self._seen += 1
        asked = self._seen % self._every == 0
        image = grey_of(frame.color) if asked or (self._seen + 1) % self._every == 0 else None
        if asked and image is not None and self._before is not None and self._before.shape == image.shape:
            self.widened.append(edges_widened(self._before, image))
        self._before = image


def level(keyframes: Sequence[OdometryKeyframe], poses: Sequence[Float64[ndarray, "4 4"]]) -> Float64[ndarray, "4 4"]:
    """The turn that makes up z: up is where the cameras' tops point, corrected by the surfaces that face that way."""
    pairs = list(zip(keyframes, poses, strict=True))
    normals = np.concatenate([normals_of(key.shape) @ pose[:3, :3].T for key, pose in pairs]).astype(np.float32)
    return upright(normals, np.array([-pose[:3, 1] for pose in poses]))


def normals_of(shape: Shape) -> Float64[ndarray, "points 3"]:
    """The normals of a shape, towards the camera that saw it."""
    points, normals = (it[:, :3] for it in (shape.points.points(), shape.points.normals()))
    away = np.einsum("ij,ij->i", points, normals) > 0
    return np.where(away[:, None], -normals, normals)
