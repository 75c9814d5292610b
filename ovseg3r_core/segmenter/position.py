"""Positions as sines and cosines of each axis, which a query's box can sharpen (method 2.3).

Coordinates are scaled to 0..1 within the scene, times 2 pi, temperature 20; the channels are shared out among the axes.
"""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_TEMPERATURE = 20.0


@dataclass(frozen=True, eq=False)
class SceneBounds:
    """The box round the points of each scene, metres."""

    low: Float[Tensor, "scenes 3"]
    high: Float[Tensor, "scenes 3"]

    def normalise(self, xyz: Float[Tensor, "scenes items 3"]) -> Float[Tensor, "scenes items 3"]:
        """Coordinates from 0 to 1 within each scene; an axis without extent is 0."""
        extent = (self.high - self.low)[:, None]
        return (xyz - self.low[:, None]) / torch.where(extent > 0, extent, torch.ones_like(extent))


def sine_embedding(
    xyz: Float[Tensor, "scenes items 3"],
    bounds: SceneBounds,
    channels: int,
    sharpness: Float[Tensor, "scenes items 3"] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "scenes items channels"]:
    """The embedding of points of the scenes; `channels` is even.

    Args:
        sharpness: factors of the channels of each axis (box modulation).
        dtype: of what comes out.
    """
    period, axis = channel_table(channels, xyz.device)
    if xyz.is_cuda and not torch.is_grad_enabled():
        from ovseg3r_core.segmenter import decoder_gpu

        return decoder_gpu.sine(xyz, bounds.low, bounds.high, period, axis, sharpness, dtype)
    phase = bounds.normalise(xyz)[..., axis] * (2 * torch.pi) / period
    wave = torch.where(torch.arange(channels, device=xyz.device) % 2 == 0, phase.sin(), phase.cos())
    return (wave if sharpness is None else wave * sharpness[..., axis]).to(dtype)


@cache
def channel_table(channels: int, device: torch.device) -> tuple[Float[Tensor, " channels"], Int64[Tensor, " channels"]]:
    """The divisor of the angle and the axis of each channel; sines and cosines alternate."""
    with torch.inference_mode(False):  # made by an inference, it may serve a training
        widths = torch.tensor(axis_channels(channels), device=device)
        axis = torch.repeat_interleave(torch.arange(3, device=device), widths)
        place = torch.cat([torch.arange(width, device=device) for width in axis_channels(channels)])
        return _TEMPERATURE ** (2 * (place // 2) / widths[axis]), axis


def axis_channels(channels: int) -> tuple[int, int, int]:
    """Channels of x, y and z: even, and what is left over goes to the first axes."""
    each = channels // 3 // 2 * 2
    spare = (channels - 3 * each) // 2
    x, y, z = (each + 2 * (axis < spare) for axis in range(3))
    return x, y, z
