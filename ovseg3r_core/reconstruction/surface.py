"""Where the surface of a distance field lies: the zero crossings between neighbouring voxels of sparse blocks.

The same crossings as Open3D's own extraction finds, one point for all that fall in a voxel. Compiled here: Open3D holds
Python's lock all the while, a tenth of a second in one room, and neither a question nor an image would be taken
meanwhile.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8
from numpy import ndarray

from ovseg3r_core.cloud_blocks import CloudBlocks
from ovseg3r_core.compiled import compiled, in_chunks
from ovseg3r_core.packing import REACH, STEPS, find, pack
from ovseg3r_core.types import SceneCloud

_BLOCKS_AT_ONCE = 128  # room for a point a voxel is taken for so many: of a whole map it would be gigabytes
_FLAT = 1e-6  # a gradient that is shorter has no direction
_SAME = 13  # of the 27 blocks about a block: itself
_CANCELLED = 1e-3  # a mean of normals that is shorter: a sheet seen from both sides


@dataclass(frozen=True, kw_only=True)
class VoxelBlocks:
    """The blocks in use; voxels are indexed [block, z, y, x] as Open3D stores them."""

    place: Int32[ndarray, "blocks 3"]
    """(x, y, z), in blocks."""
    distance: Float32[ndarray, "blocks side side side"]
    weight: Float32[ndarray, "blocks side side side"]
    color: Float32[ndarray, "blocks side side side 3"]
    voxel_m: float
    min_weight: float
    """Voxels that were not seen more often than this do not count."""

    @property
    def side(self) -> int:
        """Voxels along a block."""
        return self.distance.shape[1]

    @cached_property
    def key(self) -> Int64[ndarray, " blocks"]:
        """The places, packed."""
        return pack(self.place)

    @cached_property
    def by_key(self) -> Int64[ndarray, " blocks"]:
        """The blocks in the order of their keys."""
        return np.argsort(self.key)

    def about(self, which: Int64[ndarray, " some"]) -> Int64[ndarray, "some 27"]:
        """The index of the block at each step of -1, 0, 1 along x, y, z from some blocks; -1 where there is none."""
        at = find(pack(self.place[which, None] + STEPS), self.key[self.by_key])
        return np.where(at >= 0, self.by_key[at], -1)


def extract_cloud(blocks: VoxelBlocks, keys: Int64[ndarray, " blocks"] | None = None) -> SceneCloud:
    """The surface: at most one point a voxel, with colour and a unit normal towards the cameras, block by block.

    A point is the mean of the places where the surface crosses the edges of the voxels and that are nearest to its own
    voxel. What the points of a block are depends on it and on the blocks that touch it, and on nothing else.

    Args:
        keys: the blocks, packed, whose points are asked for; None for all.

    Raises:
        ValueError: a block lies further out than packing can number.
    """
    if len(blocks.place) and np.abs(blocks.place.astype(np.int64) * blocks.side).max() >= REACH - blocks.side:
        reach_m, limit_m = np.abs(blocks.place).max() * blocks.side * blocks.voxel_m, REACH * blocks.voxel_m
        raise ValueError(
            f"a surface lies {reach_m:.0f} m out; voxels of {blocks.voxel_m} m number up to {limit_m:.0f} m"
        )
    asked = blocks.by_key if keys is None else blocks.by_key[np.isin(blocks.key[blocks.by_key], keys)]
    about, sides, sizes = blocks.about(asked), np.empty(len(blocks.key), np.uint8), np.zeros(len(asked), np.int64)
    _sides_of(blocks.distance, blocks.weight, blocks.min_weight, sides)
    parts = [slice(at, at + _BLOCKS_AT_ONCE) for at in range(0, len(asked), _BLOCKS_AT_ONCE)]
    found = [SceneCloud.empty()] * len(parts)

    def read_some(start: int, stop: int) -> None:
        for i, part in enumerate(parts[start:stop], start):
            found[i] = _points_of(blocks, asked[part], about[part], sides, sizes[part])

    in_chunks(read_some, len(parts), smallest=1)
    found, held = [SceneCloud.empty(), *found], sizes > 0
    return SceneCloud(
        xyz=np.concatenate([it.xyz for it in found]),
        color=np.concatenate([it.color for it in found]),
        normal=np.concatenate([it.normal for it in found]),
        blocks=CloudBlocks.read_now(blocks.key[asked[held]], sizes[held]),
    )


def _points_of(
    blocks: VoxelBlocks,
    which: Int64[ndarray, " some"],
    about: Int64[ndarray, "some 27"],
    sides: UInt8[ndarray, " blocks"],
    sizes: Int64[ndarray, " some"],
) -> SceneCloud:
    """The points of some blocks, one block behind the other; how many each has goes into `sizes`."""
    room = (len(which), blocks.side**3)
    xyz, normal = np.empty((*room, 3), np.float32), np.empty((*room, 3), np.float32)
    color = np.empty((*room, 3), np.uint8)
    field = (blocks.distance, blocks.weight, blocks.color, blocks.min_weight)
    _read(which, blocks.place, about, sides, *field, blocks.voxel_m, xyz, color, normal, sizes)
    there = np.arange(room[1]) < sizes[:, None]
    return SceneCloud(xyz=xyz[there], color=color[there], normal=normal[there])


@compiled
@no_type_check
def _read(which, place, about, sides, distance, weight, color, min_weight, voxel_m, xyz, rgb, normal, sizes):
    """The points of each block, voxel by voxel: x slowest, z fastest."""
    side = distance.shape[1]
    wide = side + 4  # what a point depends on lies within two voxels
    near = np.empty(wide**3, np.float32)  # [z, y, x], from two voxels before the block on
    there = np.empty(wide**3, np.uint8)  # 0: no voxel, 1: not seen often enough, 2: seen
    source = np.empty(wide**3, np.int64)  # where each is in the field
    colors = color.reshape(-1, 3)
    sums = np.empty(9)
    for i in range(len(which)):
        found = 0
        if _may_hold(about[i], sides):
            _copy_about(about[i], distance, weight, min_weight, near, there, source)
            for x in range(side):
                for y in range(side):
                    for z in range(side):
                        at = ((z + 2) * wide + y + 2) * wide + x + 2
                        if not _crosses(at, wide, near, there):
                            continue
                        count = _cross(at, wide, near, there, source, colors, sums)
                        length = np.sqrt(sums[6] ** 2 + sums[7] ** 2 + sums[8] ** 2)
                        if not count or length <= _CANCELLED * count:
                            continue
                        voxel = (x, y, z)
                        for c in range(3):
                            xyz[i, found, c] = (place[which[i], c] * side + voxel[c] + sums[c] / count) * voxel_m
                            rgb[i, found, c] = min(max(round(sums[3 + c] / count), 0), 255)
                            normal[i, found, c] = sums[6 + c] / length
                        found += 1
        sizes[i] = found


@compiled
@no_type_check
def _sides_of(distance, weight, min_weight, sides):
    """Whether each block has voxels in front of a surface (1), behind one (2), or both (3)."""
    distances, weights = distance.reshape(len(sides), -1), weight.reshape(len(sides), -1)
    for block in range(len(sides)):
        before = behind = False
        for at in range(distances.shape[1]):
            seen = weights[block, at] > min_weight
            before |= seen and distances[block, at] > 0
            behind |= seen and distances[block, at] < 0
        sides[block] = before + 2 * behind


@compiled
@no_type_check
def _may_hold(about, sides):
    """Whether a surface may cross a block, or run between it and one of the six beside it."""
    own = sides[about[_SAME]]
    joined = own
    for step in (1, 3, 9):
        for other in (about[_SAME - step], about[_SAME + step]):
            if other >= 0:
                joined |= sides[other]
    return own > 0 and joined == 3


@compiled
@no_type_check
def _copy_about(about, distance, weight, min_weight, near, there, source):
    """Copy a block and two voxels of those round it."""
    side = distance.shape[1]
    wide = side + 4
    distances, weights = distance.reshape(-1), weight.reshape(-1)
    for z in range(wide):
        block_z, in_z = (z - 2 + side) // side, (z - 2 + side) % side
        for y in range(wide):
            block_y, in_y = (y - 2 + side) // side, (y - 2 + side) % side
            row = (z * wide + y) * wide
            for block_x in range(3):
                first, last = max(side * (block_x - 1) + 2, 0), min(side * block_x + 2, wide)
                block = about[9 * block_x + 3 * block_y + block_z]
                if block < 0:
                    there[row + first : row + last] = 0
                    continue
                begin = ((block * side + in_z) * side + in_y) * side - (side * (block_x - 1) + 2)
                for x in range(first, last):
                    near[row + x], source[row + x] = distances[begin + x], begin + x
                    there[row + x] = 1 + (weights[begin + x] > min_weight)


@compiled
@no_type_check
def _crosses(at, wide, near, there):
    """Whether the surface lies between a voxel and one of the six beside it."""
    if there[at] < 2:
        return False
    here = near[at]
    for step in (1, wide, wide * wide):
        if there[at + step] == 2 and here * near[at + step] < 0:
            return True
        if there[at - step] == 2 and here * near[at - step] < 0:
            return True
    return False


@compiled
@no_type_check
def _cross(at, wide, near, there, source, colors, sums):
    """Sum place (in voxels, from this one), colour and normal of the crossings nearest to a voxel, and count them."""
    sums[:] = 0
    count = 0
    for axis in range(3):
        step = wide**axis
        for back in range(2):
            a = at - back * step
            b = a + step
            if there[a] < 2 or there[b] < 2 or not near[a] * near[b] < 0:
                continue
            share = near[a] / (near[a] - near[b])
            if (share >= 0.5) != (back == 1):
                continue  # it is nearer to the other one
            n_x = _slope(a, b, share, 1, near, there)
            n_y = _slope(a, b, share, wide, near, there)
            n_z = _slope(a, b, share, wide * wide, near, there)
            length = np.sqrt(n_x * n_x + n_y * n_y + n_z * n_z)
            if not (length > _FLAT and np.isfinite(length)):
                continue
            sums[axis] += share - back
            for c in range(3):
                sums[3 + c] += (1 - share) * colors[source[a], c] + share * colors[source[b], c]
            sums[6] += n_x / length
            sums[7] += n_y / length
            sums[8] += n_z / length
            count += 1
    return count


@compiled
@no_type_check
def _slope(a, b, share, step, near, there):
    """How the distance grows along an axis between two voxels: central differences, 0 where a neighbour is missing."""
    at_a = near[a + step] - near[a - step] if there[a + step] and there[a - step] else np.float32(0)
    at_b = near[b + step] - near[b - step] if there[b + step] and there[b - step] else np.float32(0)
    return (1 - share) * at_a + share * at_b
