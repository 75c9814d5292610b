"""What a query says: its mask, its name by similarity with texts, and its semantics (method 2.3, 6.6)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_core.segmenter.layers import mlp

_START_SCALE = 1 / 0.07  # CLIP's
_LARGEST_SCALE = 100.0  # CLIP's: a larger one makes training unstable


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What all queries say after one layer of the decoder; scenes are padded to the same numbers."""

    mask_logits: Float[Tensor, "scenes queries superpoints"]
    """Of the probability that a superpoint belongs to what the query stands for."""
    name_logits: Float[Tensor, "scenes queries texts_and_none"]
    """Softmax over them is the probability of each text; the last one says that there is no such object."""
    boxes: Boxes
    """Boxes of scenes and queries."""
    real: Bool[Tensor, "scenes queries"]
    """False for a query that is padding: what it says means nothing."""
    semantic_logits: Float[Tensor, "scenes queries texts_and_none"] | None = None
    """What the seed of a query is made of, object or not; after the last layer only."""

    def of(self, scenes: slice, superpoints: int) -> "Prediction":
        """What is said of some of the scenes, the padding of superpoints beyond so many cut off."""
        return Prediction(
            mask_logits=self.mask_logits[scenes, :, :superpoints],
            name_logits=self.name_logits[scenes],
            boxes=Boxes(self.boxes.centre[scenes], self.boxes.size[scenes]),
            real=self.real[scenes],
            semantic_logits=None if self.semantic_logits is None else self.semantic_logits[scenes],
        )


def together(layers: Sequence[Prediction]) -> Prediction:
    """What several layers say, one behind the other; without semantics, which only the last one tells."""
    return Prediction(
        mask_logits=torch.cat([said.mask_logits for said in layers]),
        name_logits=torch.cat([said.name_logits for said in layers]),
        boxes=Boxes(torch.cat([said.boxes.centre for said in layers]), torch.cat([said.boxes.size for said in layers])),
        real=torch.cat([said.real for said in layers]),
    )


class MaskHead(nn.Module):
    """A query's mask: how well it goes with the features of each superpoint."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.project = mlp(inputs, channels, channels)

    def features(self, superpoints: Float[Tensor, "scenes keys inputs"]) -> Float[Tensor, "scenes keys channels"]:
        """What queries are compared with; the same for all layers."""
        return self.project(superpoints)

    def forward(
        self, queries: Float[Tensor, "scenes queries channels"], features: Float[Tensor, "scenes keys channels"]
    ) -> Float[Tensor, "scenes queries keys"]:
        """Mask logits."""
        return queries @ features.transpose(1, 2)


class TextHead(nn.Module):
    """Similarity of queries with the texts of any vocabulary, and with a learned "nothing".

    logits = scale * cosine(projected query, text); the last logit is a projection of its own.
    """

    def __init__(self, channels: int, text_channels: int) -> None:
        super().__init__()
        self.project = mlp(channels, channels, text_channels)
        self.nothing = nn.Linear(channels, 1)
        self.log_scale = nn.Parameter(torch.tensor(math.log(_START_SCALE)))

    def forward(
        self, queries: Float[Tensor, "scenes queries channels"], texts: Float[Tensor, "texts text_channels"]
    ) -> Float[Tensor, "scenes queries texts_and_none"]:
        """Logits of each text, unit rows in the encoder's space, and of nothing."""
        scale = self.log_scale.clamp(max=math.log(_LARGEST_SCALE)).exp()
        likeness = normalize(self.project(queries), dim=-1) @ texts.to(queries.dtype).T
        return torch.cat([scale * likeness, self.nothing(queries)], dim=-1)


def attention_mask(
    mask_logits: Float[Tensor, "scenes queries superpoints"], real: Bool[Tensor, "scenes superpoints"]
) -> Bool[Tensor, "scenes queries superpoints"]:
    """Which superpoints each query may attend to: those of its mask, or all where its mask is empty."""
    if mask_logits.is_cuda and not torch.is_grad_enabled():
        from ovseg3r_core.segmenter import decoder_gpu

        return decoder_gpu.attention_mask(mask_logits, real)
    inside = (mask_logits.detach() >= 0) & real[:, None]
    return torch.where(inside.any(-1, keepdim=True), inside, real[:, None])
