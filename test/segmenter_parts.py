"""Small clouds, batches and networks for the tests of the segmenter."""

import numpy as np
import torch
from torch import Tensor, nn

from ovseg3r_core.segmenter.build import build_segmenter
from ovseg3r_core.segmenter.config import SegmenterConfig
from ovseg3r_core.segmenter.inputs import SceneInput, scene_input
from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_core.segmenter.voxels import VoxelPyramid, build_pyramid
from ovseg3r_core.types import SceneCloud

TINY = SegmenterConfig(
    width=16, levels=3, blocks=1, channels=32, heads=2, layers=2, feedforward_channels=32, text_channels=12
)


def surface(points: int = 300, seed: int = 0, extent_m: tuple[float, float, float] = (0.5, 0.4, 0.1)) -> SceneCloud:
    """Points near a plane, several to some voxels."""
    rng = np.random.default_rng(seed)
    xyz = (rng.random((points, 3)) * extent_m - 0.1).astype(np.float32)
    return SceneCloud(xyz=xyz, color=rng.integers(0, 256, (points, 3)).astype(np.uint8), normal=np.zeros_like(xyz))


def tiles(cloud: SceneCloud, edge_m: float = 0.1) -> np.ndarray:
    """A superpoint for each tile of the ground."""
    tile = np.floor(cloud.xyz[:, :2] / edge_m).astype(np.int64) @ np.array([1000, 1])
    return np.unique(tile, return_inverse=True)[1]


def a_scene(points: int = 300, seed: int = 0, **features: np.ndarray) -> SceneInput:
    cloud = surface(points, seed)
    return scene_input(cloud, tiles(cloud), **features)


def a_pyramid(points: int = 300, levels: int = 3) -> VoxelPyramid:
    xyz = torch.from_numpy(surface(points).xyz)
    return build_pyramid(xyz, torch.zeros(points, dtype=torch.int64), voxel_size_m=0.02, levels=levels)


def a_segmenter(config: SegmenterConfig = TINY, seed: int = 0) -> Segmenter:
    """Random weights, and statistics in the batch norms that are not the trivial ones."""
    torch.manual_seed(seed)
    segmenter = build_segmenter(config)
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm1d) and module.running_mean is not None and module.running_var is not None:
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0, 0.2)
    return segmenter


def some_texts(count: int, channels: int = TINY.text_channels, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return nn.functional.normalize(torch.randn(count, channels, generator=generator), dim=1)
