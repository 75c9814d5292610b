"""The shape that a frame sees, and how one frame's shape fits another's (generalised ICP, Segal et al. 2009)."""

from dataclasses import dataclass

import numpy as np
import small_gicp
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.geometry import back_project_pixels, nearest_rigid
from ovseg3r_core.types import Depth

SPACING_M = 0.04
"""Between the points that are compared; depth cameras are no better than a centimetre where it matters."""
NEAR_M = 0.1
"""Points that are this near to one another are the same surface."""
OVERLAP, FIRMNESS = 0.6, 0.03
"""Of a fit that is believed, where nothing else is asked for."""
_COARSE_M = 0.3
_CLOSEST_M, _FARTHEST_M = 0.2, 5.0
_STRIDE = 2
_THREADS = 1  # with more, sums come in any order, and the same frames give slightly other poses
_FEWEST = 200  # points


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """Points of a frame in its camera's coordinates, each with the plane that it lies in."""

    points: small_gicp.PointCloud
    tree: small_gicp.KdTree


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How one shape fits another."""

    T_a_b: Float64[ndarray, "4 4"]
    overlap: float
    """Share of b's points that lie within `NEAR_M` of one of a's."""
    firmness: float
    """How well the shape holds the camera in its least certain direction, against the most certain one: a lone wall is
    near 0, a corner of a room near 1."""

    def tells(self, overlap: float = OVERLAP, firmness: float = FIRMNESS) -> bool:
        """Whether it is to be believed: enough of the points fit, and the shape would not slide along itself."""
        return self.overlap >= overlap and self.firmness >= firmness


def shape_of(frame: Depth) -> Shape | None:
    """The shape of a frame; None where it has too little depth to have one."""
    depth_m = frame.depth_m[::_STRIDE, ::_STRIDE]
    row, column = np.nonzero((depth_m > _CLOSEST_M) & (depth_m < _FARTHEST_M))
    if len(row) < _FEWEST:
        return None
    uv = np.stack([column, row], axis=1).astype(np.float64) * _STRIDE
    xyz = back_project_pixels(uv, depth_m[row, column].astype(np.float64), frame.camera)
    points, tree = small_gicp.preprocess_points(xyz, SPACING_M, num_threads=_THREADS)
    return Shape(points=points, tree=tree) if points.size() >= _FEWEST else None


def fit(a: Shape, b: Shape, T_a_b: Float64[ndarray, "4 4"]) -> Fit:
    """Move b from where it is guessed to be, 30 cm off at most, until it fits a."""
    return fit_nearby(a, b, nearest_rigid(_aligned(a, b, T_a_b, _COARSE_M).T_target_source))


def fit_nearby(a: Shape, b: Shape, T_a_b: Float64[ndarray, "4 4"]) -> Fit:
    """Move b from where it nearly is until it fits a."""
    fine = _aligned(a, b, T_a_b, NEAR_M)
    held = np.linalg.eigvalsh(fine.H[3:, 3:])
    return Fit(
        T_a_b=nearest_rigid(fine.T_target_source),
        overlap=fine.num_inliers / b.points.size(),
        firmness=float(max(held[0], 0.0) / max(held[-1], 1e-12)),
    )


def _aligned(a: Shape, b: Shape, T_a_b: Float64[ndarray, "4 4"], reach_m: float) -> small_gicp.RegistrationResult:
    return small_gicp.align(
        a.points,
        b.points,
        a.tree,
        init_T_target_source=T_a_b,
        max_correspondence_distance=reach_m,
        num_threads=_THREADS,
        max_iterations=30,
    )
