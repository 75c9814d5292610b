"""The sparse U-Net of SegDINO3D, OneFormer3D and SPFormer (method 2.2, 2.6), over the voxels of a pyramid.

Residual blocks with normalisation first. Five levels of 32, 64, 96, 128 and 160 channels, two blocks on each on the way
down and two on the way up, joined to what the way down left there.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from ovseg3r_core.segmenter.sparse.convolve import convolve
from ovseg3r_core.segmenter.sparse.table import GatherTable
from ovseg3r_core.segmenter.voxels import CHILDREN, VoxelPyramid

_NEIGHBOURS = 27


class SparseUNet(nn.Module):
    """Voxel features in, voxel features of the first level's width out."""

    def __init__(self, inputs: int, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.stem = SparseConvolution(inputs, channels[0], _NEIGHBOURS)
        self.levels = UNetLevel(channels, blocks)
        self.norm = _norm(channels[0])

    def forward(
        self, features: Float[Tensor, "voxels inputs"], pyramid: VoxelPyramid
    ) -> Float[Tensor, "voxels channels"]:
        """One feature row for each voxel of the finest level."""
        x = self.stem(features, pyramid.neighbours[0])
        return relu(self.norm(self.levels(x, pyramid, 0)))


class UNetLevel(nn.Module):
    """One level, and through `deeper` all those below it; the last one has nothing below."""

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        width, *below = channels
        self.blocks = nn.ModuleList(ResidualBlock(width, width) for _ in range(blocks))
        self.deeper = UNetLevel(below, blocks) if below else None
        if below:
            self.down = NormConvolution(width, below[0], CHILDREN)
            self.up = NormConvolution(below[0], width, CHILDREN)
            self.tail = nn.ModuleList(ResidualBlock(width if i else 2 * width, width) for i in range(blocks))

    def forward(
        self, x: Float[Tensor, "voxels channels"], pyramid: VoxelPyramid, level: int
    ) -> Float[Tensor, "voxels channels"]:
        """The features of the voxels of this level."""
        neighbours = pyramid.neighbours[level]
        for block in self.blocks:
            x = block(x, neighbours)
        if self.deeper is None:
            return x
        below = self.deeper(self.down(x, pyramid.down[level]), pyramid, level + 1)
        x = torch.cat([x, self.up(below, pyramid.up[level])], dim=1)
        for block in self.tail:
            x = block(x, neighbours)
        return x


class ResidualBlock(nn.Module):
    """Two convolutions, and the input added; it goes through a matrix where the widths differ."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = NormConvolution(inputs, outputs, _NEIGHBOURS)
        self.second = NormConvolution(outputs, outputs, _NEIGHBOURS)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Linear(inputs, outputs, bias=False)

    def forward(self, x: Float[Tensor, "voxels inputs"], neighbours: GatherTable) -> Float[Tensor, "voxels outputs"]:
        """The features of the same voxels."""
        return self.second(self.first(x, neighbours), neighbours) + self.shortcut(x)


class NormConvolution(nn.Module):
    """Batch norm, ReLU, sparse convolution: the unit that the U-Net is made of."""

    def __init__(self, inputs: int, outputs: int, offsets: int) -> None:
        super().__init__()
        self.norm = _norm(inputs)
        self.convolution = SparseConvolution(inputs, outputs, offsets)

    def forward(self, x: Float[Tensor, "sources inputs"], table: GatherTable) -> Float[Tensor, "rows outputs"]:
        """One row for each row of the table."""
        return self.convolution(relu(self.norm(x)), table)


class SparseConvolution(nn.Module):
    """The weights of one sparse convolution, without bias: `weight[k]` is applied at the k-th offset."""

    def __init__(self, inputs: int, outputs: int, offsets: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(offsets, inputs, outputs))
        bound = (1 / (offsets * inputs)) ** 0.5  # torch's own for convolutions: uniform, by fan-in
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Float[Tensor, "sources inputs"], table: GatherTable) -> Float[Tensor, "rows outputs"]:
        """One row for each row of the table."""
        return convolve(x, self.weight, table)


def _norm(channels: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(channels, eps=1e-4, momentum=0.1)
    norm.num_batches_tracked = None  # nothing reads it, and to count costs a GPU an operation a layer and step
    return norm
