"""Depth of one image from others whose places are known: a plane sweep with semi-global matching.

Every depth that the scene may have is tried: the other images are seen through a plane at that depth, and where the
plane is right they look like this one (Collins 1996; normalised correlation in small windows). Of the other images the
two that fit best count, as in the rest something may stand in the way (Kang et al. 2001). Depths of neighbouring pixels
are chosen together, along scanlines (Hirschmueller 2008). The same code runs on a CPU and on a GPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import grid_sample, pad

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import invert
from ovseg3r_core.types import Camera

_CHUNK = 4  # planes that are warped at once
_AHEAD = 1e-3  # of the other image: what lies behind it is not in it
_FLAT = 1e-4  # variance of grey, 0 to 1, below which a window has nothing to correlate


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """How finely depth is searched, and how much neighbouring pixels weigh."""

    planes: Annotated[int, Within(8, 512)] = 64
    """Depths that are tried, evenly in inverse depth."""
    window_px: Annotated[int, Within(3, 31)] = 7
    """Side of the windows that are correlated."""
    small_step: Annotated[float, Within(0.0, 10.0)] = 0.06
    """Cost of a step of one plane between neighbouring pixels."""
    jump: Annotated[float, Within(0.0, 10.0)] = 1.0
    """Cost of any larger step, where the image is smooth; less across an edge of it."""
    edge_grey: Annotated[float, Within(0.001, 1.0)] = 0.04
    """Step of grey, 0 to 1, across which a jump costs a third."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class PosedImage:
    """A grey image, 0 to 1, and where it was taken."""

    grey: Float32[ndarray, "height width"]
    camera: Camera
    T_map_camera: Float64[ndarray, "4 4"]


def sweep(
    image: PosedImage,
    others: Sequence[PosedImage],
    near_m: float,
    far_m: float,
    config: SweepConfig | None = None,
    device: str = "cpu",
) -> Float32[ndarray, "height width"]:
    """Depth of every pixel, in the unit of the poses; 0 where no plane between `near_m` and `far_m` stands out."""
    config = config or SweepConfig()
    inverse = torch.linspace(1 / far_m, 1 / near_m, config.planes, device=device)
    grey = torch.from_numpy(image.grey).to(device)
    cost = _cost(grey, image, others, inverse, config, device)
    summed = _along_scanlines(cost, grey, config)
    return _depth_of(summed, inverse).cpu().numpy()


def _cost(
    grey: Float[Tensor, "height width"],
    image: PosedImage,
    others: Sequence[PosedImage],
    inverse: Float[Tensor, " planes"],
    config: SweepConfig,
    device: str,
) -> Float[Tensor, "height width planes"]:
    """How little the others look like the image through each plane, 0 to 1: the mean of the two that do best."""
    volume = grey.new_empty((*grey.shape, len(inverse)))
    places = [_places(image, other, device) for other in others]
    sources = [torch.from_numpy(other.grey).to(device) for other in others]
    for first in range(0, len(inverse), _CHUNK):
        planes = inverse[first : first + _CHUNK]
        best = grey.new_ones((len(planes), *grey.shape))
        second = best if len(others) > 1 else None
        for source, place in zip(sources, places, strict=True):
            cost = _unlike(grey, *_through(source, place, planes), config.window_px)
            if second is not None:
                second = torch.minimum(second, torch.maximum(best, cost))
            best = torch.minimum(best, cost)
        kept = best if second is None else (best + second) / 2
        volume[:, :, first : first + _CHUNK] = kept.permute(1, 2, 0)
    return volume


def _places(
    image: PosedImage, other: PosedImage, device: str
) -> tuple[Float[Tensor, "3 height width"], Float[Tensor, "3"]]:
    """Where each pixel's ray ends in the other image, infinitely far out, and what a unit of inverse depth adds."""
    T_other_image = invert(other.T_map_camera) @ image.T_map_camera
    height, width = image.grey.shape
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    rays = np.stack([(u - image.camera.cx) / image.camera.fx, (v - image.camera.cy) / image.camera.fy, np.ones_like(u)])
    rows, columns = other.grey.shape
    K = np.diag([2 / (columns - 1), 2 / (rows - 1), 1.0]) @ other.camera.K
    K[:2, 2] -= 1  # grid_sample counts pixels from -1 to 1
    far = np.einsum("ij,jhw->ihw", K @ T_other_image[:3, :3], rays).astype(np.float32)
    return torch.from_numpy(far).to(device), torch.from_numpy((K @ T_other_image[:3, 3]).astype(np.float32)).to(device)


def _through(
    source: Float[Tensor, "rows columns"],
    place: tuple[Float[Tensor, "3 height width"], Float[Tensor, "3"]],
    inverse: Float[Tensor, " planes"],
) -> tuple[Float[Tensor, "planes height width"], Bool[Tensor, "planes height width"]]:
    """The other image as it is seen through planes that face the first, and how far it reaches."""
    far, per_inverse = place
    x, y, z = (start + step * inverse[:, None, None] for start, step in zip(far, per_inverse, strict=True))
    ahead = z > _AHEAD
    z.clamp_(min=_AHEAD)
    x, y = x.div_(z), y.div_(z)
    reached = ahead & (x.abs() <= 1) & (y.abs() <= 1)
    images = source.expand(len(inverse), 1, *source.shape)
    seen = grid_sample(images, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=True)
    return seen[:, 0], reached


