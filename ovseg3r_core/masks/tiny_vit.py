"""The image encoder of MobileSAM: TinyViT-5M at 1024 pixels with SAM's neck (arXiv 2306.14289, 2207.10666).

The blocks are `timm`'s. What MobileSAM changes is written here: the last stage keeps stride 16, and the
neck maps to the 256 channels that SAM's mask decoder attends to. Batch norms are folded into their
convolutions, as the exported weights have them.
"""

from typing import cast

from jaxtyping import Float
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import Attention, ConvNorm, PatchMerging, TinyVit
from torch import Tensor, nn


class TinyVitEncoder(nn.Module):
    """TinyViT as SAM's image encoder: normalised images to an embedding at stride 16."""

    img_size = 1024

    def __init__(self) -> None:
        super().__init__()
        trunk = TinyVit(
            num_classes=0,
            embed_dims=(64, 128, 160, 320),
            depths=(2, 2, 6, 2),
            num_heads=(2, 4, 5, 10),
            window_sizes=(7, 7, 14, 7),
            drop_path_rate=0.0,
        )
        self.patch_embed, self.stages = trunk.patch_embed, trunk.stages
        merging = cast(PatchMerging, trunk.stages[3].downsample)
        merging.conv2.conv.stride = (1, 1)
        _fold_batch_norms(self)
        for module in self.modules():
            if isinstance(module, Attention):
                module.fused_attn = False  # with a bias the fused kernel falls back to a path that is 30 % slower
        self.neck = nn.Sequential(
            nn.Conv2d(320, 256, kernel_size=1, bias=False),
            LayerNorm2d(256),
            nn.Conv2d(256, 256, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(256),
        )

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 256 rows columns"]:
        """The embedding of normalised images whose sides are multiples of 16: no part of it knows where it lies."""
        return self.neck(self.stages(self.patch_embed(image)))


def _fold_batch_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, ConvNorm):
            setattr(module, name, child.fuse())
        else:
            _fold_batch_norms(child)
