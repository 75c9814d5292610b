"""SAM's mask decoder, rearranged for many prompts on one image.

The same function of the same weights as `segment_anything`'s `MaskDecoder.predict_masks` (a test holds them
equal), in fewer operations. A prompt is 7 tokens; a square image is 4096. Three exact rewrites:

1. The first layer attends to an image that no prompt has touched yet: its projections are worked out once an
   image, not once a prompt.
2. Projecting 4096 image vectors to meet 8 heads x 7 tokens costs more than carrying the 56 token-heads over
   to the image's own channels: q.(W k) = (W'q).k. Keys lose their bias, which a softmax over them ignores;
   values get theirs after the sum, as attention weights sum to one.
3. A transposed convolution of kernel 2 and stride 2 is a matrix product per pixel, which keeps channels last
   through the upscaling.
"""

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn

_Upscaling = tuple[nn.ConvTranspose2d, LayerNorm2d, nn.GELU, nn.ConvTranspose2d, nn.GELU]


@dataclass(frozen=True, kw_only=True)
class ImageTokens:
    """What every prompt on one image shares: the image's vectors, and the first layer's projections of them."""

    grid: tuple[int, int]
    """Rows and columns of the vectors."""
    vectors: Float[Tensor, "tokens channels"]
    position: Float[Tensor, "tokens channels"]
    first_keys: Float[Tensor, "heads depth tokens"]
    first_values: Float[Tensor, "heads tokens depth"]
    first_queries: Float[Tensor, "heads depth tokens"]


def read_image(
    decoder: MaskDecoder,
    embedding: Float[Tensor, "1 channels rows columns"],
    position: Float[Tensor, "1 channels rows columns"],
) -> ImageTokens:
    """Work out once what all prompts on an image share.

    Args:
        embedding: the image embedding with the prompt encoder's "no mask" vector added.
        position: the prompt encoder's dense positional encoding.
    """
    layer, (rows, columns) = _layers(_transformer(decoder))[0], embedding.shape[2:]
    to_image, to_token = layer.cross_attn_token_to_image, layer.cross_attn_image_to_token
    vectors, position = (grid[0].flatten(1).T.contiguous() for grid in (embedding, position))
    heads = to_image.num_heads
    return ImageTokens(
        grid=(rows, columns),
        vectors=vectors,
        position=position,
        first_keys=_heads(to_image.k_proj(vectors + position), heads).transpose(1, 2).contiguous(),
        first_values=_heads(to_image.v_proj(vectors), heads).contiguous(),
        first_queries=_heads(to_token.q_proj(vectors + position), heads).transpose(1, 2).contiguous(),
    )


def predict_masks(
    decoder: MaskDecoder, image: ImageTokens, prompts: Float[Tensor, "prompts tokens channels"]
) -> tuple[Float[Tensor, "prompts masks rows columns"], Float[Tensor, "prompts masks"]]:
    """The logits of each prompt's masks at a quarter of SAM's input size, and the IoU SAM expects of each.

    Mask 0 is the one for prompts that leave no doubt (boxes); 1..3 are whole, part and sub-part in any order.
    """
    output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    start = torch.cat([output_tokens.expand(len(prompts), -1, -1), prompts], dim=1)
    transformer = _transformer(decoder)
    first, *others = _layers(transformer)
    tokens, vectors = _first_layer(first, image, start)
    for layer in others:
        tokens, vectors = _later_layer(layer, image, start, tokens, vectors)
    final = transformer.final_attn_token_to_image
    tokens = tokens + _tokens_look_at_image(final, tokens + start, vectors + image.position, vectors)
    tokens = transformer.norm_final_attn(tokens)
    masks = decoder.num_mask_tokens
    return _paint(decoder, tokens[:, 1 : 1 + masks], vectors, image.grid), decoder.iou_prediction_head(tokens[:, 0])


def _transformer(decoder: MaskDecoder) -> TwoWayTransformer:
    return cast(TwoWayTransformer, decoder.transformer)


def _layers(transformer: TwoWayTransformer) -> list[TwoWayAttentionBlock]:
    return cast(list[TwoWayAttentionBlock], list(transformer.layers))


def _first_layer(layer: TwoWayAttentionBlock, image: ImageTokens, start: Tensor) -> tuple[Tensor, Tensor]:
    tokens = _self_attention(layer, start, start)
    seen = _tokens_look_at_shared_image(layer.cross_attn_token_to_image, tokens + start, image)
    tokens = layer.norm2(tokens + seen)
    tokens = layer.norm3(tokens + layer.mlp(tokens))
    attention = layer.cross_attn_image_to_token
    keys = _heads(attention.k_proj(tokens + start), attention.num_heads)
    prompts, heads, length, depth = keys.shape
    scores = keys.transpose(0, 1).reshape(heads, prompts * length, depth) @ image.first_queries
    scores = scores.view(heads, prompts, length, -1).transpose(0, 1)
    return tokens, layer.norm4(image.vectors + _image_takes(attention, scores, tokens))


