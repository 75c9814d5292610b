"""Errors of poses, as visual odometry makes them: a slow drift, and a little jitter in every frame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from ovseg3r_core.config import Within, check_ranges

_PURPOSE = 3
_SMOOTH_FRAMES = 5.0


@dataclass(frozen=True, kw_only=True)
class PoseDriftConfig:
    """How far poses are off, root mean square over the sequence; the first is exact."""

    drift_m: Annotated[float, Within(0.0, 10.0)] = 0.0
    """Drift of the position."""
    drift_rad: Annotated[float, Within(0.0, 1.0)] = 0.0
    """Drift of the orientation."""
    jitter_m: Annotated[float, Within(0.0, 1.0)] = 0.0
    """Error of the position, anew in each frame."""
    jitter_rad: Annotated[float, Within(0.0, 1.0)] = 0.0
    """Error of the orientation, anew in each frame."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def with_drift(
    poses: Sequence[Float64[ndarray, "4 4"]], config: PoseDriftConfig, seed: int
) -> list[Float64[ndarray, "4 4"]]:
    """The poses T_map_camera as believed: each turned about and moved with its camera."""
    rng = np.random.default_rng([seed, _PURPOSE])
    moved_m = _error(len(poses), config.drift_m, config.jitter_m, rng)
    turned = Rotation.from_rotvec(_error(len(poses), config.drift_rad, config.jitter_rad, rng)).as_matrix()
    believed = []
    for pose, shift, turn in zip(poses, moved_m, turned, strict=True):
        T_map_camera = pose.copy()
        T_map_camera[:3, :3] = turn @ pose[:3, :3]
        T_map_camera[:3, 3] += shift
        believed.append(T_map_camera)
    return believed


def _error(frames: int, drift: float, jitter: float, rng: np.random.Generator) -> Float64[ndarray, "frames 3"]:
    steps, shakes = rng.standard_normal((frames, 3)), rng.standard_normal((frames, 3))
    wandering = np.cumsum(gaussian_filter1d(steps, _SMOOTH_FRAMES, axis=0), axis=0)
    return _scaled(wandering - wandering[0], drift) + _scaled(shakes * (np.arange(frames) > 0)[:, None], jitter)


def _scaled(error: Float64[ndarray, "frames 3"], wanted: float) -> Float64[ndarray, "frames 3"]:
    rms = np.sqrt((error**2).sum(axis=1).mean())
    return error * (wanted / rms) if rms > 0 else error
