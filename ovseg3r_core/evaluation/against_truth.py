"""A finished map against the truth, on the points of the truth: the one comparison that a verdict hangs on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from ovseg3r_core.evaluation.average_precision import ANY_CLASS, ScenePair, average_precision
from ovseg3r_core.evaluation.ground_truth import GroundTruth
from ovseg3r_core.evaluation.map_metrics import compare_maps
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.scene_files import transfer_labels
from ovseg3r_core.types import Instances

_UNKNOWN_CLASS = -1


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a map says of one object."""

    label: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Average precision over classes; None where the truth has nothing to find."""

    ap: float | None
    ap50: float | None
    ap25: float | None


@dataclass(frozen=True, kw_only=True)
class TruthMetrics:
    """How well a map tells what is there."""

    things: int
    """True things with enough points to count."""
    found: int
    """Things with an object of their own that overlaps them by a quarter or more."""
    missed: tuple[str, ...]
    """Names of the things without one."""
    duplicates: int
    """Further objects that are a found thing again."""
    ghosts: int
    """Objects that are nothing."""
    outside: int
    """Objects of which no point lies near a point of the truth; they are counted nowhere else."""
    right_names: int
    """Found things under a name of theirs."""
    mean_iou: float
    """Over the found things."""
    ap: float | None
    """Average precision by the rules of the ScanNet benchmark, whatever the names; None where nothing can be found."""
    ap50: float | None
    ap25: float | None
    named: Precision | None
    """Average precision with the names; None where the truth has none."""


def compare_with_truth(
    truth: GroundTruth,
    xyz: Float32[ndarray, "points 3"],
    instance: Int[ndarray, " points"],
    objects: Mapping[int, Named],
) -> TruthMetrics:
    """Compare a map with the truth.

    Args:
        xyz: the map's points in the frame of the truth. Points of no object belong with them: without those the
            surroundings of an object within 5 cm go to it.
        instance: id of the object that each point belongs to, -1 for none.
        objects: name and confidence of each object.
    """
    on_truth = transfer_labels(xyz, instance, truth.xyz)
    here = [id_ for id_ in objects if (on_truth == id_).any()]
    names = {id_: truth.name_of(id_) for id_ in truth.instances.labels}
    result = compare_maps(truth.instances.instance.astype(np.int32), names, on_truth.astype(np.int32), _names(objects))
    pair = ScenePair(predicted=_instances(here, on_truth, objects, truth), truth=truth.instances)
    any_name = _precision(pair.class_agnostic(), [ANY_CLASS])
    return TruthMetrics(
        things=result.there,
        found=result.found,
        missed=tuple(thing.truth_name for thing in result.objects if thing.predicted_id is None),
        duplicates=result.duplicates,
        ghosts=len(result.ghosts),
        outside=len(objects) - len(here),
        right_names=result.right_names,
        mean_iou=result.mean_iou,
        ap=any_name.ap,
        ap50=any_name.ap50,
        ap25=any_name.ap25,
        named=_precision(pair, truth.class_ids) if truth.names else None,
    )


def _names(objects: Mapping[int, Named]) -> dict[int, str]:
    return {id_: named.label for id_, named in objects.items()}


def _instances(
    ids: list[int], on_truth: Int[ndarray, " points"], objects: Mapping[int, Named], truth: GroundTruth
) -> Instances:
    return Instances(
        masks=np.array([on_truth == id_ for id_ in ids], bool).reshape(len(ids), len(on_truth)),
        labels=np.array([_label_id(objects[id_].label, truth.names) for id_ in ids], np.int64),
        scores=np.array([objects[id_].score for id_ in ids], np.float64),
    )


def _label_id(label: str, names: Mapping[int, str]) -> int:
    """The truth's id for a name of the map: that very name, else an alias of it."""
    exact = (id_ for id_, name in names.items() if name.casefold() == label.casefold())
    alias = (id_ for id_, name in names.items() if same_name(name, label))
    return next(exact, next(alias, _UNKNOWN_CLASS))


def _precision(pair: ScenePair, class_ids: list[int]) -> Precision:
    result = average_precision([pair], class_ids)
    ap, ap50, ap25 = (None if math.isnan(value) else value for value in (result.ap, result.ap50, result.ap25))
    return Precision(ap=ap, ap50=ap50, ap25=ap25)
