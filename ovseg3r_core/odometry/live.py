"""The tracker beside a running robot: a map that is level from the start, and memory that has an end.

Loops are not closed: a map that was fused with the poses of yesterday would not follow them.
"""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.geometry import turn_up
from ovseg3r_core.odometry.estimate import normals_of
from ovseg3r_core.odometry.tracker import Tracker
from ovseg3r_core.types import RgbdFrame

_NEWEST = 20  # keyframes that are never dropped: the camera is among them
_TOP = np.array([0.0, -1.0, 0.0])  # of the image
_TILT_RAD, _FLAT_RAD = np.deg2rad(60), np.deg2rad(10)
_SHARE = 0.1  # of all points, for a surface to tell which way is up
_CANDIDATES = 300
_RAD_M = 1.0  # a keyframe turned by a radian sees as little of the same as one a metre away


class LiveTracker:
    """Follows one camera for as long as it runs; not for several threads at once.

    Args:
        most_keyframes: more are not kept; of the older ones those go that stand closest to another.
    """

    def __init__(self, most_keyframes: int) -> None:
        self._most = max(most_keyframes, _NEWEST + 2)
        self.begin_anew()

    @property
    def keyframes(self) -> int:
        """How many there are."""
        return len(self._tracker.keyframes)

    def begin_anew(self) -> None:
        """Forget everything: the next frame is where the map begins."""
        self._tracker = Tracker()
        self._T_map_tracker = np.eye(4)

    def lose(self) -> None:
        """Know no longer where the camera is, until it sees a place that it knows."""
        self._tracker.lose()

    def track(self, frame: RgbdFrame) -> Float64[ndarray, "4 4"]:
        """T_map_camera of the next frame: z is up as far as the first frame tells, and the first camera is the origin.

        Raises:
            Rejected: as `Tracker.track`.
        """
        T_tracker_camera = self._tracker.track(frame)
        self._tracker.tracked.clear()  # poses of the past are told to nobody
        if self.keyframes == 1:
            first = self._tracker.keyframes
            self._T_map_tracker = turn_up(first[0].T_map_camera[:3, :3] @ up_of(normals_of(first[0].shape)))
        if self.keyframes > self._most:
            older = self._tracker.keyframes[:-_NEWEST]
            self._tracker.forget(most_redundant(np.stack([key.T_map_camera for key in older])))
        return self._T_map_tracker @ T_tracker_camera


def up_of(normals: Float64[ndarray, "points 3"]) -> Float64[ndarray, "3"]:
    """Which way is up for a camera that sees surfaces with these normals, all in its own coordinates.

    It is where most surfaces face of those that a tilted camera could see as a floor or a table top; where they are
    few, the top of the image.
    """
    facing = normals[normals @ _TOP > np.cos(_TILT_RAD)]
    if len(facing) < _SHARE * len(normals):
        return _TOP
    some = facing[:: max(1, len(facing) // _CANDIDATES)]
    best = some[np.argmax((facing @ some.T > np.cos(_FLAT_RAD)).sum(axis=0))]
    flat = facing[facing @ best > np.cos(_FLAT_RAD)]
    up = np.median(flat, axis=0)
    return up / np.linalg.norm(up) if len(flat) >= _SHARE * len(normals) else _TOP


def most_redundant(poses: Float64[ndarray, "keyframes 4 4"]) -> int:
    """The later of the two poses that are closest to each other."""
    centres, turns = poses[:, :3, 3], poses[:, :3, :3].reshape(len(poses), 9)
    apart_m = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    turned = np.arccos(np.clip((turns @ turns.T - 1) / 2, -1, 1))  # of R_a^T R_b the trace is the sum of products
    apart = np.where(np.tri(len(poses), k=-1, dtype=bool), apart_m + _RAD_M * turned, np.inf)
    return int(apart.min(axis=1).argmin())
