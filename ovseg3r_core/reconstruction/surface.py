"""Where the surface of a distance field lies: the zero crossings between neighbouring voxels of sparse blocks.

The same crossings as Open3D's own extraction finds, read with numpy: Open3D holds Python's lock all the while, a tenth
of a second in one room, and neither a question nor an image would be taken meanwhile.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64
from numpy import ndarray

from ovseg3r_core.cloud_blocks import CloudBlocks
from ovseg3r_core.compiled import compiled
from ovseg3r_core.geometry import voxel_keys
from ovseg3r_core.packing import STEPS, pack, unpack
from ovseg3r_core.types import SceneCloud


@dataclass(frozen=True, kw_only=True)
class Crossings:
    """Where the surface crosses the edges of the voxels: up to three places a voxel."""

    xyz: Float32[ndarray, "crossings 3"]
    color: Float32[ndarray, "crossings 3"]
    """0..255."""
    normal: Float32[ndarray, "crossings 3"]
    """Unit vectors towards the cameras; not finite where the field is flat."""


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
    def neighbours(self) -> Int64[ndarray, "blocks 27"]:
        """The index of the block at each step of -1, 0, 1 along x, y, z; -1 where there is none."""
        keys = pack(self.place)
        order = np.argsort(keys)
        wanted = pack(self.place[:, None] + STEPS)
        at = np.searchsorted(keys[order], wanted).clip(max=len(keys) - 1)
        return np.where(keys[order][at] == wanted, order[at], -1)

    def find(
        self, block: Int64[ndarray, " voxels"], voxel: Int64[ndarray, "voxels 3"]
    ) -> tuple[Int64[ndarray, " voxels"], Bool[ndarray, " voxels"]]:
        """Flat indices of voxels, and which of them are there.

        Args:
            voxel: (x, y, z) from the corner of the block; may lie up to one block outside.
        """
        index = np.empty(len(block), np.int64)
        _find(self.neighbours, block, np.ascontiguousarray(voxel), self.side, index)
        return index, index >= 0


@compiled
@no_type_check
def _find(neighbours, block, voxel, side, index):
    """Flat indices of voxels, -1 for one that is not there."""
    for i in range(len(block)):
        x, y, z = voxel[i]
        step = 9 * (x // side + 1) + 3 * (y // side + 1) + (z // side + 1)
        other = neighbours[block[i], step]
        index[i] = other * side**3 + x % side + side * (y % side) + side**2 * (z % side) if other >= 0 else -1


def extract_cloud(blocks: VoxelBlocks) -> SceneCloud:
    """The surface: at most one point a voxel, with colour and a unit normal towards the cameras, block by block."""
    if not len(blocks.place):
        return SceneCloud.empty()
    return thin(zero_crossings(blocks), blocks.voxel_m, blocks.side)


def zero_crossings(blocks: VoxelBlocks) -> Crossings:
    """The surface between all neighbouring voxels that were both seen often enough."""
    found = [_along(axis, blocks) for axis in range(3)]
    return Crossings(
        xyz=np.concatenate([one.xyz for one in found]),
        color=np.concatenate([one.color for one in found]),
        normal=np.concatenate([one.normal for one in found]),
    )


def _along(axis: int, blocks: VoxelBlocks) -> Crossings:
    """The crossings between each voxel and the next one along x (0), y (1) or z (2)."""
    block, voxel = _candidates(axis, blocks)
    ahead = np.eye(3, dtype=np.int64)[axis]
    here, _ = blocks.find(block, voxel)
    there, _ = blocks.find(block, voxel + ahead)
    distance = blocks.distance.reshape(-1)
    d_here, d_there = distance[here], distance[there]
    crosses = d_here * d_there < 0
    block, voxel, here, there = block[crosses], voxel[crosses], here[crosses], there[crosses]
    share = (d_here[crosses] / (d_here[crosses] - d_there[crosses]))[:, None]

    corner = blocks.place[block].astype(np.int64) * blocks.side
    xyz = ((corner + voxel) + share * ahead) * np.float32(blocks.voxel_m)
    color = blocks.color.reshape(-1, 3)
    normal = (1 - share) * _gradient(blocks, block, voxel) + share * _gradient(blocks, block, voxel + ahead)
    with np.errstate(invalid="ignore", divide="ignore"):
        normal = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return Crossings(
        xyz=xyz.astype(np.float32),
        color=(1 - share) * color[here] + share * color[there],
        normal=normal.astype(np.float32),
    )


def _candidates(axis: int, blocks: VoxelBlocks) -> tuple[Int64[ndarray, " voxels"], Int64[ndarray, "voxels 3"]]:
    """Voxels (block, (x, y, z)) that were seen, with another sign than the next one, which was seen too."""
    behind, seen = (
        _with_next(blocks.distance < 0, axis, blocks),
        _with_next(blocks.weight > blocks.min_weight, axis, blocks),
    )
    seen[..., -1] &= (blocks.neighbours[:, _AHEAD[axis]] >= 0)[:, None, None]
    change = (behind[..., 1:] != behind[..., :-1]) & seen[..., 1:] & seen[..., :-1]
    block, *rest = np.nonzero(change)
    zyx: list[ndarray] = rest[:2]
    zyx.insert(2 - axis, rest[2])  # the axis was moved to the end
    return block, np.stack(zyx[::-1], axis=1)


_AHEAD = (1 + 3 + 18, 1 + 6 + 9, 2 + 3 + 9)  # in `neighbours`: one step along x, y, z


def _with_next(flags: Bool[ndarray, "blocks side side side"], axis: int, blocks: VoxelBlocks) -> ndarray:
    """The flags with the axis moved to the end, and the first layer of the next block behind them."""
    flags = np.moveaxis(flags, 3 - axis, -1)
    following = flags[blocks.neighbours[:, _AHEAD[axis]], :, :, :1]  # of a block that is not there: any other's
    return np.concatenate([flags, following], axis=-1)


def _gradient(
    blocks: VoxelBlocks, block: Int64[ndarray, " voxels"], voxel: Int64[ndarray, "voxels 3"]
) -> Float32[ndarray, "voxels 3"]:
    """Central differences; 0 along an axis where a neighbour is missing."""
    distance, gradient = blocks.distance.reshape(-1), np.zeros((len(block), 3), np.float32)
    for axis, step in enumerate(np.eye(3, dtype=np.int64)):
        (after, has_after), (before, has_before) = blocks.find(block, voxel + step), blocks.find(block, voxel - step)
        both = has_after & has_before
        gradient[both, axis] = distance[after[both]] - distance[before[both]]
    return gradient


def thin(found: Crossings, voxel_m: float, side: int) -> SceneCloud:
    """One point a voxel: the mean of the up to three places where the surface crosses its edges.

    Crossings without a finite position or normal are left out. Points are in the order of their blocks, and of their
    voxels in each: the same crossings of one block give the same points, whatever lies elsewhere.

    Args:
        side: voxels along a block.
    """
    length = np.linalg.norm(found.normal, axis=1)
    good = np.isfinite(found.xyz).all(axis=1) & np.isfinite(length) & (length > 1e-6)
    xyz, color, normal = found.xyz[good], found.color[good], found.normal[good]
    if not len(xyz):
        return SceneCloud.empty()
    # Two coordinates of a crossing are whole voxels: half a voxel on, rounding no longer decides where they fall.
    keys = voxel_keys(xyz + np.float32(voxel_m / 2), voxel_m)
    order = np.lexsort((xyz[:, 2], xyz[:, 1], xyz[:, 0], keys))
    starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[0]] - 1))
    counts = np.diff(starts, append=len(order))[:, None]
    voxels = keys[order[starts]]
    xyz, color, normal = (np.add.reduceat(values[order], starts) / counts for values in (xyz, color, normal))
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    solid = np.flatnonzero(length[:, 0] > 1e-3)  # a sheet seen from both sides may cancel its normals out
    blocks, in_blocks = CloudBlocks.sorted(pack(unpack(voxels[solid]) // side))
    solid = solid[in_blocks]
    return SceneCloud(
        xyz=xyz[solid].astype(np.float32),
        color=np.clip(np.rint(color[solid]), 0, 255).astype(np.uint8),
        normal=(normal[solid] / length[solid]).astype(np.float32),
        blocks=blocks,
    )
