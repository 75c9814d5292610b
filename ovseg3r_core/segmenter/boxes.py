"""The box of a query, and how a decoder layer betters it.

Unlike in SegDINO3D, a size is multiplied by e to what a layer predicts, not added to: it stays positive, and a cup and
a wardrobe are the same few steps from half a metre.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ovseg3r_core.segmenter.layers import mlp

_START_M = 0.5
_LARGEST_STEP = 2.0  # a factor of 7.4 a layer at most: no box runs away in training
_SMALLEST_M, _LARGEST_M = 0.01, 100.0


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes along the axes of the map, metres."""

    centre: Float[Tensor, "*batch 3"]
    size: Float[Tensor, "*batch 3"]

    @classmethod
    def about(cls, centre: Float[Tensor, "*batch 3"]) -> "Boxes":
        """What a query starts with: half a metre round its seed."""
        return cls(centre, torch.full_like(centre, _START_M))


class BoxStep(nn.Module):
    """From the boxes before a layer to those after it; the step of an untrained layer is nothing.

    Gradients end at the boxes that it starts from.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.centre, self.size = mlp(channels, channels, channels, 3), mlp(channels, channels, channels, 3)
        for step in (self.centre, self.size):
            last = step[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, queries: Float[Tensor, "*batch channels"], boxes: Boxes) -> Boxes:
        """Better boxes."""
        growth = self.size(queries).float().clamp(-_LARGEST_STEP, _LARGEST_STEP).exp()
        return Boxes(
            boxes.centre.detach() + self.centre(queries).float(),
            (boxes.size.detach() * growth).clamp(_SMALLEST_M, _LARGEST_M),
        )
