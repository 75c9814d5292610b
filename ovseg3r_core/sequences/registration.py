"""Depth from a camera of its own, taken to the pixels of the colour camera beside it.

Each depth pixel is a small piece of a plane: its neighbours on the same surface tell how it is tilted. A colour pixel
whose ray meets the piece takes the distance of that point, of several the nearest. Planes are exact, whatever the two
resolutions are; what the depth camera does not see is no reading.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_color, check_depth, check_pose
from ovseg3r_core.compiled import compiled
from ovseg3r_core.geometry import invert
from ovseg3r_core.sequences.calibration import Calibration, undistort_color, undistort_depth
from ovseg3r_core.types import Camera

_REACH_PX = 0.7  # of a piece to each side: half a pixel, and what noise pulls neighbours apart
_JUMP = 0.05  # neighbours whose distances differ by a larger share are not of one surface
_LARGEST_PX = 64  # a piece that would cover more of the colour image lies beside that camera, not before it
_IDENTITY = 1e-3  # extrinsics of a recording that say nothing differ from it by less


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthCamera:
    """A depth camera that stands beside the colour camera."""

    calibration: Calibration
    T_color_depth: Float64[ndarray, "4 4"]
    size: tuple[int, int] = (0, 0)
    """Width and height that the calibration is for; zeros where nobody says."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Extrinsics:
    """Where the two cameras of one device sit in it; the device's poses are those that a recording has."""

    T_device_color: Float64[ndarray, "4 4"]
    T_color_depth: Float64[ndarray, "4 4"]


def read_extrinsics(
    T_device_color: Float64[ndarray, "4 4"], T_device_depth: Float64[ndarray, "4 4"], name: str
) -> Extrinsics | None:
    """The extrinsics of a recording; None where both are the identity, which says that depth is registered.

    Raises:
        Rejected: `bad_extrinsics`, naming the file, where one of the two is no rigid transform.
    """
    try:
        color, depth = check_pose(T_device_color), check_pose(T_device_depth)
    except Rejected as why:
        raise Rejected("bad_extrinsics", f"{name}: an extrinsic matrix is no place of a camera: {why}") from why
    if np.allclose([color, depth], np.eye(4), atol=_IDENTITY):
        return None
    return Extrinsics(T_device_color=color, T_color_depth=invert(color) @ depth)


Lookup = Callable[[str, str, int], Float64[ndarray, "4 4"]]
"""(target, source, stamp in ns) -> T_target_source; raises `Rejected` where it is not known."""


