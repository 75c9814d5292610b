"""The default proposer: a detector's boxes prompt SAM, then points where nothing is explained yet.

    detector ─► boxes ─► SAM ─► masks with names ─┐
    pixels no mask and no mapped object covers ─► points in the middle of the largest gaps ─► SAM ─┐
                                               └────────── covered now, look again ◄───────────────┘

A point is always asked in the middle of the largest gap that is left, so a mask that is found saves all the
questions a fixed grid would have spent on it, and a view whose objects are all in the map costs few prompts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from jaxtyping import Bool, Float32
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.masks.candidates import (
    Candidates,
    QualityConfig,
    bounding_boxes,
    good_candidates,
    iou,
    join,
    no_candidates,
    one_each,
    overlap,
    without_repeats,
)
from ovseg3r_core.masks.gaps import disc, gap_centres
from ovseg3r_core.masks.proposer import Detections, Detector, LooksForTexts, shrink
from ovseg3r_core.masks.sam import Embedding, Sam, enlarge
from ovseg3r_core.types import Frame, Mask


@dataclass(frozen=True, kw_only=True)
class DetectorSamConfig:
    """How much is asked, and what is kept."""

    quality: QualityConfig = field(default_factory=QualityConfig)
    """Which answers are good enough to keep."""
    max_prompts: Annotated[int, Within(0, 10000)] = 96
    """Points asked in one frame at most."""
    points_at_once: Annotated[int, Within(1, 4096)] = 4
    """Points asked before looking again which gaps are left."""
    smallest_gap: Annotated[float, Within(0.001, 1.0)] = 0.025
    """Radius of the smallest gap worth a point, as a share of the image's longer side."""
    reach: Annotated[float, Within(0.001, 1.0)] = 0.125
    """How far round its point a mask without a name counts as covered, as a share of the image's longer side:
    a wall that swallowed its pictures is asked again further on."""
    min_box_iou: Annotated[float, Within(0.001, 1.0)] = 0.5
    """IoU of a mask's bounding box with the box that asked for it."""
    explained_share: Annotated[float, Within(0.001, 1.0)] = 0.8
    """A mask without a name that lies this much on mapped objects says nothing new."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class DetectorSam:
    """Named masks from a detector's boxes, and masks without a name from the gaps between them."""

    def __init__(self, detector: Detector, sam: Sam, config: DetectorSamConfig | None = None) -> None:
        self._detector, self._sam = detector, sam
        self._config = config or DetectorSamConfig()
        self.stats: Counter[str] = Counter()
        """What was asked of SAM so far: frames, boxes, boxes_refused, points, points_unanswered."""

    def look_for(self, texts: Sequence[str]) -> None:
        """Tell the detector what to look for, where it can be told: the embedded one knows its classes only."""
        if isinstance(self._detector, LooksForTexts):
            self._detector.look_for(texts)

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """Masks of the things a detector names, and of things on pixels that nothing explains yet."""
        detections = self._detector.detect(frame.color)
        embedding = self._sam.encode(frame.color)
        known = shrink(explained, *embedding.mask_size)
        named, detections = self._in_boxes(embedding, detections)
        unnamed = self._in_gaps(embedding, known | (named > 0).any(0).cpu().numpy())
        unnamed = self._only_new(unnamed, named, known)
        self.stats["frames"] += 1
        labels = [*detections.names, *[None] * len(unnamed)]
        scores = [*detections.scores.tolist(), *unnamed.score.tolist()]
        masks = enlarge(embedding, torch.cat([named, unnamed.logits]), self._config.quality.min_area_px)
        return [Mask(pixels=m, score=s, label=n) for m, s, n in zip(masks, scores, labels, strict=True)]

    def _in_boxes(self, embedding: Embedding, detections: Detections) -> tuple[Tensor, Detections]:
        """The logits of the best mask of each box, and the detections that got one."""
        quality = self._config.quality
        answers = self._sam.masks_in(embedding, detections.boxes)
        masks = answers.logits > 0
        large = masks.sum((-2, -1)) * embedding.pixel_area >= quality.min_area_px
        usable = large & (box_fit(masks, detections.boxes * (embedding.scale / 4)) >= self._config.min_box_iou)
        best = answers.iou.masked_fill(~usable, -torch.inf).argmax(1)
        choice = torch.where(usable[:, 0], 0, best)  # answer 0 is SAM's own for boxes
        logits = answers.logits[torch.arange(len(choice), device=choice.device), choice]
        good = torch.nonzero(usable.any(1))[:, 0]
        scores = torch.from_numpy(detections.scores).to(good.device)
        good = good[without_repeats(logits[good] > 0, scores[good], quality.same_iou)]
        self.stats["boxes"] += len(detections)
        self.stats["boxes_refused"] += len(detections) - len(good)
        return logits[good], detections.at(good.tolist())

    def _in_gaps(self, embedding: Embedding, covered: Bool[ndarray, "rows columns"]) -> Candidates:
        """Ask in the gaps until they are closed or the budget is spent."""
        config, covered = self._config, covered.copy()
        longest = max(covered.shape)
        found = [no_candidates(embedding.mask_size, self._sam.device)]
        left = config.max_prompts
        while left > 0:
            points = gap_centres(covered, min(left, config.points_at_once), config.smallest_gap * longest)
            if not len(points):
                break
            left -= len(points)
            answers = self._sam.masks_at(embedding, (points + 0.5) * (4 / embedding.scale) - 0.5)
            chosen = one_each(good_candidates(answers, embedding.pixel_area, config.quality), config.quality)
            self._cover(covered, points, chosen)
            found.append(chosen)
            self.stats["points"] += len(points)
            self.stats["points_unanswered"] += len(points) - len(chosen)
        return join(found)

    def _cover(self, covered: Bool[ndarray, "rows columns"], points: ndarray, chosen: Candidates) -> None:
        """Mark what the answers explain, and a disc round each point so that none is asked again."""
        longest = max(covered.shape)
        for u, v in points.tolist():
            covered |= disc(covered.shape, (u, v), 2 * self._config.smallest_gap * longest)
        asked = points[chosen.prompt.cpu().numpy()].tolist()
        for (u, v), mask in zip(asked, (chosen.logits > 0).cpu().numpy(), strict=True):
            covered |= mask & disc(covered.shape, (u, v), self._config.reach * longest)

    def _only_new(self, unnamed: Candidates, named: Tensor, known: Bool[ndarray, "rows columns"]) -> Candidates:
        """Without masks that repeat each other or a named one, and without those on mapped objects."""
        quality = self._config.quality
        unnamed = unnamed[without_repeats(unnamed.logits > 0, unnamed.score, quality.same_iou)]
        masks = unnamed.logits > 0
        repeats_named = (iou(masks, named > 0) > quality.same_iou).any(1)
        on_known = overlap(masks, torch.from_numpy(known).to(masks.device)[None])[:, 0]
        is_known = on_known >= self._config.explained_share * masks.flatten(1).sum(1)
        return unnamed[~repeats_named & ~is_known]


def box_fit(masks: Bool[Tensor, "prompts answers rows columns"], boxes: Float32[ndarray, "prompts 4"]) -> Tensor:
    """IoU of each answer's bounding box with the box that asked for it; all in low-resolution pixels."""
    found = bounding_boxes(masks.flatten(0, 1)).view(*masks.shape[:2], 4)
    asked = torch.from_numpy(boxes).to(found)[:, None]
    low, high = torch.maximum(found[..., :2], asked[..., :2]), torch.minimum(found[..., 2:], asked[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    both = (found[..., 2:] - found[..., :2]).prod(-1) + (asked[..., 2:] - asked[..., :2]).prod(-1)
    return shared / (both - shared).clamp(min=1e-6)
