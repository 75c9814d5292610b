"""The rooms of a home before anything stands in them: a rectangle cut into rectangles, with doorways between them."""

from dataclasses import dataclass

import numpy as np

WALL_M = 0.12
DOOR_HEIGHT_M = 2.05
_TRIES = 60
_MARGIN_M = 0.15  # wall that stays between a doorway and a corner
_MIN_SIDE_M = 1.5
_MAX_ASPECT = 2.4


@dataclass(frozen=True, kw_only=True)
class Rect:
    """An upright rectangle seen from above."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Along x."""
        return self.x1 - self.x0

    @property
    def depth(self) -> float:
        """Along y."""
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Square metres."""
        return self.width * self.depth

    @property
    def centre(self) -> tuple[float, float]:
        """Of both sides."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def grown(self, margin_m: float) -> "Rect":
        """Larger on all sides."""
        return Rect(x0=self.x0 - margin_m, y0=self.y0 - margin_m, x1=self.x1 + margin_m, y1=self.y1 + margin_m)


@dataclass(frozen=True, kw_only=True)
class Space:
    """One room: what it is used for, and its floor between the walls' inner faces."""

    use: str
    floor: Rect


@dataclass(frozen=True, kw_only=True)
class Doorway:
    """A gap in the wall between two rooms, floor to `DOOR_HEIGHT_M`."""

    rooms: tuple[int, int]
    gap: Rect
    """The floor within the wall."""
    along_x: bool
    """Whether the wall it is in runs along x."""

    @property
    def width_m(self) -> float:
        """Between the jambs."""
        return self.gap.width if self.along_x else self.gap.depth


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All rooms of a home; its middle is the origin."""

    spaces: tuple[Space, ...]
    doorways: tuple[Doorway, ...]
    outside: Rect
    height_m: float


def draw_layout(uses: list[str], areas_m2: list[float], rng: np.random.Generator, scale: float = 1.0) -> Layout | None:
    """Rooms of about some areas, all connected by doorways; None where 60 drawings had no such thing."""
    for _ in range(_TRIES):
        order = rng.permutation(len(uses))
        total = sum(areas_m2) * scale
        width = float(np.sqrt(total * rng.uniform(0.9, 1.5)))
        whole = Rect(x0=-width / 2, y0=-total / width / 2, x1=width / 2, y1=total / width / 2)
        if rng.random() < 0.5:
            whole = Rect(x0=whole.y0, y0=whole.x0, x1=whole.y1, y1=whole.x1)
        rects = _cut(whole, [areas_m2[i] for i in order])
        inner = [rect.grown(-WALL_M / 2) for rect in rects]
        if not all(_usable(rect) for rect in inner):
            continue
        doorways = _connect(inner, rng)
        if doorways is not None:
            spaces = tuple(Space(use=uses[i], floor=rect) for i, rect in zip(order, inner, strict=True))
            return Layout(
                spaces=spaces, doorways=doorways, outside=whole, height_m=float(rng.choice([2.5, 2.6, 2.7, 2.8]))
            )
    return None


def _usable(rect: Rect) -> bool:
    short, long = sorted([rect.width, rect.depth])
    return bool(short >= _MIN_SIDE_M and long / short <= _MAX_ASPECT)


def _cut(rect: Rect, areas: list[float]) -> list[Rect]:
    """Cut across the longer side, so that each room gets its share of the area."""
    if len(areas) == 1:
        return [rect]
    half = len(areas) // 2
    share = sum(areas[:half]) / sum(areas)
    if rect.width >= rect.depth:
        x = rect.x0 + share * rect.width
        first, second = (
            Rect(x0=rect.x0, y0=rect.y0, x1=x, y1=rect.y1),
            Rect(x0=x, y0=rect.y0, x1=rect.x1, y1=rect.y1),
        )
    else:
        y = rect.y0 + share * rect.depth
        first, second = (
            Rect(x0=rect.x0, y0=rect.y0, x1=rect.x1, y1=y),
            Rect(x0=rect.x0, y0=y, x1=rect.x1, y1=rect.y1),
        )
    return _cut(first, areas[:half]) + _cut(second, areas[half:])


def _connect(rooms: list[Rect], rng: np.random.Generator) -> tuple[Doorway, ...] | None:
    """As many doorways as it takes to reach every room from the first."""
    reached, doorways = {0}, []
    while len(reached) < len(rooms):
        found = [
            doorway
            for a in sorted(reached)
            for b in range(len(rooms))
            if b not in reached and (doorway := _doorway(a, b, rooms, rng)) is not None
        ]
        if not found:
            return None
        doorways.append(found[rng.integers(len(found))])
        reached.add(doorways[-1].rooms[1])
    return tuple(doorways)


def _doorway(a: int, b: int, rooms: list[Rect], rng: np.random.Generator) -> Doorway | None:
    first, second = rooms[a], rooms[b]
    width = float(rng.uniform(0.85, 1.0))
    for along_x in (True, False):
        near, far = (first, second) if _start(first, along_x) < _start(second, along_x) else (second, first)
        wall = (_end(near, along_x), _start(far, along_x))
        low = max(_start(first, not along_x), _start(second, not along_x)) + _MARGIN_M
        high = min(_end(first, not along_x), _end(second, not along_x)) - _MARGIN_M - width
        if abs(wall[1] - wall[0] - WALL_M) > 1e-6 or high < low:
            continue
        s = float(rng.uniform(low, high))
        gap = (
            Rect(x0=s, y0=wall[0], x1=s + width, y1=wall[1])
            if along_x
            else Rect(x0=wall[0], y0=s, x1=wall[1], y1=s + width)
        )
        return Doorway(rooms=(a, b), gap=gap, along_x=along_x)
    return None


def _start(rect: Rect, across: bool) -> float:
    """Lower end across a wall that runs along x (y), or across one that runs along y (x)."""
    return rect.y0 if across else rect.x0


def _end(rect: Rect, across: bool) -> float:
    return rect.y1 if across else rect.x1