def _later_layer(
    layer: TwoWayAttentionBlock, image: ImageTokens, start: Tensor, tokens: Tensor, vectors: Tensor
) -> tuple[Tensor, Tensor]:
    tokens = _self_attention(layer, tokens, start)
    placed = vectors + image.position
    seen = _tokens_look_at_image(layer.cross_attn_token_to_image, tokens + start, placed, vectors)
    tokens = layer.norm2(tokens + seen)
    tokens = layer.norm3(tokens + layer.mlp(tokens))
    attention = layer.cross_attn_image_to_token
    keys = _heads(attention.k_proj(tokens + start), attention.num_heads)
    carried = keys @ _head_weights(attention.q_proj.weight, attention.num_heads)
    scores = carried.flatten(1, 2) @ placed.transpose(1, 2)
    offset = (keys * attention.q_proj.bias.view(attention.num_heads, 1, -1)).sum(-1, keepdim=True)
    scores = scores.view(*keys.shape[:3], -1) + offset
    return tokens, layer.norm4(vectors + _image_takes(attention, scores, tokens))


def _self_attention(layer: TwoWayAttentionBlock, tokens: Tensor, start: Tensor) -> Tensor:
    if layer.skip_first_layer_pe:
        return layer.norm1(layer.self_attn(q=tokens, k=tokens, v=tokens))
    placed = tokens + start
    return layer.norm1(tokens + layer.self_attn(q=placed, k=placed, v=tokens))


def _tokens_look_at_shared_image(attention: Attention, placed_tokens: Tensor, image: ImageTokens) -> Tensor:
    queries = _heads(attention.q_proj(placed_tokens), attention.num_heads)
    prompts, heads, length, depth = queries.shape
    queries = queries.transpose(0, 1).reshape(heads, prompts * length, depth)
    weights = (queries @ image.first_keys * depth**-0.5).softmax(-1)
    seen = (weights @ image.first_values).view(heads, prompts, length, depth)
    return attention.out_proj(seen.permute(1, 2, 0, 3).flatten(2))


def _tokens_look_at_image(attention: Attention, placed_tokens: Tensor, placed: Tensor, vectors: Tensor) -> Tensor:
    queries = _heads(attention.q_proj(placed_tokens), attention.num_heads)
    prompts, heads, length, depth = queries.shape
    carried = (queries * depth**-0.5) @ _head_weights(attention.k_proj.weight, attention.num_heads)
    weights = (carried.flatten(1, 2) @ placed.transpose(1, 2)).softmax(-1)
    seen = (weights @ vectors).view(prompts, heads, length, -1)
    values = seen @ _head_weights(attention.v_proj.weight, attention.num_heads).transpose(1, 2)
    return attention.out_proj(values.transpose(1, 2).flatten(2) + attention.v_proj.bias)


def _image_takes(attention: Attention, scores: Float[Tensor, "prompts heads length tokens"], tokens: Tensor) -> Tensor:
    """What image vectors take from the tokens, given unscaled scores."""
    values = _heads(attention.v_proj(tokens), attention.num_heads)
    weights = (scores * values.shape[-1] ** -0.5).softmax(2).flatten(1, 2)
    offered = values @ _head_weights(attention.out_proj.weight.T, attention.num_heads)
    return torch.baddbmm(attention.out_proj.bias, weights.transpose(1, 2), offered.flatten(1, 2))


def _paint(decoder: MaskDecoder, mask_tokens: Tensor, vectors: Tensor, grid: tuple[int, int]) -> Tensor:
    """Upscale the image vectors four times and let each mask token pick out its mask."""
    first, norm, activation, second, _ = cast(_Upscaling, tuple(decoder.output_upscaling))
    brushes = [mlp(mask_tokens[:, i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)]
    pixels = _double(first, vectors)
    pixels = activation(nn.functional.layer_norm(pixels, norm.weight.shape, norm.weight, norm.bias, norm.eps))
    pixels = activation(_double(second, pixels))  # prompts, tokens * 4 * 4, channels
    masks = pixels @ torch.stack(brushes, dim=2)
    masks = masks.view(len(masks), *grid, 2, 2, 2, 2, -1).permute(0, 7, 1, 3, 5, 2, 4, 6)
    return masks.reshape(len(masks), -1, 4 * grid[0], 4 * grid[1])


def _double(layer: nn.ConvTranspose2d, pixels: Tensor) -> Float[Tensor, "prompts pixels channels"]:
    """Each pixel becomes 2 x 2, in the order (pixel, row, column)."""
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)
    bias = cast(Tensor, layer.bias).repeat(4)
    return nn.functional.linear(pixels, weight, bias).view(len(pixels), -1, layer.out_channels)


def _heads(
    vectors: Float[Tensor, "*prompts length channels"], heads: int
) -> Float[Tensor, "*prompts heads length depth"]:
    return vectors.unflatten(-1, (heads, -1)).transpose(-2, -3)


def _head_weights(weight: Float[Tensor, "projected channels"], heads: int) -> Float[Tensor, "heads depth channels"]:
    return weight.unflatten(0, (heads, -1))