def _unlike(
    grey: Float[Tensor, "height width"],
    seen: Float[Tensor, "planes height width"],
    reached: Bool[Tensor, "planes height width"],
    window_px: int,
) -> Float[Tensor, "planes height width"]:
    """One minus the correlation of both in a window round each pixel, halved; a half where it cannot be told."""
    mean_a, mean_b = _mean(grey[None], window_px), _mean(seen, window_px)
    var_a = _mean((grey * grey)[None], window_px) - mean_a**2
    var_b = _mean(seen * seen, window_px) - mean_b**2
    both = _mean(seen * grey, window_px) - mean_a * mean_b
    correlation = both / ((var_a.clamp(min=0) + _FLAT) * (var_b.clamp(min=0) + _FLAT)).sqrt_()
    return torch.where(reached, (1 - correlation.clamp_(-1, 1)) / 2, 0.5)


def _mean(images: Float[Tensor, "planes height width"], window_px: int) -> Float[Tensor, "planes height width"]:
    """Of the window round each pixel, by running sums; at the rim the image is repeated."""
    half = window_px // 2
    sums = pad(images[:, None], (half + 1, half, half + 1, half), mode="replicate")[:, 0].cumsum(dim=2)
    sums = (sums[:, :, window_px:] - sums[:, :, :-window_px]).cumsum(dim=1)
    return (sums[:, window_px:] - sums[:, :-window_px]).div_(window_px**2)


def _along_scanlines(
    cost: Float[Tensor, "height width planes"], grey: Float[Tensor, "height width"], config: SweepConfig
) -> Float[Tensor, "height width planes"]:
    """The cost with that of the best ways to each pixel from its eight neighbours added."""
    summed = torch.zeros_like(cost)
    for axis in (0, 1):
        lines, image, total = (it.transpose(0, 1) if axis else it for it in (cost, grey, summed))
        lines = lines.contiguous()
        aside = (0,) if axis else (-1, 0, 1)  # the diagonals go along with the columns
        for backwards in (False, True):
            order = range(len(lines) - 1, -1, -1) if backwards else range(len(lines))
            _walk(lines, image, aside, order, config, total)
    return summed


def _walk(
    lines: Float[Tensor, "lines pixels planes"],
    grey: Float[Tensor, "lines pixels"],
    aside: tuple[int, ...],
    order: range,
    config: SweepConfig,
    total: Float[Tensor, "lines pixels planes"],
) -> None:
    """Add to `total` the cost of the best ways along the lines, each so many pixels aside with every line."""
    ways, before = None, 0
    for i in order:
        if ways is None:
            ways = lines[i].repeat(len(aside), 1, 1)
        else:
            ways -= ways.amin(dim=2, keepdim=True)
            jumps = torch.stack([(grey[i] - _moved(grey[before], by)).abs() for by in aside])
            jumps = config.jump * torch.exp(-jumps / config.edge_grey) + config.small_step
            ways = torch.stack([_moved(way, by) for way, by in zip(ways, aside, strict=True)])
            stay = torch.minimum(ways, jumps[:, :, None])
            stay[:, :, 1:] = torch.minimum(stay[:, :, 1:], ways[:, :, :-1] + config.small_step)
            stay[:, :, :-1] = torch.minimum(stay[:, :, :-1], ways[:, :, 1:] + config.small_step)
            ways = stay.add_(lines[i])
        total[i] += ways.sum(dim=0)
        before = i


def _moved(pixels: Float[Tensor, "pixels ..."], by: int) -> Float[Tensor, "pixels ..."]:
    """Each pixel as its neighbour so far aside; at the rim the last one is repeated."""
    if by > 0:
        return torch.cat([pixels[:1].expand(by, *pixels.shape[1:]), pixels[:-by]])
    return torch.cat([pixels[-by:], pixels[-1:].expand(-by, *pixels.shape[1:])]) if by else pixels


def _depth_of(
    summed: Float[Tensor, "height width planes"], inverse: Float[Tensor, " planes"]
) -> Float[Tensor, "height width"]:
    """Depth of the cheapest plane, refined by a parabola; 0 at either end of the search."""
    last = len(inverse) - 1
    best = summed.argmin(dim=2)
    inside = (best > 0) & (best < last)
    at = best.clamp(1, last - 1)[..., None]
    low, mid, high = (summed.gather(2, at + off)[..., 0] for off in (-1, 0, 1))
    bend = (low - 2 * mid + high).clamp(min=1e-9)
    part = ((low - high) / (2 * bend)).clamp(-0.5, 0.5)
    step = inverse[1] - inverse[0]
    depth = 1 / (inverse[best] + torch.where(inside, part, 0.0) * step)
    return torch.where(inside, depth, 0.0).float()
