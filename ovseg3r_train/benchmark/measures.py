"""One method on one scene: what it found, held against the truth by several rulers.

The rulers: average precision by the rules of ScanNet200, whatever the names and with them; the same for small, medium
and large things alone; and the plain counts of a map (found, duplicates, ghosts, right names).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int, Int32
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.evaluation.average_precision import (
    ANY_CLASS,
    AveragePrecision,
    ScenePair,
    TrueInstances,
    Verdicts,
    judge_scene,
    precision_of,
)
from ovseg3r_core.evaluation.map_metrics import MapMetrics, compare_maps
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import STRUCTURE, UNNAMED, scannet200, scannet200_split
from ovseg3r_core.types import Instances
from ovseg3r_train.scene import NO_INSTANCE, FoundInstances, LabelledScene, Truth

Size = Literal["small", "medium", "large"]
SIZES: Mapping[Size, tuple[int, int]] = {"small": (100, 400), "medium": (400, 2000), "large": (2000, 10**9)}
"""Points of a true thing, from and below: 400 points at 2 cm are 16 dm2 of surface, 2000 are 80 dm2."""
_REACH_M = 0.05
_NO_CLASS = -1


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of one method's instances on one kind of points: a few kilobytes, the masks are gone."""

    any_name: Verdicts
    named: Verdicts
    by_size: Mapping[Size, Verdicts]
    """Whatever the names, for true things of one size."""
    counts: MapMetrics


def on_reconstruction(scene: LabelledScene, found: FoundInstances, namer: Namer) -> Judged:
    """Judge on the points that the method worked on.

    Raises:
        ValueError: the scene has no truth.
    """
    if scene.truth is None:
        raise ValueError(f"{scene.name} has no truth to compare with")
    masks = np.zeros((len(found), len(scene.cloud)), bool)
    for row, points in zip(masks, found.points, strict=True):
        row[points] = True
    return _judge(masks, found, scene.truth, namer)


def on_clean_vertices(
    scene: LabelledScene, found: FoundInstances, namer: Namer, nearest: Int[ndarray, " vertices"] | None = None
) -> Judged:
    """Judge on the clean vertices: each takes the instances of the nearest reconstructed point within 5 cm.

    Args:
        nearest: what `nearest_points` says of the scene, where it was asked already.

    Raises:
        ValueError: the scene has no clean vertices.
    """
    if scene.clean is None:
        raise ValueError(f"{scene.name} has no clean vertices to compare on")
    nearest = nearest_points(scene) if nearest is None else nearest
    masks = np.zeros((len(found), len(scene.clean.xyz)), bool)
    member = np.zeros(len(scene.cloud) + 1, bool)  # the last entry serves vertices that nothing is near
    for row, points in zip(masks, found.points, strict=True):
        member[points] = True
        row[:] = member[nearest]
        member[points] = False
    return _judge(masks, found, scene.clean.truth, namer)


def nearest_points(scene: LabelledScene) -> Int[ndarray, " vertices"]:
    """The reconstructed point next to each clean vertex; the number of points where none is within 5 cm."""
    assert scene.clean is not None
    return np.asarray(KDTree(scene.cloud.xyz).query(scene.clean.xyz, distance_upper_bound=_REACH_M)[1])


def _judge(masks: Bool[ndarray, "instances points"], found: FoundInstances, truth: Truth, namer: Namer) -> Judged:
    called = [None if label is None else namer.name(label) for label in found.names]
    names = {i: label or UNNAMED for i, label in enumerate(called)}
    predicted = Instances(
        masks=masks,
        labels=np.array([class_id(label) for label in called], np.int64),
        scores=np.asarray(found.scores, np.float64),
    )
    there = TrueInstances(
        instance=truth.instance.astype(np.int64), labels={i: class_id(label) for i, label in truth.names.items()}
    )
    pair = ScenePair(predicted=predicted, truth=there)
    surely_named = replace(predicted, scores=predicted.scores * found.name_scores)
    return Judged(
        any_name=judge_scene(pair.class_agnostic(), [ANY_CLASS]),
        named=judge_scene(ScenePair(predicted=surely_named, truth=there), class_ids()),
        by_size={size: judge_scene(of_size(pair, *limits), [ANY_CLASS]) for size, limits in SIZES.items()},
        counts=compare_maps(truth.instance, truth.names, one_owner(predicted), names),
    )


def of_size(pair: ScenePair, low: int, high: int) -> ScenePair:
    """Whatever the names, true things of other sizes made void: what lies on them is neither right nor wrong."""
    ids, counts = np.unique(pair.truth.instance, return_counts=True)
    of_size = dict(zip(ids.tolist(), ((counts >= low) & (counts < high)).tolist(), strict=True))
    labels = {i: ANY_CLASS if of_size.get(i, False) else _NO_CLASS for i in pair.truth.labels}
    truth = TrueInstances(instance=pair.truth.instance, labels=labels)
    return ScenePair(predicted=pair.class_agnostic().predicted, truth=truth)


def class_id(name: str | None) -> int:
    """ScanNet200's id of a name; -1 for none, for "object", and for what is no instance there."""
    if name is None or name == UNNAMED or name in STRUCTURE:
        return _NO_CLASS
    return scannet200().id_by_name.get(name, _NO_CLASS)


def class_ids(split: Literal["base", "novel"] | None = None) -> list[int]:
    """The ids that instances are scored under; of one split where one is asked for."""
    known = scannet200().names
    names = known if split is None else [name for name in known if name in scannet200_split(split)]
    return [id_ for id_ in map(class_id, names) if id_ != _NO_CLASS]


def one_owner(predicted: Instances) -> Int32[ndarray, " points"]:
    """One instance a point, the surest that claims it; -1 for none."""
    owner = np.full(predicted.masks.shape[1], NO_INSTANCE, np.int32)
    for index in np.argsort(predicted.scores, kind="stable").tolist():
        owner[predicted.masks[index]] = index
    return owner


def any_name_precision(judged: Sequence[Judged]) -> AveragePrecision:
    """Precision whatever the names."""
    return precision_of([item.any_name for item in judged], [ANY_CLASS])


def named_precision(judged: Sequence[Judged]) -> AveragePrecision:
    """Precision of each class; ranked by how sure it is that the thing is there *and* carries that name."""
    return precision_of([item.named for item in judged], class_ids())


def size_precision(judged: Sequence[Judged], size: Size) -> AveragePrecision:
    """Precision for things of one size, whatever the names; others are neither right nor wrong."""
    return precision_of([item.by_size[size] for item in judged], [ANY_CLASS])
