"""Transforms over time by tf2's rules, without ROS: a tree of frames, each edge a trajectory or fixed.

As in tf2 a lookup walks only to the lowest common ancestor, interpolates between two samples, and never
extrapolates. Unlike tf2 it does not interpolate across a gap longer than it is told: a robot that lost its
localisation for ten seconds did not move in a straight line meanwhile.
"""

import math
from dataclasses import dataclass
from threading import Lock

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import invert
from ovseg3r_core.sequences.poses import Trajectory

_FIXED_FRAMES = ("map", "odom", "world")  # REP-105, and what motion capture calls its room
_MAX_DEPTH = 1000  # of the tree: a longer chain is a loop


@dataclass(frozen=True)
class _Edge:
    parent: str
    trajectory: Trajectory | None
    """None where the transform is fixed."""
    T_fixed: Float64[ndarray, "4 4"] | None = None

    def at(self, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        if self.T_fixed is not None:
            return self.T_fixed
        assert self.trajectory is not None
        return self.trajectory.at(stamp_ns)


class TfBuffer:
    """The transform tree of a robot; may be filled in one thread and asked in another.

    Args:
        cache_s: how long samples are kept behind the newest of their edge.
        max_gap_s: longest time between two samples that is interpolated.
    """

    def __init__(self, cache_s: float = 10.0, max_gap_s: float = 1.0) -> None:
        self._cache_s, self._max_gap_s = cache_s, max_gap_s
        self._edges: dict[str, _Edge] = {}
        self._lock = Lock()

    def insert(
        self, parent: str, child: str, stamp_ns: int, T_parent_child: Float64[ndarray, "4 4"], *, fixed: bool = False
    ) -> None:
        """Add one transform; a child that gets another parent starts anew under it.

        Raises:
            Rejected: `bad_tf` where a name is empty or a frame would be its own parent.
        """
        parent, child = _plain(parent), _plain(child)
        if not parent or not child or parent == child:
            raise Rejected("bad_tf", f"transform from {child!r} to {parent!r}: needs two different frame names")
        with self._lock:
            if fixed:
                self._edges[child] = _Edge(parent, None, T_parent_child)
                return
            edge = self._edges.get(child)
            if edge is None or edge.trajectory is None or edge.parent != parent:
                edge = self._edges[child] = _Edge(parent, Trajectory(self._max_gap_s))
            assert edge.trajectory is not None
            edge.trajectory.insert(stamp_ns, T_parent_child)
            if math.isfinite(self._cache_s):
                edge.trajectory.forget_before(edge.trajectory.newest_ns - round(self._cache_s * 1e9))

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """`T_target_source` at a time.

        Raises:
            Rejected: `no_pose` where the frames are not connected, or an edge between them has no sample at the time.
        """
        with self._lock:
            of_target, of_source = self._below_common(target, source)
            T_common_source = self._along(of_source, stamp_ns)
            return invert(self._along(of_target, stamp_ns)) @ T_common_source

    def forget_moving(self) -> None:
        """Drop all transforms that change with time, as after a jump of time; fixed ones hold at any."""
        with self._lock:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.trajectory is None}

    def knows(self, frame: str) -> bool:
        """Whether any transform names the frame."""
        with self._lock:
            return _plain(frame) in self._names()

    def fixed_frame(self, frame: str) -> str:
        """What counts as the map above a frame: `map`, else `odom`, else `world`, else the root of its tree."""
        with self._lock:
            chain = self._chain(_plain(frame))
        return next((name for name in _FIXED_FRAMES if name in chain), chain[-1])

    def places(self, frame: str) -> bool:
        """Whether transforms tell where a frame is: it hangs on a map, or moves in what it hangs on.

        A driver alone gives the places of a camera's parts to one another, and no place of the camera.
        """
        if not self.knows(frame):
            return False
        fixed = self.fixed_frame(frame)
        return fixed in _FIXED_FRAMES or self.moves(fixed, frame)

    def ancestors(self, frame: str) -> list[str]:
        """The frame, what it hangs on, and so on to the root of its tree."""
        with self._lock:
            return self._chain(_plain(frame))

    def newest_ns(self, target: str, source: str) -> int | None:
        """The time up to which all transforms between two frames are known; None where none of them moves.

        Raises:
            Rejected: `no_pose` where the frames are not connected.
        """
        with self._lock:
            of_target, of_source = self._below_common(target, source)
            edges = [self._edges[frame] for frame in (*of_target, *of_source)]
            return min((edge.trajectory.newest_ns for edge in edges if edge.trajectory is not None), default=None)

    def moves(self, target: str, source: str) -> bool:
        """Whether a transform that changes with time lies between two frames; raises as `newest_ns` does."""
        return self.newest_ns(target, source) is not None

    def _names(self) -> list[str]:
        return sorted(self._edges.keys() | {edge.parent for edge in self._edges.values()})

    def _chain(self, frame: str) -> list[str]:
        chain = [frame]
        while chain[-1] in self._edges:
            chain.append(self._edges[chain[-1]].parent)
            if len(chain) > _MAX_DEPTH:
                raise Rejected("no_pose", f"the transform tree has a loop at {frame!r}")
        return chain

    def _below_common(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """The frames from each of two upwards, as far as below the lowest that both hang on."""
        of_target, of_source = self._chain(_plain(target)), self._chain(_plain(source))
        common = next((frame for frame in of_source if frame in of_target), None)
        if common is None:
            raise Rejected("no_pose", f"no transform connects {source!r} to {target!r}; frames: {self._names()}")
        return of_target[: of_target.index(common)], of_source[: of_source.index(common)]

    def _along(self, chain: list[str], stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """From the first frame of a chain to what the last one hangs on."""
        T = np.eye(4)
        for frame in chain:
            edge = self._edges[frame]
            try:
                T = edge.at(stamp_ns) @ T
            except Rejected as rejected:
                raise Rejected(rejected.reason, f"{frame!r} in {edge.parent!r}: {rejected}") from rejected
        return T


def _plain(frame: str) -> str:
    return frame.lstrip("/")  # ROS 1 habit; tf2 knows no leading slash
