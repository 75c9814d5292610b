"""The voxel pyramid on a GPU without asking the host anything: fixed shapes, counts that stay on the device.

It holds what `build_pyramid` and the schedules of its tables hold, with room for more: whoever captures it in a CUDA
graph chooses the room. What does not fit is not written, and `counts` tells.
"""

from dataclasses import dataclass
from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float32, Int32, Int64
from torch import Tensor

from ovseg3r_core.segmenter.morton import MAX_CELL
from ovseg3r_core.segmenter.sparse.schedule import Schedule, make_schedules
from ovseg3r_core.segmenter.voxels import CHILDREN, octree_steps

_ROWS = 128


@dataclass(frozen=True, kw_only=True, eq=False)
class PaddedPyramid:
    """A pyramid of one scene in arrays with room to spare."""

    voxel_of_point: Int64[Tensor, " points"]
    """The room of the finest level, one row too many, where a point is padding."""
    order: Int64[Tensor, " points"]
    """Points, voxel by voxel; padding comes last."""
    start: Int32[Tensor, " voxels_and_one"]
    """Where the points of each voxel start in that order."""
    counts: Int32[Tensor, " levels"]
    """Voxels that there are on each level: more than there is room for where some were left out."""
    room: tuple[int, ...]
    """Rows of each level."""
    neighbours: tuple[Schedule, ...]
    down: tuple[Schedule, ...]
    up: tuple[Schedule, ...]


def build_padded(
    xyz: Float32[Tensor, "points 3"], count: Int32[Tensor, "1"], *, voxel_size_m: float, room: tuple[int, ...]
) -> PaddedPyramid:
    """The pyramid of the first `count` points; all of one scene, as `checks` let them pass."""
    code, order = _codes(xyz, count, voxel_size_m, len(room)).sort(stable=True)
    first = _group(code, count, shift=0, room=room[0])
    voxel_of_point = torch.full_like(order, room[0])
    voxel_of_point[order] = first.of_item.long()
    codes, counts, groups = [first.code], [first.count], []
    for rows in room[1:]:
        groups.append(_group(codes[-1], counts[-1], shift=3, room=rows))
        codes.append(groups[-1].code)
        counts.append(groups[-1].count)
    around = [_search(codes[-1], counts[-1], len(room) - 1)]
    for level in reversed(range(len(groups))):
        around.append(_by_parent(codes[level], counts[level], groups[level], around[-1]))
    around.reverse()
    fitting = [count.clamp(max=rows) for count, rows in zip(counts, room, strict=True)]
    tables = [
        *zip(around, fitting, strict=True),
        *((group.children, count) for group, count in zip(groups, fitting[1:], strict=True)),
        *((group.ascent, count) for group, count in zip(groups, fitting[:-1], strict=True)),
    ]
    schedules = make_schedules(tables)
    return PaddedPyramid(
        voxel_of_point=voxel_of_point,
        order=order,
        start=first.start,
        counts=torch.cat(counts),
        room=room,
        neighbours=schedules[: len(room)],
        down=schedules[len(room) : 2 * len(room) - 1],
        up=schedules[2 * len(room) - 1 :],
    )


@dataclass(frozen=True, eq=False)
class _Group:
    """Sorted items put together that share a code."""

    code: Int64[Tensor, " groups"]
    count: Int32[Tensor, "1"]
    of_item: Int32[Tensor, " items"]
    """The group of each item; the room for groups where it is padding or there was no room."""
    start: Int32[Tensor, " groups_and_one"]
    """The first item of each group; the number of items behind the last."""
    children: Int32[Tensor, "8 groups"]
    """The item at each place of a group, or -1: items are voxels, groups their parents."""
    ascent: Int32[Tensor, "8 items"]
    """The group of each item at its own place, else -1."""


def _codes(xyz: Tensor, count: Tensor, voxel_size_m: float, levels: int) -> Int64[Tensor, " points"]:
    """The Morton code of each point's cell, as `cells` counts them; the largest number for padding."""
    coarsest = 1 << (levels - 1)
    cell = torch.floor(xyz / voxel_size_m + coarsest / 3).int()
    there = torch.arange(len(xyz), device=xyz.device)[:, None] < count
    lowest = torch.where(there, cell, 1 << 30).amin(0)
    corner = torch.div(lowest, coarsest, rounding_mode="floor") * coarsest
    code = torch.empty(len(xyz), dtype=torch.int64, device=xyz.device)
    _encode[_grid(len(xyz))](cell, corner, count, code, len(xyz), ROWS=_ROWS)
    return code


