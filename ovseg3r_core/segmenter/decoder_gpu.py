"""Two operations of the decoder that are dozens of small launches in plain torch, as one launch each; no gradients."""

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_ROWS = 8
_COLUMNS = 1024


def sine(
    xyz: Float[Tensor, "scenes items 3"],
    low: Float[Tensor, "scenes 3"],
    high: Float[Tensor, "scenes 3"],
    period: Float[Tensor, " channels"],
    axis: Int64[Tensor, " channels"],
    sharpness: Float[Tensor, "scenes items 3"] | None,
    dtype: torch.dtype,
) -> Float[Tensor, "scenes items channels"]:
    """`sine_embedding` of a table of channels: the divisor of the angle, the axis; odd channels are cosines."""
    scenes, items, _ = xyz.shape
    channels = len(period)
    out = torch.empty(scenes, items, channels, dtype=dtype, device=xyz.device)
    _sine[(triton.cdiv(items, _ROWS), scenes)](
        xyz.contiguous(),
        low.contiguous(),
        high.contiguous(),
        period,
        axis,
        None if sharpness is None else sharpness.contiguous(),
        out,
        items,
        channels,
        ROWS=_ROWS,
        CHANNELS=triton.next_power_of_2(channels),
    )
    return out


def attention_mask(
    mask_logits: Float[Tensor, "scenes queries superpoints"], real: Bool[Tensor, "scenes superpoints"]
) -> Bool[Tensor, "scenes queries superpoints"]:
    """As `heads.attention_mask`."""
    scenes, queries, superpoints = mask_logits.shape
    allowed = torch.empty(scenes, queries, superpoints, dtype=torch.bool, device=mask_logits.device)
    _attention_mask[(queries, scenes)](
        mask_logits.contiguous(), real.contiguous(), allowed, queries, superpoints, COLUMNS=_COLUMNS
    )
    return allowed


@triton.jit
@no_type_check
def _sine(
    xyz_ptr,
    low_ptr,
    high_ptr,
    period_ptr,
    axis_ptr,
    sharpness_ptr,
    out_ptr,
    items,
    channels,
    ROWS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    scene = tl.program_id(1)
    item = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.arange(0, CHANNELS)
    fits = (item < items)[:, None] & (c < channels)[None, :]
    axis = tl.load(axis_ptr + c, mask=c < channels, other=0)
    low = tl.load(low_ptr + scene * 3 + axis)[None, :]
    extent = tl.load(high_ptr + scene * 3 + axis)[None, :] - low
    row = (scene * items + item).to(tl.int64)[:, None]
    value = tl.load(xyz_ptr + row * 3 + axis[None, :], mask=fits, other=0.0)
    phase = (value - low) / tl.where(extent > 0, extent, 1.0) * 6.283185307179586
    phase = phase / tl.load(period_ptr + c, mask=c < channels, other=1.0)[None, :]
    wave = tl.where((c % 2 == 0)[None, :], tl.sin(phase), tl.cos(phase))
    if sharpness_ptr is not None:
        wave *= tl.load(sharpness_ptr + row * 3 + axis[None, :], mask=fits, other=0.0)
    tl.store(out_ptr + row * channels + c[None, :], wave.to(out_ptr.dtype.element_ty), mask=fits)


@triton.jit
@no_type_check
def _attention_mask(logits_ptr, real_ptr, allowed_ptr, queries, superpoints, COLUMNS: tl.constexpr):
    scene = tl.program_id(1)
    row = (scene * queries + tl.program_id(0)).to(tl.int64) * superpoints
    any_ = tl.zeros((COLUMNS,), dtype=tl.int32)
    for first in range(0, superpoints, COLUMNS):
        s = first + tl.arange(0, COLUMNS)
        logits = tl.load(logits_ptr + row + s, mask=s < superpoints, other=-1.0)
        real = tl.load(real_ptr + scene * superpoints + s, mask=s < superpoints, other=0) != 0
        any_ |= ((logits >= 0) & real).to(tl.int32)
    empty = tl.max(any_, axis=0) == 0
    for first in range(0, superpoints, COLUMNS):
        s = first + tl.arange(0, COLUMNS)
        logits = tl.load(logits_ptr + row + s, mask=s < superpoints, other=-1.0)
        real = tl.load(real_ptr + scene * superpoints + s, mask=s < superpoints, other=0) != 0
        tl.store(allowed_ptr + row + s, real & (empty | (logits >= 0)), mask=s < superpoints)
