"""The benchmark's table: average precision over all classes, over groups, a class, and whatever the names.

Two rankings stand side by side, since papers use either. Top-K counts the predictions as they are given: a mask may
come several times with different labels, and each (mask, label) pair is a prediction. Top-1 keeps of each distinct
mask of a scene, that is of each set of vertices, the one pair with the highest score (the first of equals), whatever
its label; where that label is not a valid class, the mask is gone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int64
from numpy import ndarray

from ovseg3r_core.evaluation.average_precision import AveragePrecision, precision_of
from ovseg3r_core.evaluation.matching import MIN_REGION, SharedVertices, Verdicts, judge
from ovseg3r_core.evaluation.scannet200 import EvaluatedClasses
from ovseg3r_core.evaluation.scene_pair import ANY_CLASS, ScenePair
from ovseg3r_core.types import Instances

_OTHER_CLASSES = "predictions_of_other_classes"


@dataclass(frozen=True, kw_only=True)
class ClassMean:
    """Average precision, the mean over classes; None where the truth has nothing of any of them."""

    classes: int
    """How many of them the truth has something of; the others are left out of the mean."""
    ap: float | None
    """Mean over the overlaps 0.5, 0.55, ... 0.9."""
    ap50: float | None
    ap25: float | None


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class; the precisions are None where the truth has nothing of it."""

    id: int
    name: str
    ap: float | None
    ap50: float | None
    ap25: float | None
    true_instances: int
    """Large enough to be looked for."""
    predictions: int
    """Large enough to be looked at."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The figures of one way to count predictions."""

    predictions: int
    """Of valid classes and large enough."""
    overall: ClassMean
    groups: Mapping[str, ClassMean]
    class_agnostic: ClassMean
    """With one class for all true instances of valid classes, and for all predictions, valid or not."""
    classes: tuple[ClassRow, ...]


@dataclass(frozen=True, kw_only=True)
class BenchmarkReport:
    """Everything that is said about a set of predictions."""

    protocol: str
    vocabulary: str
    scenes: int
    true_instances: int
    """Of valid classes and large enough to be looked for."""
    left_out: Mapping[str, int]
    """What counts for nothing: true instances and predictions that are small or of other classes."""
    top_k: Ranking
    top_1: Ranking

    def to_json(self) -> dict[str, Any]:
        """As the command line writes it; `ap`, `ap50` and `ap25` at the top are those of Top-K, all classes."""
        content = asdict(self)
        overall = {key: content["top_k"]["overall"][key] for key in ("ap", "ap50", "ap25")}
        head = {key: content.pop(key) for key in ("protocol", "vocabulary", "scenes")}
        return head | overall | content


@dataclass(frozen=True, kw_only=True)
class SceneScores:
    """What is kept of a scene once it is judged: a few kilobytes in place of its masks."""

    named: tuple[Verdicts, Verdicts]
    """Top-K and Top-1, with the names."""
    unnamed: tuple[Verdicts, Verdicts]
    """The same with one class for everything."""
    left_out: Mapping[str, int]


def evaluate_scenes(
    scenes: Iterable[ScenePair], classes: EvaluatedClasses, protocol: str = "scannet200"
) -> BenchmarkReport:
    """Judge scenes one after the other; a generator of scenes is never held in memory as a whole.

    Args:
        protocol: "class-agnostic" makes the figures without names the overall ones; any other is only written down.
    """
    return report_of([score_scene(scene, classes) for scene in scenes], classes, protocol)


def score_scene(scene: ScenePair, classes: EvaluatedClasses) -> SceneScores:
    """Judge one scene both ways, with and without names."""
    predicted, valid = scene.predicted, list(classes.names)
    counted = SharedVertices.of(predicted.masks, scene.truth, valid)
    unnamed, any_label = counted.one_class(ANY_CLASS), np.full_like(predicted.labels, ANY_CLASS)
    large = np.flatnonzero(counted.sizes >= MIN_REGION)
    both = (large, large[_first_of_each_mask(predicted, counted, large)])
    of_class = [rows[np.isin(predicted.labels[rows], valid)] for rows in both]
    true_labels = np.array(list(scene.truth.labels.values()), np.int64)
    return SceneScores(
        named=_both(counted, predicted.labels, predicted.scores, of_class),
        unnamed=_both(unnamed, any_label, predicted.scores, both),
        left_out={
            "true_instances_of_other_classes": int((~np.isin(true_labels, valid)).sum()),
            "small_true_instances": int((counted.truth_sizes < MIN_REGION).sum()),
            _OTHER_CLASSES: len(large) - len(of_class[0]),
            "small_predictions": len(predicted.labels) - len(large),
            "weaker_labels_of_a_mask_in_top_1": len(both[0]) - len(both[1]),
        },
    )


