"""How far an estimated trajectory is from the true one (Sturm et al. 2012): after the best fit, and step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.geometry import invert, nearest_rotation, rotation_angle, transform


@dataclass(frozen=True, kw_only=True)
class TrajectoryError:
    """Root mean squares over the frames that both have."""

    frames: int
    ate_m: float
    """Absolute: between camera centres, after the rigid transform that brings them closest."""
    rpe_m: float
    """Relative: of the step from each frame to the next."""
    rpe_rad: float
    """The same of its turn."""


def trajectory_error(
    estimated: Mapping[int, Float64[ndarray, "4 4"]], true: Mapping[int, Float64[ndarray, "4 4"]]
) -> TrajectoryError | None:
    """The errors of poses by frame index, T_map_camera, whatever their maps; None for less than three common frames."""
    common = sorted(estimated.keys() & true.keys())
    if len(common) < 3:
        return None
    T_a, T_b = (np.stack([poses[i] for i in common]) for poses in (estimated, true))
    centres_a, centres_b = T_a[:, :3, 3], T_b[:, :3, 3]
    steps = [[invert(T) @ T_next for T, T_next in pairwise(poses)] for poses in (T_a, T_b)]
    off = [invert(step_b) @ step_a for step_a, step_b in zip(*steps, strict=True)]
    return TrajectoryError(
        frames=len(common),
        ate_m=_rms(np.linalg.norm(transform(rigid_fit(centres_a, centres_b), centres_a) - centres_b, axis=1)),
        rpe_m=_rms(np.array([np.linalg.norm(T[:3, 3]) for T in off])),
        rpe_rad=_rms(np.array([rotation_angle(T[:3, :3]) for T in off])),
    )


def rigid_fit(a: Float64[ndarray, "points 3"], b: Float64[ndarray, "points 3"]) -> Float64[ndarray, "4 4"]:
    """T_b_a, which brings points a as close to points b as a rigid transform can (Umeyama 1991, without scale)."""
    T_b_a = np.eye(4)
    T_b_a[:3, :3] = nearest_rotation((b - b.mean(axis=0)).T @ (a - a.mean(axis=0)))
    T_b_a[:3, 3] = b.mean(axis=0) - T_b_a[:3, :3] @ a.mean(axis=0)
    return T_b_a


def _rms(values: Float64[ndarray, " values"]) -> float:
    return float(np.sqrt(np.mean(values**2)))
