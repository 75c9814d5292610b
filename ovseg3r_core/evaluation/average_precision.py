"""Average precision of instances as the ScanNet benchmark computes it.

Every rule that moves a number is the benchmark's: predictions and true instances under 100 vertices are left out,
a prediction that finds nothing is forgiven where it lies on vertices without a valid class or on instances too small
to count, of two predictions on one true instance the weaker is wrong, and the area under the curve is taken by
central differences over the distinct confidences.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from ovseg3r_core.evaluation.matching import MIN_REGION, OVERLAPS, SharedVertices, Verdicts, judge
from ovseg3r_core.evaluation.scene_pair import ANY_CLASS, ScenePair, TrueInstances

__all__ = [
    "ANY_CLASS",
    "MIN_REGION",
    "OVERLAPS",
    "AveragePrecision",
    "ScenePair",
    "TrueInstances",
    "Verdicts",
    "average_precision",
    "judge_scene",
    "precision_of",
]


@dataclass(frozen=True, kw_only=True)
class AveragePrecision:
    """Average precision of each class at each of `OVERLAPS`; NaN where the truth has no instance of the class."""

    by_class: Mapping[int, Float64[ndarray, " overlaps"]]

    @property
    def ap(self) -> float:
        """Mean over the classes and the overlaps from 0.5 to 0.9; NaN where the truth has nothing."""
        return self._mean(slice(0, -1))

    @property
    def ap50(self) -> float:
        """Mean over the classes at an overlap of 0.5."""
        return self._mean(slice(0, 1))

    @property
    def ap25(self) -> float:
        """Mean over the classes at an overlap of 0.25."""
        return self._mean(slice(-1, None))

    @property
    def classes(self) -> int:
        """How many classes the truth has something of: what the means are taken over."""
        return sum(not np.isnan(values).any() for values in self.by_class.values())

    def among(self, class_ids: Collection[int]) -> "AveragePrecision":
        """The same for some of the classes."""
        return AveragePrecision(by_class={id_: self.by_class[id_] for id_ in class_ids if id_ in self.by_class})

    def _mean(self, overlaps: slice) -> float:
        rows = [values[overlaps] for values in self.by_class.values() if not np.isnan(values).any()]
        return float(np.mean(rows)) if rows else float("nan")


def average_precision(scenes: Sequence[ScenePair], class_ids: Collection[int]) -> AveragePrecision:
    """Compare predictions with the truth over all scenes together.

    Args:
        class_ids: the valid classes; predictions of others are left out, and vertices of others are void.
    """
    return precision_of([judge_scene(scene, class_ids) for scene in scenes], class_ids)


def precision_of(scenes: Sequence[Verdicts], class_ids: Collection[int]) -> AveragePrecision:
    """The areas under the curves of all scenes together, once each scene is judged."""
    together = Verdicts.together(scenes)
    return AveragePrecision(by_class={class_id: _class_precision(together, class_id) for class_id in class_ids})


def judge_scene(scene: ScenePair, class_ids: Collection[int]) -> Verdicts:
    """What `precision_of` needs of one scene: a few kilobytes in place of its masks."""
    counted = SharedVertices.of(scene.predicted.masks, scene.truth, class_ids)
    rows = counted.rows_to_judge(scene.predicted.labels, class_ids)
    return judge(counted.of_predictions(rows), scene.predicted.labels[rows], scene.predicted.scores[rows])


def _class_precision(verdicts: Verdicts, class_id: int) -> Float64[ndarray, " overlaps"]:
    truths = np.flatnonzero(verdicts.truth_labels == class_id)
    if not len(truths):
        return np.full(len(OVERLAPS), np.nan)
    rows = np.flatnonzero(verdicts.labels == class_id)
    return _areas(
        scores=verdicts.scores[rows],
        right=verdicts.right[:, rows],
        wrong=verdicts.wrong[:, rows],
        missed=verdicts.missed[:, truths].sum(axis=1),
    )


def _areas(
    *,
    scores: Float64[ndarray, " predictions"],
    right: Int64[ndarray, "overlaps predictions"],
    wrong: Int64[ndarray, "overlaps predictions"],
    missed: Int64[ndarray, " overlaps"],
) -> Float64[ndarray, " overlaps"]:
    """Area under precision over recall, one point a distinct confidence and an artificial one at recall 0.

    A confidence that nothing has at some overlap repeats the point above it there, which adds no area.
    """
    if not len(scores):
        return np.zeros(len(missed))
    order = np.argsort(scores)
    first = np.unique(scores[order], return_index=True)[1]
    true = _at_least(right[:, order], first)
    all_ = true + _at_least(wrong[:, order], first)
    precision, recall = np.ones((len(missed), len(first) + 1)), np.zeros((len(missed), len(first) + 3))
    np.divide(true, all_, out=precision[:, :-1], where=all_ > 0)
    recall[:, 1:-2] = true / (right.sum(axis=1) + missed)[:, None]
    recall[:, 0] = recall[:, 1]  # the ends of the curve are repeated for the central differences
    return (precision * (recall[:, :-2] - recall[:, 2:])).sum(axis=1) / 2


def _at_least(
    counts: Int64[ndarray, "overlaps predictions"], first: Int64[ndarray, " thresholds"]
) -> Int64[ndarray, "overlaps thresholds"]:
    """Sums over the predictions from each threshold up."""
    return np.add.reduceat(counts, first, axis=1)[:, ::-1].cumsum(axis=1)[:, ::-1]
