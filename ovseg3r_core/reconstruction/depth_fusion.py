"""One depth image fused into a truncated distance field (Curless and Levoy, 1996), on sparse blocks of voxels.

The same sums as Open3D's `VoxelBlockGrid.integrate`, of the pixel that a voxel falls on; Open3D takes the one before
that, half a pixel aside. Compiled here: Open3D holds Python's lock all the while, ten to sixty milliseconds a frame,
and neither a question nor an image would be taken meanwhile.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray

from ovseg3r_core.compiled import compiled
from ovseg3r_core.packing import pack
from ovseg3r_core.types import Camera

STEP = 4
"""Pixels from one to the next, each way, of those by which the blocks of a frame are told."""
_SAMPLES_A_BLOCK = 4  # along a ray: what passes through a corner only may be missed


@dataclass(frozen=True, kw_only=True)
class VoxelField:
    """The memory of a volume; voxels are indexed [slot, z, y, x]."""

    distance: Float32[ndarray, "slots side side side"]
    """To the surface, from -1 behind it to 1 before it, in truncation distances."""
    weight: Float32[ndarray, "slots side side side"]
    """Readings met, as many as a voxel remembers."""
    color: Float32[ndarray, "slots side side side 3"]
    """RGB, 0 to 255."""

    @classmethod
    def empty(cls, slots: int, side: int) -> "VoxelField":
        """A field that nothing was fused into."""
        size = (slots, side, side, side)
        return cls(
            distance=np.zeros(size, np.float32),
            weight=np.zeros(size, np.float32),
            color=np.zeros((*size, 3), np.float32),
        )

    def clear(self, slots: int) -> None:
        """Make the first slots unknown again."""
        for values in (self.distance, self.weight, self.color):
            values[:slots] = 0

    def forget(self, voxels: Int64[ndarray, " some"]) -> None:
        """Make some voxels unknown again, by their flat index."""
        self.distance.reshape(-1)[voxels] = 0
        self.weight.reshape(-1)[voxels] = 0
        self.color.reshape(-1, 3)[voxels] = 0


def blocks_met(
    depth_m: Float32[ndarray, "height width"],
    camera: Camera,
    T_map_camera: Float64[ndarray, "4 4"],
    block_m: float,
    reach_m: float,
) -> Int32[ndarray, "blocks 3"]:
    """The blocks that the rays of every fourth pixel pass through within `reach_m` of their ends, each once, sorted.

    Args:
        depth_m: 0 where there is no reading.
    """
    samples = int(np.ceil(2 * reach_m / block_m * _SAMPLES_A_BLOCK)) + 1
    rows, columns = (-(-size // STEP) for size in depth_m.shape)
    met = np.empty((rows * columns * samples, 3), np.int32)
    count = _meet(depth_m, _pinhole(camera), np.array(T_map_camera, order="C"), block_m, reach_m, samples, met)
    _, first = np.unique(pack(met[:count]), return_index=True)
    return met[first]


def fuse_depth(
    field: VoxelField,
    slots: Int64[ndarray, " blocks"],
    places: Int32[ndarray, "blocks 3"],
    depth_m: Float32[ndarray, "height width"],
    color: UInt8[ndarray, "height width 3"],
    camera: Camera,
    T_camera_map: Float64[ndarray, "4 4"],
    *,
    voxel_m: float,
    reach_m: float,
    most: float,
) -> None:
    """Fuse an image into some blocks of a field; Python's lock is not held.

    Args:
        places: of the blocks: (x, y, z), in blocks.
        depth_m: 0 where there is no reading.
        reach_m: truncation distance.
        most: readings that a voxel remembers.
    """
    color = np.require(color, requirements=["C", "W"])  # the loop is compiled for one kind of array
    image = (depth_m, color, _pinhole(camera), np.array(T_camera_map, order="C"))
    _fuse(slots, places, *image, voxel_m, reach_m, most, field.distance, field.weight, field.color)


def _pinhole(camera: Camera) -> Float64[ndarray, "4"]:
    return np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float64)


@compiled
@no_type_check
def _meet(depth_m, pinhole, T_map_camera, block_m, reach_m, samples, met):
    """How many blocks were met and written; one that the ray before met at the same sample is left out."""
    fx, fy, cx, cy = pinhole
    count = 0
    last = np.full((samples, 3), np.iinfo(np.int32).max, np.int64)
    for v in range(0, depth_m.shape[0], STEP):
        for u in range(0, depth_m.shape[1], STEP):
            depth = depth_m[v, u]
            if depth <= 0:
                continue
            right, down = (u - cx) / fx, (v - cy) / fy
            for i in range(samples):
                z = max(depth - reach_m + 2 * reach_m * i / (samples - 1), 0.0)
                new = False
                for axis in range(3):
                    T = T_map_camera[axis]
                    at = int(np.floor((z * (T[0] * right + T[1] * down + T[2]) + T[3]) / block_m))
                    new |= at != last[i, axis]
                    last[i, axis] = met[count, axis] = at
                count += new
    return count


@compiled
@no_type_check
def _fuse(slots, places, depth_m, rgb, pinhole, T_camera_map, voxel_m, reach_m, most, distance, weight, color):
    """Each voxel takes the mean of what it met and of the reading of the pixel that it falls on."""
    side = distance.shape[1]
    layer = side * side
    distance, weight, color = distance.reshape(-1), weight.reshape(-1), color.reshape(-1, 3)
    depth_m, rgb, (height, width) = depth_m.reshape(-1), rgb.reshape(-1, 3), depth_m.shape
    per_m, one, most = np.float32(1 / reach_m), np.float32(1), np.float32(most)
    pixel, z_m = np.empty(layer, np.int32), np.empty(layer, np.float32)
    for block in range(len(slots)):
        for k in range(side):
            _place_layer(places[block] * side, k, side, T_camera_map, voxel_m, pinhole, width, height, pixel, z_m)
            start = slots[block] * side * layer + k * layer
            for i in range(layer):
                if pixel[i] < 0:
                    continue
                at, here = np.uint64(start + i), np.uint64(pixel[i])  # unsigned: no index counts from the end
                before = (depth_m[here] - z_m[i]) * per_m  # the surface, in truncation distances
                if depth_m[here] <= 0 or before < -one:
                    continue
                share = one / (weight[at] + one)
                distance[at] += (min(before, one) - distance[at]) * share
                for c in range(3):
                    color[at, c] += (np.float32(rgb[here, c]) - color[at, c]) * share
                weight[at] = min(weight[at] + one, most)


@compiled
@no_type_check
def _place_layer(corner, k, side, T_camera_map, voxel_m, pinhole, width, height, pixel, z_m):
    """The pixel that each voxel of a layer falls on, -1 beside the image, and its depth; without a branch, so that
    eight are worked on at once."""
    R, t = T_camera_map[:3, :3], T_camera_map[:3, 3]
    zero, half, one, tiny = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1e-6)
    fx, fy, cx, cy = np.float32(pinhole[0]), np.float32(pinhole[1]), np.float32(pinhole[2]), np.float32(pinhole[3])
    right, low = np.float32(width), np.float32(height)
    dx, dy, dz = np.float32(R[0, 0] * voxel_m), np.float32(R[1, 0] * voxel_m), np.float32(R[2, 0] * voxel_m)
    for j in range(side):
        x_map, y_map, z_map = corner[0] * voxel_m, (corner[1] + j) * voxel_m, (corner[2] + k) * voxel_m
        x0 = np.float32(R[0, 0] * x_map + R[0, 1] * y_map + R[0, 2] * z_map + t[0])
        y0 = np.float32(R[1, 0] * x_map + R[1, 1] * y_map + R[1, 2] * z_map + t[1])
        z0 = np.float32(R[2, 0] * x_map + R[2, 1] * y_map + R[2, 2] * z_map + t[2])
        for i in range(side):
            step = np.float32(i)
            z = z0 + step * dz
            per_z = one / max(z, tiny)
            u, v = fx * (x0 + step * dx) * per_z + cx + half, fy * (y0 + step * dy) * per_z + cy + half
            seen = (z > zero) & (u >= zero) & (v >= zero) & (u < right) & (v < low)
            u, v = min(max(u, zero), right - one), min(max(v, zero), low - one)
            pixel[j * side + i] = np.int32(v) * np.int32(width) + np.int32(u) if seen else np.int32(-1)
            z_m[j * side + i] = z
