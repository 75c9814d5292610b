"""What VIP relies on, counted where the truth is known: do seeds belong to the masks they lie in, is silence right?

Nobody has published these; the reviewers of the paper asked for them (method 1.7).
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Int32, Int64
from numpy import ndarray

from ovseg3r_train.learning.example import Example, ViewMasks
from ovseg3r_train.learning.targets import points_of_each
from ovseg3r_train.learning.view_targets import WELL_SEEN
from ovseg3r_train.scene import NO_INSTANCE, Truth


@dataclass(frozen=True, kw_only=True)
class VipCounts:
    """Pairs of views and superpoints, each superpoint a seed; and masks."""

    seeds: int = 0
    """Pairs of a view and a superpoint that it sees."""
    in_masks: int = 0
    """Of them, those in a mask of the view."""
    of_another: int = 0
    """Of those, whose superpoint belongs to another thing than the mask: a query there may be matched wrongly."""
    missed: int = 0
    """Seeds of things that no mask of the view holds: the teacher missed them, or the outline did."""
    missed_well_seen: int = 0
    """Of them, those that the view sees so well that they are taught "nothing": false negatives."""
    background: int = 0
    """Seeds of no thing, in no mask."""
    background_well_seen: int = 0
    """Of them, those that are taught "nothing", rightly."""
    masks: int = 0
    ghosts: int = 0
    """Masks that are mostly on no thing."""

    def __add__(self, other: "VipCounts") -> "VipCounts":
        return VipCounts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


def vip_counts(examples: Iterable[Example]) -> VipCounts:
    """The counts over scenes whose truth is known."""
    total = VipCounts()
    for example in examples:
        if example.truth is not None:
            owner, size = owners(example.truth, example.superpoint)
            for view in range(len(example.masks.share)):
                total = total + _of_view(example.masks, view, owner, size)
    return total


def _of_view(masks: ViewMasks, view: int, owner: Int64[ndarray, " ids"], size: Int64[ndarray, " ids"]) -> VipCounts:
    share = masks.share[view]
    seen, inside = share > 0, masks.inside[masks.view == view]
    mask_owner = np.array([mostly(owner[row], (size * share)[row]) for row in inside], np.int64)
    in_mask = inside & seen
    held, thing, well = in_mask.any(axis=0), owner != NO_INSTANCE, share >= WELL_SEEN
    other = in_mask & (owner[None] != mask_owner[:, None]) if len(inside) else in_mask
    return VipCounts(
        seeds=_count(seen),
        in_masks=_count(in_mask),
        of_another=_count(other),
        missed=_count(seen & thing & ~held),
        missed_well_seen=_count(seen & thing & ~held & well),
        background=_count(seen & ~thing & ~held),
        background_well_seen=_count(seen & ~thing & ~held & well),
        masks=len(inside),
        ghosts=_count(mask_owner == NO_INSTANCE),
    )


def owners(
    truth: Truth, superpoint: Int32[ndarray, " points"]
) -> tuple[Int64[ndarray, " ids"], Int64[ndarray, " ids"]]:
    """The thing that holds more than half of each superpoint, -1 for none, and the size of each."""
    ids, _, points = points_of_each(truth, superpoint)
    size = points.sum(axis=0)
    return np.where(points.max(axis=0) * 2 > size, ids[points.argmax(axis=0)], NO_INSTANCE).astype(np.int64), size


def mostly(owner: Int64[ndarray, " members"], weight: ndarray) -> int:
    """Whose most of the weight is; -1 for no thing's."""
    ids, row = np.unique(owner, return_inverse=True)
    return int(ids[np.bincount(row, weights=weight).argmax()])


def _count(flags: Bool[ndarray, "*any"]) -> int:
    return int(np.count_nonzero(flags))
