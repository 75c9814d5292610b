"""SAM's everything mode: a regular grid of points, every good mask, repeats removed; no names."""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.masks.candidates import QualityConfig, good_candidates, join, no_candidates, without_repeats
from ovseg3r_core.masks.sam import Embedding, Sam, enlarge
from ovseg3r_core.types import Frame, Mask


@dataclass(frozen=True, kw_only=True)
class EverythingConfig:
    """The grid, and what is kept."""

    points_per_side: Annotated[int, Within(1, 256)] = 16
    """Points of the grid along each side of the image."""
    quality: QualityConfig = field(default_factory=QualityConfig)
    """Which answers are good enough to keep."""
    points_at_once: Annotated[int, Within(1, 4096)] = 32
    """Answers held in memory before the good ones are picked out; 32 points take 25 MB."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class Everything:
    """Masks at every point of a grid, at all three of SAM's levels; blind to what the map explains."""

    def __init__(self, sam: Sam, config: EverythingConfig | None = None) -> None:
        self._sam, self._config = sam, config or EverythingConfig()

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """Everything SAM can tell apart in the frame, best first."""
        embedding = self._sam.encode(frame.color)
        points, step = grid(embedding, self._config.points_per_side), self._config.points_at_once
        found = [no_candidates(embedding.mask_size, self._sam.device)]
        for start in range(0, len(points), step):
            answers = self._sam.masks_at(embedding, points[start : start + step])
            found.append(good_candidates(answers, embedding.pixel_area, self._config.quality))
        kept = join(found)
        kept = kept[without_repeats(kept.logits > 0, kept.score, self._config.quality.same_iou)]
        masks = enlarge(embedding, kept.logits, self._config.quality.min_area_px)
        return [Mask(pixels=pixels, score=score) for pixels, score in zip(masks, kept.score.tolist(), strict=True)]


def grid(embedding: Embedding, per_side: int) -> Float32[ndarray, "points 2"]:
    """Points (column, row) in the middle of per_side x per_side equal cells of the image."""
    u = (np.arange(per_side) + 0.5) * (embedding.width / per_side) - 0.5
    v = (np.arange(per_side) + 0.5) * (embedding.height / per_side) - 0.5
    return np.stack(np.meshgrid(u, v), axis=-1).reshape(-1, 2).astype(np.float32)
