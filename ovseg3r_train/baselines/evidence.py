"""What all baselines share: masks as a sparse matrix, and the name and score that member masks add up to.

The originals name their instances with CLIP features and score them all alike. Neither fits a comparison on given
masks, so every baseline is named and scored by one and the same plain rule.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int64
from numpy import ndarray
from scipy import sparse

from ovseg3r_core.types import LiftedMask
from ovseg3r_train.scene import FoundInstances, LabelledScene

MIN_SEEN = 0.3
"""A view observes an instance when it sees this share of its points."""


def mask_matrix(masks: Sequence[LiftedMask], points: int) -> sparse.csr_array:
    """The masks as a (masks, points) matrix of zeros and ones."""
    return membership([mask.points for mask in masks], points)


def membership(members: Sequence[Int64[ndarray, " _"]], points: int) -> sparse.csr_array:
    """Sets of points as a (sets, points) matrix of zeros and ones."""
    offsets = np.cumsum([0, *(len(m) for m in members)], dtype=np.int64)
    indices = np.concatenate([np.zeros(0, np.int64), *members])
    return sparse.csr_array((np.ones(len(indices), np.float32), indices, offsets), (len(members), points))


def seen_matrix(scene: LabelledScene) -> sparse.csr_array:
    """What each view sees as a (views, points) matrix of zeros and ones."""
    ones = np.ones(len(scene.seen.points), np.float32)
    return sparse.csr_array((ones, scene.seen.points, scene.seen.offsets), (len(scene.seen), len(scene.cloud)))


def found_instances(
    scene: LabelledScene,
    points: Sequence[Int[ndarray, " _"]],
    members: Sequence[Sequence[int]],
) -> FoundInstances:
    """Instances with the name and the score that their masks give them; those without a mask are left out.

    Args:
        points: the points of each instance.
        members: for each instance the places of its masks in `scene.lifted`.
    """
    backed = [i for i, masks in enumerate(members) if len(masks) and len(points[i])]
    extents = [np.unique(points[i]).astype(np.int64) for i in backed]
    masks_of = [[scene.lifted[m] for m in members[i]] for i in backed]
    visible = (membership(extents, len(scene.cloud)) @ seen_matrix(scene).T).toarray()
    sizes = np.array([len(extent) for extent in extents], dtype=np.float64)
    observing = (visible >= MIN_SEEN * sizes[:, None]).sum(axis=1)
    return FoundInstances(
        points=tuple(extents),
        names=tuple(voted_name(masks) for masks in masks_of),
        scores=np.array([_score(masks, int(n)) for masks, n in zip(masks_of, observing, strict=True)], np.float64),
        name_scores=np.ones(len(extents)),
    )


def voted_name(masks: Sequence[LiftedMask]) -> str | None:
    """The name with the largest sum of scores, the first in the alphabet of equals; None where no mask has one."""
    votes: defaultdict[str, float] = defaultdict(float)
    for mask in masks:
        if mask.label is not None:
            votes[mask.label] += mask.score
    return min(votes, key=lambda name: (-votes[name], name)) if votes else None


def _score(masks: Sequence[LiftedMask], observing: int) -> float:
    """The mean score of the masks, times the share of the observing views that have one of them."""
    supporting = len({mask.view for mask in masks})
    mean = float(np.mean([mask.score for mask in masks]))
    return mean * supporting / max(observing, supporting)
