"""Colour, z-depth and instance ids of a furnished room, by ray casting on the CPU.

Light is soft daylight: each pixel sends one short ray into the hemisphere over its surface, sixteen directions
take turns in 4x4 blocks, and how far they get, averaged over neighbours on the same surface, darkens corners and
contact lines. Edges get four rays a pixel, textures are filtered by distance: detectors trained on photographs
stumble over jagged edges and flickering patterns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open3d as o3d
from jaxtyping import Bool, Float32, Float64, Int32, UInt8, UInt16
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part
from ovseg3r_core.synthetic.textures import build_bank
from ovseg3r_core.types import Camera

_BLOCK = 4
_SEE_THROUGH_PASSES = 3  # leaves of a plant are pictures on cards: a ray may cross a few before it meets paint
_SUN = np.array([-0.45, -0.5, 0.74], dtype=np.float32)
_NOTHING = np.uint32(0xFFFFFFFF)
_NOWHERE = np.array([200, 205, 210, 255], dtype=np.float32)  # the sky, where a view leaves the room
_BEND = 0.004


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
    """Where rays ended, one row a ray."""

    distance: Float32[ndarray, " rays"]
    triangle: Int32[ndarray, " rays"]
    """-1 where the ray hit nothing."""
    normal: Float32[ndarray, "rays 3"]
    albedo: Float32[ndarray, "rays 3"]


class Renderer:
    """Renders one set of parts from any place."""

    def __init__(self, parts: Sequence[tuple[int, Part]], reach_m: float = 0.8) -> None:
        """Build the tables that rays are answered from.

        Args:
            parts: (instance id, part in the map frame).
            reach_m: how far an object darkens its surroundings.
        """
        self._reach_m = reach_m
        sizes = [len(part.triangles) for _, part in parts]
        firsts = np.cumsum([0] + [len(part.vertices) for _, part in parts[:-1]])
        vertices = np.concatenate([part.vertices for _, part in parts])
        triangles = np.concatenate([part.triangles + first for (_, part), first in zip(parts, firsts, strict=True)])
        uv = np.concatenate([part.uv for _, part in parts])
        self._instance = np.repeat(np.array([id for id, _ in parts], dtype=np.uint16), sizes)
        self._texture = np.repeat(np.arange(len(parts), dtype=np.int32), sizes)
        self._normals = np.concatenate([part.normals for _, part in parts])[triangles]
        self._uv = uv[triangles]
        self._bank = build_bank([part.texture for _, part in parts])
        self._texels_a_metre = self._texel_density(vertices[triangles])
        self._rays = o3d.t.geometry.RaycastingScene()
        self._rays.add_triangles(
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(vertices, dtype=np.float32)),
            o3d.core.Tensor.from_numpy(np.ascontiguousarray(triangles, dtype=np.uint32)),
        )

    def render(self, camera: Camera, T_map_camera: Float64[ndarray, "4 4"]) -> RenderedView:
        """One view; depth and ids are those of the ray through each pixel's centre."""
        shape = camera.height, camera.width
        origin = T_map_camera[:3, 3].astype(np.float32)
        directions = _directions(camera, T_map_camera, np.arange(camera.height * camera.width))
        hits = self._cast(origin, directions, camera)
        light = self._light(origin, directions, hits, shape)
        color = hits.albedo * light[:, None] ** np.float32(1 / 2.2)
        edges = np.flatnonzero(self._edges(hits, shape))
        color[edges] = self._smooth_edges(color[edges], light[edges], camera, T_map_camera, edges)
        hit = hits.triangle >= 0
        return RenderedView(
            color=np.clip(color, 0, 255).astype(np.uint8).reshape(*shape, 3),
            depth_m=np.where(hit, hits.distance, np.float32(0)).reshape(shape),
            instance=np.where(hit, self._instance[hits.triangle], np.uint16(0)).reshape(shape),
        )

    def _texel_density(self, corners: Float32[ndarray, "triangles 3 3"]) -> Float32[ndarray, " triangles"]:
        def area(a: ndarray, b: ndarray) -> ndarray:
            return np.linalg.norm(np.cross(a, b), axis=-1)

        pad = np.pad(self._uv, ((0, 0), (0, 0), (0, 1)))
        area_m2 = area(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area_uv = area(pad[:, 1] - pad[:, 0], pad[:, 2] - pad[:, 0])
        texels = area_uv * (self._bank.rows[:, 0] * self._bank.columns[:, 0])[self._texture]
        return np.sqrt(texels / np.maximum(area_m2, 1e-10)).astype(np.float32)

    def _cast(self, origin: Float32[ndarray, "3"], directions: Float32[ndarray, "rays 3"], camera: Camera) -> _Hits:
        """Follow rays to the first paint: transparent texels let them pass."""
        start = np.zeros(len(directions), dtype=np.float32)
        distance, triangle, normal, albedo = self._cast_once(origin, directions, start, camera)
        for _ in range(_SEE_THROUGH_PASSES):
            clear = np.flatnonzero((triangle >= 0) & (albedo[:, 3] < 128))
            if not len(clear):
                break
            again = self._cast_once(origin, directions[clear], distance[clear] + np.float32(1e-3), camera)
            distance[clear], triangle[clear], normal[clear], albedo[clear] = again
        return _Hits(distance=distance, triangle=triangle, normal=normal, albedo=albedo[:, :3])

    def _cast_once(
        self, origin: Float32[ndarray, "3"], directions: Float32[ndarray, "rays 3"], start: ndarray, camera: Camera
    ) -> tuple[ndarray, ndarray, ndarray, ndarray]:
        from_xyz = origin + directions * start[:, None]
        rays = o3d.core.Tensor.from_numpy(np.concatenate([from_xyz, directions], axis=1))
        answer = self._rays.cast_rays(rays, nthreads=2)
        primitive = answer["primitive_ids"].numpy()
        triangle = np.where(primitive == _NOTHING, -1, primitive.astype(np.int64)).astype(np.int32)
        distance = np.where(triangle >= 0, answer["t_hit"].numpy() + start, 0).astype(np.float32)
        b, c = answer["primitive_uvs"].numpy().T
        weights = np.stack([1 - b - c, b, c], axis=-1)
        normal = self._facing_normal(triangle, weights, answer["primitive_normals"].numpy(), directions)
        lengths = np.sqrt(_dot(directions, directions))
        slant = np.clip(np.abs(_dot(normal, directions)) / lengths, 0.15, 1)
        texels = self._texels_a_metre[triangle] * distance * lengths / (camera.fx * np.sqrt(slant))
        uv = np.einsum("nij,ni->nj", self._uv[triangle], weights)
        albedo = self._bank.look_up(self._texture[triangle], uv, texels.astype(np.float32))
        albedo[triangle < 0] = _NOWHERE
        return distance, triangle, normal, albedo

    def _facing_normal(
        self, triangle: ndarray, weights: ndarray, flat: ndarray, directions: ndarray
    ) -> Float32[ndarray, "rays 3"]:
        """Smooth unit normals on the side the ray came from: models mix both windings, and normals may be wrong."""
        flat = np.where(_dot(flat, directions)[:, None] > 0, -flat, flat)
        normal = np.einsum("nij,ni->nj", self._normals[triangle], weights)
        normal = np.where(_dot(normal, flat)[:, None] < 0, -normal, normal)
        return normal / np.maximum(np.sqrt(_dot(normal, normal)), np.float32(1e-6))[:, None]

    def _light(
        self, origin: ndarray, directions: ndarray, hits: _Hits, shape: tuple[int, int]
    ) -> Float32[ndarray, " rays"]:
        normal = hits.normal
        turn = (np.arange(shape[0])[:, None] % _BLOCK * _BLOCK + np.arange(shape[1]) % _BLOCK).ravel()
        into = _SPHERE[turn] + normal
        into[:, 2] += 0.4  # more light comes from above
        into *= self._reach_m / np.sqrt(_dot(into, into))[:, None]
        xyz = origin + directions * hits.distance[:, None] + normal * np.float32(0.004)
        rays = o3d.core.Tensor.from_numpy(np.concatenate([xyz, into], axis=1).astype(np.float32))
        free = np.minimum(self._rays.cast_rays(rays, nthreads=2)["t_hit"].numpy(), 1)  # what is near darkens most
        openness = _mean_over_surface(free.reshape(shape), self._surface(hits).reshape(shape)).ravel()
        daylight = openness * (0.56 + 0.22 * normal[:, 2])
        return (0.22 + daylight + 0.34 * np.clip(normal @ _SUN, 0, 1) * (0.4 + 0.6 * openness)).astype(np.float32)

    def _surface(self, hits: _Hits) -> Int32[ndarray, " rays"]:
        """A number that neighbours on one smooth surface share."""
        facing = np.round(hits.normal * 2).astype(np.int32) + 2
        packed = (facing[:, 0] * 5 + facing[:, 1]) * 5 + facing[:, 2]
        return np.where(hits.triangle >= 0, self._instance[hits.triangle].astype(np.int32) * 125 + packed, -1)

    def _edges(self, hits: _Hits, shape: tuple[int, int]) -> Bool[ndarray, " rays"]:
        """Pixels at a seam of textures, or where inverse depth, which is linear on planes, bends."""
        texture = np.where(hits.triangle >= 0, self._texture[hits.triangle], -1).reshape(shape)
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

    def _smooth_edges(
        self, color: ndarray, light: ndarray, camera: Camera, T_map_camera: ndarray, pixels: ndarray
    ) -> Float32[ndarray, "rays 3"]:
        total = color.copy()
        origin = T_map_camera[:3, 3].astype(np.float32)
        for du, dv in ((-0.33, -0.12), (0.12, -0.33), (0.33, 0.12), (-0.12, 0.33)):
            hits = self._cast(origin, _directions(camera, T_map_camera, pixels, du, dv), camera)
            total += hits.albedo * light[:, None] ** np.float32(1 / 2.2)
        return total / 5


def _dot(a: Float32[ndarray, "rays 3"], b: Float32[ndarray, "rays 3"]) -> Float32[ndarray, " rays"]:
    return np.einsum("ni,ni->n", a, b)


def _directions(
    camera: Camera, T_map_camera: Float64[ndarray, "4 4"], pixels: ndarray, du: float = 0.0, dv: float = 0.0
) -> Float32[ndarray, "pixels 3"]:
    """Map-frame directions of depth one along the optical axis, so that ray lengths are depths."""
    v, u = np.divmod(pixels.astype(np.int32), camera.width)
    x = ((u + du - camera.cx) / camera.fx).astype(np.float32)
    y = ((v + dv - camera.cy) / camera.fy).astype(np.float32)
    R = T_map_camera[:3, :3].astype(np.float32)
    return x[:, None] * R[:, 0] + y[:, None] * R[:, 1] + R[:, 2]


def _mean_over_surface(
    free: Float32[ndarray, "height width"], surface: Int32[ndarray, "height width"]
) -> Float32[ndarray, "height width"]:
    """The mean over the 4x4 block of neighbours, in which each direction occurs once, that lie on the same surface."""
    height, width = free.shape
    before, after = _BLOCK // 2, _BLOCK - 1 - _BLOCK // 2
    wide_free = np.pad(free, (before, after))
    wide_surface = np.pad(surface, (before, after), constant_values=-2)
    total = np.zeros(free.shape, dtype=np.float32)
    count = np.zeros(free.shape, dtype=np.uint8)
    for row in range(_BLOCK):
        for column in range(_BLOCK):
            same = wide_surface[row : row + height, column : column + width] == surface
            count += same
            total += same * wide_free[row : row + height, column : column + width]
    return total / count


def _sphere_points(count: int) -> Float32[ndarray, "points 3"]:
    """Evenly spread unit vectors (Fibonacci lattice), shuffled so that neighbours in a block differ."""
    turn = np.arange(count) + 0.5
    z = 1 - 2 * turn / count
    angle = turn * np.pi * (1 + 5**0.5)
    xy = np.sqrt(1 - z**2)
    points = np.stack([xy * np.cos(angle), xy * np.sin(angle), z], axis=-1).astype(np.float32)
    return points[np.random.default_rng(0).permutation(count)] * np.float32(0.98)


_SPHERE = _sphere_points(_BLOCK * _BLOCK)
