"""Choosing among SAM's masks while they are small: quality, duplicates, coverage.

Everything here works on low-resolution logits and masks (a quarter of SAM's input size), where comparing a
hundred masks with each other is one matrix product.
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.masks.sam import PromptedMasks


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Masks that may be kept, as low-resolution logits."""

    logits: Float[Tensor, "masks rows columns"]
    score: Float[Tensor, " masks"]
    """How sure SAM is of the outline, 0..1."""
    prompt: Int64[Tensor, " masks"]
    """Which prompt each answers."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self.logits)

    def __getitem__(self, chosen: Int64[Tensor, " chosen"] | Bool[Tensor, " masks"]) -> "Candidates":
        """Some of them, in the order given."""
        return Candidates(logits=self.logits[chosen], score=self.score[chosen], prompt=self.prompt[chosen])


def no_candidates(mask_size: tuple[int, int], device: torch.device) -> Candidates:
    """Nothing, in the shape of something."""
    return Candidates(
        logits=torch.zeros(0, *mask_size, device=device),
        score=torch.zeros(0, device=device),
        prompt=torch.zeros(0, dtype=torch.long, device=device),
    )


def join(parts: list[Candidates]) -> Candidates:
    """The candidates of several batches; which prompt each answered is only known within its batch."""
    return Candidates(
        logits=torch.cat([part.logits for part in parts]),
        score=torch.cat([part.score for part in parts]),
        prompt=torch.cat([part.prompt for part in parts]),
    )


def stability(logits: Float[Tensor, "*masks rows columns"], margin: float = 1.0) -> Float[Tensor, "*masks"]:
    """IoU of the mask cut at +margin with the mask cut at -margin: near 1 where the outline is sure."""
    inner = (logits > margin).sum((-2, -1), dtype=torch.float32)
    outer = (logits > -margin).sum((-2, -1), dtype=torch.float32)
    return inner / outer.clamp(min=1)


def overlap(
    masks: Bool[Tensor, "masks rows columns"], others: Bool[Tensor, "others rows columns"]
) -> Float[Tensor, "masks others"]:
    """Pixels each pair shares."""
    return masks.flatten(1).float() @ others.flatten(1).float().T


def iou(
    masks: Bool[Tensor, "masks rows columns"], others: Bool[Tensor, "others rows columns"]
) -> Float[Tensor, "masks others"]:
    """Intersection over union of each pair."""
    shared = overlap(masks, others)
    union = masks.flatten(1).sum(1)[:, None] + others.flatten(1).sum(1)[None] - shared
    return shared / union.clamp(min=1)


@dataclass(frozen=True, kw_only=True)
class QualityConfig:
    """Which of SAM's answers are good enough to keep."""

    min_score: Annotated[float, Within(0.0, 1.0)] = 0.65
    """The IoU with the true mask that SAM itself expects, times the stability of the outline."""
    min_area_px: Annotated[int, Within(1, 1_000_000)] = 100
    """Smallest mask, in pixels of the image."""
    whole_tolerance: Annotated[float, Within(0.0, 1.0)] = 0.08
    """A larger answer to the same prompt wins if its score is at most this much below the best."""
    same_iou: Annotated[float, Within(0.0, 1.0)] = 0.7
    """Overlap from which two masks are the same thing."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def good_candidates(answers: PromptedMasks, pixel_area: float, config: QualityConfig) -> Candidates:
    """The answers of ambiguous prompts (1..3) that are sure of themselves and large enough.

    Args:
        pixel_area: image pixels for each low-resolution pixel.
    """
    logits = answers.logits[:, 1:]
    score = answers.iou[:, 1:].clamp(0, 1) * stability(logits)
    area = (logits > 0).sum((-2, -1)) * pixel_area
    prompt, answer = torch.nonzero((score >= config.min_score) & (area >= config.min_area_px), as_tuple=True)
    return Candidates(logits=logits[prompt, answer], score=score[prompt, answer], prompt=prompt)


def one_each(candidates: Candidates, config: QualityConfig) -> Candidates:
    """One candidate a prompt: the largest of those about as good as its best, as a whole is worth more than a part."""
    if not len(candidates):
        return candidates
    best = candidates.score.new_zeros(int(candidates.prompt.max()) + 1)
    best = best.scatter_reduce(0, candidates.prompt, candidates.score, "amax")
    contenders = candidates[candidates.score >= best[candidates.prompt] - config.whole_tolerance]
    area = (contenders.logits > 0).sum((-2, -1))
    order = area.argsort(descending=True, stable=True)
    order = order[contenders.prompt[order].argsort(stable=True)]
    prompts = contenders.prompt[order]
    first = torch.ones_like(prompts, dtype=torch.bool)
    first[1:] = prompts[1:] != prompts[:-1]
    return contenders[order[first]]


def without_repeats(
    masks: Bool[Tensor, "masks rows columns"], score: Float[Tensor, " masks"], same_iou: float
) -> Int64[Tensor, " kept"]:
    """Indices of the masks that stay, best first, when each removes the lower-scored masks that repeat it."""
    order = score.argsort(descending=True, stable=True)
    repeats = (iou(masks[order], masks[order]) > same_iou).triu(diagonal=1).cpu()
    kept = torch.ones(len(order), dtype=torch.bool)
    for i in range(len(order)):
        if kept[i]:
            kept &= ~repeats[i]
    return order[kept.to(order.device)]


def bounding_boxes(masks: Bool[Tensor, "masks rows columns"]) -> Float[Tensor, "masks 4"]:
    """(left, top, right, bottom) of each mask, in its own pixels; an empty mask gets a box of no size."""
    sides = []
    for seen in (masks.any(1), masks.any(2)):  # columns, then rows that hold a pixel
        first = seen.float().argmax(1)
        last = seen.shape[1] - seen.flip(1).float().argmax(1)
        sides.append((first, torch.where(seen.any(1), last, first)))
    (left, right), (top, bottom) = sides
    return torch.stack([left, top, right, bottom], dim=1).float()
