"""The point-view-pixel record: which scene points each view sees, and at which pixel (the paper's record C)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import invert
from ovseg3r_core.types import PosedDepth, ViewIncidence


@dataclass(frozen=True, kw_only=True)
class IncidenceConfig:
    """When a view counts as seeing a point."""

    tolerance_m: Annotated[float, Within(0.0, 0.5)] = 0.04
    """How far depth and point may differ at any depth: two voxels."""
    tolerance_ratio: Annotated[float, Within(0.0, 0.2)] = 0.02
    """How much more they may differ, as a share of the depth, for the noise of the camera and its poses."""
    border_px: Annotated[int, Within(0, 200)] = 4
    """Pixels at the border of the image that see nothing: masks and lenses are at their worst there."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def see_points(
    xyz: Float32[ndarray, "points 3"], view: PosedDepth, config: IncidenceConfig | None = None
) -> ViewIncidence:
    """The points that project into the image and lie on the surface its depth measures there.

    Args:
        xyz: the scene cloud, map frame, metres.
    """
    config, camera = config or IncidenceConfig(), view.camera
    T = invert(view.T_map_camera).astype(np.float32)
    x, y, z = T[:3, :3] @ xyz.T + T[:3, 3:]
    ahead = np.flatnonzero(z > 1e-3)
    x, y, z = x[ahead], y[ahead], z[ahead]
    u = x / z * np.float32(camera.fx) + np.float32(camera.cx + 0.5)  # + 0.5: floor rounds to the nearest pixel
    v = y / z * np.float32(camera.fy) + np.float32(camera.cy + 0.5)
    edge = config.border_px
    inside = np.flatnonzero((u >= edge) & (u < camera.width - edge) & (v >= edge) & (v < camera.height - edge))
    column, row, z = u[inside].astype(np.int32), v[inside].astype(np.int32), z[inside]
    depth_m = view.depth_m[row, column]
    seen = (depth_m > 0) & (np.abs(z - depth_m) <= config.tolerance_m + config.tolerance_ratio * depth_m)
    return ViewIncidence(points=ahead[inside][seen], pixels=np.stack([column[seen], row[seen]], axis=-1))


@dataclass(frozen=True, kw_only=True)
class Incidence:
    """What all views see, as compressed rows: the pairs of view v are `offsets[v]` to `offsets[v + 1]`."""

    offsets: Int64[ndarray, " rows"]
    """One more than there are views."""
    points: Int64[ndarray, " pairs"]
    pixels: Int32[ndarray, "pairs 2"]

    @staticmethod
    def build(views: Sequence[ViewIncidence]) -> "Incidence":
        """Put the records of single views, in their order, into one."""
        nothing = ViewIncidence(points=np.zeros(0, dtype=np.int64), pixels=np.zeros((0, 2), dtype=np.int32))
        return Incidence(
            offsets=np.cumsum([0, *(len(seen.points) for seen in views)], dtype=np.int64),
            points=np.concatenate([nothing.points, *(seen.points for seen in views)]),
            pixels=np.concatenate([nothing.pixels, *(seen.pixels for seen in views)]),
        )

    def __len__(self) -> int:
        """The number of views."""
        return len(self.offsets) - 1

    def looks(self, points: int) -> Int64[ndarray, " points"]:
        """How many views see each point of a cloud of so many."""
        return np.bincount(self.points, minlength=points)

    def view(self, v: int) -> ViewIncidence:
        """The record of one view; a slice, nothing is copied."""
        pairs = slice(self.offsets[v], self.offsets[v + 1])
        return ViewIncidence(points=self.points[pairs], pixels=self.pixels[pairs])
