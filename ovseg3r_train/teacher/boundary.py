"""How far the outline of a mask runs from the true one, and how long an error goes on along it.

Lengths are in units of the square root of the true area, so that they mean the same at every resolution.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64
from numpy import ndarray

GROSS = 0.25
"""Distances beyond this are no error of the outline: a part is missing, or something was taken in."""
_MIN_CONTOUR_PX = 24


@dataclass(frozen=True, kw_only=True)
class BoundaryError:
    """The signed distance of one outline from the true one: positive bleeds out, negative is eroded."""

    mean: float
    spread: float
    """Standard deviation along the outline."""
    reach: float
    """Way along the outline after which the error has half forgotten itself; NaN where the outline is too short."""


def signed_distance(region: Bool[ndarray, "height width"]) -> Float32[ndarray, "height width"]:
    """Distance to the outline of a region, pixels: negative inside; the image's border is no outline."""
    inside = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    outside = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.where(region, 0.5 - inside, outside - 0.5)


def boundary_error(mask: Bool[ndarray, "height width"], region: Bool[ndarray, "height width"]) -> BoundaryError | None:
    """The error of the outline of a mask; None where too little of it lies inside the image."""
    scale = float(np.sqrt(np.count_nonzero(region)))
    distance = (signed_distance(region) + 0.5) / max(scale, 1.0)  # the rim of a right mask lies half a pixel inside
    runs = [run for contour in _contours(mask) if len(run := _inner(contour, mask.shape)) > 0]
    errors = [distance[run[:, 1], run[:, 0]] for run in runs]
    plain = np.concatenate([error[np.abs(error) < GROSS] for error in errors]) if errors else np.zeros(0)
    if len(plain) < _MIN_CONTOUR_PX:
        return None
    longest = max(range(len(runs)), key=lambda i: len(runs[i]))
    return BoundaryError(
        mean=float(plain.mean()),
        spread=float(plain.std()),
        reach=_reach(np.clip(errors[longest], -GROSS, GROSS), runs[longest]) / scale,
    )


def _contours(mask: Bool[ndarray, "height width"]) -> list[ndarray]:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [contour[:, 0] for contour in found]


def _inner(contour: ndarray, shape: tuple[int, ...]) -> ndarray:
    """The points of a contour that are not on the image's border."""
    u, v = contour.T
    return contour[(u > 0) & (v > 0) & (u < shape[1] - 1) & (v < shape[0] - 1)]


def _reach(error: Float32[ndarray, " points"] | Float64[ndarray, " points"], run: ndarray) -> float:
    """Pixels along a contour until the autocorrelation of the error falls to a half."""
    centred = error - error.mean()
    power = float((centred**2).sum())
    if len(error) < _MIN_CONTOUR_PX or power == 0:
        return float("nan")
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(error))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(error) // 2] / power
    below = np.flatnonzero(correlation < 0.5)
    steps = np.linalg.norm(np.diff(run, axis=0), axis=1)
    return float(below[0] * np.median(steps)) if len(below) else float("nan")
