"""Which way is up, and how long a metre is: what images alone cannot tell, and what can be told to them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.alignment import Similarity, fit_most, upright
from ovseg3r_core.photogrammetry.sparse import SparseModel

USUAL_DEPTH_M = 2.0
"""Where nothing tells the scale, points are taken to be so far from the camera that saw them (median), as in a room:
the voxels and reaches of all that follows are made for that."""
FEWEST_POSITIONS = 3
"""Given positions that tell a scale."""
_NORMAL_POINTS = 16
_FLOOR_BAND = 0.03  # thickness of a floor, against the camera's height above it
_NEAR = 0.05  # a given trajectory agrees within this share of its own extent


@dataclass(frozen=True, kw_only=True)
class Scale:
    """What tells how long a metre is; at most one of the three."""

    metres_per_unit: float | None = None
    """Of the reconstruction as it would be with an unknown scale: times this."""
    camera_height_m: float | None = None
    """Of the camera over the floor, on average."""
    positions: Mapping[int, Float64[ndarray, "3"]] | None = None
    """Where the camera was, by frame index, in metres; the result is in their frame."""

    def __post_init__(self) -> None:
        """Check that the numbers can be."""
        given = [self.metres_per_unit, self.camera_height_m]
        if sum(it is not None for it in (*given, self.positions)) > 1:
            raise ValueError("give one of a scale, a camera height and a trajectory")
        if any(it is not None and not 1e-4 < it < 1e4 for it in given):
            raise ValueError(f"scale {given[0]}, camera height {given[1]}: give a positive length in metres")

    @property
    def key(self) -> str:
        """The same for the same scale."""
        given = None
        if self.positions is not None:
            given = [(index, *np.round(xyz, 6).tolist()) for index, xyz in sorted(self.positions.items())]
        return repr((self.metres_per_unit, self.camera_height_m, given))

    @property
    def known(self) -> bool:
        """Whether the result is in metres."""
        return any(it is not None for it in (self.metres_per_unit, self.camera_height_m, self.positions))


def place(model: SparseModel, scale: Scale) -> tuple[Similarity, str]:
    """What takes the model to metres, z up, its origin at the first camera; and by what its scale is known.

    With given positions it is taken to their frame.

    Raises:
        ValueError: there is no floor to measure a height from, or the positions do not fit.
    """
    if scale.positions is not None:
        return _onto_positions(model, scale.positions)
    T_level_model = upright(_normals(model), np.array([-pose[:3, 1] for pose in model.poses.values()]))
    usual = USUAL_DEPTH_M / _usual_depth(model)
    if scale.camera_height_m is not None:
        factor, known = scale.camera_height_m / _height_over_floor(model, T_level_model), "camera height"
    elif scale.metres_per_unit is not None:
        factor, known = scale.metres_per_unit * usual, "given"
    else:
        factor, known = usual, f"unknown: points are taken to be {USUAL_DEPTH_M:g} m from the camera (median)"
    first = next(iter(model.poses.values()))
    T_level_model[:3, 3] = -factor * T_level_model[:3, :3] @ first[:3, 3]
    return Similarity(scale=factor, T_b_a=T_level_model), known


def _onto_positions(model: SparseModel, positions: Mapping[int, Float64[ndarray, "3"]]) -> tuple[Similarity, str]:
    both = [index for index in model.poses if index in positions]
    if len(both) < FEWEST_POSITIONS:
        raise ValueError(
            f"{len(both)} images have a given position; {FEWEST_POSITIONS} or more are needed for the scale"
        )
    ours = np.array([model.poses[index][:3, 3] for index in both])
    given = np.array([positions[index] for index in both], np.float64)
    within = _NEAR * float(np.linalg.norm(np.ptp(given, axis=0)))
    found = fit_most(ours, given, scaled=True, within=max(within, 1e-6), fewest=max(3, len(both) // 2))
    return found.similarity, f"given trajectory ({found.rms:.3f} m off)"


def depths(model: SparseModel, index: int) -> Float64[ndarray, " points"]:
    """How far in front of one camera the points lie that it sees."""
    T = model.poses[index]
    return (model.xyz[model.seen[index]] - T[:3, 3]) @ T[:3, 2]


def _usual_depth(model: SparseModel) -> float:
    far = np.concatenate([depths(model, index) for index in model.poses])
    return float(np.median(far[far > 0]))


def _normals(model: SparseModel) -> Float64[ndarray, "points 3"]:
    """Of points among their nearest, towards the first camera that sees each; where they lie about in a plane."""
    if len(model.xyz) <= _NORMAL_POINTS:
        return np.zeros((0, 3))
    _, near = KDTree(model.xyz).query(model.xyz, _NORMAL_POINTS)
    around = model.xyz[near] - model.xyz[near].mean(axis=1, keepdims=True)
    values, axes = np.linalg.eigh(np.einsum("pki,pkj->pij", around, around))
    normals, flat = axes[:, :, 0], values[:, 0] < 0.05 * values[:, 1]
    eye = np.zeros_like(model.xyz)
    for index in reversed(list(model.poses)):
        eye[model.seen[index]] = model.poses[index][:3, 3]
    away = np.einsum("pi,pi->p", eye - model.xyz, normals) < 0
    return np.where(away[:, None], -normals, normals)[flat]


def _height_over_floor(model: SparseModel, T_level_model: Float64[ndarray, "4 4"]) -> float:
    """How high the cameras are over the lowest level that many points lie at, in the model's unit."""
    up = T_level_model[2, :3]
    height = float(np.median([pose[:3, 3] @ up for pose in model.poses.values()]))
    below = height - model.xyz @ up
    below = below[below > 0]
    if len(below) < 50:
        raise ValueError(f"{len(below)} points lie below the camera: no floor to measure its height from is in view")
    deepest = float(np.quantile(below, 0.99))  # a few points are always far off
    band = _FLOOR_BAND * deepest
    counts, edges = np.histogram(below, np.arange(0.0, deepest + 2 * band, band))
    floor = np.flatnonzero(counts >= 0.3 * counts.max())[-1]
    inside = (below >= edges[floor] - band) & (below <= edges[floor + 1])
    return float(np.median(below[inside]))
