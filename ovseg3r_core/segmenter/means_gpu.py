"""Means over groups on a GPU, with fixed shapes: points of a voxel, points of a superpoint.

Each group is summed in the order that its rows come in, so runs repeat exactly.
"""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int16, Int32, Int64
from torch import Tensor

_GROUPS = 64
_SPLITS = 8  # programs that share one superpoint: the floor may be a third of all points
_ROWS = 128


def voxel_means(
    rows: Float[Tensor, "points channels"],
    order: Int64[Tensor, " points"],
    start: Int32[Tensor, " voxels_and_one"],
    dtype: torch.dtype,
) -> Float[Tensor, "voxels channels"]:
    """The mean of the rows of each voxel: those at places `start[v]` to `start[v + 1]` of `order`."""
    groups, channels = len(start) - 1, rows.shape[1]
    out = torch.empty(groups, channels, dtype=dtype, device=rows.device)
    _voxel_means[(triton.cdiv(groups, _GROUPS),)](
        rows, order, start, out, groups, channels, GROUPS=_GROUPS, CHANNELS=triton.next_power_of_2(channels)
    )
    return out


def superpoint_means(
    voxels: Float[Tensor, "voxels channels"],
    voxel_of_point: Int64[Tensor, " points"],
    xyz: Float[Tensor, "points 3"],
    superpoint: Int16[Tensor, " points"],
    superpoints: int,
) -> tuple[Float[Tensor, "superpoints channels"], Float[Tensor, "superpoints 3"], Float[Tensor, " superpoints"]]:
    """Mean features and places of the points of each superpoint, and their number.

    Args:
        superpoint: `superpoints` for a point that is padding.
    """
    channels, device = voxels.shape[1], voxels.device
    sorted_, order = superpoint.sort(stable=True)
    start = torch.searchsorted(sorted_, torch.arange(superpoints + 1, dtype=superpoint.dtype, device=device)).int()
    sums = torch.empty(_SPLITS, superpoints, channels, device=device)
    places = torch.empty(_SPLITS, superpoints, 3, device=device)
    _superpoint_sums[(superpoints, _SPLITS)](
        voxels,
        voxel_of_point,
        xyz,
        order,
        start,
        sums,
        places,
        superpoints,
        channels,
        ROWS=_ROWS,
        CHANNELS=triton.next_power_of_2(channels),
    )
    points = (start[1:] - start[:-1]).float()
    share = 1 / points.clamp(min=1)[:, None]
    return (sums.sum(0) * share).to(voxels.dtype), places.sum(0) * share, points


@triton.jit
@no_type_check
def _voxel_means(
    rows_ptr, order_ptr, start_ptr, out_ptr, groups, channels, GROUPS: tl.constexpr, CHANNELS: tl.constexpr
):
    group = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)
    c = tl.arange(0, CHANNELS)
    fits = (c < channels)[None, :]
    first = tl.load(start_ptr + group, mask=group < groups, other=0)
    size = tl.load(start_ptr + group + 1, mask=group < groups, other=0) - first
    total = tl.zeros((GROUPS, CHANNELS), dtype=tl.float32)
    for turn in range(tl.max(size, axis=0)):
        row = tl.load(order_ptr + first + turn, mask=turn < size, other=0)
        total += tl.load(
            rows_ptr + row[:, None] * channels + c[None, :], mask=(turn < size)[:, None] & fits, other=0.0
        ).to(tl.float32)
    mean = total / tl.maximum(size, 1).to(tl.float32)[:, None]
    where = out_ptr + group.to(tl.int64)[:, None] * channels + c[None, :]
    tl.store(where, mean.to(out_ptr.dtype.element_ty), mask=(group < groups)[:, None] & fits)


@triton.jit
@no_type_check
def _superpoint_sums(
    voxels_ptr,
    voxel_of_point_ptr,
    xyz_ptr,
    order_ptr,
    start_ptr,
    sums_ptr,
    places_ptr,
    superpoints,
    channels,
    ROWS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    superpoint, split = tl.program_id(0), tl.program_id(1)
    first, last = tl.load(start_ptr + superpoint), tl.load(start_ptr + superpoint + 1)
    c, axis = tl.arange(0, CHANNELS), tl.arange(0, 4)
    total = tl.zeros((CHANNELS,), dtype=tl.float32)
    place = tl.zeros((4,), dtype=tl.float32)
    for begin in range(first + split * ROWS, last, tl.num_programs(1) * ROWS):
        i = begin + tl.arange(0, ROWS)
        there = (i < last)[:, None]
        point = tl.load(order_ptr + i, mask=i < last, other=0)
        voxel = tl.load(voxel_of_point_ptr + point, mask=i < last, other=0)
        features = tl.load(
            voxels_ptr + voxel[:, None] * channels + c[None, :], mask=there & (c < channels)[None, :], other=0.0
        )
        total += tl.sum(features.to(tl.float32), axis=0)
        place += tl.sum(
            tl.load(xyz_ptr + point[:, None] * 3 + axis[None, :], mask=there & (axis < 3)[None, :], other=0.0), axis=0
        )
    row = split * superpoints + superpoint
    tl.store(sums_ptr + row * channels + c, total, mask=c < channels)
    tl.store(places_ptr + row * 3 + axis, place, mask=axis < 3)
