"""Outlines that err smoothly, and pieces cut off along lines or planes."""

import cv2
import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from ovseg3r_core.types import Frame
from ovseg3r_train.teacher.boundary import GROSS, signed_distance
from ovseg3r_train.teacher.noise_model import TeacherNoise

_HALF_AFTER = 2 * np.sqrt(np.log(2))  # cells until a field blurred by one cell has half forgotten itself
_BLUR_GAIN = 2 * np.sqrt(np.pi)  # what a blur by one cell takes from the spread of white noise, in two dimensions
_SAMPLES = 2000  # pixels that the place of a cut is found on


def noisy_outline(
    region: Bool[ndarray, "height width"], noise: TeacherNoise, rng: np.random.Generator
) -> Bool[ndarray, "height width"]:
    """A region whose outline is moved in and out by an error that changes smoothly along it."""
    scale = float(np.sqrt(np.count_nonzero(region)))
    mean = noise.outline_mean + noise.outline_mean_spread * rng.standard_normal()
    factor = np.exp(np.log(noise.outline_spread_factor) * rng.standard_normal())
    spread = min(noise.outline_spread * factor, GROSS / 2)
    if mean == 0 and spread == 0:
        return region
    box = _grown_box(region, (abs(mean) + 3 * spread) * scale + 2)
    error = smooth_field(region[box].shape, noise.outline_reach * scale, rng) * (spread * scale) + mean * scale
    moved = np.zeros_like(region)
    moved[box] = signed_distance(region[box]) < error
    return moved


def smooth_field(shape: tuple[int, ...], reach_px: float, rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """Gaussian noise of unit spread that has half forgotten itself after `reach_px`."""
    cell = max(reach_px / _HALF_AFTER, 1.0)
    rows, columns = (int(np.ceil(side / cell)) + 1 for side in shape)
    white = rng.standard_normal((rows + 6, columns + 6)).astype(np.float32)
    cells = cv2.GaussianBlur(white, (7, 7), 1.0)[3:-3, 3:-3] * np.float32(_BLUR_GAIN)
    size = (round(columns * cell) + 1, round(rows * cell) + 1)
    return cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)[: shape[0], : shape[1]]


def cut_piece(
    region: Bool[ndarray, "height width"], along: Float32[ndarray, "height width"], share: float
) -> Bool[ndarray, "height width"]:
    """The piece of a region where a coordinate is lowest, of about that share of it; infinite ones are in no piece."""
    values = along[region]
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros_like(region)
    return region & (along <= np.quantile(known[:: max(1, len(known) // _SAMPLES)], share))


def across_image(shape: tuple[int, ...], rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """A coordinate in a random direction of the image."""
    angle = rng.uniform(0, 2 * np.pi)
    v, u = np.ogrid[: shape[0], : shape[1]]
    return (u * np.cos(angle) + v * np.sin(angle)).astype(np.float32)


def across_space(frame: Frame, rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """A coordinate in a random direction of the map, infinite without depth: what is cut along it stays cut alike."""
    camera, direction = frame.camera, rng.standard_normal(3)
    x, y, z = frame.T_map_camera[:3, :3].T @ (direction / np.linalg.norm(direction))
    v, u = np.ogrid[: camera.height, : camera.width]
    rays = (x * (u - camera.cx) / camera.fx + y * (v - camera.cy) / camera.fy + z).astype(np.float32)
    return np.where(frame.depth_m > 0, rays * frame.depth_m, np.float32(np.inf))


def _grown_box(region: Bool[ndarray, "height width"], margin_px: float) -> tuple[slice, slice]:
    u, v, width, height = cv2.boundingRect(region.astype(np.uint8))
    margin = int(np.ceil(margin_px))
    return (
        slice(max(v - margin, 0), min(v + height + margin, region.shape[0])),
        slice(max(u - margin, 0), min(u + width + margin, region.shape[1])),
    )