def _group(code: Tensor, count: Tensor, *, shift: int, room: int) -> _Group:
    items, device = len(code), code.device
    first = torch.empty(items, dtype=torch.int32, device=device)
    _firsts[_grid(items)](code, count, first, items, shift, ROWS=_ROWS)
    place = first.cumsum(0, dtype=torch.int32)
    group = _Group(
        torch.full((room,), torch.iinfo(torch.int64).max, dtype=torch.int64, device=device),
        place[-1:].clone(),
        torch.full((items,), room, dtype=torch.int32, device=device),
        count.clamp(max=items).expand(room + 1).clone(),
        torch.full((CHILDREN, room), -1, dtype=torch.int32, device=device),
        torch.full((CHILDREN, items), -1, dtype=torch.int32, device=device),
    )
    _scatter[_grid(items)](
        code,
        count,
        place,
        first,
        group.code,
        group.of_item,
        group.start,
        group.children,
        group.ascent,
        items,
        room,
        shift,
        ROWS=_ROWS,
    )
    return group


def _search(code: Tensor, count: Tensor, level: int) -> Int32[Tensor, "27 voxels"]:
    index = torch.empty(27, len(code), dtype=torch.int32, device=code.device)
    _search_neighbours[(triton.cdiv(len(code), _ROWS), 27)](
        code, count, index, len(code), STEPS=len(code).bit_length(), LAST=MAX_CELL >> level, ROWS=_ROWS
    )
    return index


def _by_parent(code: Tensor, count: Tensor, group: _Group, around_parent: Tensor) -> Int32[Tensor, "27 voxels"]:
    index = torch.empty(27, len(code), dtype=torch.int32, device=code.device)
    step_of_parent, place_in_parent = octree_steps(code.device)
    _neighbours_by_parent[(triton.cdiv(len(code), _ROWS), 27)](
        code,
        count,
        group.of_item,
        around_parent,
        around_parent.shape[1],
        group.children,
        step_of_parent,
        place_in_parent,
        index,
        len(code),
        ROWS=_ROWS,
    )
    return index


def _grid(rows: int) -> tuple[int]:
    return (triton.cdiv(rows, _ROWS),)


@triton.jit
@no_type_check
def _spread(bits):
    """Two zero bits between all bits of a number of 18 bits."""
    bits = (bits | (bits << 32)) & 0x1F00000000FFFF
    bits = (bits | (bits << 16)) & 0x1F0000FF0000FF
    bits = (bits | (bits << 8)) & 0x100F00F00F00F00F
    bits = (bits | (bits << 4)) & 0x10C30C30C30C30C3
    return (bits | (bits << 2)) & 0x1249249249249249


@triton.jit
@no_type_check
def _gather_bits(bits):
    """The way back."""
    bits = bits & 0x1249249249249249
    bits = (bits | (bits >> 2)) & 0x10C30C30C30C30C3
    bits = (bits | (bits >> 4)) & 0x100F00F00F00F00F
    bits = (bits | (bits >> 8)) & 0x1F0000FF0000FF
    bits = (bits | (bits >> 16)) & 0x1F00000000FFFF
    return (bits | (bits >> 32)) & 0x3FFFF


