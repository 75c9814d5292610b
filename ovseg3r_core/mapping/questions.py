"""Any question to a map: a thing by its name, or a thing and where it is ("the cup on the desk").

A place narrows down what the name means. The things that carry the name and are where the text says are held against
the text once more, by the same rules; the score of each is that times the score of the surest anchor it relates to.

`found`      one thing is meant and is there.
`ambiguous`  several are there, or what is there is no sure answer to either name, or left and right are asked for
             and nothing says where one looks from.
`none`       there is no such thing, no such anchor, or none of the things is there; `explanation` says which.
`blind`      nothing has been mapped yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import transform, turn_up
from ovseg3r_core.language.phrase import clean, key, wordings
from ovseg3r_core.mapping.bodies import Bodies, bodies_of
from ovseg3r_core.mapping.fronts import fronts
from ovseg3r_core.mapping.queries import MAX_TOP_K, QueryEngine
from ovseg3r_core.mapping.relation_text import Where, read_where
from ovseg3r_core.mapping.relations import NEEDS_VIEWER, related
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.types import ObjectRecord, QueryHit, QueryResult, Verdict

_ANYTHING = {"what", "anything", "something", "everything", "all", "thing", "things", "object", "objects"}


def ask(
    engine: QueryEngine, snapshot: MapSnapshot, text: str, *, top_k: int = 10, removed_too: bool = False
) -> QueryResult:
    """What a map says to a text, best object first; structure answers too ("wall").

    Args:
        top_k: most objects to return, 1..1000.
        removed_too: ask what is gone as well, with its last place.

    Raises:
        Rejected: `bad_query` for a text or a `top_k` that cannot be answered, `other_encoder` where the map's
            embeddings are not of the engine's visual encoder.
    """
    records = (*snapshot.objects, *snapshot.structure, *(snapshot.removed if removed_too else ()))
    if not 1 <= top_k <= MAX_TOP_K:
        raise Rejected("bad_query", f"top_k is {top_k}; ask for 1 to {MAX_TOP_K} objects")
    where = read_where(text, engine.known_names(record.label for record in records))
    if where is None or snapshot.views == 0:
        return _by_name(engine, snapshot, text, records, top_k)
    found = _Place(engine, snapshot, records).answer(where)
    return replace(found, text=clean(text), hits=found.hits[:top_k])


def _by_name(
    engine: QueryEngine, snapshot: MapSnapshot, text: str, records: Sequence[ObjectRecord], top_k: int = MAX_TOP_K
) -> QueryResult:
    return engine.answer(text, records, embeddings=snapshot.embeddings, mapped=snapshot.views > 0, top_k=top_k)


@dataclass(frozen=True)
class _Place:
    """Answers texts that say where a thing is."""

    engine: QueryEngine
    snapshot: MapSnapshot
    records: tuple[ObjectRecord, ...]

    def answer(self, where: Where) -> QueryResult:
        anchor = where.anchor if isinstance(where.anchor, str) else _told(where.anchor)
        things = self._named(where.thing)
        anchors = self._named(where.anchor) if isinstance(where.anchor, str) else self.answer(where.anchor)
        told = f"{where.thing!r} {where.relation} {anchor!r}"
        if not things.hits:
            return _none(f"{told}: nothing in the map is called {where.thing!r}")
        if not anchors.hits:
            return _none(anchors.explanation or f"{told}: nothing in the map is called {anchor!r}")
        likely = anchors.hits if isinstance(where.anchor, Where) else _named_so(where.anchor, anchors.hits)
        pairs = self._bodies(things.hits), self._bodies(likely)
        looking = self._looking(where, *pairs)
        if isinstance(looking, str):
            return replace(things, verdict="ambiguous", explanation=f"{told}: {looking}")
        facing = fronts(pairs[1], self._walls()) if where.relation == "across from" else None
        itself = np.array([[x.object.id == y.object.id for y in likely] for x in things.hits])
        holds = np.logical_and(related(where.relation, *pairs, looking, facing), ~itself)
        if not holds.any():
            there = "it is not" if len(things.hits) == 1 else f"none of the {len(things.hits)} is"
            return _none(f"{told}: both are in the map, but {there} {where.relation} {_ids(likely)}")
        return self._judge(where, told, things, likely, holds)

    def _named(self, text: str) -> QueryResult:
        """What carries a name; "anything" is every object, each as good an answer as the next."""
        if _is_anything(text):
            every = tuple(QueryHit(object=record, score=1.0) for record in self.snapshot.objects)
            return QueryResult(text=text, verdict="found" if every else "none", hits=every)
        return _by_name(self.engine, self.snapshot, text, self.records)

    def _looking(
        self, where: Where, things: Bodies, anchors: Bodies
    ) -> Float64[ndarray, "things anchors 2"] | str | None:
        """Which way the viewer looks at each pair on the floor, where that matters; or why it cannot be said."""
        if where.relation not in NEEDS_VIEWER:
            return None
        if where.seen_from is None:
            facing = fronts(anchors, self._walls())
            if not np.isfinite(facing).all():
                return (
                    f"which side that is depends on where one stands, and there is no wall behind {where.anchor!r} "
                    "to tell its front: add 'seen from the door', or 'seen from X, Y' in metres"
                )
            return np.broadcast_to(-facing, (len(things), len(anchors), 2)).copy()
        viewer = self._viewer(where.seen_from)
        if isinstance(viewer, str):
            return viewer
        towards = (things.centre[:, None, :2] + anchors.centre[None, :, :2]) / 2 - viewer
        length = np.linalg.norm(towards, axis=2, keepdims=True)
        return towards / length if (length > 1e-6).all() else "the viewer stands in the middle of the two"

    def _viewer(self, seen_from: str | tuple[float, float]) -> Float64[ndarray, "2"] | str:
        if not isinstance(seen_from, str):
            return transform(turn_up(np.array(self.snapshot.up)), np.array([*seen_from, 0.0]))[:2]
        stood_at = _named_so(seen_from, self._named(seen_from).hits)
        if len(stood_at) != 1:
            many = "nothing" if not stood_at else f"{len(stood_at)} things"
            return f"{many} in the map may be meant by {seen_from!r}, where one is to look from"
        return self._bodies(stood_at).centre[0, :2]

    def _judge(
        self,
        where: Where,
        told: str,
        things: QueryResult,
        likely: Sequence[QueryHit],
        holds: Bool[ndarray, "things anchors"],
    ) -> QueryResult:
        """The verdict on those that are where they should be."""
        is_there = [bool(row.any()) for row in holds]
        there = [hit for hit, so in zip(things.hits, is_there, strict=True) if so]
        anything = _is_anything(where.thing)
        again = things
        if not anything:  # without those that are elsewhere, there may be no doubt left about what is meant
            again = _by_name(self.engine, self.snapshot, where.thing, [hit.object for hit in there])
        by_id = {hit.object.id: hit.score for hit in again.hits}
        surest = np.where(holds, [hit.score for hit in likely], 0).max(axis=1)
        hits = [
            QueryHit(object=hit.object, score=by_id[hit.object.id] * float(score))
            for hit, score, so in zip(things.hits, surest, is_there, strict=True)
            if so and hit.object.id in by_id
        ]
        hits.sort(key=lambda hit: (-hit.score, -hit.object.score, hit.object.id))
        sure = [hit for hit in hits if hit.score >= self.engine.config.found_at]
        doubt = ""
        if again.verdict != "found" or not sure:
            doubt = f"; it is not sure that this is {where.thing!r}, or what {_ids(likely)} is"
        elif len(_named_so(where.thing, sure)) > 1 and not anything:
            doubt = f"; {len(sure)} things are there: say more, or choose one"
        verdict: Verdict = "ambiguous" if doubt else "found"
        return QueryResult(text=told, verdict=verdict, hits=tuple(hits), explanation=f"{told}: {_ids(hits)}{doubt}")

    def _bodies(self, hits: Sequence[QueryHit]) -> Bodies:
        return bodies_of(self.snapshot, [hit.object for hit in hits])

    def _walls(self) -> Bodies:
        return bodies_of(self.snapshot, [record for record in self.snapshot.structure if record.label == "wall"])


def _none(explanation: str) -> QueryResult:
    return QueryResult(text="", verdict="none", explanation=explanation)


def _is_anything(thing: str) -> bool:
    return wordings(thing, ())[0] in _ANYTHING


def _told(where: Where) -> str:
    anchor = where.anchor if isinstance(where.anchor, str) else _told(where.anchor)
    return f"{where.thing} {where.relation} {anchor}"


def _named_so(asked: str, hits: Sequence[QueryHit]) -> Sequence[QueryHit]:
    """Those whose own label was said, where there are some: "the desk" is no dining table in a room with a desk."""
    said = key(wordings(asked, ())[0])
    return [hit for hit in hits if key(hit.object.label) == said] or hits


def _ids(hits: Sequence[QueryHit], most: int = 5) -> str:
    """Objects in words: "cup 3, cup 5 and 2 more"."""
    named = ", ".join(f"{hit.object.label} {hit.object.id}" for hit in hits[:most])
    return f"{named} and {len(hits) - most} more" if len(hits) > most else named
