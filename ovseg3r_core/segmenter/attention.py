"""The three attentions of a decoder layer: to superpoints, to 2D objects, among queries (method 2.3).

All are post-norm residuals. Content and position are projected apart: to superpoints they are concatenated head by
head, so that a query can look for either; among queries they are added.
"""

from jaxtyping import Bool, Float
from torch import Tensor, cat, nn
from torch.nn.functional import scaled_dot_product_attention

Allowed = Bool[Tensor, "scenes #queries keys"]


class SuperpointAttention(nn.Module):
    """Masked attention of queries to superpoints, modulated by the boxes of the queries.

    Args:
        adds_position: the first layer's; it also adds positions to contents, since a query's content is all seed there.
    """

    def __init__(self, channels: int, heads: int, *, adds_position: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query_content = nn.Linear(channels, channels)
        self.query_sine = nn.Linear(channels, channels)
        self.key_and_value = nn.Linear(channels, 2 * channels)
        self.key_position = nn.Linear(channels, channels)
        self.query_position = nn.Linear(channels, channels) if adds_position else None
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        queries: Float[Tensor, "scenes queries channels"],
        query_sine: Float[Tensor, "scenes queries channels"],
        query_position: Float[Tensor, "scenes queries channels"],
        superpoints: Float[Tensor, "scenes keys channels"],
        superpoint_sine: Float[Tensor, "scenes keys channels"],
        allowed: Allowed,
    ) -> Float[Tensor, "scenes queries channels"]:
        """The queries, with what they read from the superpoints that they are allowed to see."""
        query, key_position = self.query_content(queries), self.key_position(superpoint_sine)
        key, value = self.key_and_value(superpoints).chunk(2, dim=-1)
        if self.query_position is not None:
            query, key = query + self.query_position(query_position), key + key_position
        read = attend(
            _side_by_side(query, self.query_sine(query_sine), self.heads),
            _side_by_side(key, key_position, self.heads),
            by_head(value, self.heads),
            allowed,
        )
        return self.norm(queries + self.out(read))


class SelfAttention(nn.Module):
    """Attention among queries, content and position added."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.content = nn.Linear(channels, 3 * channels)
        self.position = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        queries: Float[Tensor, "scenes queries channels"],
        position: Float[Tensor, "scenes queries channels"],
        allowed: Allowed,
    ) -> Float[Tensor, "scenes queries channels"]:
        """The queries, with what they read from each other."""
        query, key, value = self.content(queries).chunk(3, dim=-1)
        query_position, key_position = self.position(position).chunk(2, dim=-1)
        read = attend(
            by_head(query + query_position, self.heads),
            by_head(key + key_position, self.heads),
            by_head(value, self.heads),
            allowed,
        )
        return self.norm(queries + self.out(read))


class ObjectAttention(nn.Module):
    """Attention of queries to the 2D objects of all views; `allowed` says which lie near a query's mask."""

    def __init__(self, channels: int, object_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key_and_value = nn.Linear(object_channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(
        self,
        queries: Float[Tensor, "scenes queries channels"],
        objects: Float[Tensor, "scenes keys object_channels"],
        allowed: Allowed,
    ) -> Float[Tensor, "scenes queries channels"]:
        """The queries, with what they read from the objects."""
        key, value = self.key_and_value(objects).chunk(2, dim=-1)
        read = attend(
            by_head(self.query(queries), self.heads), by_head(key, self.heads), by_head(value, self.heads), allowed
        )
        return self.norm(queries + self.out(read))


def attend(
    query: Float[Tensor, "scenes heads queries inner"],
    key: Float[Tensor, "scenes heads keys inner"],
    value: Float[Tensor, "scenes heads keys width"],
    allowed: Allowed,
) -> Float[Tensor, "scenes queries channels"]:
    """Scaled dot-product attention, the heads joined again; every query must be allowed something."""
    read = scaled_dot_product_attention(query, key, value, attn_mask=allowed[:, None])
    return read.transpose(1, 2).flatten(2)


def by_head(x: Float[Tensor, "scenes items channels"], heads: int) -> Float[Tensor, "scenes heads items width"]:
    """Channels split among the heads."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def _side_by_side(
    content: Float[Tensor, "scenes items channels"], position: Float[Tensor, "scenes items channels"], heads: int
) -> Float[Tensor, "scenes heads items inner"]:
    """In each head its share of the content, then its share of the position."""
    return cat([by_head(content, heads), by_head(position, heads)], dim=-1)
