"""The voxel pyramid: which voxels there are on each level of the U-Net, and who reads whom.

Voxels lie in Morton order, so the children of a voxel follow each other, and the neighbours of a fine voxel are found
among the children of its parent's neighbours: nothing is searched for but on the coarsest level.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from ovseg3r_core.segmenter import morton
from ovseg3r_core.segmenter.sparse.table import GatherTable

CHILDREN = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelPyramid:
    """Index maps of a whole batch, finest level first; they depend on the points alone, so they may be used again."""

    voxel_of_point: Int64[Tensor, " points"]
    voxels: tuple[int, ...]
    """How many there are on each level."""
    neighbours: tuple[GatherTable, ...]
    """Of each level, the 3x3x3 neighbourhood: offset 9 (dx + 1) + 3 (dy + 1) + dz + 1."""
    down: tuple[GatherTable, ...]
    """From each level to the next coarser one: offset 4 x + 2 y + z of a child in its parent."""
    up: tuple[GatherTable, ...]
    """The way back."""


def build_pyramid(
    xyz: Float32[Tensor, "points 3"], scene: Int64[Tensor, " points"], *, voxel_size_m: float, levels: int
) -> VoxelPyramid:
    """The pyramid of the points of one or several scenes.

    Cells are those of a grid fixed in the map, whatever part of it has been seen: when a cloud grows, old points keep
    their cells on every level. The grid is off the origin by a third of the coarsest cell, which is a third or two
    thirds of a cell on every level: floors and walls like to lie at 0, and none of them is cut in two by noise.

    Args:
        xyz: metres; finite.
        scene: which scene of the batch a point belongs to.

    Raises:
        ValueError: the points span more voxels than a code has room for.
    """
    code, voxel_of_point = torch.unique(
        morton.encode(scene, cells(xyz, voxel_size_m, levels)), sorted=True, return_inverse=True
    )
    codes, down, up = [code], [], []
    for _ in range(levels - 1):
        code, descent, ascent = _coarser(code)
        codes.append(code)
        down.append(GatherTable(index=descent, back=ascent))
        up.append(GatherTable(index=ascent, back=descent))
    around = [_search_neighbours(codes[-1], levels - 1)]
    for fine, descent in zip(reversed(codes[:-1]), reversed(down), strict=True):
        around.append(_neighbours_by_parent(fine, descent.index, around[-1]))
    return VoxelPyramid(
        voxel_of_point=voxel_of_point,
        voxels=tuple(len(code) for code in codes),
        neighbours=tuple(GatherTable(index=index) for index in reversed(around)),
        down=tuple(down),
        up=tuple(up),
    )


def cells(xyz: Float32[Tensor, "points 3"], voxel_size_m: float, levels: int) -> Int64[Tensor, "points 3"]:
    """The cell of each point, counted from a corner of a cell of the coarsest level."""
    coarsest = 1 << (levels - 1)
    cell = torch.floor(xyz / voxel_size_m + coarsest / 3).long()
    if not len(cell):
        return cell
    corner = torch.div(cell.amin(0), coarsest, rounding_mode="floor") * coarsest
    cell = cell - corner
    if (largest := int(cell.max())) > morton.MAX_CELL:
        raise ValueError(
            f"the points span {largest} voxels of {voxel_size_m} m, {largest * voxel_size_m:.0f} m; at most "
            f"{morton.MAX_CELL} fit: give larger voxels or a smaller part of the map"
        )
    return cell


def _coarser(
    code: Int64[Tensor, " voxels"],
) -> tuple[Int64[Tensor, " parents"], Int32[Tensor, "8 parents"], Int32[Tensor, "8 voxels"]]:
    """The next level: its codes, the child of each parent at each place, the parent of each voxel at its own place."""
    parents, parent = torch.unique_consecutive(code >> 3, return_inverse=True)
    place, voxel = code & (CHILDREN - 1), torch.arange(len(code), device=code.device)
    descent = torch.full((CHILDREN, len(parents)), -1, dtype=torch.int32, device=code.device)
    ascent = torch.full((CHILDREN, len(code)), -1, dtype=torch.int32, device=code.device)
    descent[place, parent] = voxel.int()
    ascent[place, voxel] = parent.int()
    return parents, descent, ascent


def _search_neighbours(code: Int64[Tensor, " voxels"], level: int) -> Int32[Tensor, "27 voxels"]:
    """Neighbours by binary search among the sorted codes, for the few voxels of the coarsest level."""
    # The code of a coarse voxel is shifted: its scene lies `3 * level` bits lower.
    scene, cell = morton.decode(code << (3 * level))
    target = (cell >> level)[None] + neighbour_steps(code.device)[:, None]
    inside = ((target >= 0) & (target <= (morton.MAX_CELL >> level))).all(-1)
    target = torch.where(inside[..., None], target, 0)
    wanted = morton.encode(scene.expand(len(target), -1).reshape(-1), (target << level).reshape(-1, 3)) >> (3 * level)
    wanted = wanted.reshape(inside.shape)
    place = torch.searchsorted(code, wanted).clamp(max=max(len(code) - 1, 0))
    found = inside & (code[place] == wanted) if len(code) else inside
    return torch.where(found, place, -1).int()


def _neighbours_by_parent(
    code: Int64[Tensor, " voxels"], descent: Int32[Tensor, "8 parents"], around_parent: Int32[Tensor, "27 parents"]
) -> Int32[Tensor, "27 voxels"]:
    """Neighbours of fine voxels: children of the neighbours of their parents."""
    step_of_parent, place_in_parent = octree_steps(code.device)
    place = code & (CHILDREN - 1)
    parent = torch.unique_consecutive(code >> 3, return_inverse=True)[1]
    relative = around_parent[step_of_parent[:, place], parent].long()
    child = descent[place_in_parent[:, place], relative.clamp(min=0)]
    return torch.where(relative >= 0, child, -1)


@cache
def neighbour_steps(device: torch.device) -> Int64[Tensor, "27 3"]:
    """The step in cells to each neighbour, in the order of the kernel's offsets."""
    steps = torch.arange(-1, 2, device=device)
    return torch.cartesian_prod(steps, steps, steps)


@cache
def octree_steps(device: torch.device) -> tuple[Int64[Tensor, "27 8"], Int64[Tensor, "27 8"]]:
    """For each neighbour offset and each place of a voxel in its parent: which neighbour of the parent holds that
    neighbour, and at which place."""
    place = torch.arange(CHILDREN, device=device)
    own = torch.stack([place >> 2, place >> 1, place], dim=-1) & 1
    target = own[None] + neighbour_steps(device)[:, None]  # -1 to 2 in cells of the fine level
    parent, inside = torch.div(target, 2, rounding_mode="floor"), target % 2
    as_offset = torch.tensor([9, 3, 1], device=device)
    as_place = torch.tensor([4, 2, 1], device=device)
    return ((parent + 1) * as_offset).sum(-1), (inside * as_place).sum(-1)
