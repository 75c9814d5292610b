"""Colour, z-depth and instance ids of a furnished room, by ray casting on the CPU.

Light is soft daylight: each pixel sends one short ray into the hemisphere over its surface, sixteen directions
take turns in 4x4 blocks, and how far they get, averaged over neighbours on the same surface, darkens corners and
contact lines. Edges get five rays a pixel, textures are filtered by distance: detectors trained on photographs
stumble over jagged edges and flickering patterns.

Vectors of many rays are kept as three rows (x, y, z), as numpy is several times faster along long rows than along
rows of three.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8, UInt16
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part
from ovseg3r_core.synthetic.textures import build_bank
from ovseg3r_core.types import Camera

_BLOCK = 4
_SEE_THROUGH_PASSES = 3  # leaves of a plant are pictures on cards: a ray may cross a few before it meets paint
_SUN = np.array([-0.45, -0.5, 0.74], dtype=np.float32)
_NOTHING = np.uint32(0xFFFFFFFF)
_NOWHERE = np.array([200, 205, 210, 255], dtype=np.uint8)  # the sky, where a view leaves the room
_BEND = 0.004
_WITHIN_PIXEL = np.array([(-0.33, -0.12), (0.12, -0.33), (0.33, 0.12), (-0.12, 0.33)], dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class RenderedView:
    """What a perfect camera sees."""

    color: UInt8[ndarray, "height width 3"]
    depth_m: Float32[ndarray, "height width"]
    """Along the optical axis; 0 where nothing is."""
    instance: UInt16[ndarray, "height width"]
    """0 for walls, floor and nothing."""


@dataclass(frozen=True, kw_only=True)
class _Hits:
    """Where rays ended."""

    distance: Float32[ndarray, " rays"]
    triangle: Int64[ndarray, " rays"]
    """-1 where the ray hit nothing."""
    weights: Float32[ndarray, "2 rays"]
    """Of the triangle's second and third corner."""
    flat: Float32[ndarray, "3 rays"]
    """Unit normal of the triangle, on either side."""
    albedo: UInt8[ndarray, "rays 4"]


