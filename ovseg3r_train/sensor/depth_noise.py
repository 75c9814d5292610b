"""What a structured-light depth camera, a Kinect of the first kind, makes of exact depth.

The steps are those of a sensor that matches a projected pattern by windows: what is sampled lies a little beside the
pixel, edges are ragged and here and there bridged, disparity is noisy and comes in eighths of a pixel, and where the
pattern is hidden, dim, too slanted or out of range there is no reading.

Sources:
    C. V. Nguyen, S. Izadi, D. Lovell, "Modeling Kinect sensor noise for improved 3D reconstruction and tracking",
    3DIMPVT 2012: axial and lateral noise as functions of depth and angle.
    K. Khoshelham, S. O. Elberink, "Accuracy and resolution of Kinect depth data", Sensors 12(2), 2012: disparity in
    eighths of a pixel, the baseline of 7.5 cm, shadows beside near things.
    A. Handa et al., "A benchmark for RGB-D visual odometry, 3D reconstruction and SLAM", ICRA 2014: shifting the
    sampled pixel, adding noise and rounding in disparity, in that order.
"""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.types import Camera
from ovseg3r_train.sensor.noise_fields import blobs, generator, grained

_PURPOSE = 1
_BASELINE_M = 0.075
_FOCAL_PX, _WIDTH_PX = 580.0, 640  # of the Kinect's infrared camera, in which disparity is measured
_DISPARITY_STEP_PX = 0.125
_JUMP = 0.05  # of the depth, within three pixels: two surfaces


