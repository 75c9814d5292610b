"""Truncated signed distance fusion in torch, on CPU or CUDA: what `TsdfVolume` does, at the resolution of drawn views.

The rule is that of Open3D's integration, so that what it does to surfaces happens here too: noise averages out over the
views, edges are rounded, thin things melt, and what too few views see is missing. Two things make up for images with a
quarter of the columns. Between pixels of one surface depth is interpolated (inverse depth, which is linear on planes),
and beside a depth jump only as much of a pixel is left out as the full image would leave out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.reconstruction.surface import VoxelBlocks
from ovseg3r_core.types import Camera
from ovseg3r_train.sampled.zbuffer import camera_from_map, turned

SIDE = 4  # voxels along a block: smaller than Open3D's, as blocks follow the surface and most voxels are worth fusing
_ASIDE = 0.5  # blocks: those within this distance of a reading are taken as well
_WIDE = 2  # blocks along the wider ones that decide which frame is fused where: 16 cm, as Open3D's
_PAIRS_AT_ONCE = {"cpu": 4000, "cuda": 400_000}  # of block and view: they fit a cache; they take about 3 GB
_STEPS = 2**24  # distances are added up as integers: the sum is the same in whatever order a GPU takes them
_JUMP_A_PIXEL = 0.06  # neighbours of one surface differ by less, seen at 160 columns; a floor at 5 m has 0.03


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """How depth is fused; the values of `TsdfConfig`, where they have the same name, mean the same."""

    voxel_size_m: float = 0.02
    truncation_voxels: float = 4.0
    depth_min_m: float = 0.2
    depth_max_m: float = 5.0
    min_weight: float = 3.0
    min_weight_share: float = 0.05
    full_width_px: int = 640
    """Columns of the images that the drawn ones stand for."""
    edge_px: float = 1.0
    """What is left out beside a depth jump, in pixels of the full image."""
    frames_a_view: float = 1.0
    """How many frames each view stands for."""


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Depth images to fuse."""

    exact_m: Float32[Tensor, "views height width"]
    """Without noise: what depth is interpolated from."""
    measured_m: Float32[Tensor, "views height width"]
    """0 for no reading."""
    camera: Camera
    T_map_camera: Float64[ndarray, "views 4 4"]
    """As the reconstruction believes it."""


def fuse(readings: Readings, config: FusionConfig) -> VoxelBlocks:
    """The distance field of some views, for `ovseg3r_core.reconstruction.surface.extract_cloud`; its colour is 0.

    Raises:
        ValueError: there is no reading within range.
    """
    if not usable(readings, config).any():
        raise ValueError(
            f"no reading from {config.depth_min_m} to {config.depth_max_m} m in {len(readings.exact_m)} views"
        )
    touched = _touch(readings, config)
    block, (view, which) = touched.block, touched.by_view.nonzero().unbind(1)
    total = torch.zeros((len(block), SIDE**3), dtype=torch.int64, device=block.device)
    count = torch.zeros((len(block), SIDE**3), dtype=torch.int32, device=block.device)
    at_once = _PAIRS_AT_ONCE[block.device.type]
    for some in (slice(first, first + at_once) for first in range(0, len(view), at_once)):
        distance, known = _distances(block[which[some]], view[some], readings, config)
        total.index_add_(0, which[some], torch.where(known, distance * _STEPS, 0.0).long())
        count.index_add_(0, which[some], known.int())
    shape = (len(block), SIDE, SIDE, SIDE)
    frames = config.frames_a_view * len(readings.exact_m)
    return VoxelBlocks(
        place=block.cpu().numpy().astype(np.int32),
        distance=(total / (count.clamp(min=1) * _STEPS)).view(shape).cpu().numpy(),
        weight=(count * config.frames_a_view).view(shape).cpu().numpy(),
        color=np.zeros((*shape, 3), dtype=np.float32),
        voxel_m=config.voxel_size_m,
        min_weight=min(config.min_weight, config.min_weight_share * frames),
    )


def usable(readings: Readings, config: FusionConfig) -> Bool[Tensor, "views height width"]:
    """The readings within range."""
    return (readings.measured_m >= config.depth_min_m) & (readings.measured_m <= config.depth_max_m)


@dataclass(frozen=True, kw_only=True)
class _Touched:
    """Where there is something to fuse."""

    block: Int64[Tensor, "blocks 3"]
    """(x, y, z), in blocks, of every block that any view reaches."""
    by_view: Bool[Tensor, "views blocks"]
    """Whether a view measures a surface in or near a block: only then it is fused into it, as Open3D has it."""


