"""One method on one scene: what it found, held against the truth by several rulers.

The rulers: average precision by the rules of ScanNet200, whatever the names and with them; the same for small, medium
and large things alone; and the plain counts of a map (found, duplicates, ghosts, right names).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.evaluation.average_precision import ANY_CLASS, ScenePair, TrueInstances, average_precision
from ovseg3r_core.evaluation.map_metrics import MapMetrics, compare_maps
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import UNNAMED, scannet200, scannet200_split
from ovseg3r_core.types import Instances
from ovseg3r_train.scene import NO_INSTANCE, FoundInstances, LabelledScene, Truth

Size = Literal["small", "medium", "large"]
SIZES: Mapping[Size, tuple[int, int]] = {"small": (100, 400), "medium": (400, 2000), "large": (2000, 10**9)}
"""Points of a true thing, from and below: 400 points at 2 cm are 16 dm2 of surface, 2000 are 80 dm2."""
STRUCTURE = ("wall", "floor", "ceiling")
_REACH_M = 0.05
_NO_CLASS = -1


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One method's instances and the truth, on the same points."""

    scene: str
    predicted: Instances
    """Labels are ScanNet200's ids; -1 where the method has no name that the vocabulary knows."""
    name_scores: Float64[ndarray, " instances"]
    """How sure each name is, given that the instance is there."""
    truth: TrueInstances
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
    return _judge(scene.name, masks, found, scene.truth, namer)


def on_clean_vertices(scene: LabelledScene, found: FoundInstances, namer: Namer) -> Judged:
    """Judge on the clean vertices: each takes the instances of the nearest reconstructed point within 5 cm.

    Raises:
        ValueError: the scene has no clean vertices.
    """
    if scene.clean is None:
        raise ValueError(f"{scene.name} has no clean vertices to compare on")
    distance, nearest = KDTree(scene.cloud.xyz).query(scene.clean.xyz, distance_upper_bound=_REACH_M)
    reached = np.isfinite(distance)
    masks = np.zeros((len(found), len(scene.clean.xyz)), bool)
    member = np.zeros(len(scene.cloud) + 1, bool)  # the last entry serves vertices that nothing is near
    for row, points in zip(masks, found.points, strict=True):
        member[points] = True
        row[:] = member[np.where(reached, nearest, len(scene.cloud))]
        member[points] = False
    return _judge(scene.name, masks, found, scene.clean.truth, namer)


def _judge(
    name: str, masks: Bool[ndarray, "instances points"], found: FoundInstances, truth: Truth, namer: Namer
) -> Judged:
    called = [None if label is None else namer.name(label) for label in found.names]
    names = {i: label or UNNAMED for i, label in enumerate(called)}
    predicted = Instances(
        masks=masks,
        labels=np.array([class_id(label) for label in called], np.int64),
        scores=np.asarray(found.scores, np.float64),
    )
    return Judged(
        scene=name,
        predicted=predicted,
        name_scores=found.name_scores,
        truth=TrueInstances(
            instance=truth.instance.astype(np.int64), labels={i: class_id(label) for i, label in truth.names.items()}
        ),
        counts=compare_maps(truth.instance, truth.names, one_owner(predicted), names),
    )


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


def named_precision(judged: Sequence[Judged], split: Literal["base", "novel"] | None = None) -> Float32[ndarray, "3"]:
    """AP, AP50 and AP25 with names, over the classes that occur; NaN where none does.

    Ranked by how sure it is that the thing is there *and* carries that name.
    """
    pairs = [ScenePair(predicted=_named(item), truth=item.truth) for item in judged]
    return _precision(pairs, class_ids(split))


def _named(item: Judged) -> Instances:
    return replace(item.predicted, scores=item.predicted.scores * item.name_scores)


def any_name_precision(judged: Sequence[Judged]) -> Float32[ndarray, "3"]:
    """AP, AP50 and AP25 whatever the names."""
    pairs = [ScenePair(predicted=item.predicted, truth=item.truth).class_agnostic() for item in judged]
    return _precision(pairs, [ANY_CLASS])


def size_precision(judged: Sequence[Judged], size: Size) -> Float32[ndarray, "3"]:
    """The same for things of one size; what lies on things of other sizes is neither right nor wrong."""
    low, high = SIZES[size]
    return _precision([_only_sizes(item, low, high) for item in judged], [ANY_CLASS])


def _only_sizes(item: Judged, low: int, high: int) -> ScenePair:
    ids, counts = np.unique(item.truth.instance, return_counts=True)
    of_size = dict(zip(ids.tolist(), ((counts >= low) & (counts < high)).tolist(), strict=True))
    labels = {i: ANY_CLASS if of_size.get(i, False) else _NO_CLASS for i in item.truth.labels}
    pair = ScenePair(predicted=item.predicted, truth=item.truth).class_agnostic()
    return ScenePair(predicted=pair.predicted, truth=TrueInstances(instance=item.truth.instance, labels=labels))


def _precision(pairs: Sequence[ScenePair], ids: list[int]) -> Float32[ndarray, "3"]:
    result = average_precision(pairs, ids)
    return np.array([result.ap, result.ap50, result.ap25], np.float32)
