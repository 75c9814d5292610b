"""The same scene as it might have been: turned, mirrored, bent, in other light (method 2.5).

Everything is changed together, so that masks and superpoints stay what they are; z stays up.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from numpy import ndarray
from scipy.ndimage import uniform_filter
from torch.nn.functional import grid_sample

from ovseg3r_core.config import Within, check_ranges


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far scenes are changed; 0 leaves a thing as it is."""

    flip: Annotated[float, Within(0.0, 1.0)] = 0.5
    """How often x is mirrored, and how often y."""
    turn_rad: Annotated[float, Within(0.0, 3.15)] = 3.14
    """Turns about z, at most, to either side."""
    scale: Annotated[float, Within(0.0, 0.9)] = 0.2
    """Grows or shrinks by at most this share."""
    shift_m: Annotated[float, Within(0.0, 10.0)] = 0.1
    """Standard deviation of the move along each axis."""
    elastic: Annotated[float, Within(0.0, 1.0)] = 0.5
    """How often a scene is bent."""
    fine_bend_m: Annotated[float, Within(0.0, 1.0)] = 0.01
    """Root mean square of the bending over 12 cm, each axis."""
    coarse_bend_m: Annotated[float, Within(0.0, 1.0)] = 0.04
    """The same over 40 cm."""
    light: Annotated[float, Within(0.0, 1.0)] = 0.3
    """Contrast and each channel's gain change by at most this share, brightness by half of it."""
    color_noise: Annotated[float, Within(0.0, 100.0)] = 8.0
    """Standard deviation of the noise of each point's colour, of 255."""
    grey: Annotated[float, Within(0.0, 1.0)] = 0.1
    """How often all colour is taken away: shape alone must do."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


NO_CHANGE = AugmentConfig(
    flip=0.0, turn_rad=0.0, scale=0.0, shift_m=0.0, elastic=0.0, light=0.0, color_noise=0.0, grey=0.0
)


def augmented(
    xyz: Float32[ndarray, "points 3"],
    color: UInt8[ndarray, "points 3"],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> tuple[Float32[ndarray, "points 3"], UInt8[ndarray, "points 3"]]:
    """Places and colours of a scene, changed at random."""
    return moved(xyz, config, rng), relit(color, config, rng)


def moved(
    xyz: Float32[ndarray, "points 3"], config: AugmentConfig, rng: np.random.Generator
) -> Float32[ndarray, "points 3"]:
    """Places, changed at random about the middle of the scene."""
    middle = xyz.mean(axis=0)
    angle = rng.uniform(-config.turn_rad, config.turn_rad)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    mirror = np.where(rng.random(3) < (config.flip, config.flip, 0.0), -1.0, 1.0)
    scale = rng.uniform(1 - config.scale, 1 + config.scale)
    change = (turn * mirror * scale).astype(np.float32)
    xyz = (xyz - middle) @ change.T + (middle + rng.normal(0, config.shift_m, 3)).astype(np.float32)
    if rng.random() < config.elastic:
        xyz = xyz + bend(xyz, 0.12, config.fine_bend_m, rng)
        xyz = xyz + bend(xyz, 0.4, config.coarse_bend_m, rng)
    return xyz


def bend(
    xyz: Float32[ndarray, "points 3"], cell_m: float, strength_m: float, rng: np.random.Generator
) -> Float32[ndarray, "points 3"]:
    """A smooth random displacement: noise on a grid, blurred twice, of the given root mean square."""
    low = xyz.min(axis=0) - cell_m
    shape = np.ceil((xyz.max(axis=0) - low) / cell_m).astype(int) + 3
    noise = rng.standard_normal((3, *shape), dtype=np.float32)
    for _ in range(2):
        noise = uniform_filter(noise, 3, mode="nearest", axes=(1, 2, 3))
    noise *= strength_m / noise.std(axis=(1, 2, 3), keepdims=True).clip(1e-9)
    place = (xyz - low) / (cell_m * (shape - 1)) * 2 - 1  # grid_sample's corners are -1 and 1, its last axis first
    at = torch.from_numpy(np.ascontiguousarray(place[:, ::-1], dtype=np.float32))
    moves = grid_sample(torch.from_numpy(noise)[None], at[None, None, None], align_corners=True)
    return moves[0, :, 0, 0].T.numpy()


def relit(
    color: UInt8[ndarray, "points 3"], config: AugmentConfig, rng: np.random.Generator
) -> UInt8[ndarray, "points 3"]:
    """Colours in another light, by another camera."""
    changed = color.astype(np.float32)
    if rng.random() < config.grey:
        changed[:] = changed.mean(axis=1, keepdims=True)
    gain = rng.uniform(1 - config.light, 1 + config.light, 3) * rng.uniform(1 - config.light, 1 + config.light)
    brightness = 255 * rng.uniform(-config.light / 2, config.light / 2)
    changed = (changed - 128) * gain.astype(np.float32) + np.float32(128 + brightness)
    changed += rng.standard_normal(changed.shape, dtype=np.float32) * np.float32(config.color_noise)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
