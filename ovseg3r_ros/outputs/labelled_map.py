"""One moment of the map with everything that its messages need: names, class ids, answers, colours, points.

It is made once a publication, and all topics and services are made of it, so that they cannot disagree. It is also
the last gate before DDS: an object or a point with a number that no message may carry stays out, and is counted.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from ovseg3r_core.checks import POSITION_LIMIT_M
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping.ownership import NOBODY, points_by_owner
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.standing import StandingAnswer, StandingText
from ovseg3r_core.outputs import label_id, named
from ovseg3r_core.types import ObjectRecord
from ovseg3r_ros.outputs.colors import Rgb, color_of_object, text_color

QUERY_CLASS_BASE = 10_000
"""Class ids from here on are standing texts: this plus the text's place."""
_END_OF_TIME_S = 2.0**31 - 1  # builtin_interfaces/Time counts seconds in an int32
_NO_POINTS = np.zeros(0, np.int64)


@dataclass(frozen=True, kw_only=True)
class AskedFor:
    """A standing text that an object answers, and how well, 0..1."""

    asked: StandingText
    score: float


@dataclass(frozen=True, kw_only=True)
class LabelledObject:
    """An object as the messages show it."""

    record: ObjectRecord
    """Under the name that the vocabulary has for it."""
    class_id: int
    """The name's id in the vocabulary, 0 for none."""
    queries: tuple[AskedFor, ...]
    """Best first."""
    color: Rgb
    points: Int64[ndarray, " members"]
    """Indices into the snapshot's cloud."""

    @property
    def cloud_label(self) -> int:
        """The class id in the cloud: that of the text it answers best, else that of its name."""
        return QUERY_CLASS_BASE + self.queries[0].asked.place if self.queries else self.class_id


@dataclass(frozen=True, kw_only=True)
class LabelledMap:
    """What all messages of one publication are made of."""

    snapshot: MapSnapshot
    vocabulary: Vocabulary
    answers: tuple[StandingAnswer, ...]
    stamp_ns: int
    revision: int
    things: tuple[LabelledObject, ...]
    """By id."""
    structure: tuple[LabelledObject, ...]
    """Walls, floor and ceiling, by id."""
    removed: tuple[LabelledObject, ...]
    """What is gone, with its last place, by id; no topic holds it."""
    usable: Bool[ndarray, " points"]
    """Which points of the cloud may be published."""
    refused: Mapping[str, int]
    """What stayed out, by reason: `bad_object`, `bad_point`."""

    @cached_property
    def shown(self) -> tuple[LabelledObject, ...]:
        """What the topics hold, by id: all things, and the structure that someone asks for ("wall")."""
        asked_for = [it for it in self.structure if it.queries]
        return tuple(sorted((*self.things, *asked_for), key=lambda it: it.record.id))

    @cached_property
    def by_id(self) -> dict[int, LabelledObject]:
        """Things, structure and what was removed, by id."""
        return {it.record.id: it for it in (*self.things, *self.structure, *self.removed)}


def label_map(
    snapshot: MapSnapshot, namer: Namer, *, stamp_ns: int, revision: int, answers: tuple[StandingAnswer, ...] = ()
) -> LabelledMap:
    """The snapshot in the words of the namer's vocabulary, with what it says to the standing texts."""
    usable = np.all(np.abs(snapshot.cloud.xyz) <= POSITION_LIMIT_M, axis=1)  # also False for NaN
    points, queries = points_by_owner(np.where(usable, snapshot.owner, np.int32(NOBODY))), _queries_by_id(answers)

    def labelled(records: Iterable[ObjectRecord]) -> tuple[LabelledObject, ...]:
        fit = sorted(filter(fits_messages, records), key=lambda record: record.id)
        return tuple(
            _labelled(record, namer, queries.get(record.id, ()), points.get(record.id, _NO_POINTS), bool(answers))
            for record in fit
        )

    kinds = snapshot.objects, snapshot.structure, snapshot.removed
    things, structure, removed = map(labelled, kinds)
    bad_objects = sum(map(len, kinds)) - len(things) - len(structure) - len(removed)
    return LabelledMap(
        snapshot=snapshot,
        vocabulary=namer.vocabulary,
        answers=answers,
        stamp_ns=stamp_ns,
        revision=revision,
        things=things,
        structure=structure,
        removed=removed,
        usable=usable,
        refused={"bad_object": bad_objects, "bad_point": int((~usable).sum())},
    )


def _labelled(
    record: ObjectRecord,
    namer: Namer,
    queries: tuple[AskedFor, ...],
    points: Int64[ndarray, " members"],
    texts_stand: bool,
) -> LabelledObject:
    shown = named(record, namer)
    color = text_color(queries[0].asked.place) if queries else color_of_object(shown, texts_stand=texts_stand)
    class_id = label_id(record.label, namer)
    return LabelledObject(record=shown, class_id=class_id, queries=queries, color=color, points=points)


def _queries_by_id(answers: Iterable[StandingAnswer]) -> dict[int, tuple[AskedFor, ...]]:
    """The texts that each object answers, best first; among equals the order of the texts."""
    found: dict[int, list[AskedFor]] = {}
    for answer in answers:
        for hit in answer.hits:
            found.setdefault(hit.object.id, []).append(AskedFor(asked=answer.asked, score=hit.score))
    return {id_: tuple(sorted(asked, key=lambda it: -it.score)) for id_, asked in found.items()}


def fits_messages(record: ObjectRecord) -> bool:
    """Whether every number of the record may be published: finite, and within the range of its field."""
    places = (*record.centre, *record.box.centre, *record.box.size)
    times = (record.first_seen, record.last_seen)
    return (
        0 < record.id < 2**31
        and 0 <= record.score <= 1
        and 0 <= record.observations < 2**32
        and math.isfinite(record.box.yaw)
        and all(abs(place) <= POSITION_LIMIT_M for place in places)  # also False for NaN
        and all(0 <= time < _END_OF_TIME_S for time in times)
    )