def _touch(readings: Readings, config: FusionConfig) -> _Touched:
    """The blocks that rays pass within a truncation of what they meet."""
    view, row, column = usable(readings, config).nonzero().unbind(1)
    camera, z, edge_m = readings.camera, readings.exact_m[view, row, column], SIDE * config.voxel_size_m
    reach_m = config.truncation_voxels * config.voxel_size_m
    T = torch.as_tensor(readings.T_map_camera, dtype=torch.float32, device=z.device)
    ray = torch.stack([(column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy, torch.ones_like(z)], dim=1)
    ray = torch.stack(turned(T[view, :3, :3], ray[:, None]), dim=-1)[:, 0] / edge_m
    cell = ray * z[:, None] + T[view, :3, 3] / edge_m
    slack = int(np.ceil(2 * reach_m / edge_m)) + 1  # rays are up to twice as long as depth is
    low = (cell.min(dim=0).values.floor().long() - slack) // _WIDE * _WIDE
    shape = (cell.max(dim=0).values.floor().long() + slack - low) // _WIDE + 1
    touched = torch.zeros(tuple((shape * _WIDE).tolist()), dtype=torch.bool, device=z.device)
    wide = torch.zeros((len(readings.exact_m), *shape.tolist()), dtype=torch.bool, device=z.device)
    for ahead_m in np.linspace(-reach_m, reach_m, round(4 * reach_m / edge_m) + 1):
        along = cell + ray * float(ahead_m)
        wide[(view, *((along.floor().long() - low) // _WIDE).unbind(1))] = True
        for corner in np.ndindex(2, 2, 2):
            aside = (torch.tensor(corner, device=z.device) * 2 - 1) * _ASIDE
            touched[tuple(((along + aside).floor().long() - low).unbind(1))] = True
    block = touched.nonzero()
    return _Touched(block=block + low, by_view=wide[(slice(None), *(block // _WIDE).unbind(1))])


def _distances(
    block: Int64[Tensor, "some 3"], view: Int64[Tensor, " some"], readings: Readings, config: FusionConfig
) -> tuple[Float32[Tensor, "some voxels"], Bool[Tensor, "some voxels"]]:
    """Truncated distance, in truncations, of the voxels of a block from the surface that a view measures."""
    camera, reach_m = readings.camera, config.truncation_voxels * config.voxel_size_m
    R, t = camera_from_map(readings.T_map_camera, block.device)
    z_, y_, x_ = torch.meshgrid(*[torch.arange(SIDE, device=block.device)] * 3, indexing="ij")
    steps = torch.stack([x_, y_, z_], dim=-1).reshape(-1, 3) * config.voxel_size_m
    corner = torch.stack(turned(R[view], block[:, None] * (SIDE * config.voxel_size_m)), dim=-1)[:, 0] + t[view]
    x, y, z = (corner[:, i, None] + along[view] for i, along in enumerate(turned(R, steps[None])))
    u, v = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
    inside = (z > 0) & (u > -0.5) & (u < camera.width - 0.5) & (v > -0.5) & (v < camera.height - 0.5)
    at = inside.nonzero(as_tuple=True)
    depth_m = _read(view[at[0]], u[at], v[at], readings, config)
    ahead_m = depth_m - z[at]
    near = (depth_m > 0) & (ahead_m >= -reach_m)
    distance, known = torch.zeros_like(z), torch.zeros_like(inside)
    distance[at] = (ahead_m / reach_m).clamp(max=1.0)
    known[at] = near
    return distance, known


def _read(
    view: Int64[Tensor, " voxels"],
    u: Float32[Tensor, " voxels"],
    v: Float32[Tensor, " voxels"],
    readings: Readings,
    config: FusionConfig,
) -> Float32[Tensor, " voxels"]:
    """The depth measured at places between pixels, 0 for none."""
    height, width = readings.exact_m.shape[1:]
    column, row = u.round().long().clamp(0, width - 1), v.round().long().clamp(0, height - 1)
    off_u, off_v = u - column, v - row
    beside = (column + torch.where(off_u < 0, -1, 1)).clamp(0, width - 1)
    below = (row + torch.where(off_v < 0, -1, 1)).clamp(0, height - 1)
    first = view * (height * width)
    exact, measured = readings.exact_m.view(-1), readings.measured_m.view(-1)
    here, across, along, both = (1 / exact[first + r * width + c] for r in (row, below) for c in (column, beside))
    off_u, off_v = off_u.abs(), off_v.abs()
    lowest = torch.minimum(torch.minimum(here, across), torch.minimum(along, both))
    highest = torch.maximum(torch.maximum(here, across), torch.maximum(along, both))
    smooth = highest - lowest <= _limit(readings) * lowest
    top, bottom = here + off_u * (across - here), along + off_u * (both - along)
    inverse = torch.where(smooth, top + off_v * (bottom - top), here)
    at = first + row * width + column
    reading = measured[at]
    cut = 0.5 - config.edge_px * width / config.full_width_px
    jump_u = (across - here).abs() > _limit(readings) * torch.minimum(across, here)
    jump_v = (along - here).abs() > _limit(readings) * torch.minimum(along, here)
    lost = (jump_u & (off_u > cut)) | (jump_v & (off_v > cut))
    in_range = (reading >= config.depth_min_m) & (reading <= config.depth_max_m) & ~lost
    return torch.where(in_range, 1 / inverse + (reading - exact[at]), 0.0)


def _limit(readings: Readings) -> float:
    """Share by which neighbours of one surface may differ: it grows with the size of the pixels."""
    return _JUMP_A_PIXEL * 160 / readings.camera.width
