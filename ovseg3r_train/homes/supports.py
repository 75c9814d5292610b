"""Where things can stand on a model: its upward surfaces with room above them, found by rays.

Tops, seats and mattresses are found as well as the boards inside an open shelf and the floor below a table. A cell
counts only where a hand could reach it: from above, or from the front.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import open3d as o3d
from jaxtyping import Bool, Float32
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part, bounds

CELL_M = 0.025
_MIN_HEADROOM_M = 0.06
_MIN_CELLS = 12
_BAND_M = (-0.03, 0.05)  # a mattress and the pillow on it are one level, the board above them is another
_MAX_LEVELS = 8
_UNEVEN_M = 0.02  # how far the mean of what a thing stands on may lie below the highest point under it
_SUPPORTED = 0.9
_FAR_M = 10.0


@dataclass(frozen=True, kw_only=True)
class Support:
    """One level that things can stand on, in the frame of the model."""

    origin_m: tuple[float, float]
    """Centre of the first cell; columns go along x, rows along y."""
    height_m: Float32[ndarray, "rows columns"]
    """NaN where there is nothing to stand on."""
    roof_m: Float32[ndarray, "rows columns"]
    """Height of the next thing above, 10 m where the sky is free."""

    @property
    def area_m2(self) -> float:
        """How much there is to stand on."""
        return float(np.isfinite(self.height_m).sum()) * CELL_M**2

    @property
    def z_m(self) -> float:
        """Its typical height."""
        return float(np.nanmedian(self.height_m))

    def places(self, size_m: tuple[float, float, float]) -> Float32[ndarray, "places 3"]:
        """All centres, (x, y, z) of the foot, where an upright box of some size stands and fits."""
        known = np.isfinite(self.height_m)
        kernel = max(int(np.ceil(size_m[0] / CELL_M)), 1), max(int(np.ceil(size_m[1] / CELL_M)), 1)
        height = np.where(known, self.height_m, np.float32(-1))
        square = np.ones(kernel[::-1], dtype=np.uint8)
        top = cv2.dilate(height, square, borderType=cv2.BORDER_CONSTANT, borderValue=-1.0)
        roof = cv2.erode(np.where(known, self.roof_m, np.float32(_FAR_M)), square)
        share = _box_mean(known.astype(np.float32), kernel)
        mean = _box_mean(np.where(known, self.height_m, np.float32(0)), kernel) / np.maximum(share, 1e-6)
        fits = (share >= _SUPPORTED) & (top - mean <= _UNEVEN_M) & (roof >= top + size_m[2])
        rows, columns = np.nonzero(fits)
        # OpenCV anchors an even kernel half a cell off the middle of what it covers
        shift = [-CELL_M / 2 if length % 2 == 0 else 0.0 for length in kernel]
        x = self.origin_m[0] + columns * CELL_M + shift[0]
        y = self.origin_m[1] + rows * CELL_M + shift[1]
        return np.stack([x, y, top[rows, columns]], axis=-1).astype(np.float32)


def find_supports(parts: Sequence[Part]) -> tuple[Support, ...]:
    """All levels of a model, largest first; the floor below it is `floor_below`."""
    grid = _Grid(parts)
    z, roof, cell = grid.surfaces()
    reached = grid.within_reach(z, roof, cell)
    z, roof, cell = z[reached], roof[reached], cell[reached]
    levels: list[Support] = []
    while len(levels) < _MAX_LEVELS and len(z) >= _MIN_CELLS:
        counts = np.bincount(np.floor(z / 0.02).astype(int))
        middle = (int(counts.argmax()) + 0.5) * 0.02
        within = (z >= middle + _BAND_M[0]) & (z <= middle + _BAND_M[1])
        if within.sum() < _MIN_CELLS:
            break
        levels.append(grid.support(z[within], roof[within], cell[within]))
        z, roof, cell = z[~within], roof[~within], cell[~within]
    return tuple(sorted(levels, key=lambda level: -level.area_m2))


def floor_below(parts: Sequence[Part]) -> Support:
    """The floor under a model, between its legs."""
    grid = _Grid(parts)
    lowest = np.full(grid.shape[0] * grid.shape[1], np.float32(_FAR_M))
    z, _, cell = grid.hits()
    np.minimum.at(lowest, cell, z)
    cells = np.flatnonzero(lowest > _MIN_HEADROOM_M)
    return grid.support(np.zeros(len(cells), dtype=np.float32), lowest[cells], cells)


class _Grid:
    """A model with upright rays through the cells of its footprint."""

    def __init__(self, parts: Sequence[Part]) -> None:
        low, high = bounds(parts)
        self.shape = tuple(np.maximum(np.ceil((high - low)[1::-1] / CELL_M).astype(int), 1))
        self.origin = low[:2] + CELL_M / 2
        self._front_y = float(low[1]) - 0.1
        self._scene = o3d.t.geometry.RaycastingScene()
        for part in parts:
            self._scene.add_triangles(
                o3d.core.Tensor.from_numpy(np.ascontiguousarray(part.vertices)),
                o3d.core.Tensor.from_numpy(np.ascontiguousarray(part.triangles.astype(np.uint32))),
            )
        rows, columns = np.indices(self.shape).reshape(2, -1)
        self.x = (self.origin[0] + columns * CELL_M).astype(np.float32)
        self.y = (self.origin[1] + rows * CELL_M).astype(np.float32)

    def hits(self) -> tuple[Float32[ndarray, " hits"], Float32[ndarray, " hits"], ndarray]:
        """Height of every surface over every cell, height of the next above it, and the cell, from below upwards."""
        start = np.float32(-0.05)
        rays = np.zeros((len(self.x), 6), dtype=np.float32)
        rays[:, 0], rays[:, 1], rays[:, 2], rays[:, 5] = self.x + 1e-4, self.y + 1e-4, start, 1
        found = self._scene.list_intersections(o3d.core.Tensor.from_numpy(rays))
        cell = found["ray_ids"].numpy().astype(np.int64)
        z = found["t_hit"].numpy() + start
        order = np.lexsort((z, cell))
        z, cell = z[order], cell[order]
        last = np.append(cell[1:] != cell[:-1], True)
        roof = np.where(last, np.float32(_FAR_M), np.append(z[1:], np.float32(0)))
        return z, roof.astype(np.float32), cell

    def surfaces(self) -> tuple[Float32[ndarray, " cells"], Float32[ndarray, " cells"], ndarray]:
        """Those hits that have room above them."""
        z, roof, cell = self.hits()
        roomy = (roof - z >= _MIN_HEADROOM_M) & (z > 0.01)
        return z[roomy], roof[roomy], cell[roomy]

    def within_reach(self, z: ndarray, roof: ndarray, cell: ndarray) -> Bool[ndarray, " cells"]:
        """Whether a hand gets there: from above, or along y from the front."""
        rays = np.zeros((len(z), 6), dtype=np.float32)
        rays[:, 0], rays[:, 1], rays[:, 4] = self.x[cell] + 1e-4, self._front_y, 1
        rays[:, 2] = z + np.minimum((roof - z) / 2, 0.08)
        reach = self._scene.cast_rays(o3d.core.Tensor.from_numpy(rays))["t_hit"].numpy()
        return (roof >= _FAR_M) | (self._front_y + reach > self.y[cell])

    def support(self, z: ndarray, roof: ndarray, cell: ndarray) -> Support:
        """One level from its cells."""
        height_m = np.full(self.shape, np.nan, dtype=np.float32)
        roof_m = np.full(self.shape, np.float32(_FAR_M))
        height_m.flat[cell] = z  # the highest of a cell comes last
        roof_m.flat[cell] = roof
        return Support(origin_m=(float(self.origin[0]), float(self.origin[1])), height_m=height_m, roof_m=roof_m)


def _box_mean(image: Float32[ndarray, "rows columns"], kernel: tuple[int, int]) -> Float32[ndarray, "rows columns"]:
    padded = cv2.copyMakeBorder(image, kernel[1], kernel[1], kernel[0], kernel[0], cv2.BORDER_CONSTANT, value=0.0)
    mean = cv2.blur(padded, kernel)
    return mean[kernel[1] : -kernel[1], kernel[0] : -kernel[0]]
