"""Believes a camera's poses only where they follow one another: at the start, and after every jump.

Between two frames a camera cannot have moved faster than it can move. A pose that says so is a relocation (the
localisation found out that it was wrong) or a glitch; mapping through either smears the map. The guard holds frames
back until enough of them in a row agree on the new place, or the old place comes back.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import rotation_angle

_SHORTEST_S = 0.02  # between frames: over less, the noise of a localisation looks like speed


@dataclass(frozen=True)
class _Seen:
    stamp_ns: int
    T_map_camera: Float64[ndarray, "4 4"]


class PoseGuard:
    """Judges the poses of one camera, frame by frame in order of time; not for several threads at once.

    Args:
        max_speed_mps, max_turn_radps: what the camera cannot exceed.
        proving_frames: the frames in a row that must agree; the last of them is the first that passes.
    """

    def __init__(self, *, max_speed_mps: float, max_turn_radps: float, proving_frames: int) -> None:
        self._max_speed_mps, self._max_turn_radps = max_speed_mps, max_turn_radps
        self._proving_frames = proving_frames
        self.relocations = 0
        self.reset()

    def reset(self) -> None:
        """Believe nothing, as at the start."""
        self._believed: _Seen | None = None
        self._candidate: _Seen | None = None
        self._streak = 0

    def check(self, stamp_ns: int, T_map_camera: Float64[ndarray, "4 4"]) -> None:
        """Judge the next frame's pose.

        Raises:
            Rejected: `not_ready` while the start is being proven, `pose_jump` while a new place is.
        """
        seen = _Seen(stamp_ns, T_map_camera)
        if self._goes_on(seen):
            self._believe(seen)
            return
        follows = self._candidate is not None and self._reachable(self._candidate, seen)
        self._candidate, self._streak = seen, self._streak + 1 if follows else 1
        if self._streak < self._proving_frames:
            raise self._refusal(seen)
        self.relocations += self._believed is not None
        self._believe(seen)

    def _goes_on(self, seen: _Seen) -> bool:
        """Whether the pose follows the last believed one, and is no nearer to the place that is being proven."""
        if self._believed is None or not self._reachable(self._believed, seen):
            return False
        return self._candidate is None or self._needed_s(self._believed, seen) <= self._needed_s(self._candidate, seen)

    def _believe(self, seen: _Seen) -> None:
        self._believed, self._candidate, self._streak = seen, None, 0

    def _reachable(self, one: _Seen, other: _Seen) -> bool:
        return self._needed_s(one, other) <= max(abs(other.stamp_ns - one.stamp_ns) / 1e9, _SHORTEST_S)

    def _needed_s(self, one: _Seen, other: _Seen) -> float:
        """The time that the camera at its fastest needs from one pose to the other."""
        return max(_distance_m(one, other) / self._max_speed_mps, _angle_rad(one, other) / self._max_turn_radps)

    def _refusal(self, seen: _Seen) -> Rejected:
        proof = f"{self._streak} of {self._proving_frames} frames in a row agree"
        if self._believed is None:
            return Rejected("not_ready", f"the pose is being proven: {proof}")
        moved = f"{_distance_m(self._believed, seen):.2f} m and {_angle_rad(self._believed, seen):.2f} rad"
        seconds = (seen.stamp_ns - self._believed.stamp_ns) / 1e9
        limits = f"at most {self._max_speed_mps} m/s and {self._max_turn_radps} rad/s"
        return Rejected("pose_jump", f"the camera moved {moved} in {seconds:.3f} s, {limits} are possible; {proof}")


def _distance_m(one: _Seen, other: _Seen) -> float:
    return float(np.linalg.norm(other.T_map_camera[:3, 3] - one.T_map_camera[:3, 3]))


def _angle_rad(one: _Seen, other: _Seen) -> float:
    return rotation_angle(one.T_map_camera[:3, :3].T @ other.T_map_camera[:3, :3])
