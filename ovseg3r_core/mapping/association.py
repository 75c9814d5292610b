"""Which mapped object each new mask shows: the online half of mapping, one view at a time.

Greedy and cheap, so that the map is never far behind the camera; `consensus` looks at all views together
later and mends what was decided too early here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.types import LiftedMask, ViewIncidence

NEW, UNCLEAR = -1, -2


@dataclass(frozen=True, kw_only=True)
class AssociationConfig:
    """How much a mask and an object must share, counted on the points this view sees."""

    min_iou: Annotated[float, Within(0.0, 1.0)] = 0.3
    """A mask with this intersection over union with an object shows it."""
    min_inside: Annotated[float, Within(0.0, 1.0)] = 0.6
    """A mask with this share of its points on one object shows part of it."""
    min_covered: Annotated[float, Within(0.0, 1.0)] = 0.6
    """A mask that covers this share of the object's visible points shows it and more of it."""
    min_alike: Annotated[float, Within(0.0, 1.0)] = 0.5
    """Where only min_inside or min_covered speaks for it, image embeddings with a lower cosine than this speak against:
    a plain choice, not calibrated."""
    max_owned: Annotated[float, Within(0.0, 1.0)] = 0.5
    """A mask that fits no object starts a new one, unless more than this share of it is owned by others."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def match_mask(
    mask: LiftedMask,
    owner: Int32[ndarray, " points"],
    visible: Int32[ndarray, " objects"],
    label_of: Mapping[int, str],
    look_of: Mapping[int, Float32[ndarray, " channels"]],
    config: AssociationConfig,
) -> int:
    """The id of the object that the mask shows; `NEW`, or `UNCLEAR` where it straddles several.

    Args:
        owner: the object id of each scene point, -1 for none.
        visible: how many points of each object id this view sees.
        label_of: the present name of the objects that have one.
        look_of: the present image embedding of the objects that have one.
    """
    owners = owner[mask.points]
    owned = owners[owners >= 0]
    if not len(owned):
        return NEW
    ids, shared = np.unique(owned, return_counts=True)
    iou = shared / (len(mask.points) + visible[ids] - shared)
    inside, covered = shared / len(mask.points), shared / np.maximum(visible[ids], 1)
    best = int(np.argmax(iou))
    fits = iou[best] >= config.min_iou
    if not fits:
        best = int(np.argmax(np.maximum(inside, covered)))
        fits = inside[best] >= config.min_inside or covered[best] >= config.min_covered
        known = int(ids[best])
        if fits and _differ(mask, label_of.get(known), look_of.get(known), config.min_alike):
            return NEW  # a cup on a table is no part of it
    if fits:
        return int(ids[best])
    return NEW if len(owned) <= config.max_owned * len(mask.points) else UNCLEAR


def _differ(mask: LiftedMask, label: str | None, look: Float32[ndarray, " channels"] | None, min_alike: float) -> bool:
    """Whether a mask and an object are told apart by their names or, where one has none, by their looks."""
    if mask.label is not None and label is not None:
        return mask.label != label
    return mask.embedding is not None and look is not None and float(mask.embedding @ look) < min_alike


def visible_counts(owner: Int32[ndarray, " points"], seen: ViewIncidence, next_id: int) -> Int32[ndarray, " objects"]:
    """How many points of each object id the view sees."""
    owners = owner[seen.points]
    return np.bincount(owners[owners >= 0], minlength=next_id).astype(np.int32)
