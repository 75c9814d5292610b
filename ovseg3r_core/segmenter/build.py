"""The sizes that a segmenter comes in: plain functions, so that a name leads to its numbers."""

from ovseg3r_core.segmenter.config import SegmenterConfig
from ovseg3r_core.segmenter.segmenter import Segmenter


def build_segmenter(config: SegmenterConfig) -> Segmenter:
    """A segmenter with random weights, in evaluation mode; `load_segmenter` gives trained ones."""
    return Segmenter(config).eval()


def base_config(**changes: int | float) -> SegmenterConfig:
    """The paper's sizes: U-Net of 32 to 160 channels, six layers of 256."""
    return SegmenterConfig(**changes)  # pyright: ignore[reportArgumentType]


def small_config(**changes: int | float) -> SegmenterConfig:
    """For two CPU cores: U-Net of 16 to 80 channels, three layers of 128."""
    sizes = {"width": 16, "channels": 128, "heads": 4, "layers": 3, "feedforward_channels": 512}
    return SegmenterConfig(**(sizes | changes))  # pyright: ignore[reportArgumentType]


def wide_config(**changes: int | float) -> SegmenterConfig:
    """Twice the paper's U-Net: 64 to 320 channels."""
    return SegmenterConfig(**({"width": 64} | changes))  # pyright: ignore[reportArgumentType]
