"""Validation at the border: what passes here is trusted inside.

Every check either returns clean data or raises `Rejected`, whose `reason` is one short word that drops
are counted under (`/diagnostics`, `report.json`), and whose text carries the values and the remedy.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from ovseg3r_core.geometry import nearest_rigid
from ovseg3r_core.types import Camera, ColorFrame, Frame, RgbdFrame

DEPTH_LIMIT_M = 100.0  # no depth camera of a robot sees further; 1e30 and the like are garbage, not distance
POSITION_LIMIT_M = 1e4  # poses further out than 10 km lose centimetres in float32
_RIGID_TOLERANCE = 1e-3  # poses printed with four digits pass, a scaled or sheared one does not
_LAST_ROW = np.array([0.0, 0.0, 0.0, 1.0])
_LAST_ROW_TOLERANCE = 1e-6 + 1e-5 * _LAST_ROW  # of each element


class Rejected(ValueError):
    """One input was refused; the rest goes on."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    def __reduce__(self) -> "tuple[type[Rejected], tuple[str, str]]":
        return Rejected, (self.reason, str(self))  # else another process cannot read it


def check_frame(
    *,
    index: int,
    stamp_s: float,
    color: ndarray,
    depth: ndarray,
    camera: Camera,
    T_map_camera: ndarray,
    depth_unit_m: float = 0.001,
) -> Frame:
    """A frame that the rest of the system can trust.

    Args:
        depth: 16-bit integers in `depth_unit_m`, or floats in metres (REP-118).

    Raises:
        Rejected: with the reasons of `check_images`, or `bad_pose`.
    """
    images = check_images(
        index=index, stamp_s=stamp_s, color=color, depth=depth, camera=camera, depth_unit_m=depth_unit_m
    )
    return images.posed(check_pose(T_map_camera))


def check_images(
    *, index: int, stamp_s: float, color: ndarray, depth: ndarray, camera: Camera, depth_unit_m: float = 0.001
) -> RgbdFrame:
    """The same without a pose.

    Raises:
        Rejected: with reason `bad_stamp`, `bad_color`, `bad_depth`, `empty_depth`, `size_mismatch` or `bad_intrinsics`.
    """
    _check_stamp(index, stamp_s)
    color = check_color(color)
    depth_m = check_depth(depth, depth_unit_m)
    if depth_m.shape != color.shape[:2]:
        raise Rejected(
            "size_mismatch",
            f"frame {index}: depth is {_size(depth_m)} but colour is {_size(color)}: give depth registered to colour",
        )
    _check_size(index, depth_m, camera)
    if not depth_m.any():
        raise Rejected("empty_depth", f"frame {index}: depth holds no reading between 0 and {DEPTH_LIMIT_M:.0f} m")
    return RgbdFrame(index=index, stamp_s=float(stamp_s), color=color, depth_m=depth_m, camera=camera)


def check_color_frame(*, index: int, stamp_s: float, color: ndarray, camera: Camera) -> ColorFrame:
    """An image alone, of a camera that is known.

    Raises:
        Rejected: with reason `bad_stamp`, `bad_color`, `size_mismatch` or `bad_intrinsics`.
    """
    _check_stamp(index, stamp_s)
    color = check_color(color)
    _check_size(index, color, camera)
    return ColorFrame(index=index, stamp_s=float(stamp_s), color=color, camera=camera)


def _check_stamp(index: int, stamp_s: float) -> None:
    if not math.isfinite(stamp_s):
        raise Rejected("bad_stamp", f"frame {index}: stamp is {stamp_s}, not a time in seconds")


def _check_size(index: int, image: ndarray, camera: Camera) -> None:
    """The intrinsics can be, and are those of an image of this size."""
    check_camera(camera)
    if (camera.height, camera.width) != image.shape[:2]:
        raise Rejected(
            "size_mismatch",
            f"frame {index}: intrinsics are for {camera.width}x{camera.height} but the images are {_size(image)}",
        )


