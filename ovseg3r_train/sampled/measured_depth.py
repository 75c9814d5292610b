"""What a depth camera reads where the drawn views have exact depth: axial noise, and no reading at a grazing angle.

The noise is that of Nguyen, Izadi and Lovell ("Modeling Kinect sensor noise for improved 3D reconstruction and
tracking", 3DIMPVT 2012): it grows with the square of the distance, and steeply where the surface turns away.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float32
from torch import Tensor

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_train.sampled.zbuffer import DrawnViews


@dataclass(frozen=True, kw_only=True)
class MeasuredDepthConfig:
    """How far readings are from the truth."""

    floor_m: Annotated[float, Within(0.0, 0.1)] = 0.0012
    """Standard deviation at 0.4 m."""
    growth: Annotated[float, Within(0.0, 0.1)] = 0.0019
    """How it grows, metres a square metre beyond 0.4 m."""
    grazing_rad: Annotated[float, Within(0.0, 1.6)] = 1.5
    """Angle between the ray and the normal from which there is no reading; pi / 2 keeps all."""
    frames_a_view: Annotated[float, Within(1.0, 1000.0)] = 1.0
    """How many frames of a recording one view stands for when depth is fused: their noise averages out."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def measured_depth(views: DrawnViews, seed: int, config: MeasuredDepthConfig) -> Float32[Tensor, "views height width"]:
    """Noisy depth of drawn views, 0 for no reading; the same seed gives the same noise, on CPU and CUDA alike."""
    exact_m = views.depth_m
    # Drawn on the CPU whatever the device: generators of CUDA give other numbers.
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(exact_m.shape, generator=generator).to(exact_m.device)
    sigma_m = config.floor_m + config.growth * (exact_m - 0.4).clamp(min=0) ** 2
    noisy_m = exact_m + noise * sigma_m / config.frames_a_view**0.5
    readable = (exact_m > 0) & (_facing(views) >= torch.cos(torch.tensor(config.grazing_rad)).item())
    return torch.where(readable, noisy_m.clamp(min=1e-3), 0.0)


def _facing(views: DrawnViews) -> Float32[Tensor, "views height width"]:
    """Cosine of the angle between each pixel's ray and the normal of what it sees."""
    camera, device = views.camera, views.depth_m.device
    u = (torch.arange(camera.width, device=device) - camera.cx) / camera.fx
    v = (torch.arange(camera.height, device=device) - camera.cy) / camera.fy
    ray = torch.stack(
        [*torch.meshgrid(u, v, indexing="xy"), torch.ones(camera.height, camera.width, device=device)], -1
    )
    ray = ray / ray.norm(dim=-1, keepdim=True)
    R = torch.as_tensor(views.T_map_camera[:, :3, :3], dtype=torch.float32, device=device)
    normal = views.samples.normal[views.sample.clamp(min=0).long()]
    return (torch.einsum("vij,hwj->vhwi", R, ray) * normal).sum(dim=-1).abs()
