"""In which order the GPU takes the rows of a gather table, and which offsets each block of rows needs.

A surface voxel has 8 of its 27 neighbours on average, but 64 voxels next to each other have nearly all 27 among them.
So rows are sorted by which offsets they read at: blocks of the sorted rows need 13. Rare offsets (corners) are the
highest bits of the sorting key, and the key is the place of these bits in the Gray code, in which consecutive patterns
differ by one bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import no_type_check
from weakref import WeakKeyDictionary

import torch
import triton
import triton.language as tl
from jaxtyping import Int32
from torch import Tensor

from ovseg3r_core.segmenter.sparse.table import GatherTable

BLOCK = 64
"""Rows that one program of a convolution handles."""
_KEY_BITS = 27  # above them is the number of the table


@dataclass(frozen=True, kw_only=True, eq=False)
class Schedule:
    """The rows of a gather table in working order; arrays may have room for more rows than there are."""

    order: Int32[Tensor, " places"]
    """The row at each place."""
    index: Int32[Tensor, "offsets places"]
    """What the row at a place reads at each offset."""
    active: Int32[Tensor, "blocks entries"]
    """How many offsets a block needs, then which."""
    count: Int32[Tensor, "1"]
    """Rows that there are."""

    @property
    def blocks(self) -> int:
        """Blocks that there is room for."""
        return self.active.shape[0]


_schedules: WeakKeyDictionary[GatherTable, Schedule] = WeakKeyDictionary()


def schedule_of(table: GatherTable) -> Schedule:
    """The schedule of a table, made once."""
    if table not in _schedules:
        count = torch.tensor([table.rows], dtype=torch.int32, device=table.index.device)
        (_schedules[table],) = make_schedules([(table.index, count)])
    return _schedules[table]


def make_schedules(tables: Sequence[tuple[Tensor, Tensor]]) -> tuple[Schedule, ...]:
    """The schedules of up to 16 tables, each with how many rows it has: one sort orders the rows of all.

    Args:
        tables: indices (offsets, rows) and counts (1,), int32; a count is at most the rows.
    """
    sizes = [index.shape[1] for index, _ in tables]
    keys = torch.empty(sum(sizes), dtype=torch.int32, device=tables[0][0].device)
    for number, ((index, count), part) in enumerate(zip(tables, keys.split(sizes), strict=True)):
        offsets, rows = index.shape
        bits, base = _key_bits(offsets, index.device), number << _KEY_BITS
        _row_keys[(triton.cdiv(rows, 128),)](index, bits, part, count, rows, base, OFFSETS=offsets, ROWS=128)
    orders, start, schedules = keys.sort(stable=True).indices.split(sizes), 0, []
    for (index, count), order in zip(tables, orders, strict=True):
        schedules.append(_planned(index, count, order, start))
        start += len(order)
    return tuple(schedules)


def _planned(index: Tensor, count: Tensor, order: Tensor, start: int) -> Schedule:
    offsets, rows = index.shape
    schedule = Schedule(
        order=torch.empty(rows, dtype=torch.int32, device=index.device),
        index=torch.empty_like(index),
        active=torch.empty(triton.cdiv(rows, BLOCK), offsets + 1, dtype=torch.int32, device=index.device),
        count=count,
    )
    _plan[(schedule.blocks,)](
        index,
        order,
        start,
        count,
        schedule.order,
        schedule.index,
        schedule.active,
        rows,
        OFFSETS=offsets,
        ROWS=BLOCK,
    )
    return schedule


@cache
def _key_bits(offsets: int, device: torch.device) -> Int32[Tensor, " offsets"]:
    """Which bit of the key stands for each offset: the further from the middle, the higher."""
    edge = round(offsets ** (1 / 3))
    step = torch.arange(edge) - (edge - 1) / 2
    reach = torch.cartesian_prod(step, step, step).abs().sum(1)
    bits = torch.empty(offsets, dtype=torch.int32)
    bits[reach.sort(stable=True).indices] = torch.arange(offsets, dtype=torch.int32)
    return bits.to(device)


@triton.jit
@no_type_check
def _row_keys(index_ptr, bits_ptr, key_ptr, count_ptr, rows, base, OFFSETS: tl.constexpr, ROWS: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < tl.load(count_ptr)
    mask = tl.zeros((ROWS,), dtype=tl.int32)
    for k in range(OFFSETS):
        source = tl.load(index_ptr + k * rows + row, mask=inside, other=-1)
        mask |= (source >= 0).to(tl.int32) << tl.load(bits_ptr + k)
    for shift in tl.static_range(5):  # the place of a pattern in the Gray code: each bit is the parity of those above
        mask ^= mask >> (1 << shift)
    tl.store(key_ptr + row, base + tl.where(inside, mask, (1 << 27) - 1), mask=row < rows)


@triton.jit
@no_type_check
def _plan(
    index_ptr,
    order_in_ptr,
    start,
    count_ptr,
    order_ptr,
    planned_ptr,
    active_ptr,
    rows,
    OFFSETS: tl.constexpr,
    ROWS: tl.constexpr,
):
    block = tl.program_id(0)
    place = block * ROWS + tl.arange(0, ROWS)
    inside = place < tl.load(count_ptr)
    row = tl.load(order_in_ptr + place, mask=inside, other=0) - start
    tl.store(order_ptr + place, row.to(tl.int32), mask=inside)
    needed = 0
    for k in range(OFFSETS):
        source = tl.load(index_ptr + k * rows + row, mask=inside, other=-1)
        tl.store(planned_ptr + k * rows + place, source, mask=place < rows)
        here = (tl.max(source, axis=0) >= 0).to(tl.int32)
        tl.store(active_ptr + block * (OFFSETS + 1) + 1 + needed, k, mask=here > 0)
        needed += here
    tl.store(active_ptr + block * (OFFSETS + 1), needed)
