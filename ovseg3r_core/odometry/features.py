"""What a frame looks like: points of the image that are found again from elsewhere, and the pose that they prove.

SIFT (Lowe 2004) with the square root of its histograms (Arandjelovic and Zisserman 2012). The pose comes from points
whose depth one frame knows and whose pixels the other has, against outliers by consensus (RANSAC).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray

from ovseg3r_core.geometry import back_project_pixels, invert
from ovseg3r_core.types import RgbdFrame

FEWEST = 20
"""Matches that must agree on a pose."""
_MOST = 1200  # points a frame
_FAINT = 0.01  # contrast that is enough: walls and floors have little
_CLEARLY = 0.8  # the second best match must be so much further away (Lowe's ratio)
_OFF_PX = 3.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Points of one image."""

    uv: Float32[ndarray, "points 2"]
    looks: Float32[ndarray, "points 128"]
    xyz: Float64[ndarray, "points 3"]
    """In the camera's coordinates, where depth is known."""
    deep: Bool[ndarray, " points"]
    """Where it is."""
    K: Float64[ndarray, "3 3"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """A pose that matching points agree on."""

    T_a_b: Float64[ndarray, "4 4"]
    in_a: Int64[ndarray, " matches"]
    """Which points of a agree,"""
    in_b: Int64[ndarray, " matches"]
    """and which of b they are."""

    @property
    def matches(self) -> int:
        """How many agree."""
        return len(self.in_a)


def features_of(frame: RgbdFrame) -> Features:
    """The points of a frame's image; none where it is blank."""
    finder = cv2.SIFT.create(_MOST, contrastThreshold=_FAINT)
    points, looks = finder.detectAndCompute(cv2.cvtColor(frame.color, cv2.COLOR_RGB2GRAY), None)
    if looks is None:
        looks = np.zeros((0, 128), np.float32)
    uv = np.array([point.pt for point in points], np.float32).reshape(-1, 2)
    height, width = frame.depth_m.shape
    column, row = np.clip(np.round(uv).astype(int), 0, (width - 1, height - 1)).T
    z = frame.depth_m[row, column].astype(np.float64)
    return Features(
        uv=uv,
        looks=np.sqrt(looks / np.maximum(looks.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32),
        xyz=back_project_pixels(uv, z, frame.camera),
        deep=z > 0,
        K=frame.camera.K,
    )


def see(a: Features, b: Features) -> Seen | None:
    """Where b was taken from, by points of a that it sees again; None where too few agree."""
    in_a, in_b = _matches(a, b)
    if len(in_a) < FEWEST:
        return None
    world, pixels = a.xyz[in_a], b.uv[in_b].astype(np.float64)
    cv2.setRNGSeed(0)  # the same frames give the same pose
    found, turn, shift, agreed = cv2.solvePnPRansac(
        world,
        pixels,
        b.K,
        None,
        iterationsCount=500,
        reprojectionError=_OFF_PX,
        confidence=0.999,
        flags=cv2.SOLVEPNP_EPNP,
    )
    if not found or agreed is None or len(agreed) < FEWEST:
        return None
    agreed = np.asarray(agreed, np.int64)[:, 0]
    turn, shift = cv2.solvePnPRefineLM(world[agreed], pixels[agreed], b.K, None, turn, shift)
    T_b_a = np.eye(4)
    T_b_a[:3, :3], T_b_a[:3, 3] = cv2.Rodrigues(turn)[0], shift[:, 0]
    if not np.isfinite(T_b_a).all():
        return None
    return Seen(T_a_b=invert(T_b_a), in_a=in_a[agreed], in_b=in_b[agreed])


def _matches(a: Features, b: Features) -> tuple[Int64[ndarray, " pairs"], Int64[ndarray, " pairs"]]:
    """Points of a with depth, and the points of b that look like them and like no other."""
    deep = np.flatnonzero(a.deep)
    if len(deep) < 2 or len(b.uv) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    alike = b.looks @ a.looks[deep].T  # cosines: the rows are unit vectors
    two = np.argpartition(-alike, 1, axis=1)[:, :2]
    cosines = np.take_along_axis(alike, two, axis=1)
    apart = np.sqrt(np.maximum(2 - 2 * np.sort(cosines, axis=1), 0))  # of the second best, of the best
    clear = np.flatnonzero(apart[:, 1] < _CLEARLY * apart[:, 0])
    best = np.take_along_axis(two, cosines.argmax(axis=1, keepdims=True), axis=1)[:, 0]
    return deep[best[clear]], clear
