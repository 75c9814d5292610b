"""Planes for what has no texture: a segment of even grey is mostly one flat face.

The inverse depth of a plane is linear in the pixels. Where most of the depth that a segment has lies in one plane, all
of the segment is taken to lie there: this closes bare walls and table tops from what is known at their rims and marks,
and takes the noise from what is known inside.
"""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.graph.clustering import Exclusive, clusters
from ovseg3r_core.graph.edges import Edges

_BLUR_PX = 0.8  # takes the noise of single pixels from the grey
_GUESSES, _SAMPLE = 64, 300  # planes that are tried, and pixels that each is tried on
_SPREAD = 1e-5  # area of three pixels, image widths squared, below which they span no plane
_CLOSER, _FURTHER = 1.4, 0.7  # a plane may lead so far out of the inverse depths that it was fitted to


@dataclass(frozen=True, kw_only=True)
class PlanarConfig:
    """Which segments are believed to be planes."""

    roughness: Annotated[float, Within(0.001, 100.0)] = 0.3
    """How much grey, 0 to 1, times pixels a segment may vary by: more makes larger segments."""
    min_px: Annotated[int, Within(1, 100_000)] = 40
    """Smaller segments join others."""
    tolerance: Annotated[float, Within(0.0001, 0.5)] = 0.02
    """How far off a plane its pixels may be: a share of the depth."""
    in_plane: Annotated[float, Within(0.0, 1.0)] = 0.6
    """Share of a segment's known pixels that lie in its plane."""
    known: Annotated[float, Within(0.0, 1.0)] = 0.1
    """Share of a segment's pixels whose depth is known."""
    known_px: Annotated[int, Within(3, 100_000)] = 30
    """Pixels of a segment that are known, and that lie in its plane, at least."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def planes_filled(
    grey: Float32[ndarray, "height width"], depth: Float32[ndarray, "height width"], config: PlanarConfig
) -> Float32[ndarray, "height width"]:
    """The depth, by the planes of the segments that have one."""
    rng = np.random.default_rng(0)
    known = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0).ravel()
    filled = known.copy()
    for pixels in _groups(segments(grey, config)):
        inverse = _plane_of(pixels, known[pixels], depth.shape[1], config, rng)
        if inverse is not None:
            filled[pixels] = np.where(inverse > 0, inverse, filled[pixels])
    return np.divide(1, filled, out=np.zeros_like(filled), where=filled > 0).reshape(depth.shape)


def segments(grey: Float32[ndarray, "height width"], config: PlanarConfig) -> Int64[ndarray, "height width"]:
    """Pieces of even grey, numbered from 0 (Felzenszwalb and Huttenlocher 2004)."""
    height, width = grey.shape
    smooth = cv2.GaussianBlur(grey, (0, 0), _BLUR_PX).ravel()
    pixel = np.arange(height * width, dtype=np.int32).reshape(height, width)
    right, below = (pixel[:, :-1], pixel[:, 1:]), (pixel[:-1], pixel[1:])
    falling, rising = (pixel[:-1, :-1], pixel[1:, 1:]), (pixel[:-1, 1:], pixel[1:, :-1])
    a, b = (np.concatenate([it.ravel() for it in side]) for side in zip(right, below, falling, rising, strict=True))
    found = clusters(
        Edges(a=a, b=b, length_m=np.ones(len(a), np.float32)),  # lengths are for slivers alone
        np.abs(smooth[a] - smooth[b]),
        np.zeros(len(a), bool),
        np.ones(len(smooth), np.int64),
        Exclusive.nothing(len(smooth)),
        k=config.roughness,
        min_points=config.min_px,
        sliver_points=0,
    )
    return found.reshape(height, width)


def _groups(segment: Int64[ndarray, "height width"]) -> list[Int64[ndarray, " _"]]:
    """The pixels of each segment."""
    flat = segment.ravel()
    order = np.argsort(flat, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(flat[order])) + 1)


def _plane_of(
    pixels: Int64[ndarray, " pixels"],
    known: Float32[ndarray, " pixels"],
    width: int,
    config: PlanarConfig,
    rng: np.random.Generator,
) -> Float[ndarray, " pixels"] | None:
    """Inverse depth of a segment by the plane that it mostly lies in, 0 where that leads too far; None without one.

    Args:
        known: inverse depth, 0 for none.
    """
    has = known > 0
    if np.count_nonzero(has) < max(config.known_px, config.known * len(pixels)):
        return None
    at = np.stack([pixels % width / width, pixels // width / width, np.ones(len(pixels))], axis=1)
    x, y = at[has], known[has].astype(np.float64)
    plane = _fitted(x, y, config.tolerance, rng)
    if plane is None:
        return None
    on = np.abs(x @ plane - y) <= config.tolerance * y
    if np.count_nonzero(on) < max(config.known_px, config.in_plane * len(y)):
        return None
    inverse = at @ plane
    return np.where((inverse > _FURTHER * y[on].min()) & (inverse < _CLOSER * y[on].max()), inverse, 0)


def _fitted(
    x: Float[ndarray, "pixels 3"], y: Float[ndarray, " pixels"], tolerance: float, rng: np.random.Generator
) -> Float[ndarray, "3"] | None:
    """The plane that most of some pixels lie in: the best of many through three of them, then fitted to all of its."""
    corners = rng.integers(0, len(y), (_GUESSES, 3))
    corners = corners[np.abs(np.linalg.det(x[corners])) > _SPREAD]
    if not len(corners):
        return None
    guesses = np.linalg.solve(x[corners], y[corners][..., None])[..., 0]
    some = rng.choice(len(y), _SAMPLE, replace=False) if len(y) > _SAMPLE else np.arange(len(y))
    off = np.abs(x[some] @ guesses.T - y[some, None]) <= tolerance * y[some, None]
    plane = guesses[np.count_nonzero(off, axis=0).argmax()]
    for _ in range(2):
        on = np.abs(x @ plane - y) <= tolerance * y
        plane = np.linalg.lstsq(x[on], y[on], rcond=None)[0]
    return plane
