"""The 3D segmenter (method 1.1, step 3): a cloud and texts in, instances on superpoints out.

    points ─► voxels ─► sparse U-Net ─► points ─► superpoints ─► query decoder ─► masks, boxes, names
               ▲                                      ▲               ▲
        2D features of points                     superpoints    texts, 2D objects

It is SegDINO3D without its closed 2D features, which are optional inputs here, and with names by text similarity.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from ovseg3r_core.segmenter.backbone import SparseUNet
from ovseg3r_core.segmenter.config import SegmenterConfig
from ovseg3r_core.segmenter.decoder import QueryDecoder, Superpoints
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_core.segmenter.inputs import Batch
from ovseg3r_core.segmenter.pooling import mean_by
from ovseg3r_core.segmenter.voxels import VoxelPyramid, build_pyramid


class Segmenter(nn.Module):
    """The whole network; `build.py` makes the usual sizes."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = SparseUNet(config.input_channels, config.widths, config.blocks)
        self.decoder = QueryDecoder(config)

    def forward(
        self,
        batch: Batch,
        texts: Float[Tensor, "texts text_channels"],
        seeds: Int64[Tensor, "scenes queries"] | None = None,
        *,
        every_layer: bool = False,
        pyramid: VoxelPyramid | None = None,
    ) -> tuple[Prediction, ...]:
        """What every query says, after the last layer alone or after each (`QueryDecoder`).

        Args:
            texts: unit rows of the encoder that the model was trained with: the vocabulary of the moment.
            seeds: the superpoints that queries start from; all without it.
            pyramid: that of these points, where it is there already.
        """
        if pyramid is None:
            pyramid = self.pyramid(batch)
        voxels = mean_by(batch.features, pyramid.voxel_of_point, pyramid.voxels[0])
        voxels = self.backbone(voxels, pyramid)
        superpoints = pool(voxels[pyramid.voxel_of_point], batch)
        return self.decoder(superpoints, texts, seeds, batch.objects, every_layer=every_layer)

    def pyramid(self, batch: Batch) -> VoxelPyramid:
        """The index maps of a batch: they depend on the points alone."""
        config = self.config
        return build_pyramid(batch.xyz, batch.scene, voxel_size_m=config.voxel_size_m, levels=config.levels)


def pool(features: Float[Tensor, "points channels"], batch: Batch) -> Superpoints:
    """Features and places of superpoints: means over their points."""
    scenes, most = batch.scenes, batch.most_superpoints
    counts = torch.tensor(batch.superpoints, device=features.device)
    return Superpoints(
        features=mean_by(features, batch.superpoint, scenes * most).unflatten(0, (scenes, most)),
        centre=mean_by(batch.xyz, batch.superpoint, scenes * most).unflatten(0, (scenes, most)),
        real=torch.arange(most, device=features.device) < counts[:, None],
        bounds=batch.bounds,
    )