@triton.jit
@no_type_check
def _encode(cell_ptr, corner_ptr, count_ptr, code_ptr, points, ROWS: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = row < tl.load(count_ptr)
    x = tl.load(cell_ptr + row * 3, mask=there, other=0) - tl.load(corner_ptr)
    y = tl.load(cell_ptr + row * 3 + 1, mask=there, other=0) - tl.load(corner_ptr + 1)
    z = tl.load(cell_ptr + row * 3 + 2, mask=there, other=0) - tl.load(corner_ptr + 2)
    code = (_spread(x.to(tl.int64)) << 2) | (_spread(y.to(tl.int64)) << 1) | _spread(z.to(tl.int64))
    tl.store(code_ptr + row, tl.where(there, code, 0x7FFFFFFFFFFFFFFF), mask=row < points)


@triton.jit
@no_type_check
def _firsts(code_ptr, count_ptr, first_ptr, items, shift, ROWS: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = row < tl.minimum(tl.load(count_ptr), items)
    code = tl.load(code_ptr + row, mask=there, other=0)
    before = tl.load(code_ptr + row - 1, mask=there & (row > 0), other=0)
    first = there & ((row == 0) | ((code >> shift) != (before >> shift)))
    tl.store(first_ptr + row, first.to(tl.int32), mask=row < items)


@triton.jit
@no_type_check
def _scatter(
    code_ptr,
    count_ptr,
    place_ptr,
    first_ptr,
    group_code_ptr,
    of_item_ptr,
    start_ptr,
    children_ptr,
    ascent_ptr,
    items,
    room,
    shift,
    ROWS: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    there = row < tl.minimum(tl.load(count_ptr), items)
    code = tl.load(code_ptr + row, mask=there, other=0)
    group = tl.load(place_ptr + row, mask=there, other=0) - 1
    fits = there & (group < room)
    first = tl.load(first_ptr + row, mask=there, other=0) > 0
    tl.store(group_code_ptr + group, code >> shift, mask=fits & first)
    tl.store(of_item_ptr + row, group, mask=fits)
    tl.store(start_ptr + group, row, mask=fits & first)
    if shift > 0:
        place = (code & 7).to(tl.int32)
        tl.store(children_ptr + place * room + group, row, mask=fits)
        tl.store(ascent_ptr + place * items + row, group, mask=fits)


@triton.jit
@no_type_check
def _search_neighbours(
    code_ptr, count_ptr, index_ptr, voxels, STEPS: tl.constexpr, LAST: tl.constexpr, ROWS: tl.constexpr
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.program_id(1)
    count = tl.minimum(tl.load(count_ptr), voxels)
    there = row < count
    code = tl.load(code_ptr + row, mask=there, other=0)
    x = _gather_bits(code >> 2) + (k // 9 - 1)
    y = _gather_bits(code >> 1) + (k // 3 % 3 - 1)
    z = _gather_bits(code) + (k % 3 - 1)
    inside = there & (x >= 0) & (y >= 0) & (z >= 0) & (x <= LAST) & (y <= LAST) & (z <= LAST)
    wanted = (_spread(x) << 2) | (_spread(y) << 1) | _spread(z)
    low = tl.zeros((ROWS,), dtype=tl.int32)
    high = low + count
    for _ in range(STEPS):  # the first code that is not smaller
        middle = (low + high) // 2
        smaller = tl.load(code_ptr + middle, mask=inside & (middle < count), other=0x7FFFFFFFFFFFFFFF) < wanted
        open_ = low < high
        low = tl.where(open_ & smaller, middle + 1, low)
        high = tl.where(open_ & (smaller == 0), middle, high)
    found = inside & (low < count)
    found &= tl.load(code_ptr + low, mask=found, other=-1) == wanted
    tl.store(index_ptr + k * voxels + row, tl.where(found, low, -1), mask=row < voxels)


@triton.jit
@no_type_check
def _neighbours_by_parent(
    code_ptr,
    count_ptr,
    parent_ptr,
    around_ptr,
    parents,
    children_ptr,
    step_ptr,
    place_ptr,
    index_ptr,
    voxels,
    ROWS: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    k = tl.program_id(1)
    there = row < tl.minimum(tl.load(count_ptr), voxels)
    place = tl.load(code_ptr + row, mask=there, other=0) & 7
    parent = tl.load(parent_ptr + row, mask=there, other=parents)
    there &= parent < parents
    step = tl.load(step_ptr + k * 8 + place, mask=there, other=0)
    relative = tl.load(around_ptr + step * parents + parent, mask=there, other=-1)
    inside = tl.load(place_ptr + k * 8 + place, mask=there, other=0)
    found = tl.load(children_ptr + inside * parents + relative, mask=there & (relative >= 0), other=-1)
    tl.store(index_ptr + k * voxels + row, found, mask=row < voxels)