def report_of(scenes: Sequence[SceneScores], classes: EvaluatedClasses, protocol: str) -> BenchmarkReport:
    """The report on scenes that are judged.

    Raises:
        ValueError: there is no scene.
    """
    if not scenes:
        raise ValueError("no scene to evaluate")
    named = protocol != "class-agnostic"
    rankings = [_ranking(scenes, place, classes, named=named) for place in (0, 1)]
    reasons = [reason for reason in scenes[0].left_out if named or reason != _OTHER_CLASSES]
    return BenchmarkReport(
        protocol=protocol,
        vocabulary=classes.vocabulary,
        scenes=len(scenes),
        true_instances=sum(len(scene.unnamed[0].truth_labels) for scene in scenes),
        left_out={reason: sum(scene.left_out[reason] for scene in scenes) for reason in reasons},
        top_k=rankings[0],
        top_1=rankings[1],
    )


def _both(
    counted: SharedVertices,
    labels: Int64[ndarray, " predictions"],
    scores: Float[ndarray, " predictions"],
    rows: Sequence[Int64[ndarray, " _"]],
) -> tuple[Verdicts, Verdicts]:
    top_k = judge(counted.of_predictions(rows[0]), labels[rows[0]], scores[rows[0]])
    if len(rows[1]) == len(rows[0]):  # no mask came twice
        return top_k, top_k
    return top_k, judge(counted.of_predictions(rows[1]), labels[rows[1]], scores[rows[1]])


def _first_of_each_mask(
    predicted: Instances, counted: SharedVertices, rows: Int64[ndarray, " chosen"]
) -> Bool[ndarray, " chosen"]:
    """Whether a prediction has the highest score of all with the very same vertices."""
    # Equal masks share as many vertices with everything: few rows are left to be compared vertex by vertex.
    profile = np.concatenate([counted.shared[rows], counted.void[rows, None]], axis=1)
    _, profile_of, sharing = np.unique(profile, axis=0, return_inverse=True, return_counts=True)
    doubtful = np.flatnonzero(sharing[profile_of] > 1)
    kept = np.ones(len(rows), bool)
    if len(doubtful):
        packed = np.packbits(predicted.masks[rows[doubtful]], axis=1)
        mask_of = np.unique(packed.view(np.dtype((np.void, packed.shape[1]))).ravel(), return_inverse=True)[1]
        by_score = np.lexsort((doubtful, -predicted.scores[rows[doubtful]]))
        best = by_score[np.unique(mask_of[by_score], return_index=True)[1]]
        kept[np.delete(doubtful, best)] = False
    return kept


def _ranking(scenes: Sequence[SceneScores], place: int, classes: EvaluatedClasses, *, named: bool) -> Ranking:
    unnamed = [scene.unnamed[place] for scene in scenes]
    agnostic = _mean(precision_of(unnamed, [ANY_CLASS]))
    if not named:
        count = sum(len(scene.labels) for scene in unnamed)
        return Ranking(predictions=count, overall=agnostic, groups={}, class_agnostic=agnostic, classes=())
    judged = [scene.named[place] for scene in scenes]
    precision = precision_of(judged, list(classes.names))
    return Ranking(
        predictions=sum(len(scene.labels) for scene in judged),
        overall=_mean(precision),
        groups={group: _mean(precision.among(ids)) for group, ids in classes.groups.items()},
        class_agnostic=agnostic,
        classes=_rows(judged, precision, classes),
    )


def _rows(judged: Sequence[Verdicts], precision: AveragePrecision, classes: EvaluatedClasses) -> tuple[ClassRow, ...]:
    """The classes that are there or predicted."""
    true_labels = np.concatenate([scene.truth_labels for scene in judged])
    labels = np.concatenate([scene.labels for scene in judged])
    rows = []
    for id_ in sorted({*true_labels.tolist(), *labels.tolist()}):
        mean = _mean(precision.among([id_]))
        there, predicted = int((true_labels == id_).sum()), int((labels == id_).sum())
        rows.append(
            ClassRow(
                id=id_,
                name=classes.names[id_],
                ap=mean.ap,
                ap50=mean.ap50,
                ap25=mean.ap25,
                true_instances=there,
                predictions=predicted,
            )
        )
    return tuple(rows)


def _mean(precision: AveragePrecision) -> ClassMean:
    ap, ap50, ap25 = (None if math.isnan(v) else v for v in (precision.ap, precision.ap50, precision.ap25))
    return ClassMean(classes=precision.classes, ap=ap, ap50=ap50, ap25=ap25)
