"""How good superpoints are: how pure, and how well instances could be put together from them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from ovseg3r_core.evaluation.average_precision import (
    ANY_CLASS,
    AveragePrecision,
    ScenePair,
    TrueInstances,
    Verdicts,
    judge_scene,
    precision_of,
)
from ovseg3r_core.types import Instances
from ovseg3r_train.benchmark.measures import SIZES, of_size
from ovseg3r_train.scene import NO_INSTANCE, Truth

MIN_THING = 50
"""Things of fewer points are left out of the mean overlap, as they are out of the counts of a map."""


@dataclass(frozen=True, kw_only=True)
class SuperpointQuality:
    """The superpoints of one scene against its truth; "no instance" counts as one where purity is meant."""

    superpoints: int
    purity: float
    """Share of the points that are of the instance that most of their superpoint is of."""
    undersegmentation: float
    """Share of the points that superpoints put to more than one instance, the smaller part of each crossing counted
    (Neubert and Protzel, 2012)."""
    overlaps: Float64[ndarray, " things"]
    """IoU of each thing of 50 points and more with the superpoints that are mostly of it."""
    small: Float64[ndarray, " small_things"]
    """The same of those that have fewer than 400 points: 16 dm2 at 2 cm."""
    judged: Verdicts
    """By the rules of ScanNet, whatever the names: each thing as the superpoints that are mostly of it."""
    judged_small: Verdicts
    """The same for small things alone."""


@dataclass(frozen=True, kw_only=True)
class MeanQuality:
    """The superpoints of several scenes; in shares, except for the first."""

    superpoints: float
    """A scene."""
    purity: float
    undersegmentation: float
    overlap: float
    overlap_small: float
    achievable: AveragePrecision
    achievable_small: AveragePrecision


def quality(superpoint: Int64[ndarray, " points"], truth: Truth) -> SuperpointQuality:
    """Judge the superpoints of one scene."""
    ids, place = np.unique(truth.instance, return_inverse=True)
    count = int(superpoint.max(initial=-1)) + 1
    shared = np.bincount(superpoint * len(ids) + place, minlength=count * len(ids)).reshape(count, len(ids))
    sizes = shared.sum(axis=1, keepdims=True)
    owner = ids[shared.argmax(axis=1)] if len(ids) else ids
    things = ids[ids != NO_INSTANCE]
    pair = _oracle(owner[superpoint], truth, things)
    overlaps, points = pair.predicted.scores, np.bincount(place, minlength=len(ids))[ids != NO_INSTANCE]
    seen = points >= MIN_THING
    crossing = np.where(shared > 0, np.minimum(shared, sizes - shared), 0)
    return SuperpointQuality(
        superpoints=count,
        purity=float(shared.max(axis=1, initial=0).sum() / max(len(superpoint), 1)),
        undersegmentation=float(crossing.sum() / max(len(superpoint), 1)),
        overlaps=overlaps[seen],
        small=overlaps[seen & (points < SIZES["small"][1])],
        judged=judge_scene(pair, [ANY_CLASS]),
        judged_small=judge_scene(of_size(pair, *SIZES["small"]), [ANY_CLASS]),
    )


def mean_quality(scenes: Sequence[SuperpointQuality]) -> MeanQuality:
    """Means over scenes, over the things of all scenes, and the precision over all scenes together."""
    return MeanQuality(
        superpoints=float(np.mean([scene.superpoints for scene in scenes])),
        purity=float(np.mean([scene.purity for scene in scenes])),
        undersegmentation=float(np.mean([scene.undersegmentation for scene in scenes])),
        overlap=float(np.concatenate([scene.overlaps for scene in scenes]).mean()),
        overlap_small=float(np.concatenate([scene.small for scene in scenes]).mean()),
        achievable=precision_of([scene.judged for scene in scenes], [ANY_CLASS]),
        achievable_small=precision_of([scene.judged_small for scene in scenes], [ANY_CLASS]),
    )


def _oracle(owner: ndarray, truth: Truth, things: ndarray) -> ScenePair:
    """Each thing as the points whose superpoints are mostly of it; as sure as it is right."""
    masks = owner == things[:, None]
    true = truth.instance == things[:, None]
    union = (masks | true).sum(axis=1)
    predicted = Instances(
        masks=masks,
        labels=np.full(len(things), ANY_CLASS, np.int64),
        scores=(masks & true).sum(axis=1) / np.maximum(union, 1),
    )
    labels = dict.fromkeys(things.tolist(), ANY_CLASS)
    return ScenePair(predicted=predicted, truth=TrueInstances(instance=truth.instance.astype(np.int64), labels=labels))
