"""Transforms and projection, with the frame conventions written once.

Right-handed frames. Camera: x right, y down, z forward (REP-103 optical). Pixel (u, v) is column, row,
and the centre of the first pixel is (0, 0). `T_a_b` takes coordinates in frame b to frame a, so that
`T_map_camera` applied to a point in front of the camera gives its place in the map.
"""

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, Int64
from numpy import ndarray
from scipy.spatial.transform import Rotation

from ovseg3r_core.packing import REACH, pack, unpack
from ovseg3r_core.types import Box, Camera

_NO_LENGTH = 1e-12  # of a direction's component: its square would be lost


def invert(T_a_b: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4 4"]:
    """The rigid transform `T_b_a`."""
    T_b_a = np.eye(4)
    T_b_a[:3, :3] = T_a_b[:3, :3].T
    T_b_a[:3, 3] = -T_a_b[:3, :3].T @ T_a_b[:3, 3]
    return T_b_a


def transform(T_a_b: Float64[ndarray, "4 4"], xyz_b: Float[ndarray, "*shape 3"]) -> Float[ndarray, "*shape 3"]:
    """Coordinates in frame b, taken to frame a; keeps the dtype of the points."""
    R, t = T_a_b[:3, :3].astype(xyz_b.dtype), T_a_b[:3, 3].astype(xyz_b.dtype)
    return xyz_b @ R.T + t


def back_project(depth_m: Float32[ndarray, "height width"], camera: Camera) -> Float32[ndarray, "height width 3"]:
    """The point each pixel sees, camera frame, metres; pixels without a reading give the origin."""
    u = np.arange(camera.width, dtype=np.float32)[None, :]
    v = np.arange(camera.height, dtype=np.float32)[:, None]
    x = (u - np.float32(camera.cx)) / np.float32(camera.fx) * depth_m
    y = (v - np.float32(camera.cy)) / np.float32(camera.fy) * depth_m
    return np.stack([x, y, depth_m], axis=-1)


def back_project_pixels(
    uv: Float[ndarray, "pixels 2"], depth_m: Float64[ndarray, " pixels"], camera: Camera
) -> Float64[ndarray, "pixels 3"]:
    """The points that some pixels see, camera frame, metres."""
    x = (uv[:, 0] - camera.cx) / camera.fx * depth_m
    y = (uv[:, 1] - camera.cy) / camera.fy * depth_m
    return np.stack([x, y, depth_m], axis=1)


def project(
    xyz_camera: Float[ndarray, "points 3"], camera: Camera
) -> tuple[Float[ndarray, "points 2"], Float[ndarray, " points"]]:
    """Pixel coordinates (u, v) and depth of points in the camera frame.

    Points at or behind the camera plane get NaN pixels, so that no comparison takes them for visible.
    """
    z = xyz_camera[:, 2]
    safe_z = np.where(z > 1e-6, z, np.nan).astype(xyz_camera.dtype)
    u = xyz_camera[:, 0] / safe_z * camera.fx + camera.cx
    v = xyz_camera[:, 1] / safe_z * camera.fy + camera.cy
    return np.stack([u, v], axis=-1).astype(xyz_camera.dtype), z


def nearest_rotation(M: Float64[ndarray, "*shape 3 3"]) -> Float64[ndarray, "*shape 3 3"]:
    """The rotation that is nearest to a matrix; of a covariance of points, the turn that fits them (Umeyama 1991)."""
    u, _, vt = np.linalg.svd(M)
    u[..., 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def nearest_rigid(T: Float64[ndarray, "4 4"]) -> Float64[ndarray, "4 4"]:
    """The rigid transform whose rotation is nearest: products of many drift away from orthonormal."""
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = nearest_rotation(T[:3, :3]), T[:3, 3]
    return rigid


def turn_up(up: Float64[ndarray, "3"]) -> Float64[ndarray, "4 4"]:
    """The smallest turn that makes a direction the z axis."""
    T, up = np.eye(4), up / np.linalg.norm(up)
    up = np.where(np.abs(up) < _NO_LENGTH, 0.0, up)  # scipy turns a hair beside straight down to somewhere beside up
    T[:3, :3] = Rotation.align_vectors([[0.0, 0.0, 1.0]], [up])[0].as_matrix()
    return T


def rotation_angle(R: Float64[ndarray, "3 3"]) -> float:
    """The angle of a rotation matrix, radians in [0, pi]."""
    return float(np.arccos(np.clip((np.trace(R) - 1) / 2, -1.0, 1.0)))


def pose_distance(T_a_b: Float64[ndarray, "4 4"], T_a_c: Float64[ndarray, "4 4"]) -> tuple[float, float]:
    """How far c lies from b, in metres, and how far it is turned, in radians."""
    T_b_c = invert(T_a_b) @ T_a_c
    return float(np.linalg.norm(T_b_c[:3, 3])), rotation_angle(T_b_c[:3, :3])


def voxel_keys(xyz: Float[ndarray, "points 3"], voxel_m: float) -> Int64[ndarray, " points"]:
    """The voxel each point lies in, packed into one sortable int64.

    Raises:
        ValueError: a point lies further out than the packing can number.
    """
    index = np.floor(np.asarray(xyz, dtype=np.float64) / voxel_m).astype(np.int64)
    if len(index) and (index.min() < -REACH or index.max() >= REACH):
        limit_m = REACH * voxel_m
        raise ValueError(f"a point lies {np.abs(xyz).max():.0f} m out; {voxel_m} m voxels number up to {limit_m:.0f} m")
    return pack(index)


def voxel_centres(keys: Int64[ndarray, " voxels"], voxel_m: float) -> Float32[ndarray, "voxels 3"]:
    """The centres of packed voxels, metres: what `voxel_keys` forgets is at most half a voxel."""
    return ((unpack(keys) + 0.5) * voxel_m).astype(np.float32)


def fit_box(xyz: Float[ndarray, "points 3"], trim: float = 0.01) -> Box:
    """The smallest upright box round points of the map, z up.

    Args:
        trim: share of the points that may stick out at each end of an axis, against stray points.
    """
    xyz = np.asarray(xyz, dtype=np.float32)
    (_, (width, depth), angle_deg) = cv2.minAreaRect(np.ascontiguousarray(xyz[:, :2]))
    yaw = np.deg2rad(angle_deg)
    if depth > width:  # x is the long side, and yaw stays in (-pi/2, pi/2]: a box has no front
        yaw += np.pi / 2
    yaw = -((-yaw + np.pi / 2) % np.pi - np.pi / 2)
    cos, sin = np.cos(yaw), np.sin(yaw)
    R_map_box = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    low, high = np.quantile(xyz @ R_map_box, [trim, 1 - trim], axis=0)
    centre, size = R_map_box @ ((low + high) / 2), high - low
    return Box(centre=_floats(centre), size=_floats(size), yaw=float(yaw))


def _floats(xyz: Float[ndarray, "3"]) -> tuple[float, float, float]:
    return float(xyz[0]), float(xyz[1]), float(xyz[2])
