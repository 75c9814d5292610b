"""Where things stand in a room: rules about places, which know neither models nor rendering.

A thing is a size and, where others may stand on it, the height of its top. Its front is -y at yaw 0. Two things never
share space: their upright boxes are kept apart, and large things keep the floor before them free.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

_TRIES = 200
_GAP_M = 0.03


@dataclass(frozen=True, kw_only=True)
class Pose:
    """A place on the floor or on a thing: the centre of the footprint, and a turn about z."""

    x: float
    y: float
    z: float
    yaw: float

    def matrix(self) -> Float64[ndarray, "4 4"]:
        """T_map_model."""
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return np.array([[cos, -sin, 0, self.x], [sin, cos, 0, self.y], [0, 0, 1, self.z], [0, 0, 0, 1]])


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A thing that has its place."""

    pose: Pose
    size_m: tuple[float, float, float]
    top_m: float | None
    clear_m: float
    """How far the floor before its front stays free."""

    def box(self, front_m: float = 0.0) -> Float64[ndarray, "2 3"]:
        """Lowest and highest corner of the axis-aligned box round it, stretched to its front."""
        width, depth, height = self.size_m
        x, y = np.array([-width / 2, width / 2]), np.array([-depth / 2 - front_m, depth / 2])
        corners = np.array([(a, b, c) for a in x for b in y for c in (0, height)])
        T = self.pose.matrix()
        placed = corners @ T[:3, :3].T + T[:3, 3]
        return np.stack([placed.min(axis=0), placed.max(axis=0)])


