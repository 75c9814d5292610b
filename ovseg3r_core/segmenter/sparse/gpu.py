"""The GPU's flavour: gathered matrix products in Triton, for NVIDIA cards from Volta on.

One kernel does every convolution: a block of output rows gathers what it reads at one offset after the other and
multiplies it by the weights of the offset on the tensor cores; sums are float32 and stay in registers. Rows that read
at the same offsets are put next to each other (`schedule.py`), so that a block skips the offsets that none of it needs.

As the sums are written, a residual can be added, and the batch norm and ReLU of what reads them next can be applied:
so a convolution of the U-Net is a single launch. (Applied as features are read it would double the time: each is read
by nine rows.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from ovseg3r_core.segmenter.sparse.schedule import BLOCK, Schedule, schedule_of
from ovseg3r_core.segmenter.sparse.table import GatherTable

_SPLITS = 64  # partial sums of a weight gradient: they are added in a fixed order, so runs repeat exactly


@dataclass(frozen=True, eq=False)
class Acted:
    """Where to write ReLU(sum * factor + offset), and the factor and offset of each channel."""

    norm: Float[Tensor, "2 outputs"]
    out: Float[Tensor, "rows outputs"]


def convolve(
    features: Float[Tensor, "sources inputs"], weight: Float[Tensor, "offsets inputs outputs"], table: GatherTable
) -> Float[Tensor, "rows outputs"]:
    """As the twin's."""
    out = features.new_empty(table.rows, weight.shape[2])
    gather_matmul(features, weight.contiguous(), schedule_of(table), raw=out)
    return out


def gather_matmul(
    features: Float[Tensor, "sources inputs"],
    weight: Float[Tensor, "offsets inputs outputs"],
    schedule: Schedule,
    *,
    raw: Float[Tensor, "rows outputs"] | None = None,
    residual: Float[Tensor, "rows outputs"] | None = None,
    acted: Sequence[Acted] = (),
) -> None:
    """A convolution; arrays may be slices of wider ones, as long as their channels follow each other.

    Args:
        raw: where to write the sums, if anywhere.
        residual: added to the sums first.
        acted: up to two places for what norms and ReLU make of them.
    """
    inputs, outputs = weight.shape[1:]
    one, two = (*acted, None, None)[:2]
    tiles = _tiles(inputs, outputs, features)
    _gather_matmul[(schedule.blocks, triton.cdiv(outputs, tiles.outputs))](
        features,
        features.stride(0),
        weight,
        schedule.order,
        schedule.index,
        schedule.index.stride(0),
        schedule.active,
        schedule.active.stride(0),
        schedule.count,
        residual,
        _stride(residual),
        raw,
        _stride(raw),
        one and one.norm,
        _stride(one and one.norm),
        one and one.out,
        _stride(one and one.out),
        two and two.norm,
        _stride(two and two.norm),
        two and two.out,
        _stride(two and two.out),
        inputs,
        outputs,
        ROWS=BLOCK,
        INPUTS=tiles.inputs,
        OUTPUTS=tiles.outputs,
        PRECISION=_precision(features),
        num_warps=tiles.warps,  # pyright: ignore[reportCallIssue]
        num_stages=tiles.stages,  # pyright: ignore[reportCallIssue]
    )


def weight_gradient(
    features: Float[Tensor, "sources inputs"], grad: Float[Tensor, "rows outputs"], table: GatherTable
) -> Float[Tensor, "offsets inputs outputs"]:
    """How the weights should change, given how the output should."""
    inputs, outputs = features.shape[1], grad.shape[1]
    splits = max(1, min(_SPLITS, triton.cdiv(table.rows, 8 * BLOCK)))
    part = torch.empty(splits, table.offsets, inputs, outputs, device=grad.device)
    tall, wide = _tile(inputs), _tile(outputs)
    across = triton.cdiv(inputs, tall) * triton.cdiv(outputs, wide)
    _weight_gradient[(table.offsets, splits, across)](
        features.contiguous(),
        grad.contiguous(),
        table.index,
        part,
        table.rows,
        inputs,
        outputs,
        ROWS=BLOCK,
        INPUTS=tall,
        OUTPUTS=wide,
        PRECISION=_precision(features),
        num_warps=4,  # pyright: ignore[reportCallIssue]
    )
    return part.sum(0)


@dataclass(frozen=True)
class _Tiles:
    """How one program of a convolution goes about it."""

    inputs: int
    outputs: int
    warps: int
    stages: int


def _tiles(inputs: int, outputs: int, features: Tensor) -> _Tiles:
    """The best of those tried on an H100, as far as the card's shared memory allows."""
    if features.dtype == torch.float32 or _shared_bytes(features.device) < 160 << 10:
        return _Tiles(_tile(inputs), _tile(outputs), warps=4, stages=2)
    deep = next((size for size in (128, 64) if inputs % size == 0), min(triton.next_power_of_2(inputs), 256))
    wide = 128 if 64 < outputs < 128 else _tile(outputs)
    return _Tiles(max(deep, 16), wide, warps=8 if deep >= 128 else 4, stages=3)


def _tile(channels: int) -> int:
    """Channels at once that fit every card."""
    return 64 if channels % 64 == 0 else 32 if channels > 16 else 16