class Renderer:
    """Renders one set of parts from any place."""

    def __init__(self, parts: Sequence[tuple[int, Part]], reach_m: float = 0.8, nthreads: int = 2) -> None:
        """Build the tables that rays are answered from.

        Args:
            parts: (instance id, part in the map frame).
            reach_m: how far an object darkens its surroundings.
            nthreads: threads that cast rays; give 1 where several processes render.
        """
        self._reach_m = reach_m
        self._nthreads = nthreads
        sizes = [len(part.triangles) for _, part in parts]
        firsts = np.cumsum([0] + [len(part.vertices) for _, part in parts[:-1]])
        vertices = np.concatenate([part.vertices for _, part in parts])
        triangles = np.concatenate([part.triangles + first for (_, part), first in zip(parts, firsts, strict=True)])
        self._instance = np.repeat(np.array([id for id, _ in parts], dtype=np.uint16), sizes)
        self._texture = np.repeat(np.arange(len(parts)), sizes)
        self._normals = _first_and_sides(np.concatenate([part.normals for _, part in parts])[triangles])
        uv = np.concatenate([part.uv for _, part in parts])[triangles]
        self._uv = _first_and_sides(uv)
        self._bank = build_bank([part.texture for _, part in parts])
        self._texels_a_metre = self._texel_density(vertices[triangles], uv)
        self._rays = o3d.t.geometry.RaycastingScene()
        self._rays.add_triangles(
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(vertices, dtype=np.float32)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(triangles, dtype=np.uint32)),
        )

    def render(self, camera: Camera, T_map_camera: Float64[ndarray, "4 4"]) -> RenderedView:
        """One view; depth and ids are those of the ray through each pixel's centre."""
        shape = camera.height, camera.width
        origin = T_map_camera[:3, 3].astype(np.float32)
        u, v = np.meshgrid(np.arange(camera.width, dtype=np.float32), np.arange(camera.height, dtype=np.float32))
        directions = _directions(camera, T_map_camera, u.ravel(), v.ravel())
        hits = self._cast(origin, directions, camera)
        normal = self._facing_normal(hits, directions)
        shade = self._light(origin, directions, hits, normal, shape) ** np.float32(1 / 2.2)
        color = hits.albedo[:, :3] * shade[:, None]
        edges = np.flatnonzero(self._edges(hits, shape))
        if len(edges):
            color[edges] = self._smooth(hits, edges, camera, T_map_camera) * shade[edges, None]
        hit = hits.triangle >= 0
        return RenderedView(
            color=np.clip(color, 0, 255, out=color).astype(np.uint8).reshape(*shape, 3),
            depth_m=hits.distance.reshape(shape),
            instance=np.where(hit, self._instance.take(hits.triangle), np.uint16(0)).reshape(shape),
        )

    def _texel_density(
        self, corners: Float32[ndarray, "triangles 3 3"], uv: Float32[ndarray, "triangles 3 2"]
    ) -> Float32[ndarray, " triangles"]:
        def area(a: ndarray, b: ndarray) -> ndarray:
            return np.linalg.norm(np.cross(a, b), axis=-1)

        pad = np.pad(uv, ((0, 0), (0, 0), (0, 1)))
        area_m2 = area(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area_uv = area(pad[:, 1] - pad[:, 0], pad[:, 2] - pad[:, 0])
        texels = area_uv * self._bank.texels[self._texture]
        return np.sqrt(texels / np.maximum(area_m2, 1e-10)).astype(np.float32)

    def _cast(self, origin: Float32[ndarray, "3"], directions: Float32[ndarray, "3 rays"], camera: Camera) -> _Hits:
        """Follow rays to the first paint: transparent texels let them pass."""
        hits = self._cast_once(origin, directions, np.zeros(directions.shape[1], dtype=np.float32), camera)
        for _ in range(_SEE_THROUGH_PASSES):
            clear = np.flatnonzero((hits.albedo[:, 3] < 128) & (hits.triangle >= 0))
            if not len(clear):
                break
            start = hits.distance[clear] + np.float32(1e-3)
            again = self._cast_once(origin, directions[:, clear], start, camera)
            hits.distance[clear], hits.triangle[clear] = again.distance, again.triangle
            hits.weights[:, clear], hits.flat[:, clear] = again.weights, again.flat
            hits.albedo[clear] = again.albedo
        return hits

    def _cast_once(
        self, origin: Float32[ndarray, "3"], directions: Float32[ndarray, "3 rays"], start: ndarray, camera: Camera
    ) -> _Hits:
        answer = self._rays.cast_rays(_rays(origin[:, None] + directions * start, directions), nthreads=self._nthreads)
        primitive = answer["primitive_ids"].numpy()
        hit = primitive != _NOTHING
        triangle = np.where(hit, primitive.astype(np.int64), -1)
        distance = np.where(hit, answer["t_hit"].numpy() + start, np.float32(0))
        weights = np.ascontiguousarray(answer["primitive_uvs"].numpy().T)
        flat = np.ascontiguousarray(answer["primitive_normals"].numpy().T)
        albedo = self._albedo(directions, triangle, distance, weights, flat, camera)
        albedo[~hit] = _NOWHERE
        return _Hits(distance=distance, triangle=triangle, weights=weights, flat=flat, albedo=albedo)

    def _albedo(
        self, directions: ndarray, triangle: ndarray, distance: ndarray, weights: ndarray, flat: ndarray, camera: Camera
    ) -> UInt8[ndarray, "rays 4"]:
        """RGBA of the texture where rays ended."""
        lengths = np.sqrt(_dot(directions, directions))
        slant = np.clip(np.abs(_dot(flat, directions)) / lengths, np.float32(0.15), np.float32(1))
        metres_a_pixel = distance * lengths / (np.float32(camera.fx) * np.sqrt(slant))
        texels = self._texels_a_metre.take(triangle) * metres_a_pixel
        return self._bank.look_up(self._texture.take(triangle), _interpolate(self._uv, triangle, weights), texels)

    def _facing_normal(self, hits: _Hits, directions: Float32[ndarray, "3 rays"]) -> Float32[ndarray, "3 rays"]:
        """Smooth unit normals on the side the ray came from: models mix both windings, and normals may be wrong."""
        normal = _interpolate(self._normals, hits.triangle, hits.weights)
        away = _dot(normal, hits.flat) * _dot(hits.flat, directions) > 0
        length = np.maximum(np.sqrt(_dot(normal, normal)), np.float32(1e-6))
        return np.divide(normal, np.where(away, -length, length), out=normal)

    def _light(
        self, origin: ndarray, directions: ndarray, hits: _Hits, normal: ndarray, shape: tuple[int, int]
    ) -> Float32[ndarray, " rays"]:
        free = self._free_way(origin, directions, hits.distance, normal, shape)
        openness = _mean_over_surface(free.reshape(shape), self._surface(hits, normal).reshape(shape)).ravel()
        facing_sun = np.maximum(np.tensordot(_SUN, normal, axes=1), 0)
        daylight = openness * (normal[2] * np.float32(0.22) + np.float32(0.56))
        return facing_sun * (openness * np.float32(0.6 * 0.34) + np.float32(0.4 * 0.34)) + daylight + np.float32(0.22)

    def _free_way(
        self, origin: ndarray, directions: ndarray, distance: ndarray, normal: ndarray, shape: tuple[int, int]
    ) -> Float32[ndarray, " rays"]:
        """How far one short ray into the hemisphere over each point gets, as a share of the reach."""
        turn = (np.arange(shape[0])[:, None] % _BLOCK * _BLOCK + np.arange(shape[1]) % _BLOCK).ravel()
        into = _SPHERE.take(turn, axis=1) + normal
        into[2] += np.float32(0.4)  # more light comes from above
        into *= np.float32(self._reach_m) / np.sqrt(_dot(into, into))
        rays = _rays(origin[:, None] + directions * distance + normal * np.float32(0.004), into)
        free = np.ones(len(distance), dtype=np.float32)
        # Whether something is within reach is cheap to ask; most rays meet nothing there, and need no distance.
        stopped = np.flatnonzero(self._rays.test_occlusions(rays, tfar=1.0, nthreads=self._nthreads).numpy())
        if len(stopped):
            near = o3d.core.Tensor.from_numpy(rays.numpy()[stopped])
            free[stopped] = np.minimum(self._rays.cast_rays(near, nthreads=self._nthreads)["t_hit"].numpy(), 1)
        return free

    def _surface(self, hits: _Hits, normal: Float32[ndarray, "3 rays"]) -> Int32[ndarray, " rays"]:
        """A number that neighbours on one smooth surface share."""
        x, y, z = np.rint(normal * 2).astype(np.int32) + 2
        surface = self._instance.take(hits.triangle).astype(np.int32) * 125 + ((x * 5 + y) * 5 + z)
        return np.where(hits.triangle >= 0, surface, -1)

    def _edges(self, hits: _Hits, shape: tuple[int, int]) -> Bool[ndarray, " rays"]:
        """Pixels at a seam of textures, or where inverse depth, which is linear on planes, bends."""
        texture = np.where(hits.triangle >= 0, self._texture.take(hits.triangle), -1).reshape(shape)
        depth_m = np.maximum(hits.distance, np.float32(0.05)).reshape(shape)
        inverse = 1 / depth_m
        edges = np.zeros(shape, dtype=bool)
        for image, bend, depth, out in (
            (texture, inverse, depth_m, edges),
            (texture.T, inverse.T, depth_m.T, edges.T),
        ):
            seam = image[1:] != image[:-1]
            out[1:] |= seam
            out[:-1] |= seam
            out[1:-1] |= np.abs(bend[2:] - 2 * bend[1:-1] + bend[:-2]) * depth[1:-1] > _BEND
        return edges.ravel()

    def _smooth(
        self, hits: _Hits, pixels: Int64[ndarray, " pixels"], camera: Camera, T_map_camera: ndarray
    ) -> Float32[ndarray, "pixels 3"]:
        """The mean paint of four more rays through each of some pixels, and the first."""
        v, u = (place.astype(np.float32) for place in np.divmod(pixels, camera.width))
        u, v = (
            (place + shift[:, None]).ravel() for place, shift in ((u, _WITHIN_PIXEL[:, 0]), (v, _WITHIN_PIXEL[:, 1]))
        )
        more = self._cast(T_map_camera[:3, 3].astype(np.float32), _directions(camera, T_map_camera, u, v), camera)
        total = more.albedo[:, :3].reshape(len(_WITHIN_PIXEL), -1, 3).sum(axis=0, dtype=np.float32)
        return (total + hits.albedo[pixels, :3]) / (len(_WITHIN_PIXEL) + 1)


def _first_and_sides(corners: Float32[ndarray, "triangles 3 channels"]) -> Float32[ndarray, "3 channels triangles"]:
    """A value at the first corner of each triangle, and how it changes to the second and third."""
    first, second, third = corners.transpose(1, 2, 0)
    return np.stack([first, second - first, third - first])


def _interpolate(
    table: Float32[ndarray, "3 channels triangles"],
    triangle: Int64[ndarray, " rays"],
    weights: Float32[ndarray, "2 rays"],
) -> Float32[ndarray, "channels rays"]:
    """Values of `_first_and_sides` inside triangles."""
    first, second, third = (corner.take(triangle, axis=1) for corner in table)
    first += second * weights[0]
    first += third * weights[1]
    return first


def _rays(start: Float32[ndarray, "3 rays"], directions: Float32[ndarray, "3 rays"]) -> o3d.core.Tensor:
    rays = np.empty((start.shape[1], 6), dtype=np.float32)
    rays[:, :3], rays[:, 3:] = start.T, directions.T
    return o3d.core.Tensor.from_numpy(rays)


def _dot(a: Float32[ndarray, "3 rays"], b: Float32[ndarray, "3 rays"]) -> Float32[ndarray, " rays"]:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _directions(
    camera: Camera, T_map_camera: Float64[ndarray, "4 4"], u: ndarray, v: ndarray
) -> Float32[ndarray, "3 pixels"]:
    """Map-frame directions of depth one along the optical axis, so that ray lengths are depths."""
    x = (u - np.float32(camera.cx)) / np.float32(camera.fx)
    y = (v - np.float32(camera.cy)) / np.float32(camera.fy)
    R = T_map_camera[:3, :3].astype(np.float32)
    return R[:, 0, None] * x + R[:, 1, None] * y + R[:, 2, None]


def _mean_over_surface(
    free: Float32[ndarray, "height width"], surface: Int32[ndarray, "height width"]
) -> Float32[ndarray, "height width"]:
    """The mean over the 4x4 block of neighbours, in which each direction occurs once, that lie on the same surface."""
    height, width = free.shape
    before, after = _BLOCK // 2, _BLOCK - 1 - _BLOCK // 2
    wide_free = np.pad(free, (before, after))
    wide_surface = np.pad(surface, (before, after), constant_values=-2)
    total, part = np.zeros(free.shape, dtype=np.float32), np.empty(free.shape, dtype=np.float32)
    count, same = np.zeros(free.shape, dtype=np.uint8), np.empty(free.shape, dtype=bool)
    for row in range(_BLOCK):
        for column in range(_BLOCK):
            np.equal(wide_surface[row : row + height, column : column + width], surface, out=same)
            np.multiply(wide_free[row : row + height, column : column + width], same, out=part)
            count += same
            total += part
    return np.divide(total, count, out=total)


def _sphere_points(count: int) -> Float32[ndarray, "points 3"]:
    """Evenly spread unit vectors (Fibonacci lattice), shuffled so that neighbours in a block differ."""
    turn = np.arange(count) + 0.5
    z = 1 - 2 * turn / count
    angle = turn * np.pi * (1 + 5**0.5)
    xy = np.sqrt(1 - z**2)
    points = np.stack([xy * np.cos(angle), xy * np.sin(angle), z], axis=-1).astype(np.float32)
    return points[np.random.default_rng(0).permutation(count)] * np.float32(0.98)


_SPHERE = np.ascontiguousarray(_sphere_points(_BLOCK * _BLOCK).T)
