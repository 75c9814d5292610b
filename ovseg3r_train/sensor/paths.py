"""Ways over the free floor of a home that keep their distance from walls and furniture."""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from ovseg3r_train.homes.floor_plan import FloorPlan

_SHRINK = (1.0, 0.8, 0.6, 0.4)  # of the camera's radius, where a room cannot be entered with all of it
_SHY_M = 0.3  # nearer to things than this a way counts as longer
_RELAXATIONS = 80  # a smoothing of about 0.3 m


class WalkableFloor:
    """The cells that a camera's middle may be over, all connected, and the ways between them."""

    def __init__(self, plan: FloorPlan, radius_m: float) -> None:
        """Find the largest connected part of the floor that the camera fits on.

        Where a room cannot be entered, the radius is reduced step by step, to 40 % at least; a room that is closed
        even then stays out.

        Raises:
            ValueError: nowhere is the floor free enough.
        """
        self.plan = plan
        free = np.pad(plan.free, 1)  # nobody walks off the plan
        clearance = np.asarray(ndimage.distance_transform_edt(free))[1:-1, 1:-1]
        self._clearance_m = (clearance - 0.5) * plan.cell_m  # to the rim of the nearest cell that is not free
        self.radius_m, self.cells = self._widest(radius_m)
        if not self.cells.any():
            raise ValueError(f"no floor is free within {radius_m} m; make rooms larger or radius_m smaller")
        self._node = np.full(plan.free.shape, -1, dtype=np.int64)
        self._node[self.cells] = np.arange(self.cells.sum())
        self._place = np.argwhere(self.cells)
        self._graph = self._ways()

    @property
    def rooms(self) -> frozenset[int]:
        """The rooms that can be entered."""
        return frozenset(np.unique(self.plan.room[self.cells]).tolist()) - {-1}

    def xy(self, cells: Int64[ndarray, "points 2"]) -> Float64[ndarray, "points 2"]:
        """Map coordinates of cells (row, column)."""
        return np.array(self.plan.origin_m) + cells[:, ::-1] * self.plan.cell_m

    def clearance_m(self, xy: Float64[ndarray, "points 2"]) -> Float64[ndarray, " points"]:
        """Distance from points to what is not free; 0 or less on it and off the plan."""
        row, column, inside = self._cell(xy)
        return np.where(inside, self._clearance_m[row, column], -1.0)

    def is_wall(self, xy: Float64[ndarray, "points 2"]) -> Bool[ndarray, " points"]:
        """Whether points lie in no room."""
        row, column, inside = self._cell(xy)
        return ~inside | (self.plan.room[row, column] < 0)

    def tour(self, stops: Int64[ndarray, "stops 2"]) -> tuple[Int64[ndarray, " stops"], list[Float64[ndarray, "_ 2"]]]:
        """An order of the stops that walks little, a room at a time, and the way from each to the next.

        Args:
            stops: cells (row, column) of `cells`; the first is where the tour starts.
        """
        nodes = self._node[stops[:, 0], stops[:, 1]]
        away, before = csgraph.dijkstra(self._graph, indices=nodes, return_predecessors=True)
        order = _nearest_next(away[:, nodes], self.plan.room[stops[:, 0], stops[:, 1]])
        ways = [self._way(before[a], int(nodes[a]), int(nodes[b])) for a, b in pairwise(order)]
        return np.array(order), ways

    def _cell(self, xy: Float64[ndarray, "points 2"]) -> tuple[ndarray, ndarray, Bool[ndarray, " points"]]:
        """Row and column of points, and whether they are on the plan; the nearest cell of it where they are not."""
        cell = np.rint((xy - self.plan.origin_m) / self.plan.cell_m).astype(np.int64)
        column, row = cell[:, 0], cell[:, 1]
        rows, columns = self.cells.shape
        inside = (row >= 0) & (column >= 0) & (row < rows) & (column < columns)
        return row.clip(0, rows - 1), column.clip(0, columns - 1), inside

    def _widest(self, radius_m: float) -> tuple[float, Bool[ndarray, "rows columns"]]:
        wanted = np.unique(self.plan.room[self.plan.free & (self.plan.room >= 0)])
        best = 0.0, np.zeros(self.plan.free.shape, dtype=bool)
        for share in _SHRINK:
            cells = _largest_part(self._clearance_m >= radius_m * share)
            entered = np.unique(self.plan.room[cells & (self.plan.room >= 0)])
            if len(entered) > len(np.unique(self.plan.room[best[1] & (self.plan.room >= 0)])) or not best[1].any():
                best = radius_m * share, cells
            if len(entered) == len(wanted):
                break
        return best

    def _ways(self) -> sparse.csr_matrix:
        """Steps to the eight neighbours, longer near things."""
        near = np.clip(1 - (self._clearance_m - self.radius_m) / _SHY_M, 0, 1)
        node, rows, columns, lengths = self._node, [], [], []
        height, width = self.cells.shape
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            here = np.s_[: height - down, max(-right, 0) : width - max(right, 0)]
            there = np.s_[down:, max(right, 0) : width + min(right, 0)]
            both = (node[here] >= 0) & (node[there] >= 0)
            rows.append(node[here][both])
            columns.append(node[there][both])
            lengths.append(np.hypot(down, right) * self.plan.cell_m * (1 + near[here] + near[there])[both])
        size = len(self._place)
        ways = (np.concatenate(lengths), (np.concatenate(rows), np.concatenate(columns)))
        one_way = sparse.csr_matrix(ways, shape=(size, size))
        return sparse.csr_matrix(one_way + one_way.T)

    def _way(self, before: ndarray, start: int, end: int) -> Float64[ndarray, "_ 2"]:
        """The points of the shortest way, a cell apart, its corners rounded where there is room to."""
        nodes = [end]
        while nodes[-1] != start:
            nodes.append(int(before[nodes[-1]]))
        xy = self.xy(self._place[nodes[::-1]])
        for _ in range(_RELAXATIONS):
            rounded = (xy[:-2] + 2 * xy[1:-1] + xy[2:]) / 4
            clear = self.clearance_m(rounded) >= self.radius_m
            xy[1:-1] = np.where(clear[:, None], rounded, xy[1:-1])
        return xy


def _largest_part(cells: Bool[ndarray, "rows columns"]) -> Bool[ndarray, "rows columns"]:
    parts = np.zeros(cells.shape, dtype=np.int32)
    ndimage.label(cells, output=parts)
    sizes = np.bincount(parts.ravel())
    return parts == 1 + np.argmax(sizes[1:]) if len(sizes) > 1 else cells


def _nearest_next(away_m: Float64[ndarray, "stops stops"], room: ndarray) -> list[int]:
    """From the first on always to the nearest that is left, out of the room only when it is done."""
    order, left = [0], set(range(1, len(room)))
    while left:
        here = order[-1]
        order.append(min(left, key=lambda stop: (room[stop] != room[here], away_m[here, stop], stop)))
        left.remove(order[-1])
    return order
