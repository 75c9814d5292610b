"""Points drawn as discs into a z-buffer: a cloud becomes an image on any machine, without a graphics stack."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.geometry import invert, project, transform
from ovseg3r_core.types import Camera, SceneCloud

_DRAWN_PIXELS = 100e6  # discs are drawn pixel by pixel: what would cost more is left with gaps
_MAX_RADIUS_PX = 60
_DEPTH_STEP_M = 1e-4


@dataclass(frozen=True, kw_only=True)
class Splats:
    """What a virtual camera sees of a cloud."""

    point: Int32[ndarray, "height width"]
    """The nearest point at each pixel, -1 for background."""
    depth_m: Float32[ndarray, "height width"]
    """Its distance along the optical axis, inf for background."""


def draw_points(cloud: SceneCloud, camera: Camera, T_map_camera: Float64[ndarray, "4 4"], radius_m: float) -> Splats:
    """The cloud as discs of `radius_m`, without the surfaces that turn their back on the camera.

    A reconstructed surface faces the free space it was seen from. A viewer outside a room therefore looks
    through the backs of ceiling and near walls at what is inside.
    """
    xyz_camera = transform(invert(T_map_camera), cloud.xyz)
    pixel, z = project(xyz_camera, camera)
    margin = _MAX_RADIUS_PX  # the disc of a point just outside still shows
    near = (pixel > -margin).all(axis=1) & (pixel < (camera.width + margin, camera.height + margin)).all(axis=1)
    points = np.flatnonzero((z > 0.05) & near & (_facing(cloud, T_map_camera[:3, 3]) > -0.05))
    (column, row), z = np.rint(pixel[points]).astype(np.int64).T, z[points]
    largest = np.clip(np.sqrt(_DRAWN_PIXELS / np.pi / max(1, len(points))), 1, _MAX_RADIUS_PX)
    key = ((z / _DEPTH_STEP_M).astype(np.int64) << 32) | points  # nearest first; the index makes ties repeatable
    radius_px = np.clip(radius_m * camera.fx / z, 0.7, largest)
    nearest = np.full(camera.height * camera.width, np.iinfo(np.int64).max)
    for dx, dy in _disc(int(np.ceil(radius_px.max(initial=1)))):
        covers = dx * dx + dy * dy <= radius_px**2
        u, v = column[covers] + dx, row[covers] + dy
        inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
        np.minimum.at(nearest, v[inside] * camera.width + u[inside], key[covers][inside])

    hit = nearest != np.iinfo(np.int64).max
    point = np.where(hit, nearest & 0xFFFFFFFF, -1).astype(np.int32)
    depth_m = np.where(hit, (nearest >> 32) * _DEPTH_STEP_M, np.inf).astype(np.float32)
    shape = (camera.height, camera.width)
    return Splats(point=point.reshape(shape), depth_m=depth_m.reshape(shape))


def point_spacing_m(xyz: Float[ndarray, "points 3"], samples: int = 2000) -> float:
    """How far apart neighbouring surface points lie: the median distance to the fourth neighbour."""
    if len(xyz) < 5:
        return 0.02
    some = xyz[:: max(1, len(xyz) // samples)]
    distance_m, _ = KDTree(xyz).query(some, k=5)
    return float(np.median(distance_m[:, 4]))


def _facing(cloud: SceneCloud, eye: Float64[ndarray, "3"]) -> Float32[ndarray, " points"]:
    """Cosine between each normal and the direction to the eye."""
    to_eye = eye.astype(np.float32) - cloud.xyz
    return (cloud.normal * to_eye).sum(axis=1) / np.maximum(np.linalg.norm(to_eye, axis=1), 1e-6)


def _disc(radius: int) -> list[tuple[int, int]]:
    span = range(-radius, radius + 1)
    return [(dx, dy) for dy in span for dx in span if dx * dx + dy * dy <= radius * radius]
