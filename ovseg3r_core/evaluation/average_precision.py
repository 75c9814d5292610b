"""Average precision of instances as the ScanNet benchmark computes it.

Every rule that moves a number is the benchmark's: predictions and true instances under 100 vertices are left out,
a prediction that finds nothing is forgiven where it lies on vertices without a valid class or on instances too small
to count, of two predictions on one true instance the weaker is wrong, and the area under the curve is taken by
central differences over the distinct confidences.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from ovseg3r_core.types import Instances

OVERLAPS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.25)
"""Intersection over union that a match must exceed; AP is the mean over all but the last."""
MIN_REGION = 100
"""Vertices that a prediction or a true instance needs to be looked at."""

ANY_CLASS = 1
"""The only class of a class-agnostic comparison."""


@dataclass(frozen=True, kw_only=True)
class TrueInstances:
    """The truth on the vertices of one scene."""

    instance: Int64[ndarray, " points"]
    """Id of the instance that a vertex belongs to, -1 for none."""
    labels: Mapping[int, int]
    """Label id of each instance."""

    def class_agnostic(self) -> "TrueInstances":
        """The same with one class for everything."""
        return TrueInstances(instance=self.instance, labels=dict.fromkeys(self.labels, ANY_CLASS))


@dataclass(frozen=True, kw_only=True)
class ScenePair:
    """Predictions and truth on the same vertices."""

    predicted: Instances
    truth: TrueInstances

    def __post_init__(self) -> None:
        """Check that both sides speak of the same vertices."""
        if self.predicted.masks.shape[1] != len(self.truth.instance):
            raise ValueError(
                f"predictions are on {self.predicted.masks.shape[1]} vertices but the truth on "
                f"{len(self.truth.instance)}: give both on the vertices of one cloud"
            )

    def class_agnostic(self) -> "ScenePair":
        """The same with one class for everything."""
        ones = np.full(len(self.predicted.labels), ANY_CLASS, np.int64)
        predicted = Instances(masks=self.predicted.masks, labels=ones, scores=self.predicted.scores)
        return ScenePair(predicted=predicted, truth=self.truth.class_agnostic())


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

    def _mean(self, overlaps: slice) -> float:
        rows = [values[overlaps] for values in self.by_class.values() if not np.isnan(values).any()]
        return float(np.mean(rows)) if rows else float("nan")


def average_precision(scenes: Sequence[ScenePair], class_ids: Collection[int]) -> AveragePrecision:
    """Compare predictions with the truth over all scenes together.

    Args:
        class_ids: the valid classes; predictions of others are left out, and vertices of others are void.
    """
    shared = [_SharedVertices.of(scene, frozenset(class_ids)) for scene in scenes]
    return AveragePrecision(
        by_class={
            class_id: np.array([_class_precision([pair.of_class(class_id) for pair in shared], o) for o in OVERLAPS])
            for class_id in class_ids
        }
    )


@dataclass(frozen=True, kw_only=True)
class _ClassInScene:
    """The predictions and true instances of one class in one scene."""

    scores: Float64[ndarray, " predictions"]
    iou: Float64[ndarray, "predictions truths"]
    forgiven: Float64[ndarray, " predictions"]
    """Share of each prediction on vertices where nothing can be wrong."""
    counts: Bool[ndarray, " truths"]
    """Whether each true instance is large enough to be looked for."""


@dataclass(frozen=True, kw_only=True)
class _SharedVertices:
    """How many vertices each prediction of a scene shares with each true instance, and with no valid one."""

    predicted: Instances
    shared: Int64[ndarray, "predictions truths"]
    void: Int64[ndarray, " predictions"]
    sizes: Int64[ndarray, " truths"]
    labels: Int64[ndarray, " truths"]

    @classmethod
    def of(cls, scene: ScenePair, class_ids: frozenset[int]) -> "_SharedVertices":
        instance, masks = scene.truth.instance, scene.predicted.masks
        ids = [id_ for id_ in np.unique(instance[instance >= 0]).tolist() if scene.truth.labels[id_] in class_ids]
        place = np.full(len(instance), len(ids), np.int64)  # the last place is "no valid instance"
        valid = np.isin(instance, ids)
        place[valid] = np.searchsorted(np.array(ids, np.int64), instance[valid])
        counts = [np.bincount(place[mask], minlength=len(ids) + 1) for mask in masks]
        shared = np.array(counts, np.int64).reshape(len(masks), len(ids) + 1)
        return cls(
            predicted=scene.predicted,
            shared=shared[:, :-1],
            void=shared[:, -1],
            sizes=np.bincount(place, minlength=len(ids) + 1)[:-1],
            labels=np.array([scene.truth.labels[id_] for id_ in ids], np.int64),
        )

    def of_class(self, class_id: int) -> _ClassInScene:
        rows = (self.predicted.labels == class_id) & (self.predicted.sizes >= MIN_REGION)
        columns = self.labels == class_id
        shared, truth_sizes = self.shared[np.ix_(rows, columns)], self.sizes[columns]
        sizes, counts = self.predicted.sizes[rows], truth_sizes >= MIN_REGION
        ignored = self.void[rows] + shared[:, ~counts].sum(axis=1)
        return _ClassInScene(
            scores=self.predicted.scores[rows].astype(np.float64),
            iou=shared / (sizes[:, None] + truth_sizes - shared),
            forgiven=ignored / sizes,
            counts=counts,
        )


@dataclass(kw_only=True)
class _Verdicts:
    """Predictions as right or wrong with their confidences, and the true instances that nothing found."""

    right: list[bool] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    missed: int = 0

    def add(self, right: bool, score: float) -> None:
        self.right.append(right)
        self.scores.append(score)


def _class_precision(scenes: list[_ClassInScene], overlap: float) -> float:
    if not any(scene.counts.any() for scene in scenes):
        return float("nan")
    verdicts = _Verdicts()
    for scene in scenes:
        _judge(scene, overlap, verdicts)
    return _area(np.array(verdicts.right, bool), np.array(verdicts.scores, np.float64), verdicts.missed)


def _judge(scene: _ClassInScene, overlap: float, verdicts: _Verdicts) -> None:
    """Match greedily in the order of the true instances, then tell which of the other predictions are wrong."""
    good = scene.iou > overlap
    taken = np.zeros(len(scene.scores), bool)
    for truth in np.flatnonzero(scene.counts):
        candidates = np.flatnonzero(good[:, truth] & ~taken)
        if not len(candidates):
            verdicts.missed += 1
            continue
        taken[candidates[0]] = True  # the others may still match a later instance, as in the benchmark
        best, *weaker = sorted(scene.scores[candidates].tolist(), reverse=True)
        verdicts.add(True, best)
        for score in weaker:
            verdicts.add(False, score)
    for lost in np.flatnonzero(~good.any(axis=1) & (scene.forgiven <= overlap)):
        verdicts.add(False, float(scene.scores[lost]))


def _area(right: Bool[ndarray, " predictions"], scores: Float64[ndarray, " predictions"], missed: int) -> float:
    """Area under precision over recall, one point a distinct confidence and an artificial one at recall 0."""
    if not right.any():
        return 0.0
    at_least = scores >= np.unique(scores)[:, None]
    true_positives = (at_least & right).sum(axis=1)
    precision = np.append(true_positives / at_least.sum(axis=1), 1.0)
    recall = np.append(true_positives / (right.sum() + missed), 0.0)
    padded = np.concatenate([recall[:1], recall, [0.0]])
    return float(precision @ (padded[:-2] - padded[2:]) / 2)
