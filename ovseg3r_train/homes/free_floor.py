"""Whether a person can still walk through: kept while a room fills up, and written down when the home is done."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from ovseg3r_train.homes.floor_plan import FloorPlan
from ovseg3r_train.homes.layout import Layout, Rect

CELL_M = 0.05
PERSON_RADIUS_M = 0.25
HEAD_M = 1.9
_STEP_M = 0.03  # what is lower is walked over
_REACH_PX = PERSON_RADIUS_M / CELL_M + 0.5
_MIN_WALKABLE_M2 = 0.35
_MIN_SHARE = 0.13
JAMB_M = 0.05  # a doorway is narrower than its gap by its frame

Box = Float64[ndarray, "2 3"]


def blocks_floor(box: Box) -> bool:
    """Whether a person would run into a box."""
    return bool(box[0, 2] < HEAD_M and box[1, 2] > _STEP_M)


class WalkableRoom:
    """The free floor of one room, its middle at the origin, which must stay in one piece from doorway to doorway."""

    def __init__(self, floor: Rect, gaps: Sequence[Rect]) -> None:
        """Begin empty.

        Args:
            gaps: doorways of this room, in the same frame as its floor.
        """
        (x, y), margin = floor.centre, 0.3
        self._floor = Rect(x0=floor.x0 - x, y0=floor.y0 - y, x1=floor.x1 - x, y1=floor.y1 - y)
        local = [Rect(x0=gap.x0 - x, y0=gap.y0 - y, x1=gap.x1 - x, y1=gap.y1 - y) for gap in gaps]
        self._grid = _Cells(self._floor.grown(margin))
        self._free = self._grid.mask([self._floor, *(_passage(gap, margin) for gap in local)])
        self._doors = [self._grid.cell(*gap.centre) for gap in local]

    def stays_open(self, boxes: Sequence[Box]) -> bool:
        """Whether one can still get about when some boxes are put down."""
        free = self._free & ~self._grid.under(boxes)
        _, labels = _walkable(free)
        doors = {int(labels[cell]) for cell in self._doors}
        if 0 in doors or len(doors) > 1:
            return False
        label = doors.pop() if doors else int(np.bincount(labels.ravel())[1:].argmax()) + 1 if labels.any() else 0
        area = float((labels == label).sum()) * CELL_M**2 if label else 0.0
        return area >= max(_MIN_WALKABLE_M2, _MIN_SHARE * self._floor.area)

    def put(self, boxes: Sequence[Box]) -> None:
        """Put boxes down."""
        self._free &= ~self._grid.under(boxes)


def floor_plan(layout: Layout, boxes: Sequence[Box]) -> FloorPlan:
    """The free floor of a home with boxes standing about in it."""
    grid = _Cells(layout.outside.grown(0.1))
    room = np.full(grid.shape, -1, dtype=np.int32)
    for index, space in enumerate(layout.spaces):
        room[grid.mask([space.floor])] = index
    for doorway in layout.doorways:
        gap = doorway.gap
        passage = _narrowed(gap, doorway.along_x)
        room[grid.mask([passage.grown(CELL_M / 2)]) & (room < 0)] = doorway.rooms[0]
    free = (room >= 0) & ~grid.under([box for box in boxes if blocks_floor(box)])
    return FloorPlan(origin_m=grid.origin, cell_m=CELL_M, free=free, room=room, height_m=layout.height_m)


def all_reachable(plan: FloorPlan, rooms: int) -> bool:
    """Whether a camera on a person can go from every room to every other."""
    _, labels = _walkable(plan.free)
    shared = set.intersection(*(set(np.unique(labels[plan.room == index])) for index in range(rooms))) - {0}
    return bool(shared)


def _walkable(free: Bool[ndarray, "rows columns"]) -> tuple[int, ndarray]:
    """Connected floor on which a person's middle can be; 0 is where it cannot."""
    distance = cv2.distanceTransform(np.pad(free, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return cv2.connectedComponents((distance >= _REACH_PX).astype(np.uint8), connectivity=4)


def _narrowed(gap: Rect, along_x: bool) -> Rect:
    dx, dy = (JAMB_M, 0.0) if along_x else (0.0, JAMB_M)
    return Rect(x0=gap.x0 + dx, y0=gap.y0 + dy, x1=gap.x1 - dx, y1=gap.y1 - dy)


def _passage(gap: Rect, margin_m: float) -> Rect:
    """A doorway with some floor behind it, so that a person can stand in it."""
    along_x = gap.width > gap.depth
    narrow = _narrowed(gap, along_x)
    dx, dy = (0.0, margin_m) if along_x else (margin_m, 0.0)
    return Rect(x0=narrow.x0 - dx, y0=narrow.y0 - dy, x1=narrow.x1 + dx, y1=narrow.y1 + dy)


class _Cells:
    """A grid over a rectangle; rows go along y."""

    def __init__(self, area: Rect) -> None:
        self.origin = (area.x0, area.y0)
        self.shape = (int(np.ceil(area.depth / CELL_M)) + 1, int(np.ceil(area.width / CELL_M)) + 1)

    def cell(self, x: float, y: float) -> tuple[int, int]:
        """Row and column of the cell nearest to a point."""
        return round((y - self.origin[1]) / CELL_M), round((x - self.origin[0]) / CELL_M)

    def mask(self, rects: Sequence[Rect]) -> Bool[ndarray, "rows columns"]:
        """Cells whose centre lies in one of some rectangles."""
        mask = np.zeros(self.shape, dtype=bool)
        for r in rects:
            rows = self._range(r.y0, r.y1, 1)
            mask[rows, self._range(r.x0, r.x1, 0)] = True
        return mask

    def under(self, boxes: Sequence[Box]) -> Bool[ndarray, "rows columns"]:
        """Cells that a box covers."""
        half = CELL_M / 2
        rects = [Rect(x0=b[0, 0] - half, y0=b[0, 1] - half, x1=b[1, 0] + half, y1=b[1, 1] + half) for b in boxes]
        return self.mask(rects)

    def _range(self, low: float, high: float, axis: int) -> slice:
        first = int(np.ceil((low - self.origin[axis]) / CELL_M - 1e-6))
        last = int(np.floor((high - self.origin[axis]) / CELL_M + 1e-6))
        return slice(max(first, 0), max(last + 1, 0))