class Floor:
    """A rectangular room, centred at the origin, that fills up thing by thing."""

    def __init__(self, width_m: float, depth_m: float, rng: np.random.Generator) -> None:
        self._half = np.array([width_m / 2, depth_m / 2])
        self._rng = rng
        self.things: list[Standing] = []
        self._boxes = np.empty((0, 2, 3))
        self._fronts = np.empty((0, 2, 3))

    def put(
        self,
        poses: Iterator[Pose],
        size_m: tuple[float, float, float],
        *,
        top_m: float | None = None,
        clear_m: float = 0.0,
        on: Standing | None = None,
        within: Collection[Standing] = (),
        accept: Callable[[Standing], bool] = lambda thing: True,
    ) -> Standing | None:
        """The thing at the first pose where it fits, or None where none of the first 200 does.

        Args:
            on: its anchor, which it may touch.
            within: what else it may touch, such as the shelf that its anchor stands in.
            accept: what else must hold of the thing in its place.
        """
        for pose in islice(poses, _TRIES):
            thing = Standing(pose=pose, size_m=size_m, top_m=top_m, clear_m=clear_m)
            if self._fits(thing, on, within) and accept(thing):
                self.keep(thing)
                return thing
        return None

    def keep(self, thing: Standing) -> None:
        """Take a place for a thing without asking whether it fits."""
        self.things.append(thing)
        self._boxes = np.concatenate([self._boxes, thing.box()[None]])
        self._fronts = np.concatenate([self._fronts, thing.box(thing.clear_m)[None]])

    def _fits(self, thing: Standing, on: Standing | None, within: Collection[Standing]) -> bool:
        """Whether it is inside and clashes with nothing; what has an anchor, as a chair has, may block other fronts."""
        box = thing.box()
        if (np.abs(box[:, :2]) > self._half).any():
            return False
        clash = _overlap(box, self._boxes, _GAP_M) | _overlap(thing.box(thing.clear_m), self._boxes, 0.0)
        if on is None:
            clash |= _overlap(box, self._fronts, 0.0)
        touched = {id(other) for other in (on, *within)}
        return not any(id(self.things[index]) not in touched for index in np.flatnonzero(clash))

    def against_wall(self, size_m: tuple[float, float, float]) -> Iterator[Pose]:
        """Back to a wall, facing the room."""
        while True:
            quarter = int(self._rng.integers(4))
            along, across = self._half if quarter % 2 == 0 else self._half[::-1]
            s = self._rng.uniform(-1, 1) * max(along - size_m[0] / 2 - _GAP_M, 0)
            yield _turned(s, across - size_m[1] / 2 - 0.01, quarter * np.pi / 2)

    def in_centre(self, spread_m: float = 0.4) -> Iterator[Pose]:
        """Near the middle, square to the walls."""
        while True:
            x, y = self._rng.uniform(-spread_m, spread_m, 2)
            yield Pose(x=x, y=y, z=0.0, yaw=float(self._rng.integers(2)) * np.pi / 2)

    def in_corner(self, size_m: tuple[float, float, float]) -> Iterator[Pose]:
        """In or near a corner; where corners are full, along the walls."""
        reach = np.hypot(size_m[0], size_m[1]) / 2 + _GAP_M  # whichever way it is turned
        for attempt in range(_TRIES):
            x, y = (self._half - reach) * self._rng.choice([-1, 1], 2)
            slide = self._rng.uniform(0, 0.2 + 0.02 * attempt)
            x, y = (x - np.sign(x) * slide, y) if self._rng.random() < 0.5 else (x, y - np.sign(y) * slide)
            yield Pose(x=x, y=y, z=0.0, yaw=np.arctan2(y, x) - np.pi / 2)

    def around(self, table: Standing, size_m: tuple[float, float, float]) -> Iterator[Pose]:
        """At a side of a table, facing it."""
        while True:
            quarter = int(self._rng.integers(4))
            width, depth = table.size_m[:2] if quarter % 2 == 0 else table.size_m[1::-1]
            s = self._rng.uniform(-1, 1) * max(width / 2 - 0.35, 0)
            yield _beside(table, s, depth / 2 + size_m[1] / 2 + _GAP_M, quarter * np.pi / 2)

    def before(self, other: Standing, size_m: tuple[float, float, float], gap_m: float) -> Iterator[Pose]:
        """In front of a thing, facing it."""
        while True:
            s = self._rng.uniform(-0.15, 0.15) * other.size_m[0]
            yield _beside(other, s, other.size_m[1] / 2 + size_m[1] / 2 + gap_m, np.pi)

    def next_to(self, other: Standing, size_m: tuple[float, float, float]) -> Iterator[Pose]:
        """At the left or right end of a thing, backs in one line."""
        back = other.size_m[1] / 2 - size_m[1] / 2
        while True:
            side = float(self._rng.choice([-1, 1])) * (other.size_m[0] / 2 + size_m[0] / 2 + _GAP_M)
            yield in_frame_of(other, side, back, 0.0, 0.0)

    def on_top(self, table: Standing, size_m: tuple[float, float, float], turn: float = 0.4) -> Iterator[Pose]:
        """On a thing, its front turned as the thing's is, give or take."""
        room_x = max(table.size_m[0] / 2 - size_m[0] / 2 - 0.06, 0)
        room_y = max(table.size_m[1] / 2 - size_m[1] / 2 - 0.06, 0)
        while table.top_m is not None:
            x, y = self._rng.uniform(-1, 1, 2) * (room_x, room_y)
            yield in_frame_of(table, x, y, table.top_m + 0.001, float(self._rng.uniform(-turn, turn)))


def _overlap(
    a: Float64[ndarray, "2 3"], boxes: Float64[ndarray, "things 2 3"], gap_m: float
) -> Bool[ndarray, " things"]:
    """Which of some boxes share space with one box, or come nearer to it than a gap at the side."""
    gap = np.array([gap_m, gap_m, 0.0])
    return (a[0] < boxes[:, 1] + gap).all(axis=1) & (boxes[:, 0] < a[1] + gap).all(axis=1)


def _turned(x: float, y: float, yaw: float) -> Pose:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return Pose(x=cos * x - sin * y, y=sin * x + cos * y, z=0.0, yaw=yaw)


def _beside(other: Standing, s: float, distance_m: float, side: float) -> Pose:
    """At `distance_m` from the centre of a thing, on the side that its back (+y), turned by `side`, points to."""
    local = _turned(s, distance_m, side)
    return in_frame_of(other, local.x, local.y, 0.0, side)


def in_frame_of(other: Standing, x: float, y: float, z: float, yaw: float) -> Pose:
    """A pose given from the centre of another thing's foot, along that thing's own axes."""
    placed = _turned(x, y, other.pose.yaw)
    return Pose(x=placed.x + other.pose.x, y=placed.y + other.pose.y, z=other.pose.z + z, yaw=other.pose.yaw + yaw)
