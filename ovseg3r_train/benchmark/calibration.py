"""Are the verdicts honest? Every labelled room is asked for what is there and for what is not.

Present names are those of the true things that the cloud holds; absent ones are names of ScanNet200 that share no
word and no meaning with anything there, so that "table" is not asked where a coffee table stands. An answer is right
when most of the points of its best object belong to a true thing of that name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.types import ObjectRecord, Verdict
from ovseg3r_train.scene import Truth

_VAGUE = {"object", "furniture", "structure", "decoration", "machine", "stand", "bar", "board", "seat", "wall", "floor"}
"""Names that fit half of a room: nobody can say that they are absent."""
_MIN_POINTS = 50


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One text put to one room."""

    scene: str
    text: str
    present: bool
    verdict: Verdict
    score: float
    """Of the best object; 0 where nothing was likely."""
    name_confidence: float
    """How sure the map is of that object and its name; 0 where nothing was likely."""
    right: bool
    """Whether the best object is one."""


@dataclass(frozen=True, kw_only=True)
class Honesty:
    """How verdicts and truth agree."""

    present: int
    absent: int
    recall: float
    """Share of the present names that are `found`, with the right object first."""
    wrong_object: float
    """Share of the present names that are `found` with a wrong object first."""
    false_found: float
    """Share of the absent names that are `found`."""
    calibration_error: float
    """Expected calibration error of the scores: mean distance of score and share of right answers, in ten bins."""


def ask(
    scene: str,
    engine: QueryEngine,
    objects: Sequence[ObjectRecord],
    members: Mapping[int, Int64[ndarray, " _"]],
    truth: Truth,
    *,
    absent: int,
    rng: np.random.Generator,
) -> Iterator[Asked]:
    """Ask one room for everything that is there and for some names that are not.

    Args:
        members: the points of each object, by id.
        absent: how many absent names to ask for.
    """
    is_of = {record.id: _true_name(members[record.id], truth) for record in objects if record.id in members}
    for text, present in [*((name, True) for name in present_names(truth)), *_some_absent(truth, absent, rng)]:
        result = engine.answer(text, objects)
        best = result.hits[0] if result.hits else None
        name = is_of.get(best.object.id) if best else None
        yield Asked(
            scene=scene,
            text=text,
            present=present,
            verdict=result.verdict,
            score=best.score if best else 0.0,
            name_confidence=best.object.score if best else 0.0,
            right=name is not None and same_name(name, text),
        )


def present_names(truth: Truth) -> list[str]:
    """The names of the things that the cloud holds enough points of."""
    ids, counts = np.unique(truth.instance[truth.instance >= 0], return_counts=True)
    return sorted({truth.names[i] for i, n in zip(ids.tolist(), counts.tolist(), strict=True) if n >= _MIN_POINTS})


def absent_names(truth: Truth) -> list[str]:
    """The names of ScanNet200 that nothing in the room could be meant by."""
    there = set(truth.names.values())
    words = {word for name in there for word in name.split()}
    return [
        name
        for name in scannet200().names
        if name not in _VAGUE and words.isdisjoint(name.split()) and not any(same_name(name, other) for other in there)
    ]


def honesty(asked: Sequence[Asked]) -> Honesty:
    """Sum up the answers of all rooms."""
    present = [item for item in asked if item.present]
    absent = [item for item in asked if not item.present]
    found = [item for item in present if item.verdict == "found"]
    return Honesty(
        present=len(present),
        absent=len(absent),
        recall=sum(item.right for item in found) / max(len(present), 1),
        wrong_object=sum(not item.right for item in found) / max(len(present), 1),
        false_found=sum(item.verdict == "found" for item in absent) / max(len(absent), 1),
        calibration_error=_calibration_error(*_scored(asked)),
    )


def reliability(asked: Sequence[Asked], bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean score, share of right answers, number) of each bin of scores that holds any."""
    score, right = _scored(asked)
    place = np.minimum((score * bins).astype(int), bins - 1)
    return [
        (float(score[place == b].mean()), float(right[place == b].mean()), int((place == b).sum()))
        for b in range(bins)
        if (place == b).any()
    ]


def _scored(asked: Sequence[Asked]) -> tuple[Float64[ndarray, " answers"], Bool[ndarray, " answers"]]:
    answered = [item for item in asked if item.score > 0]
    return np.array([item.score for item in answered]), np.array([item.right for item in answered], bool)


def _calibration_error(score: Float64[ndarray, " answers"], right: Bool[ndarray, " answers"], bins: int = 10) -> float:
    place = np.minimum((score * bins).astype(int), bins - 1)
    gaps = [abs(float((score - right)[place == b].sum())) for b in range(bins)]
    return sum(gaps) / max(len(score), 1)


def _true_name(points: Int64[ndarray, " members"], truth: Truth) -> str | None:
    """The name of the thing that most of the points belong to; None where most belong to nothing."""
    owners, counts = np.unique(truth.instance[points], return_counts=True)
    owner = int(owners[counts.argmax()])
    return truth.names.get(owner)


def _some_absent(truth: Truth, count: int, rng: np.random.Generator) -> list[tuple[str, bool]]:
    names = absent_names(truth)
    return [(names[i], False) for i in sorted(rng.permutation(len(names))[:count].tolist())]
