"""Poses over time: quaternions, interpolation between samples, and a trajectory that refuses to guess."""

from bisect import bisect_left

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import invert

_UNIT_TOLERANCE = 0.01  # quaternions printed with four digits pass; what is further off was never a rotation


def pose_from_quaternion(
    translation: tuple[float, float, float], quaternion_xyzw: tuple[float, float, float, float]
) -> Float64[ndarray, "4 4"]:
    """The rigid transform of a translation in metres and a unit quaternion (x, y, z, w).

    Raises:
        Rejected: `bad_pose` where a number is not finite or the quaternion is not of unit length.
    """
    t, q = np.array(translation, dtype=np.float64), np.array(quaternion_xyzw, dtype=np.float64)
    if not (np.isfinite(t).all() and abs(np.linalg.norm(q) - 1) <= _UNIT_TOLERANCE):
        raise Rejected("bad_pose", f"translation {translation}, quaternion {quaternion_xyzw}: not a rigid transform")
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_quat(q).as_matrix(), t
    return T


def quaternion_of(T: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4"]:
    """The rotation of a rigid transform as a unit quaternion (x, y, z, w)."""
    return Rotation.from_matrix(T[:3, :3]).as_quat()


def interpolate(T_a: Float64[ndarray, "4 4"], T_b: Float64[ndarray, "4 4"], share: float) -> Float64[ndarray, "4 4"]:
    """The pose `share` of the way from a to b: straight in position, along the shortest turn in rotation (slerp)."""
    turn = Rotation.from_matrix((invert(T_a) @ T_b)[:3, :3]).as_rotvec()
    T = np.eye(4)
    T[:3, :3] = T_a[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    T[:3, 3] = (1 - share) * T_a[:3, 3] + share * T_b[:3, 3]
    return T


class Trajectory:
    """Time-stamped poses, looked up in between but never past the ends or across a gap."""

    def __init__(self, max_gap_s: float) -> None:
        self._max_gap_ns = round(max_gap_s * 1e9)
        self._stamps: list[int] = []
        self._poses: list[Float64[ndarray, "4 4"]] = []

    def __len__(self) -> int:
        return len(self._stamps)

    def insert(self, stamp_ns: int, T: Float64[ndarray, "4 4"]) -> None:
        """Add a sample in any order of time; of two with one stamp the first stays."""
        at = bisect_left(self._stamps, stamp_ns)
        if at == len(self._stamps) or self._stamps[at] != stamp_ns:
            self._stamps.insert(at, stamp_ns)
            self._poses.insert(at, T)

    def forget_before(self, stamp_ns: int) -> None:
        """Drop samples older than that."""
        count = bisect_left(self._stamps, stamp_ns)
        del self._stamps[:count], self._poses[:count]

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest sample."""
        return self._stamps[-1]

    def at(self, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """The pose at a time; raises `Rejected("no_pose")` outside the samples or inside too long a gap."""
        at = bisect_left(self._stamps, stamp_ns)
        if at < len(self._stamps) and self._stamps[at] == stamp_ns:
            return self._poses[at]
        if at in (0, len(self._stamps)):
            span = f"{self._stamps[0] / 1e9:.3f} to {self._stamps[-1] / 1e9:.3f} s" if self._stamps else "nothing"
            raise Rejected("no_pose", f"no pose at {stamp_ns / 1e9:.3f} s: poses cover {span}")
        before, after = self._stamps[at - 1], self._stamps[at]
        if after - before > self._max_gap_ns:
            raise Rejected(
                "no_pose",
                f"no pose at {stamp_ns / 1e9:.3f} s: the poses around it are {(after - before) / 1e9:.3f} s apart, "
                f"more than {self._max_gap_ns / 1e9:.3f} s",
            )
        return interpolate(self._poses[at - 1], self._poses[at], (stamp_ns - before) / (after - before))
