"""How wrong poses turned out to be, over time: what a SLAM system says of its keyframes when it closes a loop.

Poses drift slowly, so that what is known of some keyframes holds for everything between them. A correction acts in the
map, T_map_camera = T_map_before T_before_camera, and needs to know nothing of which body the keyframes' poses are of.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_pose
from ovseg3r_core.geometry import invert
from ovseg3r_core.sequences.poses import interpolate
from ovseg3r_core.types import Frame

_SAME = 1e-9  # of two poses that differ by what making one orthonormal leaves
_KEPT = 16
_REMEMBERED = 100_000  # keyframes of one SLAM session: a day at one a second


@dataclass(frozen=True, kw_only=True)
class PoseCorrection:
    """Corrections at some times; in between they are interpolated, before and after them the nearest one holds.

    Raises:
        Rejected: `bad_pose` where a correction is not finite or not rigid, `bad_stamp` where the times do not ascend.
    """

    stamps_s: Float64[ndarray, " samples"]
    T_map_before: Float64[ndarray, "samples 4 4"]

    def __post_init__(self) -> None:
        """Check what came from outside."""
        if not len(self.stamps_s) or not np.isfinite(self.stamps_s).all() or (np.diff(self.stamps_s) <= 0).any():
            raise Rejected("bad_stamp", f"{len(self.stamps_s)} corrections: give one at least, at finite, rising times")
        for T in self.T_map_before:
            check_pose(T)

    @classmethod
    def between(
        cls, before: Mapping[float, Float64[ndarray, "4 4"]], after: Mapping[float, Float64[ndarray, "4 4"]]
    ) -> "PoseCorrection":
        """What leads from the poses of before to those of after, by stamp in seconds; the times that both have."""
        common = sorted(before.keys() & after.keys())
        moves = [motion(before[stamp_s], after[stamp_s]) for stamp_s in common]
        return cls(stamps_s=np.array(common, np.float64), T_map_before=np.array(moves).reshape(-1, 4, 4))

    def corrected(self, stamp_s: float, T_before_camera: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4 4"]:
        """Where a camera really was at a time."""
        after = int(np.searchsorted(self.stamps_s, stamp_s))
        last = len(self.stamps_s) - 1
        if after > last or after == 0 or self.stamps_s[after] == stamp_s:
            return self.T_map_before[min(after, last)] @ T_before_camera
        begin_s, end_s = self.stamps_s[after - 1], self.stamps_s[after]
        one, other = self.T_map_before[after - 1] @ T_before_camera, self.T_map_before[after] @ T_before_camera
        return interpolate(one, other, float((stamp_s - begin_s) / (end_s - begin_s)))


class CorrectionLog:
    """The corrections that were taken, for frames that were posed before them and are still on their way to the map."""

    def __init__(self) -> None:
        self.revision = 0
        """How many there were."""
        self._last: deque[PoseCorrection] = deque(maxlen=_KEPT)

    def add(self, correction: PoseCorrection) -> None:
        """One more was taken."""
        self._last.append(correction)
        self.revision += 1

    def applied_to(self, frame: Frame) -> Frame:
        """A frame where it really was, by the corrections that came since its pose was looked up.

        Raises:
            Rejected: `pose_outdated` where it missed more than are kept.
        """
        posed = self.revision if frame.pose_revision is None else frame.pose_revision
        missed = self.revision - posed
        if missed > len(self._last):
            raise Rejected("pose_outdated", f"frame {frame.index} was posed {missed} corrections of the poses ago")
        T = frame.T_map_camera
        for correction in list(self._last)[len(self._last) - missed :]:
            T = correction.corrected(frame.stamp_s, T)
        return replace(frame, T_map_camera=T, pose_revision=self.revision)


class KeyframePoses:
    """What a SLAM system says of its keyframes, against what it said when the map was built with their poses.

    The first word on a keyframe is taken for what its frames were posed by; every later one is compared with that.

    Args:
        min_m, min_rad: a map is not moved before a keyframe moved or turned by more than this.
    """

    def __init__(self, *, min_m: float, min_rad: float) -> None:
        self._min_m, self._min_rad = min_m, min_rad
        self._in_force: dict[float, Float64[ndarray, "4 4"]] = {}

    def reset(self) -> None:
        """Forget all keyframes, as when time goes back or another map begins."""
        self._in_force = {}

    def take(self, poses: Mapping[float, Float64[ndarray, "4 4"]]) -> PoseCorrection | None:
        """The poses as they are now, by stamp in seconds; gives the correction that they ask for, where they do.

        Raises:
            Rejected: `bad_pose` where a pose is not finite or not rigid; nothing of it is taken then.
        """
        now = {stamp_s: check_pose(T) for stamp_s, T in poses.items()}
        if not self._have_moved(now):
            self._in_force = self._newest(now | self._in_force)
            return None
        correction = PoseCorrection.between(self._in_force, now)
        self._in_force = self._newest(self._in_force | now)
        return correction

    def _have_moved(self, now: Mapping[float, Float64[ndarray, "4 4"]]) -> bool:
        common = sorted(now.keys() & self._in_force.keys())
        if not common:
            return False
        shift_m, turn_rad = distances(
            np.array([self._in_force[stamp_s] for stamp_s in common]), np.array([now[stamp_s] for stamp_s in common])
        )
        return bool(((shift_m > self._min_m) | (turn_rad > self._min_rad)).any())

    @staticmethod
    def _newest(poses: dict[float, Float64[ndarray, "4 4"]]) -> dict[float, Float64[ndarray, "4 4"]]:
        return dict(sorted(poses.items())[-_REMEMBERED:])


def motion(T_before: Float64[ndarray, "4 4"], T_after: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4 4"]:
    """What takes the map as seen from the one pose to the map as seen from the other; exactly 1 for one pose."""
    return np.eye(4) if np.abs(T_after - T_before).max() <= _SAME else T_after @ invert(T_before)


def distances(
    T_before: Float64[ndarray, "poses 4 4"], T_after: Float64[ndarray, "poses 4 4"]
) -> tuple[Float64[ndarray, " poses"], Float64[ndarray, " poses"]]:
    """How far each pose moved, metres, and turned, radians."""
    traces = np.einsum("pij,pij->p", T_before[:, :3, :3], T_after[:, :3, :3])
    shift_m = np.linalg.norm(T_after[:, :3, 3] - T_before[:, :3, 3], axis=1)
    return shift_m, np.arccos(np.clip((traces - 1) / 2, -1.0, 1.0))
