"""Which mask a pixel belongs to, where masks overlap.

The rule, in this order:

0. *No outline.* A mask of nearly the whole image, or of none of it, says nothing and goes.
1. *The same thing twice.* Of two masks that agree nearly everywhere the one with a name stays, else the surer one.
2. *A part of a thing.* A mask without a name that lies inside another mask, covers a fair share of it and is flush
   with it (no depth jump runs along their common border) is a part and goes: a drawer, a screen in its frame, the
   seat of a chair. A mask with a name is never a part: a cup stays apart from the table it stands on. A mask
   without a name that runs out of the image on two sides is background and has no parts: what is flush with a wall
   or a floor is a door, a picture or a rug.
3. *Small over large.* What is left is painted from the largest mask to the smallest, so a small thing keeps its
   pixels in front of a large one.
4. *Left-overs.* A mask without a name that lost most of its pixels to smaller ones was no thing of its own (a desk
   with all that stands on it) and goes; its few remaining pixels belong to no mask.

Scores are compared within rule 1 only, and there only between two masks with names or two without: the score of a
name and the score of an outline are different quantities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int32
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.types import Mask

_SAMPLES = 20_000  # pixels that overlaps are counted on: 1000 masks then take half a second and 80 MB
_BORDER_PX = 5  # width of the rim in which a depth jump must lie: outlines are a few pixels off


@dataclass(frozen=True, kw_only=True)
class OverlapConfig:
    """The shares that the rules above turn on."""

    whole_image: Annotated[float, Within(0.0, 1.0)] = 0.95
    """Rule 0: share of the image from which a mask has no outline."""
    same_iou: Annotated[float, Within(0.0, 1.0)] = 0.8
    """Rule 1: intersection over union from which two masks are the same thing."""
    inside: Annotated[float, Within(0.0, 1.0)] = 0.8
    """Rule 2: share of a part that lies inside its whole."""
    part_share: Annotated[float, Within(0.0, 1.0)] = 0.15
    """Rule 2: share of the whole that a part covers; what is smaller is a thing of its own."""
    standing_off: Annotated[float, Within(0.0, 1.0)] = 0.4
    """Rule 2: share of the common border that is a depth jump from which the small mask is a thing of its own."""
    left_over: Annotated[float, Within(0.0, 1.0)] = 0.5
    """Rule 4: share of its pixels that a mask without a name must keep."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def id_image(
    masks: Sequence[Mask], jumps: Bool[ndarray, "height width"], config: OverlapConfig | None = None
) -> Int32[ndarray, "height width"]:
    """For each pixel the index of the mask it belongs to, or -1.

    Args:
        jumps: pixels beside a depth jump.
    """
    config = config or OverlapConfig()
    ids = np.full(jumps.shape, -1, dtype=np.int32)
    if not masks:
        return ids
    area = np.array([np.count_nonzero(mask.pixels) for mask in masks])
    common = _common_pixels(masks)
    kept = [i for i in range(len(masks)) if 0 < area[i] < config.whole_image * ids.size]
    kept = _without_repeats(masks, kept, common, config)
    kept = _without_parts(masks, kept, common, jumps, config)
    for i in sorted(kept, key=lambda i: (-area[i], masks[i].score)):
        ids[masks[i].pixels] = i
    left = np.bincount(ids[ids >= 0], minlength=len(masks))
    unnamed = np.array([mask.label is None for mask in masks])
    gone = np.append(unnamed & (left < config.left_over * area), False)  # the last entry is what -1 finds
    return np.where(gone[ids], np.int32(-1), ids)


def _common_pixels(masks: Sequence[Mask]) -> Float32[ndarray, "masks masks"]:
    """How many pixels each two masks share, counted on a coarse grid; the areas are on the diagonal."""
    height, width = masks[0].pixels.shape
    stride = max(1, round(np.sqrt(height * width / _SAMPLES)))
    flat = np.stack([mask.pixels[::stride, ::stride].ravel() for mask in masks]).astype(np.float32)
    return flat @ flat.T


def _without_repeats(
    masks: Sequence[Mask], kept: list[int], common: Float32[ndarray, "masks masks"], config: OverlapConfig
) -> list[int]:
    """Rule 1."""
    area = common.diagonal()
    same = common >= config.same_iou * np.maximum(area[:, None] + area - common, 1)
    gone = np.zeros(len(masks), dtype=bool)
    unique = []
    for i in sorted(kept, key=lambda i: (masks[i].label is None, -masks[i].score)):
        if not gone[i]:
            unique.append(i)
            gone |= same[i]
    return unique


def _without_parts(
    masks: Sequence[Mask],
    kept: list[int],
    common: Float32[ndarray, "masks masks"],
    jumps: Bool[ndarray, "height width"],
    config: OverlapConfig,
) -> list[int]:
    """Rule 2; a mask is held against the smallest of the masks that it could be a part of."""
    near_jump = cv2.dilate(jumps.astype(np.uint8), np.ones((_BORDER_PX, _BORDER_PX), dtype=np.uint8)) > 0
    area = common.diagonal()
    others = np.array([i for i in kept if masks[i].label is not None or _sides(masks[i].pixels) < 2], dtype=np.int64)
    things = []
    for i in kept:
        larger = others[area[others] > area[i]]
        holds_it = common[i, larger] >= config.inside * area[i]
        wholes = larger[holds_it & (area[i] >= config.part_share * area[larger])]
        if masks[i].label is None and len(wholes) and area[i] > 0:
            whole = wholes[np.argmin(area[wholes])]
            if _standing_off(masks[i].pixels, masks[whole].pixels, near_jump) < config.standing_off:
                continue
        things.append(i)
    return things


def _sides(pixels: Bool[ndarray, "height width"]) -> int:
    """At how many sides of the image a mask runs out of it."""
    return sum(bool(side.any()) for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def _standing_off(
    part: Bool[ndarray, "height width"], whole: Bool[ndarray, "height width"], near_jump: Bool[ndarray, "height width"]
) -> float:
    """Share of the border between a part and the rest of its whole that runs along a depth jump."""
    x, y, width, height = cv2.boundingRect(part.astype(np.uint8))
    crop = np.s_[max(y - 1, 0) : y + height + 1, max(x - 1, 0) : x + width + 1]
    part, whole, near_jump = part[crop], whole[crop], near_jump[crop]
    border = (cv2.dilate(part.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0) & ~part & whole
    return float(near_jump[border].mean()) if border.any() else 0.0
