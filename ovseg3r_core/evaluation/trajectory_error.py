"""How far an estimated trajectory is from the true one (Sturm et al. 2012): after the best fit, and step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.alignment import fit
from ovseg3r_core.geometry import invert, rotation_angle


@dataclass(frozen=True, kw_only=True)
class TrajectoryError:
    """Root mean squares over the frames that both have."""

    frames: int
    ate_m: float
    """Absolute: between camera centres, after the transform that brings them closest."""
    rpe_m: float
    """Relative: of the step from each frame to the next."""
    rpe_rad: float
    """The same of its turn."""
    scale: float = 1.0
    """What the estimate was multiplied by before it was compared."""


def trajectory_error(
    estimated: Mapping[int, Float64[ndarray, "4 4"]],
    true: Mapping[int, Float64[ndarray, "4 4"]],
    *,
    scaled: bool = False,
) -> TrajectoryError | None:
    """The errors of poses by frame index, T_map_camera, whatever their maps; None for less than three common frames.

    Args:
        scaled: whether the estimate knows no metres, so that the scale that fits best is taken as well.

    Raises:
        ValueError: a scale is sought, and one of both stood still.
    """
    common = sorted(estimated.keys() & true.keys())
    if len(common) < 3:
        return None
    T_a, T_b = (np.stack([poses[i] for i in common]) for poses in (estimated, true))
    # A camera that drove straight on leaves a turn open, but not how close its centres come.
    onto = fit(T_a[:, :3, 3], T_b[:, :3, 3], scaled=scaled, ambiguous=True)
    T_a = np.stack([onto.pose(T) for T in T_a])
    steps = [[invert(T) @ T_next for T, T_next in pairwise(poses)] for poses in (T_a, T_b)]
    off = [invert(step_b) @ step_a for step_a, step_b in zip(*steps, strict=True)]
    return TrajectoryError(
        frames=len(common),
        ate_m=_rms(np.linalg.norm(T_a[:, :3, 3] - T_b[:, :3, 3], axis=1)),
        rpe_m=_rms(np.array([np.linalg.norm(T[:3, 3]) for T in off])),
        rpe_rad=_rms(np.array([rotation_angle(T[:3, :3]) for T in off])),
        scale=onto.scale,
    )


def _rms(values: Float64[ndarray, " values"]) -> float:
    return float(np.sqrt(np.mean(values**2)))
