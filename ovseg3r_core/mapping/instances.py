"""What the learned segmenter finds in a scene, ready for the map: instances with one name each, and no repeats."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.language.vocabulary import STRUCTURE, Vocabulary
from ovseg3r_core.mapping.objects import SameName
from ovseg3r_core.mapping.structure import NamedBy, Plane, StructureConfig, structure_kinds
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import Instances, LiftedMask, SceneCloud


@dataclass(frozen=True, kw_only=True)
class RecognitionConfig:
    """Which instances count, and how sure a name must be."""

    min_score: Annotated[float, Within(0.0, 1.0)] = 0.1
    """Instances that are less sure are left out: most queries of the network end as next to nothing."""
    max_overlap: Annotated[float, Within(0.0, 1.0)] = 0.5
    """An instance that overlaps a surer one by this IoU is a repeat of it, whatever the names."""
    sure_name: Annotated[float, Within(0.0, 1.0)] = 0.35
    """A name counts if it has at least this share of what the network says of its mask, synonyms together."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One thing that the segmenter finds in a scene cloud."""

    points: Int64[ndarray, " members"]
    """Indices into the scene cloud, sorted."""
    score: float
    """Confidence 0..1 that there is such a thing, whatever it is called."""
    label: str
    """The likeliest name."""
    name_score: float
    """Confidence 0..1 in that name, given that the thing is there."""


@runtime_checkable
class FindsInstances(Protocol):
    """A learned segmenter with all that it needs."""

    def find(self, cloud: SceneCloud, seen: Incidence, lifted: Sequence[LiftedMask]) -> tuple[Instance, ...]:
        """The instances of a scene whose views have been masked, best first.

        Raises:
            Rejected: the scene is beyond what the network takes; the text says what to do.
        """
        ...


def recognised(
    found: Instances, vocabulary: Vocabulary, same_name: SameName, config: RecognitionConfig
) -> tuple[Instance, ...]:
    """The instances of a network's answer, surest first.

    The network bets on several names of one mask, each with its own probability. Together they say how sure it is that
    there is a thing, and the best of them, with its synonyms, what it is. Walls, floor and ceiling are nothing here:
    the map knows them by their geometry.
    """
    things = [_instance(found, rows, vocabulary, same_name) for rows in _bets_on_one_mask(found.masks)]
    things = [it for it in things if it.score >= config.min_score and it.label not in STRUCTURE]
    things.sort(key=lambda it: -it.score)
    return tuple(_without_repeats(things, found.masks.shape[1], config.max_overlap))


def without_structure(
    instances: Sequence[Instance],
    cloud: SceneCloud,
    planes: Sequence[Plane],
    config: StructureConfig,
    sure_name: float = RecognitionConfig().sure_name,
) -> tuple[Instance, ...]:
    """The instances that are no pieces of walls, floor or ceiling, by the rule of the map."""
    named: list[NamedBy] = ["segmenter" if it.name_score >= sure_name else "nobody" for it in instances]
    kinds = structure_kinds([it.points for it in instances], named, cloud, planes, config)
    return tuple(it for it, kind in zip(instances, kinds, strict=True) if kind is None)


def _bets_on_one_mask(masks: Bool[ndarray, "instances points"]) -> list[list[int]]:
    """The rows that have the same points, best first."""
    rows_of: dict[bytes, list[int]] = {}
    for row, mask in enumerate(masks):
        rows_of.setdefault(np.packbits(mask).tobytes(), []).append(row)
    return list(rows_of.values())


def _instance(found: Instances, rows: Sequence[int], vocabulary: Vocabulary, same_name: SameName) -> Instance:
    score_of: dict[str, float] = {}
    for row in rows:
        name = vocabulary.name_by_id[int(found.labels[row])]
        score_of[name] = max(score_of.get(name, 0.0), float(found.scores[row]))
    total = sum(score_of.values())
    best = max(score_of, key=lambda name: score_of[name])
    agreed = sum(score for name, score in score_of.items() if same_name(name, best))
    return Instance(
        points=np.flatnonzero(found.masks[rows[0]]),
        score=min(total, 1.0),
        label=best,
        name_score=min(agreed / max(total, 1e-9), 1.0),
    )


def _without_repeats(things: Sequence[Instance], points: int, max_overlap: float) -> list[Instance]:
    """Those that overlap no surer one too much."""
    kept: list[Instance] = []
    member = np.zeros(points, bool)
    for thing in things:
        member[thing.points] = True
        shared = [int(np.count_nonzero(member[other.points])) for other in kept]
        member[thing.points] = False
        sizes = [len(thing.points) + len(other.points) for other in kept]
        if all(both < max_overlap * (size - both) for both, size in zip(shared, sizes, strict=True)):
            kept.append(thing)
    return kept


def painted(instances: Sequence[Instance], points: int) -> list[Instance]:
    """The instances with every point in one of them: smaller ones are painted over larger ones, as masks are."""
    owner = np.full(points, -1, np.int64)
    for index in sorted(range(len(instances)), key=lambda i: -len(instances[i].points)):
        owner[instances[index].points] = index
    return [replace(it, points=it.points[owner[it.points] == i]) for i, it in enumerate(instances)]
