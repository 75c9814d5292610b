"""Are the verdicts honest? Every labelled room is asked for what is there and for what is not.

Present names are those of the true things that the cloud holds; absent ones are names of ScanNet200 that share no
word and no meaning with anything there, so that "table" is not asked where a coffee table stands. An answer is right
when most of the points of its best object belong to a true thing of that name.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.vocabulary import STRUCTURE, UNNAMED, scannet200
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.types import ObjectRecord, Verdict
from ovseg3r_train.scene import Truth

_VAGUE = {"object", "furniture", "structure", "decoration", "machine", "stand", "bar", "board", "seat", *STRUCTURE}
"""Names that fit half of a room: nobody can say whether what was found is meant."""
_MIN_POINTS = 50


@dataclass(frozen=True, kw_only=True)
class AskedMap:
    """The map of one room, with its truth."""

    scene: str
    objects: Sequence[ObjectRecord]
    members: Mapping[int, Int64[ndarray, " _"]]
    """The points of each object, by id."""
    truth: Truth
    brought: Collection[str]
    """The names that the masks brought, of any view."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One text put to one room."""

    scene: str
    text: str
    present: bool
    nameable: bool
    """Whether a mask brought this name: what no mask names cannot be found."""
    verdict: Verdict
    score: float
    """Of the best object; 0 where nothing was likely."""
    clear: bool
    """Whether the text is clear about what it means: it is `found` from a threshold of its score on."""
    right: bool
    """Whether the best object is one."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """One object that carries a name."""

    confidence: float
    """Of its name, by its record."""
    right: bool
    """Whether the name is that of the true thing that most of its points belong to."""


def ask(room: AskedMap, engine: QueryEngine, *, absent: int, rng: np.random.Generator) -> Iterator[Asked]:
    """Ask one room for everything that is there and for some names that are not.

    Args:
        absent: how many absent names to ask for.
    """
    is_of = true_names(room)
    lenient = engine.with_config(replace(engine.config, found_at=engine.config.none_below))
    present = [(name, True) for name in present_names(room.truth)]
    for text, there in [*present, *_some_absent(room.truth, absent, rng)]:
        result = engine.answer(text, room.objects)
        best = result.hits[0] if result.hits else None
        name = is_of.get(best.object.id) if best else None
        yield Asked(
            scene=room.scene,
            text=text,
            present=there,
            nameable=any(same_name(text, word) for word in room.brought),
            verdict=result.verdict,
            score=best.score if best else 0.0,
            clear=result.verdict == "found" or lenient.answer(text, room.objects).verdict == "found",
            right=name is not None and same_name(name, text),
        )


def named_objects(room: AskedMap) -> list[Named]:
    """The objects whose name came of masks, not of an operator or of where they lie."""
    is_of = true_names(room)
    named = [record for record in room.objects if record.label not in (UNNAMED, *STRUCTURE) and record.name_score < 1]
    return [
        Named(
            confidence=record.name_score,
            right=(name := is_of.get(record.id)) is not None and same_name(name, record.label),
        )
        for record in named
    ]


def true_names(room: AskedMap) -> dict[int, str | None]:
    """What each object truly is, by id; None where most of its points belong to nothing."""
    return {record.id: _true_name(room.members[record.id], room.truth) for record in room.objects}


def present_names(truth: Truth) -> list[str]:
    """The names of the things that the cloud holds enough points of."""
    ids, counts = np.unique(truth.instance[truth.instance >= 0], return_counts=True)
    there = {truth.names[i] for i, n in zip(ids.tolist(), counts.tolist(), strict=True) if n >= _MIN_POINTS}
    return sorted(there - _VAGUE)


def absent_names(truth: Truth) -> list[str]:
    """The names of ScanNet200 that nothing in the room could be meant by."""
    there = set(truth.names.values())
    words = {word for name in there for word in name.split()}
    return [
        name
        for name in scannet200().names
        if name not in _VAGUE and words.isdisjoint(name.split()) and not any(same_name(name, other) for other in there)
    ]


def _true_name(points: Int64[ndarray, " members"], truth: Truth) -> str | None:
    owners, counts = np.unique(truth.instance[points], return_counts=True)
    return truth.names.get(int(owners[counts.argmax()])) if len(owners) else None


def _some_absent(truth: Truth, count: int, rng: np.random.Generator) -> list[tuple[str, bool]]:
    names = absent_names(truth)
    return [(names[i], False) for i in sorted(rng.permutation(len(names))[:count].tolist())]
