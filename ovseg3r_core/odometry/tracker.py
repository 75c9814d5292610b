"""Where the camera is, frame by frame, from colour and depth alone.

frame ─► shape ─► fits the keyframe, near where the last motion leads? ─────────► pose
                     └─ no, or a new keyframe is due ─► looks like a keyframe? ─► pose, else lost

Shape is quick and exact, and tells every frame's place in one keyframe. Looks are slow, but know a place again after a
fast turn, and catch a shape that slid along a wall. A camera that is lost is given no pose until a keyframe is
recognised: nothing is mapped meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import invert, nearest_rigid, pose_distance
from ovseg3r_core.odometry.features import Features, Seen, features_of, see
from ovseg3r_core.odometry.shape import FIRMNESS, OVERLAP, Fit, Shape, fit, shape_of
from ovseg3r_core.types import RgbdFrame

UPRIGHT = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""T_map_camera of the first frame: level, looking along y of the map, whose z is up."""


LOST = "lost"
_NEWEST, _OLDER = 20, 40  # keyframes that each frame of a lost camera is compared with, at most


@dataclass(frozen=True, kw_only=True)
class TrackerConfig:
    """When a pose is believed, and when a frame becomes a keyframe."""

    overlap: Annotated[float, Within(0.0, 1.0)] = OVERLAP
    """Share of the frame's points that must fit the keyframe."""
    firmness: Annotated[float, Within(0.0, 1.0)] = FIRMNESS
    """Below this a shape may slide along itself, and only looks are believed: see `Fit`."""
    agree_m: Annotated[float, Within(0.0, 10.0)] = 0.05
    """Shape and looks agree when they differ by less than this,"""
    agree_rad: Annotated[float, Within(0.0, 3.2)] = 0.05
    """and less than this."""
    keyframe_m: Annotated[float, Within(0.0, 10.0)] = 0.2
    """A new keyframe is due this far from the last one,"""
    keyframe_rad: Annotated[float, Within(0.0, 3.2)] = 0.25
    """or turned by so much from it."""
    remembered: Annotated[int, Within(1, 100)] = 4
    """Keyframes that a frame is compared with by looks while the camera is not lost."""
    recognise_matches: Annotated[int, Within(1, 10_000)] = 30
    """Matches that bring a lost camera back."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class OdometryKeyframe:
    """A frame that others are compared with."""

    index: int
    T_map_camera: Float64[ndarray, "4 4"]
    shape: Shape
    features: Features


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """The place of one frame, told from its keyframe, so that it moves with it when a loop is closed."""

    index: int
    stamp_s: float
    keyframe: int
    """Place among the tracker's keyframes."""
    T_keyframe_camera: Float64[ndarray, "4 4"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decision:
    """What the tracker made of one frame."""

    index: int
    T_map_camera: Float64[ndarray, "4 4"] | None = None
    """None where it has no place, for the reason given."""
    keyframe: int = -1
    """Place of the keyframe that it is told from."""
    is_keyframe: bool = False
    """Whether it is that keyframe itself."""
    reason: str = ""


@dataclass
class _Motion:
    """The last pose, and the step that led there."""

    T_map_camera: Float64[ndarray, "4 4"]
    step: Float64[ndarray, "4 4"] = field(default_factory=lambda: np.eye(4))

    def predicted(self) -> Float64[ndarray, "4 4"]:
        return self.T_map_camera @ self.step

    def moved(self, T_map_camera: Float64[ndarray, "4 4"]) -> "_Motion":
        return _Motion(T_map_camera, nearest_rigid(invert(self.T_map_camera) @ T_map_camera))


def familiar_places(keyframes: int, turn: int) -> list[int]:
    """The keyframes that a lost camera's frame is compared with: the newest, and some of the older ones, others each
    turn, so that all have been tried after a while and no frame takes long."""
    older = range(max(0, keyframes - _NEWEST))
    step = max(1, -(-len(older) // _OLDER))
    return [*range(keyframes - 1, len(older) - 1, -1), *older[turn % step :: step]]


class Tracker:
    """Follows one camera; frames come in the order of time."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self._config = config or TrackerConfig()
        self.keyframes: list[OdometryKeyframe] = []
        self.tracked: list[Tracked] = []
        self._motion: _Motion | None = None
        """None while the camera is lost."""
        self._current = 0

    @property
    def lost(self) -> bool:
        """Whether the camera's place is unknown."""
        return bool(self.keyframes) and self._motion is None

    def track(self, frame: RgbdFrame) -> Float64[ndarray, "4 4"]:
        """The pose of the next frame.

        Raises:
            Rejected: `no_shape` where depth shows too little; `lost` where the frame fits nothing that is known.
        """
        shape = shape_of(frame)
        if shape is None:
            raise Rejected("no_shape", f"frame {frame.index}: too little depth between 0.2 and 5 m to tell a place by")
        if not self.keyframes:
            self._add_keyframe(frame, UPRIGHT, shape, features_of(frame))
            return self._settle(frame, UPRIGHT)
        T = self._recognise(frame, shape) if self._motion is None else self._follow(frame, shape, self._motion)
        if T is None:
            self._motion = None
            raise Rejected(LOST, f"frame {frame.index}: fits none of {len(self.keyframes)} keyframes; bring it back")
        return self._settle(frame, nearest_rigid(T))

    def retrace(self, frame: RgbdFrame, decided: Decision) -> Float64[ndarray, "4 4"]:
        """The pose of the next frame, as an earlier run found it.

        Raises:
            Rejected: it found none.
        """
        if decided.T_map_camera is None:
            self._motion = None if decided.reason == LOST else self._motion
            raise Rejected(decided.reason, f"frame {frame.index}: an earlier run found no place for it")
        if decided.is_keyframe:
            shape = shape_of(frame)
            assert shape is not None, "it was a keyframe"
            self._add_keyframe(frame, decided.T_map_camera, shape, features_of(frame))
        self._current = decided.keyframe
        return self._settle(frame, decided.T_map_camera)

    def lose(self) -> None:
        """Know no longer where the camera is, as after a jump of time; the keyframes stay."""
        self._motion = None

    def forget(self, place: int) -> None:
        """Drop a keyframe that nothing is told from any more; not the one that frames are compared with now."""
        assert place != self._current or self._motion is None, "frames are compared with it"
        del self.keyframes[place]
        self._current -= place < self._current

    def _follow(self, frame: RgbdFrame, shape: Shape, motion: _Motion) -> Float64[ndarray, "4 4"] | None:
        """The pose of a frame that comes after one whose pose is known."""
        key = self.keyframes[self._current]
        by_shape = fit(key.shape, shape, invert(key.T_map_camera) @ motion.predicted())
        holds = self._holds(by_shape)
        if holds and not self._is_due(by_shape):
            return key.T_map_camera @ by_shape.T_a_b
        features = features_of(frame)
        by_looks = self._look(features, range(self._current, max(-1, self._current - self._config.remembered), -1))
        if by_looks is None:
            T = key.T_map_camera @ by_shape.T_a_b if holds else None
        else:
            T = self._decide(shape, *by_looks, key.T_map_camera @ by_shape.T_a_b if holds else None)
        if T is not None:
            self._add_keyframe(frame, nearest_rigid(T), shape, features)
        return T

    def _recognise(self, frame: RgbdFrame, shape: Shape) -> Float64[ndarray, "4 4"] | None:
        """The pose of a frame that may be anywhere."""
        familiar = familiar_places(len(self.keyframes), frame.index)
        found = self._look(features_of(frame), familiar, self._config.recognise_matches)
        if found is None:
            return None
        self._current = found[0]
        return self._decide(shape, *found, None)

    def _look(self, features: Features, places: Sequence[int], fewest: int = 0) -> tuple[int, Seen] | None:
        """The keyframe that the features match best, and the pose by it; the first with many matches will do."""
        best: tuple[int, Seen] | None = None
        for place in places:
            seen = see(self.keyframes[place].features, features)
            if seen and seen.matches >= fewest and (best is None or seen.matches > best[1].matches):
                best = place, seen
                if seen.matches >= 4 * self._config.recognise_matches:
                    break
        return best

    def _decide(
        self, shape: Shape, place: int, seen: Seen, T_by_shape: Float64[ndarray, "4 4"] | None
    ) -> Float64[ndarray, "4 4"]:
        """The pose by looks, made exact by the shape where that agrees; shape alone where both tell the same."""
        key = self.keyframes[place]
        T_by_looks = key.T_map_camera @ seen.T_a_b
        if T_by_shape is not None and self._agree(T_by_shape, T_by_looks):
            return T_by_shape
        exact = fit(key.shape, shape, seen.T_a_b)
        T_exact = key.T_map_camera @ exact.T_a_b
        return T_exact if self._holds(exact) and self._agree(T_exact, T_by_looks) else T_by_looks

    def _holds(self, it: Fit) -> bool:
        return it.tells(self._config.overlap, self._config.firmness)

    def _agree(self, T_a: Float64[ndarray, "4 4"], T_b: Float64[ndarray, "4 4"]) -> bool:
        apart_m, turned = pose_distance(T_a, T_b)
        return apart_m <= self._config.agree_m and turned <= self._config.agree_rad

    def _is_due(self, it: Fit) -> bool:
        moved_m, turned = pose_distance(np.eye(4), it.T_a_b)
        return moved_m > self._config.keyframe_m or turned > self._config.keyframe_rad

    def _add_keyframe(self, frame: RgbdFrame, T: Float64[ndarray, "4 4"], shape: Shape, features: Features) -> None:
        self._current = len(self.keyframes)
        self.keyframes.append(OdometryKeyframe(index=frame.index, T_map_camera=T, shape=shape, features=features))

    def _settle(self, frame: RgbdFrame, T: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4 4"]:
        self._motion = self._motion.moved(T) if self._motion else _Motion(T)
        key = self.keyframes[self._current].T_map_camera
        self.tracked.append(
            Tracked(index=frame.index, stamp_s=frame.stamp_s, keyframe=self._current, T_keyframe_camera=invert(key) @ T)
        )
        return T