def place_of_depth(lookup: Lookup, color_frame: str, depth_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
    """`T_color_depth` by transforms; raises `Rejected("no_extrinsics")` with the remedy where they do not tell."""
    try:
        return check_pose(lookup(color_frame, depth_frame, stamp_ns))
    except Rejected as why:
        raise Rejected(
            "no_extrinsics",
            f"depth is in frame {depth_frame!r} with a CameraInfo of its own, colour in {color_frame!r}, and the place "
            f"of one to the other is unknown: publish it on /tf_static, or depth registered to colour ({why})",
        ) from why


def to_color(
    color: ndarray, depth: ndarray, calibration: Calibration, depth_camera: DepthCamera, depth_unit_m: float = 0.001
) -> tuple[UInt8[ndarray, "height width 3"], Float32[ndarray, "height width"]]:
    """Both images without lens distortion, depth in metres and registered to colour.

    Args:
        depth: as the camera gives it: 16-bit integers in `depth_unit_m`, or floats in metres.
        calibration: of the colour camera.

    Raises:
        Rejected: `bad_color`, `bad_depth`, `bad_intrinsics`, or `size_mismatch` where the depth camera's calibration
            is for another size than its images.
    """
    color, depth_m = check_color(color), check_depth(depth, depth_unit_m)
    height, width = depth_m.shape
    if all(depth_camera.size) and depth_camera.size != (width, height):
        wanted = "x".join(map(str, depth_camera.size))
        raise Rejected("size_mismatch", f"the depth camera's intrinsics are for {wanted} but depth is {width}x{height}")
    registered = register_depth(
        undistort_depth(depth_m, depth_camera.calibration),
        depth_camera.calibration.camera(width, height),
        calibration.camera(color.shape[1], color.shape[0]),
        depth_camera.T_color_depth,
    )
    return undistort_color(color, calibration), registered


def register_depth(
    depth_m: Float32[ndarray, "rows columns"],
    depth_camera: Camera,
    color_camera: Camera,
    T_color_depth: Float64[ndarray, "4 4"],
) -> Float32[ndarray, "height width"]:
    """Depth as the colour camera would measure it; 0 where the depth camera sees nothing of that surface."""
    registered = np.zeros((color_camera.height, color_camera.width), np.float32)
    T_depth_color = invert(T_color_depth)
    _splat(
        np.ascontiguousarray(depth_m),
        *_intrinsics(depth_camera),
        *_intrinsics(color_camera),
        T_color_depth[:3, :3].copy(),
        T_color_depth[:3, 3].copy(),
        T_depth_color[:3, :3].copy(),
        T_depth_color[:3, 3].copy(),
        registered,
    )
    return registered


def _intrinsics(camera: Camera) -> tuple[float, float, float, float]:
    return float(camera.fx), float(camera.fy), float(camera.cx), float(camera.cy)


@compiled
@no_type_check
def _slope(before, here, after):
    """How inverse depth changes by a pixel, by the neighbour that is nearer; 0 where neither is of the surface."""
    slope = 0.0
    found = False
    for difference, neighbour in ((here - before, before), (after - here, after)):
        same = neighbour > 0 and abs(difference) < _JUMP * here
        if same and (not found or abs(difference) < abs(slope)):
            slope, found = difference, True
    return slope


@compiled
@no_type_check
def _inverse(depth, v, u):
    height, width = depth.shape
    if v < 0 or u < 0 or v >= height or u >= width or depth[v, u] <= 0:
        return 0.0
    return 1.0 / depth[v, u]


@compiled
@no_type_check
def _splat(depth, fx, fy, cx, cy, gx, gy, hx, hy, R_cd, t_cd, R_dc, t_dc, out):
    """Depth intrinsics are f and c, colour's are g and h; on a plane, inverse depth is linear in the pixel."""
    rows, columns = depth.shape
    height, width = out.shape
    for v in range(rows):
        for u in range(columns):
            here = _inverse(depth, v, u)
            if here == 0:
                continue
            su = _slope(_inverse(depth, v, u - 1), here, _inverse(depth, v, u + 1))
            sv = _slope(_inverse(depth, v - 1, u), here, _inverse(depth, v + 1, u))
            left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
            before = True
            for du in (-_REACH_PX, _REACH_PX):
                for dv in (-_REACH_PX, _REACH_PX):
                    z = 1.0 / (here + su * du + sv * dv)
                    x, y = (u + du - cx) / fx * z, (v + dv - cy) / fy * z
                    depth_c = R_cd[2, 0] * x + R_cd[2, 1] * y + R_cd[2, 2] * z + t_cd[2]
                    if depth_c <= 0:
                        before = False
                        continue
                    a = (R_cd[0, 0] * x + R_cd[0, 1] * y + R_cd[0, 2] * z + t_cd[0]) / depth_c * gx + hx
                    b = (R_cd[1, 0] * x + R_cd[1, 1] * y + R_cd[1, 2] * z + t_cd[1]) / depth_c * gy + hy
                    left, right, top, bottom = min(left, a), max(right, a), min(top, b), max(bottom, b)
            if not before or right - left > _LARGEST_PX or bottom - top > _LARGEST_PX:
                continue
            nx, ny, nz = fx * su, fy * sv, here + su * (cx - u) + sv * (cy - v)  # n . x = 1 is the piece's plane
            reach = 1.0 - (nx * t_dc[0] + ny * t_dc[1] + nz * t_dc[2])
            for j in range(max(math.ceil(top), 0), min(math.floor(bottom), height - 1) + 1):
                for i in range(max(math.ceil(left), 0), min(math.floor(right), width - 1) + 1):
                    a, b = (i - hx) / gx, (j - hy) / gy
                    qx = R_dc[0, 0] * a + R_dc[0, 1] * b + R_dc[0, 2]
                    qy = R_dc[1, 0] * a + R_dc[1, 1] * b + R_dc[1, 2]
                    qz = R_dc[2, 0] * a + R_dc[2, 1] * b + R_dc[2, 2]
                    towards = nx * qx + ny * qy + nz * qz
                    if towards * reach <= 0:
                        continue
                    distance = reach / towards
                    z = qz * distance + t_dc[2]
                    if z <= 0:
                        continue
                    off_u = (qx * distance + t_dc[0]) / z * fx + cx - u
                    off_v = (qy * distance + t_dc[1]) / z * fy + cy - v
                    if abs(off_u) > _REACH_PX or abs(off_v) > _REACH_PX:
                        continue
                    if out[j, i] == 0 or distance < out[j, i]:
                        out[j, i] = distance
