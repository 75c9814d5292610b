"""Standing queries keep their places, and tell when an answer changed."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from maps import NoLikeness, make_record, make_snapshot

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.encoder import EmbeddingMemory
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.standing import MAX_TEXTS, StandingAnswer, answer_all, changes_since, standing_texts
from ovseg3r_core.types import ObjectRecord, QueryHit, QueryResult


class CountingEncoder:
    """Remembers as the real encoders do, and counts what it had to encode; no text is like any other."""

    name = "counting"

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self._memory = EmbeddingMemory(self._encode, channels=4096)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return self._memory.embed(texts)

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), 4096), np.float32)
        rows[np.arange(len(texts)), len(self.encoded) + np.arange(len(texts))] = 1
        self.encoded += texts
        return rows


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


@pytest.fixture
def engine(encoder: CountingEncoder) -> QueryEngine:
    return QueryEngine(encoder)


def map_of(*objects: ObjectRecord, structure: tuple[ObjectRecord, ...] = (), views: int = 3) -> MapSnapshot:
    return replace(make_snapshot(points=0), objects=objects, structure=structure, views=views)


def ids(answer: StandingAnswer) -> list[int]:
    return [hit.object.id for hit in answer.hits]


def test_texts_are_cleaned_and_numbered_in_their_order():
    standing = standing_texts(["  fire \n extinguisher ", "cup"])
    assert [(it.text, it.place) for it in standing] == [("fire extinguisher", 0), ("cup", 1)]


def test_a_text_that_stays_keeps_its_place_and_a_new_one_takes_the_lowest_free():
    before = standing_texts(["chair", "cup", "door"])
    now = standing_texts(["lamp", "door", "bed", "cup"], before)
    assert [(it.text, it.place) for it in now] == [("lamp", 0), ("door", 2), ("bed", 3), ("cup", 1)]


def test_a_full_list_can_be_exchanged_for_another():
    full = standing_texts([f"thing {i}" for i in range(MAX_TEXTS)])
    other = standing_texts([f"thing {i}" for i in range(1, MAX_TEXTS + 1)], full)
    assert sorted(it.place for it in other) == list(range(MAX_TEXTS))


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ([f"thing {i}" for i in range(MAX_TEXTS + 1)], "65 standing texts; give at most 64"),
        (["cup", " Cup "], "'Cup' is there twice"),
        (["cup", " \t"], "the text is empty"),
        (["x" * 1001], "1001 characters"),
    ],
)
def test_a_list_that_cannot_stand_is_refused(texts: list[str], told: str):
    with pytest.raises(Rejected, match=told) as refused:
        standing_texts(texts)
    assert refused.value.reason == "bad_query"


def test_every_text_is_answered_by_things_and_structure(engine: QueryEngine):
    snapshot = map_of(make_record(4, "chair"), make_record(6, "chair"), structure=(make_record(9, "wall"),))
    chair, wall, piano = answer_all(standing_texts(["chair", "wall", "piano"]), snapshot, engine)
    assert (chair.verdict, ids(chair)) == ("found", [4, 6])
    assert (wall.verdict, ids(wall)) == ("found", [9])
    assert (piano.verdict, ids(piano)) == ("none", [])


def test_an_empty_map_is_blind(engine: QueryEngine):
    (answer,) = answer_all(standing_texts(["chair"]), map_of(views=0), engine)
    assert (answer.verdict, answer.hits) == ("blind", ())


def test_asking_again_encodes_nothing(engine: QueryEngine, encoder: CountingEncoder):
    standing, snapshot = standing_texts(["chair", "piano"]), map_of(make_record(4, "chair"))
    answer_all(standing, snapshot, engine)
    encoded = len(encoder.encoded)
    answer_all(standing, snapshot, engine)
    assert len(encoder.encoded) == encoded


def test_new_texts_are_changes_and_same_answers_are_none(engine: QueryEngine):
    standing, snapshot = standing_texts(["chair", "piano"]), map_of(make_record(4, "chair"))
    first = answer_all(standing, snapshot, engine)
    assert [(change.answer.asked.text, change.previous) for change in changes_since((), first)] == [
        ("chair", None),
        ("piano", None),
    ]
    assert changes_since(first, answer_all(standing, snapshot, engine)) == ()


def test_a_verdict_that_turns_is_a_change(engine: QueryEngine):
    standing = standing_texts(["chair", "piano"])
    before = answer_all(standing, map_of(views=0), engine)
    now = answer_all(standing, map_of(make_record(4, "chair")), engine)
    assert [(it.answer.asked.text, it.previous, it.answer.verdict) for it in changes_since(before, now)] == [
        ("chair", "blind", "found"),
        ("piano", "blind", "none"),
    ]


def test_another_object_behind_a_verdict_is_a_change_but_a_better_score_is_none(engine: QueryEngine):
    standing = standing_texts(["chair"])
    one = answer_all(standing, map_of(make_record(4, "chair")), engine)
    surer = answer_all(standing, map_of(replace(make_record(4, "chair"), score=0.9)), engine)
    two = answer_all(standing, map_of(make_record(4, "chair"), make_record(5, "chair")), engine)
    assert changes_since(one, surer) == ()
    (change,) = changes_since(one, two)
    assert (change.previous, change.answer.verdict, ids(change.answer)) == ("found", "found", [4, 5])


class Unsure(QueryEngine):
    """Finds chairs among likely things, and cannot tell what a seat is."""

    def __init__(self) -> None:
        """Needs no encoder."""
        super().__init__(NoLikeness())

    def answer(self, text, objects, *, embeddings=None, mapped=True, top_k=10):
        hits = tuple(QueryHit(object=it, score=score) for it, score in zip(objects, (0.9, 0.6, 0.4), strict=True))
        return QueryResult(text=text, verdict="found" if text == "chair" else "ambiguous", hits=hits)


def test_once_found_weaker_candidates_are_left_out():
    snapshot = map_of(make_record(1, "chair"), make_record(2, "stool"), make_record(3, "table"))
    found, ambiguous = answer_all(standing_texts(["chair", "seat"]), snapshot, Unsure())
    assert (ids(found), ids(ambiguous)) == ([1, 2], [1, 2, 3])
