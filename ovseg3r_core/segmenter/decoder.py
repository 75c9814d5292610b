"""The query decoder of SegDINO3D (method 2.3) with heads for texts: queries are superpoints, refined layer by layer.

    seeds ─► queries ─┬─► read the superpoints of their masks ─► each other ─► 2D objects near by ─► feed forward ─┐
                      └──────────────── better masks, boxes and names ◄────────────────────────────────────────────┘

Scenes of a batch are padded to the same number of superpoints, queries and objects; `real` tells which are none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from ovseg3r_core.segmenter.attention import ObjectAttention, SelfAttention, SuperpointAttention
from ovseg3r_core.segmenter.boxes import Boxes, BoxStep
from ovseg3r_core.segmenter.config import SegmenterConfig
from ovseg3r_core.segmenter.heads import MaskHead, Prediction, TextHead, attention_mask
from ovseg3r_core.segmenter.layers import FeedForward, mlp
from ovseg3r_core.segmenter.position import SceneBounds, sine_embedding


@dataclass(frozen=True, kw_only=True, eq=False)
class Superpoints:
    """The superpoints of a batch of scenes."""

    features: Float[Tensor, "scenes superpoints channels"]
    centre: Float[Tensor, "scenes superpoints 3"]
    """Mean of their points, metres, map frame."""
    real: Bool[Tensor, "scenes superpoints"]
    bounds: SceneBounds


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageObjects:
    """What 2D models found in the views of each scene, all views in one bag."""

    features: Float[Tensor, "scenes objects object_channels"]
    centre: Float[Tensor, "scenes objects 3"]
    """A point of the object, metres, map frame."""
    real: Bool[Tensor, "scenes objects"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """What all layers read."""

    keys: Float[Tensor, "scenes superpoints channels"]
    sine: Float[Tensor, "scenes superpoints channels"]
    """Where the superpoints are."""
    bounds: SceneBounds
    asked: Bool[Tensor, "scenes 1 queries"]
    """Which queries are real."""
    objects: Float[Tensor, "scenes objects object_channels"] | None
    """2D objects, and behind them one of ones that every query may read."""
    near: Bool[Tensor, "scenes superpoints objects"] | None
    """Which superpoints lie near which object."""


class QueryDecoder(nn.Module):
    """Superpoints in; masks, boxes and names of every query out, after each layer."""

    def __init__(self, config: SegmenterConfig) -> None:
        super().__init__()
        channels = config.channels
        self.object_reach_m = config.object_reach_m
        self.query = mlp(config.width, channels, channels)
        self.key = nn.Sequential(nn.Linear(config.width, channels), nn.LayerNorm(channels), nn.ReLU())
        self.position = mlp(channels, channels, channels)
        self.sharpness = mlp(channels, channels, 3)
        self.layers = nn.ModuleList(DecoderLayer(config, first=i == 0) for i in range(config.layers))
        self.norm = nn.LayerNorm(channels)
        self.mask = MaskHead(config.width, channels)
        self.name = TextHead(channels, config.text_channels)
        self.semantic = TextHead(channels, config.text_channels)

    def forward(
        self,
        superpoints: Superpoints,
        texts: Float[Tensor, "texts text_channels"],
        seeds: Int64[Tensor, "scenes queries"] | None = None,
        objects: ImageObjects | None = None,
        *,
        every_layer: bool = False,
    ) -> tuple[Prediction, ...]:
        """The last layer's predictions alone, or with `every_layer` those of the seeds and of each layer.

        Args:
            texts: unit rows, the vocabulary of the moment.
            seeds: the superpoints that queries start from, all without it; -1 is padding.
            objects: for a model with attention to objects; any other ignores them.
        """
        features, centre, asked = _at(superpoints, seeds)
        memory = self._remember(superpoints, asked, objects)
        looks = self.mask.features(superpoints.features)
        queries, boxes = self.query(features), Boxes.about(centre)
        refined = self.norm(queries)
        masks = self.mask(refined, looks)
        said = [self._say(refined, masks, boxes, texts, asked)] if every_layer else []
        for number, layer in enumerate(cast(Sequence[DecoderLayer], self.layers), start=1):
            sine = self._where(queries, boxes, memory)
            allowed = attention_mask(masks, superpoints.real)
            queries = layer(queries, sine, self.position(sine), memory, allowed)
            boxes = layer.box(queries, boxes)
            refined = self.norm(queries)
            masks = self.mask(refined, looks)
            last = number == len(self.layers)
            if every_layer or last:
                said.append(self._say(refined, masks, boxes, texts, asked, last=last))
        return tuple(said)

    def _say(
        self,
        refined: Float[Tensor, "scenes queries channels"],
        masks: Float[Tensor, "scenes queries superpoints"],
        boxes: Boxes,
        texts: Float[Tensor, "texts text_channels"],
        asked: Bool[Tensor, "scenes queries"],
        *,
        last: bool = False,
    ) -> Prediction:
        return Prediction(
            mask_logits=masks,
            name_logits=self.name(refined, texts),
            boxes=boxes,
            real=asked,
            semantic_logits=self.semantic(refined, texts) if last else None,
        )

    def _where(
        self, queries: Float[Tensor, "scenes queries channels"], boxes: Boxes, memory: Memory
    ) -> Float[Tensor, "scenes queries channels"]:
        """The places of the queries, each axis the sharper the smaller the box is along it."""
        sharpness = self.sharpness(queries).float().sigmoid() / boxes.size.detach()
        return sine_embedding(boxes.centre.detach(), memory.bounds, queries.shape[-1], sharpness, dtype=queries.dtype)

    def _remember(
        self, superpoints: Superpoints, asked: Bool[Tensor, "scenes queries"], objects: ImageObjects | None
    ) -> Memory:
        keys = self.key(superpoints.features)
        sine = sine_embedding(superpoints.centre, superpoints.bounds, keys.shape[-1], dtype=keys.dtype)
        near, looks = None, None
        if objects is not None:
            apart = torch.cdist(superpoints.centre, objects.centre, p=1)
            near = (apart < self.object_reach_m) & objects.real[:, None] & superpoints.real[..., None]
            near = torch.cat([near, torch.ones_like(near[..., :1])], dim=-1)
            looks = torch.cat([objects.features, torch.ones_like(objects.features[:, :1])], dim=1)
        return Memory(keys=keys, sine=sine, bounds=superpoints.bounds, asked=asked[:, None], objects=looks, near=near)


class DecoderLayer(nn.Module):
    """One round of reading."""

    def __init__(self, config: SegmenterConfig, *, first: bool) -> None:
        super().__init__()
        channels, heads = config.channels, config.heads
        self.superpoints = SuperpointAttention(channels, heads, adds_position=first)
        self.queries = SelfAttention(channels, heads)
        self.objects = ObjectAttention(channels, config.object_channels, heads) if config.object_channels else None
        self.feedforward = FeedForward(channels, config.feedforward_channels)
        self.box = BoxStep(channels)

    def forward(
        self,
        queries: Float[Tensor, "scenes queries channels"],
        sine: Float[Tensor, "scenes queries channels"],
        position: Float[Tensor, "scenes queries channels"],
        memory: Memory,
        allowed: Bool[Tensor, "scenes queries superpoints"],
    ) -> Float[Tensor, "scenes queries channels"]:
        """The queries, refined.

        Args:
            sine: their places; `position` is the same, learned on.
            allowed: the superpoints of their masks.
        """
        queries = self.superpoints(queries, sine, position, memory.keys, memory.sine, allowed)
        queries = self.queries(queries, position, memory.asked)
        if self.objects is not None and memory.objects is not None and memory.near is not None:
            beside = allowed.to(queries.dtype) @ memory.near.to(queries.dtype) > 0
            queries = self.objects(queries, memory.objects, beside)
        return self.feedforward(queries)


def _at(
    superpoints: Superpoints, seeds: Int64[Tensor, "scenes queries"] | None
) -> tuple[Float[Tensor, "scenes queries channels"], Float[Tensor, "scenes queries 3"], Bool[Tensor, "scenes queries"]]:
    """Features and centres of the seeds, and which of them are real."""
    if seeds is None:
        return superpoints.features, superpoints.centre, superpoints.real
    row = torch.arange(len(seeds), device=seeds.device)[:, None]
    place = seeds.clamp(min=0)
    return superpoints.features[row, place], superpoints.centre[row, place], seeds >= 0