@dataclass(frozen=True, kw_only=True)
class DepthNoiseConfig:
    """The noise of a depth camera; the defaults are a Kinect's."""

    scale: Annotated[float, Within(0.0, 16.0)] = 1.0
    """Multiplies noise, rounding and the share of lost readings; 0 leaves the depth as it is, but for its range."""
    sigma_m: Annotated[float, Within(0.0, 1.0)] = 0.0012
    """Axial noise, standard deviation, at its least, with that of rounding (Nguyen et al.)."""
    sigma_per_m: Annotated[float, Within(0.0, 1.0)] = 0.0019
    """How axial noise grows with (depth - 0.4 m) squared, per metre (Nguyen et al.)."""
    grain_px: Annotated[float, Within(0.3, 10.0)] = 1.8
    """How far neighbours share their axial noise, as the sensor matches windows, not pixels; fitted to TUM RGB-D."""
    lateral_px: Annotated[float, Within(0.0, 10.0)] = 0.8
    """Standard deviation of the place that a pixel samples (Nguyen et al. found 0.8 to 1 pixel)."""
    grazing_deg: Annotated[float, Within(0.0, 89.0)] = 75.0
    """Angle between ray and normal from which readings go missing; at 88 degrees all of them."""
    dark_lost: Annotated[float, Within(0.0, 1.0)] = 0.25
    """Share of readings lost on black surfaces."""
    shiny_things: Annotated[float, Within(0.0, 1.0)] = 0.1
    """Share of the things that are shiny."""
    shiny_lost: Annotated[float, Within(0.0, 1.0)] = 0.3
    """Share of readings lost on shiny things."""
    bridged_edges: Annotated[float, Within(0.0, 1.0)] = 0.2
    """Share of the edges whose pixels mix both sides."""
    lost_edges: Annotated[float, Within(0.0, 1.0)] = 0.3
    """Share of the edges without readings."""
    shadows: bool = True
    """Whether near things keep the projector's light off what is behind them."""
    rim: Annotated[float, Within(0.0, 0.4)] = 0.02
    """Width of the strip round the image that the depth camera does not see, as a share of the image's width."""
    nearest_m: Annotated[float, Within(0.0, 10.0)] = 0.45
    """Nearer surfaces give no reading."""
    farthest_m: Annotated[float, Within(0.1, 100.0)] = 8.0
    """Farther surfaces give no reading."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class DepthNoise:
    """Adds the noise of one sensor in one home."""

    def __init__(self, config: DepthNoiseConfig, seed: int) -> None:
        """Choose which things are shiny; everything else is drawn frame by frame."""
        self._config = config
        self._seed = seed
        self._shiny = np.random.default_rng([seed, _PURPOSE]).random(1 << 16) < config.shiny_things
        self._shiny[0] = False  # walls, floor and ceiling

    def apply(
        self,
        depth_m: Float32[ndarray, "height width"],
        color: UInt8[ndarray, "height width 3"],
        instance: UInt16[ndarray, "height width"],
        camera: Camera,
        index: int,
    ) -> Float32[ndarray, "height width"]:
        """The depth as measured; the same for the same seed and frame index."""
        config = self._config
        if config.scale == 0:
            return np.where(_within_range(depth_m, config), depth_m, np.float32(0))
        rng = generator(self._seed, index, _PURPOSE)
        lost = self._lost(depth_m, color, instance, camera, rng)
        sampled = _beside(depth_m, config.lateral_px * config.scale, rng)
        measured = _bridged(sampled, config.bridged_edges * config.scale, rng)
        measured = _measured(measured, config, rng)
        return np.where(lost | (sampled == 0) | ~_within_range(measured, config), np.float32(0), measured)

    def _lost(
        self, depth_m: ndarray, color: ndarray, instance: ndarray, camera: Camera, rng: np.random.Generator
    ) -> Bool[ndarray, "height width"]:
        """Where there is no reading, decided at half the resolution: holes are larger than pixels."""
        config, half = self._config, depth_m[::2, ::2]
        risk = _grazing(half, camera, config.grazing_deg)
        green = color[::2, ::2, 1].astype(np.float32)
        risk = np.maximum(risk, np.float32(config.dark_lost) * np.clip((60 - green) / 50, 0, 1))
        risk = np.maximum(risk, self._shiny[instance[::2, ::2]] * np.float32(config.shiny_lost))
        risk = np.maximum(risk, _jumps(half) * np.float32(config.lost_edges))
        lost = blobs(half.shape, 4, rng) < risk * np.float32(config.scale)
        if config.shadows:
            lost |= _shadowed(half)
        _outline(lost, round(config.rim * half.shape[1]))
        smooth = cv2.resize(lost.view(np.uint8) * np.uint8(255), None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        return smooth[: depth_m.shape[0], : depth_m.shape[1]] > 127


def _within_range(depth_m: ndarray, config: DepthNoiseConfig) -> Bool[ndarray, "height width"]:
    return (depth_m >= config.nearest_m) & (depth_m <= config.farthest_m)


def _beside(depth_m: ndarray, sigma_px: float, rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """At edges, the depth of the nearest pixel to a place a little off each; elsewhere sensors match whole windows."""
    near_edge = cv2.dilate(_jumps(depth_m).view(np.uint8), np.ones((5, 5), dtype=np.uint8)) > 0
    height, width = depth_m.shape
    u = grained(depth_m.shape, 0.5, rng) * np.float32(sigma_px) + np.arange(width, dtype=np.float32)
    v = grained(depth_m.shape, 0.5, rng) * np.float32(sigma_px) + np.arange(height, dtype=np.float32)[:, None]
    beside = cv2.remap(depth_m, u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.where(near_edge, beside, depth_m)


def _jumps(depth_m: ndarray) -> Bool[ndarray, "height width"]:
    window = np.ones((3, 3), dtype=np.uint8)
    far, near = cv2.dilate(depth_m, window), cv2.erode(depth_m, window)
    return far - near > _JUMP * far


def _outline(lost: Bool[ndarray, "height width"], width_px: int) -> None:
    """Mark a strip round the image, in place."""
    if width_px > 0:
        lost[:width_px] = lost[-width_px:] = True
        lost[:, :width_px] = lost[:, -width_px:] = True


def _bridged(depth_m: ndarray, share: float, rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """Mix both sides of jumps in a share of the places."""
    here = _jumps(depth_m) & (blobs(depth_m.shape, 6, rng) < share)
    here &= cv2.erode(depth_m, np.ones((3, 3), dtype=np.uint8)) > 0  # nothing mixes with what has no reading
    return np.where(here, cv2.blur(depth_m, (3, 3)), depth_m)


def _measured(depth_m: ndarray, config: DepthNoiseConfig, rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """Noise, and rounding in disparity; the two together are as strong as the config says."""
    step_px = np.float32(_DISPARITY_STEP_PX * config.scale)
    focal_baseline = np.float32(_FOCAL_PX * _BASELINE_M)
    sigma_m = config.sigma_m + config.sigma_per_m * np.square(np.maximum(depth_m - np.float32(0.4), 0))
    sigma_m *= np.float32(config.scale)
    rounding_m2 = np.square(step_px / focal_baseline * np.square(depth_m)) / 12  # variance of what rounding cuts off
    sigma_m = np.sqrt(np.maximum(np.square(sigma_m) - rounding_m2, 0))
    noisy_m = depth_m + grained(depth_m.shape, config.grain_px, rng) * sigma_m
    steps = np.rint(focal_baseline / step_px / np.maximum(noisy_m, np.float32(0.05)))
    return focal_baseline / step_px / np.maximum(steps, 1)


def _grazing(depth_m: ndarray, camera: Camera, from_deg: float) -> Float32[ndarray, "height width"]:
    """How probably surfaces are too slanted to be read: 0 up to `from_deg`, 1 at 88 degrees.

    Inverse depth is linear on planes; its gradient gives the normal without differences of points.

    Args:
        depth_m: every second pixel of the camera's image.
    """
    inverse = 1 / np.maximum(depth_m, np.float32(0.05))
    across = _slope(inverse) * np.float32(camera.fx / 2)
    down = _slope(inverse.T).T * np.float32(camera.fy / 2)
    x = (2 * np.arange(depth_m.shape[1], dtype=np.float32) - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (2 * np.arange(depth_m.shape[0], dtype=np.float32)[:, None] - np.float32(camera.cy)) / np.float32(camera.fy)
    ahead = inverse - x * across - y * down
    cosine = inverse / np.sqrt((across**2 + down**2 + ahead**2) * (1 + x**2 + y**2))
    first, last = np.cos(np.deg2rad([from_deg, max(88.0, from_deg + 1)])).astype(np.float32)
    return np.clip((first - cosine) / (first - last), 0, 1)


def _slope(inverse: ndarray) -> Float32[ndarray, "rows columns"]:
    """Change a pixel along the rows: the smaller of that to the left and to the right, which does not cross edges."""
    step = np.diff(inverse, axis=1)
    before, after = np.pad(step, ((0, 0), (1, 0)), mode="edge"), np.pad(step, ((0, 0), (0, 1)), mode="edge")
    return np.where(np.abs(before) < np.abs(after), before, after)


def _shadowed(depth_m: ndarray) -> Bool[ndarray, "height width"]:
    """Where the projector, to the right of the camera, is hidden by something nearer.

    A point at column u is lit from the projector's column u - disparity; the nearest point there is the lit one.

    Args:
        depth_m: every second pixel of the camera's image.
    """
    height, width = depth_m.shape
    disparity = np.float32(_BASELINE_M * _FOCAL_PX / _WIDTH_PX * width) / np.maximum(depth_m, np.float32(0.3))
    column = np.rint(np.arange(width, dtype=np.float32) - disparity).astype(np.int64) + width
    place = np.clip(column, 0, 2 * width - 1) + np.arange(height)[:, None] * (2 * width)
    lit = np.zeros(2 * width * height, dtype=np.float32)
    np.maximum.at(lit, place.ravel(), np.where(depth_m > 0, disparity, 0).ravel())
    lit = cv2.dilate(lit.reshape(height, -1), np.ones((1, 2), dtype=np.uint8))  # a slanted surface skips columns
    return lit.ravel()[place] > 1.1 * disparity + 1