def check_color(color: ndarray) -> UInt8[ndarray, "height width 3"]:
    """An 8-bit RGB image; grey images are repeated into three channels and alpha is dropped."""
    if color.dtype != np.uint8 or color.ndim not in (2, 3) or 0 in color.shape:
        raise Rejected("bad_color", f"colour is {color.dtype} {color.shape}, not 8-bit (height, width, 3)")
    if color.ndim == 2:
        color = np.repeat(color[:, :, None], 3, axis=2)
    if color.shape[2] not in (3, 4):
        raise Rejected("bad_color", f"colour has {color.shape[2]} channels; give RGB or RGBA")
    return np.ascontiguousarray(color[:, :, :3])


def check_depth(depth: ndarray, unit_m: float = 0.001) -> Float32[ndarray, "height width"]:
    """Depth in metres where every reading is finite and in (0, 100]; all else becomes 0, "no reading"."""
    if depth.ndim != 2 or 0 in depth.shape:
        raise Rejected("bad_depth", f"depth has shape {depth.shape}, not (height, width)")
    if depth.dtype == np.uint16:
        depth_m = depth.astype(np.float32) * np.float32(unit_m)
    elif np.issubdtype(depth.dtype, np.floating):
        with np.errstate(over="ignore"):  # 1e300 becomes inf, which is then no reading
            depth_m = depth.astype(np.float32)
    else:
        raise Rejected("bad_depth", f"depth is {depth.dtype}; give 16-bit integers or floats in metres")
    with np.errstate(invalid="ignore"):
        good = (depth_m > 0) & (depth_m <= DEPTH_LIMIT_M)  # NaN compares false
    return np.where(good, depth_m, np.float32(0))


def check_camera(camera: Camera) -> Camera:
    """Intrinsics that can project: positive size and focal lengths, a principal point in or near the image."""
    values = (camera.fx, camera.fy, camera.cx, camera.cy)
    if not all(math.isfinite(value) for value in values) or camera.fx <= 0 or camera.fy <= 0:
        raise Rejected("bad_intrinsics", f"intrinsics fx, fy, cx, cy = {values}: focal lengths must be positive")
    if camera.width <= 0 or camera.height <= 0:
        raise Rejected("bad_intrinsics", f"image size is {camera.width}x{camera.height}")
    if not (-camera.width < camera.cx < 2 * camera.width and -camera.height < camera.cy < 2 * camera.height):
        raise Rejected(
            "bad_intrinsics",
            f"principal point ({camera.cx}, {camera.cy}) is far outside the {camera.width}x{camera.height} image",
        )
    return camera


def check_pose(T_map_camera: ndarray) -> Float64[ndarray, "4 4"]:
    """A rigid transform, its rotation made exactly orthonormal; raises `Rejected("bad_pose")` for any other matrix."""
    T = np.asarray(T_map_camera, dtype=np.float64)
    if T.shape != (4, 4) or not np.isfinite(T).all():
        raise Rejected("bad_pose", f"pose has shape {T.shape} or is not finite; give a 4x4 camera-to-map matrix")
    R, t = T[:3, :3], T[:3, 3]
    error = np.abs(R @ R.T - np.eye(3)).max()
    if error > _RIGID_TOLERANCE or np.linalg.det(R) < 0 or (np.abs(T[3] - _LAST_ROW) > _LAST_ROW_TOLERANCE).any():
        raise Rejected(
            "bad_pose",
            f"pose is not rigid: R R^T differs from 1 by {error:.3g}, det R = {np.linalg.det(R):.3g}, last row {T[3]}",
        )
    if np.abs(t).max() > POSITION_LIMIT_M:
        raise Rejected("bad_pose", f"the camera is {np.abs(t).max():.3g} m from the map origin")
    return nearest_rigid(T)  # printed poses are orthonormal to their last digit only


def _size(image: ndarray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