def _precision(features: Tensor) -> str:
    """float32 on the tensor cores as three products of half its precision: as exact as without them."""
    return "tf32x3" if features.dtype == torch.float32 else "tf32"


@cache
def _shared_bytes(device: torch.device) -> int:
    """Shared memory that a program may have."""
    if device.type != "cuda":
        return 0
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin


def _stride(array: Tensor | None) -> int:
    return 0 if array is None else array.stride(0)


@triton.jit
@no_type_check
def _gather_matmul(
    x_ptr,
    x_stride,
    weight_ptr,
    order_ptr,
    index_ptr,
    index_stride,
    active_ptr,
    active_stride,
    count_ptr,
    residual_ptr,
    residual_stride,
    raw_ptr,
    raw_stride,
    norm_one_ptr,
    norm_one_stride,
    one_ptr,
    one_stride,
    norm_two_ptr,
    norm_two_stride,
    two_ptr,
    two_stride,
    inputs,
    outputs,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    block = tl.program_id(0)
    count = tl.load(count_ptr)
    if block * ROWS >= count:
        return
    place = block * ROWS + tl.arange(0, ROWS)
    inside = place < count
    o = tl.program_id(1) * OUTPUTS + tl.arange(0, OUTPUTS)
    active = active_ptr + block * active_stride
    chunks = tl.cdiv(inputs, INPUTS)
    total = tl.zeros((ROWS, OUTPUTS), dtype=tl.float32)
    for step in range(tl.load(active) * chunks):  # one loop, not two: loads of the next steps run ahead of the products
        k = tl.load(active + 1 + step // chunks)
        c = step % chunks * INPUTS + tl.arange(0, INPUTS)
        source = tl.load(index_ptr + k * index_stride + place, mask=inside, other=-1)
        x = tl.load(
            x_ptr + source.to(tl.int64)[:, None] * x_stride + c[None, :],
            mask=(source >= 0)[:, None] & (c < inputs)[None, :],
            other=0.0,
        )
        weight = tl.load(
            weight_ptr + (k * inputs + c[:, None]) * outputs + o[None, :],
            mask=(c < inputs)[:, None] & (o < outputs)[None, :],
            other=0.0,
        )
        total = tl.dot(x, weight, total, input_precision=PRECISION)
    row = tl.load(order_ptr + place, mask=inside, other=0).to(tl.int64)[:, None]
    fits = inside[:, None] & (o < outputs)[None, :]
    if residual_ptr is not None:
        residual = tl.load(residual_ptr + row * residual_stride + o[None, :], mask=fits, other=0.0)
        total += residual.to(tl.float32)
    if raw_ptr is not None:
        tl.store(raw_ptr + row * raw_stride + o[None, :], total.to(raw_ptr.dtype.element_ty), mask=fits)
    if one_ptr is not None:
        acted = _act(total, norm_one_ptr, norm_one_stride, o, outputs)
        tl.store(one_ptr + row * one_stride + o[None, :], acted.to(one_ptr.dtype.element_ty), mask=fits)
    if two_ptr is not None:
        acted = _act(total, norm_two_ptr, norm_two_stride, o, outputs)
        tl.store(two_ptr + row * two_stride + o[None, :], acted.to(two_ptr.dtype.element_ty), mask=fits)


@triton.jit
@no_type_check
def _act(total, norm_ptr, norm_stride, o, outputs):
    factor = tl.load(norm_ptr + o, mask=o < outputs, other=0.0)
    offset = tl.load(norm_ptr + norm_stride + o, mask=o < outputs, other=0.0)
    return tl.maximum(total * factor[None, :] + offset[None, :], 0.0)


@triton.jit
@no_type_check
def _weight_gradient(
    x_ptr,
    grad_ptr,
    index_ptr,
    part_ptr,
    rows,
    inputs,
    outputs,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    k, split, tile = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    splits = tl.num_programs(1)
    across = tl.cdiv(outputs, OUTPUTS)
    c = (tile // across) * INPUTS + tl.arange(0, INPUTS)
    o = (tile % across) * OUTPUTS + tl.arange(0, OUTPUTS)
    total = tl.zeros((INPUTS, OUTPUTS), dtype=tl.float32)
    for first in range(split * ROWS, rows, splits * ROWS):
        place = first + tl.arange(0, ROWS)
        source = tl.load(index_ptr + k.to(tl.int64) * rows + place, mask=place < rows, other=-1)
        there = source >= 0
        if tl.max(source, axis=0) >= 0:
            x = tl.load(
                x_ptr + source.to(tl.int64)[None, :] * inputs + c[:, None],
                mask=there[None, :] & (c < inputs)[:, None],
                other=0.0,
            )
            grad = tl.load(
                grad_ptr + place.to(tl.int64)[:, None] * outputs + o[None, :],
                mask=there[:, None] & (o < outputs)[None, :],
                other=0.0,
            )
            total = tl.dot(x, grad, total, input_precision=PRECISION)
    offsets = tl.num_programs(0)
    target = part_ptr + (split * offsets + k).to(tl.int64) * inputs * outputs
    fits = (c < inputs)[:, None] & (o < outputs)[None, :]
    tl.store(target + c[:, None] * outputs + o[None, :], total, mask=fits)
