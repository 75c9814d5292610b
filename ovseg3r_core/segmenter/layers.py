"""Small pieces that several parts of the decoder are made of."""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn


class FeedForward(nn.Module):
    """Two linear layers on each query, a post-norm residual."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(channels, inner), nn.GELU(), nn.Linear(inner, channels))
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Float[Tensor, "*batch channels"]) -> Float[Tensor, "*batch channels"]:
        """The same shape."""
        return self.norm(x + self.net(x))


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers from width to width, with ReLU between them."""
    steps: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        steps += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*steps[:-1])
