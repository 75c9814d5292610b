"""The sizes of a segmenter: what its weights fit, and nothing else."""

from dataclasses import dataclass
from typing import Annotated

from ovseg3r_core.config import Within, check_ranges

POINT_CHANNELS = 6
"""What every point brings: its colour, and its place about the middle of the scene."""


@dataclass(frozen=True, kw_only=True)
class SegmenterConfig:
    """The architecture; a checkpoint's card carries it."""

    voxel_size_m: Annotated[float, Within(0.001, 1.0)] = 0.02
    """Edge of a voxel of the finest level."""
    width: Annotated[int, Within(4, 256)] = 32
    """Channels of the finest level of the U-Net; each level has as many more than the one before."""
    levels: Annotated[int, Within(1, 7)] = 5
    """Levels of the U-Net."""
    blocks: Annotated[int, Within(1, 8)] = 2
    """Residual blocks of a level, on the way down and again on the way up."""
    image_channels: Annotated[int, Within(0, 4096)] = 0
    """Width of the 2D features of a point that are joined to its colour and place; 0 for none (early fusion)."""
    channels: Annotated[int, Within(16, 2048)] = 256
    """Width of the decoder."""
    heads: Annotated[int, Within(1, 64)] = 8
    """Attention heads."""
    layers: Annotated[int, Within(1, 24)] = 6
    """Decoder layers."""
    feedforward_channels: Annotated[int, Within(16, 8192)] = 1024
    """Width of the layer inside the feed-forward part."""
    object_channels: Annotated[int, Within(0, 4096)] = 0
    """Width of the features of 2D objects that queries attend to; 0 for none."""
    object_reach_m: Annotated[float, Within(0.0, 10.0)] = 0.2
    """A query attends to a 2D object that lies this near to a superpoint of its mask (sum over the three axes)."""
    text_channels: Annotated[int, Within(1, 4096)] = 384
    """Width of the text embeddings."""

    def __post_init__(self) -> None:
        """Check the ranges, and what must divide what."""
        check_ranges(self)
        if self.channels % (2 * self.heads):
            raise ValueError(f"channels is {self.channels}; it must be a multiple of twice the {self.heads} heads")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level of the U-Net: 32, 64, 96, 128, 160 by default."""
        return tuple(self.width * (level + 1) for level in range(self.levels))

    @property
    def input_channels(self) -> int:
        """Channels of a voxel at the entrance of the U-Net."""
        return POINT_CHANNELS + self.image_channels
