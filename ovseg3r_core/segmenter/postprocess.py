"""From what queries say to instances (method 2.5): ranked pairs, their quality, repeats pressed down, points.

Everything stays on the device and has a fixed shape, so that it can be part of a CUDA graph; what does not count is
marked in `kept`, not cut away.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.segmenter.boxes import Boxes
from ovseg3r_core.segmenter.heads import Prediction


@dataclass(frozen=True, kw_only=True)
class PostprocessConfig:
    """How instances are chosen; the values are SegDINO3D's."""

    mode: Literal["top-k", "top-1"] = "top-k"
    """top-k bets on several names of one mask, as benchmarks reward it; top-1 gives each mask its best name."""
    top_k: Annotated[int, Within(1, 10_000)] = 600
    """Pairs of query and name that are looked at."""
    mask_threshold: Annotated[float, Within(0.0, 1.0)] = 0.4
    """A superpoint belongs to an instance from this probability on."""
    min_points: Annotated[int, Within(0, 1_000_000)] = 100
    """Smaller instances are dropped; the ScanNet benchmark does not count them either."""
    min_score: Annotated[float, Within(0.0, 1.0)] = 0.0
    """Instances that score no more than this are dropped."""
    box_margin: Annotated[float, Within(1.0, 100.0)] = 2.5
    """Superpoints whose middle lies outside the predicted box, enlarged by this, are taken out of the mask."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundOnSuperpoints:
    """Instances of one scene, best first, on its superpoints."""

    masks: Bool[Tensor, "instances superpoints"]
    text: Int64[Tensor, " instances"]
    """Which text each is called by."""
    score: Float[Tensor, " instances"]
    boxes: Boxes
    kept: Bool[Tensor, " instances"]
    """False for what is too small, scores nothing, or is padding."""

    def on_points(self, superpoint: Int64[Tensor, " points"]) -> Bool[Tensor, "instances points"]:
        """The masks on points."""
        return self.masks[:, superpoint]


def find_instances(
    said: Prediction,
    scene: int,
    centre: Float[Tensor, "superpoints 3"],
    points: Float[Tensor, " superpoints"],
    config: PostprocessConfig | None = None,
) -> FoundOnSuperpoints:
    """The instances of one scene of a batch.

    Args:
        centre: of the superpoints, metres.
        points: how many points each superpoint has; 0 for padding.
    """
    config = config or PostprocessConfig()
    query, text, score = rank_pairs(said.name_logits[scene], said.real[scene], config)
    probability = said.mask_logits[scene, query].float().sigmoid() * (points > 0)
    boxes = Boxes(said.boxes.centre[scene, query], said.boxes.size[scene, query])
    masks = (probability > config.mask_threshold) & _inside(boxes, centre, config.box_margin)
    score = score * mask_quality(probability)
    order = score.argsort(descending=True, stable=True)
    masks, text, score = masks[order], text[order], score[order]
    score = score * matrix_nms(masks, text, points)
    again = score.argsort(descending=True, stable=True)
    masks, text, score = masks[again], text[again], score[again]
    return FoundOnSuperpoints(
        masks=masks,
        text=text,
        score=score,
        boxes=Boxes(boxes.centre[order][again], boxes.size[order][again]),
        kept=(score > config.min_score) & (masks.float() @ points > config.min_points),
    )


def rank_pairs(
    name_logits: Float[Tensor, "queries texts_and_none"], real: Bool[Tensor, " queries"], config: PostprocessConfig
) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"], Float[Tensor, " pairs"]]:
    """The likeliest pairs of query and text: their places and probabilities; queries that are not real score 0."""
    probability = name_logits.float().softmax(-1)[:, :-1] * real[:, None]
    texts = probability.shape[1]
    if config.mode == "top-1":
        best, text = probability.max(1)
        score, query = best.topk(min(config.top_k, len(best)))
        return query, text[query], score
    score, pair = probability.flatten().topk(min(config.top_k, probability.numel()))
    return pair // texts, pair % texts, score


def mask_quality(probability: Float[Tensor, "pairs superpoints"]) -> Float[Tensor, " pairs"]:
    """How sure a mask is of what it covers: the mean probability of superpoints above one half."""
    inside = probability > 0.5
    return (probability * inside).sum(1) / inside.sum(1).clamp(min=1)


def matrix_nms(
    masks: Bool[Tensor, "pairs superpoints"], text: Int64[Tensor, " pairs"], points: Float[Tensor, " superpoints"]
) -> Float[Tensor, " pairs"]:
    """Factors that press down repeats of the same name, all at once (SOLOv2's matrix NMS, linear).

    A pair decays by its overlap with each better one, the less so the more that one is itself a repeat. Overlaps are
    counted in points, not in superpoints as SegDINO3D does: a large superpoint weighs more.

    Args:
        masks: best first.
    """
    cover = masks.float()
    common = (cover * points) @ cover.T
    size = common.diagonal()
    overlap = common / (size[:, None] + size[None] - common).clamp(min=1)
    better = torch.ones_like(overlap, dtype=torch.bool).triu(1)  # [i, j]: i comes before j
    overlap = overlap * (better & (text[:, None] == text[None]))
    repeat = overlap.amax(0)
    decay = (1 - overlap) / (1 - repeat)[:, None].clamp(min=1e-6)
    return decay.amin(0).clamp(max=1)


def _inside(boxes: Boxes, centre: Float[Tensor, "superpoints 3"], margin: float) -> Bool[Tensor, "pairs superpoints"]:
    away = (centre[None] - boxes.centre[:, None]).abs()
    return (away <= boxes.size[:, None] * (margin / 2)).all(-1)
