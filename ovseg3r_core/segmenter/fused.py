"""The sparse U-Net as few launches: what `SparseUNet` computes in evaluation mode, for inference on a GPU.

A batch norm is a factor and an offset a channel. With the ReLU behind it, it is applied where its input is written, by
the convolution before: each convolution writes what those that read it need, and is one launch. What the way up is
joined to is written beside it in the first place.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovseg3r_core.segmenter.backbone import NormConvolution, ResidualBlock, SparseUNet, UNetLevel
from ovseg3r_core.segmenter.sparse.gpu import Acted, gather_matmul
from ovseg3r_core.segmenter.sparse.schedule import Schedule
from ovseg3r_core.segmenter.voxels_gpu import PaddedPyramid

Norm = Float[Tensor, "2 channels"]


class FusedUNet:
    """A frozen copy of a U-Net's weights, computing in one type."""

    def __init__(self, net: SparseUNet, dtype: torch.dtype) -> None:
        self._stem = net.stem.weight.detach().to(dtype).contiguous()
        self._levels = _FusedLevel(net.levels, dtype)
        self._norm, self._dtype = fold(net.norm), dtype

    def __call__(
        self, features: Float[Tensor, "voxels inputs"], pyramid: PaddedPyramid
    ) -> Float[Tensor, "voxels channels"]:
        """One row for each voxel there is room for; rows beyond the count mean nothing."""
        x = features.new_empty(len(features), self._stem.shape[2], dtype=self._dtype)
        acted = torch.empty_like(x)
        gather_matmul(
            features.to(self._dtype),
            self._stem,
            pyramid.neighbours[0],
            raw=x,
            acted=[Acted(self._levels.first_norm, acted)],
        )
        return self._levels(x, acted, pyramid, 0, self._norm)


class _FusedLevel:
    """One level, and through `deeper` all those below it."""

    def __init__(self, level: UNetLevel, dtype: torch.dtype) -> None:
        self._blocks = _fused(level.blocks, dtype)
        self._deeper = None if level.deeper is None else _FusedLevel(level.deeper, dtype)
        if level.deeper is not None:
            self._down, self._up = _FusedConvolution(level.down, dtype), _FusedConvolution(level.up, dtype)
            self._tail = _fused(level.tail, dtype)

    @property
    def first_norm(self) -> Norm:
        """What its input is to be acted on with."""
        return self._blocks[0].norm

    def __call__(
        self, x: Tensor, acted: Tensor, pyramid: PaddedPyramid, level: int, norm: Norm
    ) -> Float[Tensor, "voxels channels"]:
        """The features of this level, acted on with a norm.

        Args:
            x: what comes in, and what `first_norm` makes of it.
        """
        around = pyramid.neighbours[level]
        if self._deeper is None:
            return _run(self._blocks, x, acted, around, norm)
        rows, width = x.shape
        joined, joined_acted = x.new_empty(rows, 2 * width), x.new_empty(rows, 2 * width)
        tail_norm, going_down = self._tail[0].norm, torch.empty_like(x)
        *inner, last = self._blocks
        for block, after in zip(inner, self._blocks[1:], strict=True):
            x, acted = block.raw_and_acted(x, acted, around, after.norm)
        left = [Acted(self._down.norm, going_down), Acted(tail_norm[:, :width], joined_acted[:, :width])]
        last(x, acted, around, raw=joined[:, :width], to=left)

        below = x.new_empty(pyramid.room[level + 1], self._down.outputs)
        below_acted = torch.empty_like(below)
        self._down(going_down, pyramid.down[level], raw=below, to=[Acted(self._deeper.first_norm, below_acted)])
        coming_up = self._deeper(below, below_acted, pyramid, level + 1, self._up.norm)
        right = [Acted(tail_norm[:, width:], joined_acted[:, width:])]
        self._up(coming_up, pyramid.up[level], raw=joined[:, width:], to=right)
        return _run(self._tail, joined, joined_acted, around, norm)


class _FusedConvolution:
    """A convolution and the norm of what it reads, which someone else applies."""

    def __init__(self, unit: NormConvolution, dtype: torch.dtype) -> None:
        self.norm = fold(unit.norm)
        self._weight = unit.convolution.weight.detach().to(dtype).contiguous()
        self.outputs = self._weight.shape[2]

    def __call__(
        self,
        acted: Tensor,
        schedule: Schedule,
        *,
        raw: Tensor | None = None,
        residual: Tensor | None = None,
        to: list[Acted],
    ) -> None:
        gather_matmul(acted, self._weight, schedule, raw=raw, residual=residual, acted=to)


class _FusedBlock:
    """Two convolutions and the input added."""

    def __init__(self, block: ResidualBlock, dtype: torch.dtype) -> None:
        self._first, self._second = _FusedConvolution(block.first, dtype), _FusedConvolution(block.second, dtype)
        self.norm, self.outputs = self._first.norm, self._second.outputs
        self._shortcut = (
            block.shortcut.weight.detach().to(dtype).T.contiguous() if isinstance(block.shortcut, nn.Linear) else None
        )

    def __call__(
        self, x: Tensor, acted: Tensor, around: Schedule, *, raw: Tensor | None = None, to: list[Acted]
    ) -> None:
        """Writes its output to `raw`, and acted on to the places in `to`."""
        middle = x.new_empty(len(x), self._first.outputs)
        self._first(acted, around, to=[Acted(self._second.norm, middle)])
        self._second(middle, around, raw=raw, residual=x if self._shortcut is None else x @ self._shortcut, to=to)

    def raw_and_acted(self, x: Tensor, acted: Tensor, around: Schedule, norm: Norm) -> tuple[Tensor, Tensor]:
        """Its output, and what a norm makes of it."""
        raw, after = x.new_empty(len(x), self.outputs), x.new_empty(len(x), self.outputs)
        self(x, acted, around, raw=raw, to=[Acted(norm, after)])
        return raw, after


def _fused(blocks: nn.ModuleList, dtype: torch.dtype) -> list[_FusedBlock]:
    return [_FusedBlock(block, dtype) for block in blocks if isinstance(block, ResidualBlock)]


def _run(blocks: list[_FusedBlock], x: Tensor, acted: Tensor, around: Schedule, norm: Norm) -> Tensor:
    """Blocks one after the other; of the last one's output only what a norm makes of it is written."""
    for block, after in pairwise(blocks):
        x, acted = block.raw_and_acted(x, acted, around, after.norm)
    out = x.new_empty(len(x), blocks[-1].outputs)
    blocks[-1](x, acted, around, to=[Acted(norm, out)])
    return out


def fold(norm: nn.BatchNorm1d) -> Norm:
    """A batch norm in evaluation mode as a factor and an offset of each channel."""
    assert norm.running_var is not None and norm.running_mean is not None
    factor = norm.weight.detach().float() / (norm.running_var.float() + norm.eps).sqrt()
    return torch.stack([factor, norm.bias.detach().float() - norm.running_mean.float() * factor]).contiguous()
