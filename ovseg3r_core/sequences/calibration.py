"""Cameras as they were calibrated, and what makes pinhole images of theirs: undistortion and resampling."""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_camera
from ovseg3r_core.types import Camera

_COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (8,), "equidistant": (4,)}


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Intrinsics in pixels, and the lens distortion that the images still have.

    Raises:
        Rejected: `bad_intrinsics` where a value cannot be that of a camera.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    """Coefficients in the order of ROS and OpenCV (k1 k2 p1 p2 k3 ...); empty or all zero is none."""
    model: str = "plumb_bob"
    """ROS's name of the distortion model."""

    def __post_init__(self) -> None:
        intrinsics = (self.fx, self.fy, self.cx, self.cy)
        if not all(map(math.isfinite, (*intrinsics, *self.distortion))) or self.fx <= 0 or self.fy <= 0:
            raise Rejected(
                "bad_intrinsics",
                f"fx, fy, cx, cy = {intrinsics} with distortion {self.distortion}: focal lengths must be positive, "
                "and all numbers finite",
            )
        if self.distorts and len(self.distortion) not in _COEFFICIENTS.get(self.model, ()):
            raise Rejected(
                "bad_intrinsics",
                f"distortion model {self.model!r} with {len(self.distortion)} coefficients; known are {_COEFFICIENTS}",
            )

    @property
    def distorts(self) -> bool:
        """Whether the images differ from a pinhole camera's."""
        return any(self.distortion)

    def camera(self, width: int, height: int) -> Camera:
        """The pinhole camera of that image size; raises `Rejected("bad_intrinsics")` where it cannot be."""
        return check_camera(Camera(fx=self.fx, fy=self.fy, cx=self.cx, cy=self.cy, width=width, height=height))


TUM_CAMERAS = {  # the colour cameras' calibrations of the benchmark's page; freiburg3 is published undistorted
    "freiburg1": Calibration(
        fx=517.3, fy=516.5, cx=318.6, cy=255.3, distortion=(0.2624, -0.9531, -0.0054, 0.0026, 1.1633)
    ),
    "freiburg2": Calibration(
        fx=520.9, fy=521.0, cx=325.1, cy=249.7, distortion=(0.2312, -0.7849, -0.0033, -0.0001, 0.9172)
    ),
    "freiburg3": Calibration(fx=535.4, fy=539.2, cx=320.1, cy=247.6),
}
"""Cameras that published their lens: four numbers to a tenth of a pixel are as good as a serial number."""


def undistort(color: ndarray, depth: ndarray, calibration: Calibration) -> tuple[ndarray, ndarray]:
    """Remove the lens distortion from an image and the depth registered to it; K stays.

    Colour is interpolated. Depth takes the nearest reading: a mean across an edge would lie in thin air. The
    distance along the optical axis belongs to the ray, so the value itself does not change.
    """
    if not calibration.distorts:
        return color, depth
    if color.shape[:2] != depth.shape[:2]:
        raise Rejected(
            "size_mismatch",
            f"depth is {depth.shape[1]}x{depth.shape[0]} but colour is {color.shape[1]}x{color.shape[0]}: "
            "give depth registered to colour",
        )
    return undistort_color(color, calibration), undistort_depth(depth, calibration)


def undistort_color(color: ndarray, calibration: Calibration) -> ndarray:
    """The colour half of `undistort`; also of a grey image."""
    return _undistorted(color, calibration, cv2.INTER_LINEAR)


def undistort_depth(depth: ndarray, calibration: Calibration) -> ndarray:
    """The depth half of `undistort`."""
    return _undistorted(depth, calibration, cv2.INTER_NEAREST)


def _undistorted(image: ndarray, calibration: Calibration, interpolation: int) -> ndarray:
    if not calibration.distorts:
        return image
    u, v = _undistortion_map(calibration, image.shape[1], image.shape[0])
    return cv2.remap(image, u, v, interpolation)


@lru_cache(maxsize=4)
def _undistortion_map(
    calibration: Calibration, width: int, height: int
) -> tuple[Float32[ndarray, "height width"], Float32[ndarray, "height width"]]:
    K, D = calibration.camera(width, height).K, np.array(calibration.distortion)
    make = cv2.fisheye.initUndistortRectifyMap if calibration.model == "equidistant" else cv2.initUndistortRectifyMap
    return make(K, D, np.eye(3), K, (width, height), cv2.CV_32FC1)


def resample(
    color: UInt8[ndarray, "_ _ 3"], from_: Calibration, to: Calibration, width: int, height: int
) -> UInt8[ndarray, "height width 3"]:
    """Colour as a camera with other intrinsics at the same place would see it; black where it does not reach.

    A pixel (u, v) of the new camera looks along ((u - cx) / fx, (v - cy) / fy), which the old camera sees at
    fx' x + cx'. That needs no depth as long as both optical centres are (nearly) one.
    """
    u, v = _resampling_map(from_, to, width, height)
    return cv2.remap(color, u, v, cv2.INTER_LINEAR)


@lru_cache(maxsize=4)
def _resampling_map(
    from_: Calibration, to: Calibration, width: int, height: int
) -> tuple[Float32[ndarray, "height width"], Float32[ndarray, "height width"]]:
    u = (np.arange(width) - to.cx) / to.fx * from_.fx + from_.cx
    v = (np.arange(height) - to.cy) / to.fy * from_.fy + from_.cy
    u, v = np.meshgrid(u.astype(np.float32), v.astype(np.float32))
    return u, v
