"""Free-text queries: scores, verdicts, and what is refused."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_core.mapping.queries import QueryConfig, QueryEngine
from ovseg3r_core.models import MissingModel
from ovseg3r_core.types import Box, ObjectRecord


def an_object(number: int, label: str, score: float = 0.9) -> ObjectRecord:
    return ObjectRecord(
        id=number,
        label=label,
        score=score,
        name_score=score,
        centre=(0.0, 0.0, 0.0),
        box=Box(centre=(0.0, 0.0, 0.0), size=(1.0, 1.0, 1.0), yaw=0.0),
        points=100,
        observations=5,
        first_seen=0.0,
        last_seen=1.0,
        state="active",
    )


def a_map(*labels: str) -> list[ObjectRecord]:
    return [an_object(number, label) for number, label in enumerate(labels)]


OFFICE = a_map("chair", "chair", "dining table", "tv", "keyboard", "mouse", "cup", "book", "person", "door", "object")
LIVING_ROOM = a_map("couch", "chair", "tv", "potted plant", "dining table", "remote", "book", "lamp", "picture")


class Meanings:
    """A deterministic encoder: texts listed together have the given cosine, all others are at right angles."""

    name = "meanings"

    def __init__(self, **near: tuple[str, float]) -> None:
        self._near = {text.replace("_", " "): to for text, to in near.items()}
        self._axes: dict[str, int] = {}

    def _axis(self, text: str) -> np.ndarray:
        row = np.zeros(2048, np.float32)
        row[self._axes.setdefault(text, len(self._axes))] = 1
        return row

    def embed(self, texts):
        rows = [self._axis(text) for text in texts]
        for i, text in enumerate(texts):
            if text in self._near:
                other, cosine = self._near[text]
                rows[i] = np.float32(cosine) * self._axis(other) + np.float32(np.sqrt(1 - cosine**2)) * rows[i]
        return np.stack(rows)


def ids(result) -> list[int]:
    return [hit.object.id for hit in result.hits]


# What follows from the rules, whatever the encoder


def test_every_object_of_the_named_kind_answers():
    result = QueryEngine(Meanings()).answer("Chairs", OFFICE)
    assert (result.verdict, ids(result)) == ("found", [0, 1])
    assert [hit.score for hit in result.hits] == [pytest.approx(QueryEngine(Meanings()).trust(it)) for it in OFFICE[:2]]


def test_an_alias_is_as_good_as_the_name():
    assert QueryEngine(Meanings()).answer("settee", LIVING_ROOM).verdict == "found"
    assert ids(QueryEngine(Meanings()).answer("computer monitor", OFFICE)) == [3]


def test_kinds_that_share_a_use_all_answer():
    result = QueryEngine(Meanings()).answer("somewhere to sit", LIVING_ROOM)
    assert (result.verdict, ids(result)) == ("found", [0, 1])


def test_the_surest_object_comes_first_and_among_equals_the_named_label_before_its_synonym():
    objects = [an_object(0, "couch", 0.7), an_object(1, "sofa", 0.7), an_object(2, "couch", 0.8)]
    assert ids(QueryEngine(Meanings()).answer("couch", objects)) == [2, 0, 1]
    assert ids(QueryEngine(Meanings()).answer("sofa", objects)) == [2, 1, 0]


# How far a label is believed


def test_a_label_is_believed_as_far_as_the_fit_says():
    engine = QueryEngine(Meanings(), QueryConfig(label_bias=-1.0, label_gain=2.0))
    trust = [engine.trust(an_object(0, "cup", score)) for score in (0.0, 0.2, 0.5, 0.8, 1.0)]
    odds = [math.exp(-1) * (score / (1 - score)) ** 2 for score in (0.2, 0.5, 0.8)]
    assert trust == pytest.approx([0, *(it / (1 + it) for it in odds), 1])


def test_a_bias_of_0_and_a_gain_of_1_take_the_confidence_for_the_probability():
    engine = QueryEngine(Meanings(), QueryConfig(label_bias=0.0, label_gain=1.0))
    assert [engine.trust(an_object(0, "cup", score)) for score in (0.0, 0.13, 0.9)] == pytest.approx([0, 0.13, 0.9])


def test_what_few_views_named_can_be_asked_for_but_is_not_vouched_for():
    sure, unsure = an_object(0, "cup", 0.9), an_object(1, "cup", 0.2)
    engine = QueryEngine(Meanings())
    assert engine.answer("cup", [unsure]).verdict == "ambiguous"
    assert ids(engine.answer("cup", [unsure])) == [1]
    assert (engine.answer("cup", [unsure, sure]).verdict, ids(engine.answer("cup", [unsure, sure]))) == (
        "found",
        [0, 1],
    )


def test_many_doubtful_objects_of_one_name_are_no_more_likely_right_than_one():
    doubtful = [an_object(number, "chair", 0.3) for number in range(9)]
    assert QueryEngine(Meanings()).answer("chair", doubtful).verdict == "ambiguous"


def test_a_score_is_the_probability_that_the_text_means_the_label_times_that_the_label_is_right():
    engine = QueryEngine(Meanings(goblin=("cup", 0.3)))
    cup = an_object(0, "cup", 0.6)
    (match,) = engine.match("goblin", ["cup"])
    (hit,) = engine.answer("goblin", [cup]).hits
    assert 0.3 < match.score < 1
    assert hit.score == pytest.approx(match.score * engine.trust(cup))


def test_another_kind_that_is_surer_but_means_the_text_less_leaves_it_ambiguous():
    class Nearer(Meanings):
        def embed(self, texts):
            rows = super().embed(texts)
            for i, text in enumerate(texts):
                if text == "gizmo":
                    rows[i] = (self._axis("cup") + np.float32(0.97) * self._axis("book")) / np.float32(1.393)
            return rows

    doubtful, sure = an_object(0, "cup", 0.1), an_object(1, "book", 0.99)
    result = QueryEngine(Nearer(), QueryConfig(none_below=0.1, found_at=0.2)).answer("gizmo", [doubtful, sure])
    assert (result.verdict, ids(result)) == ("ambiguous", [1, 0])


@pytest.mark.parametrize("label", ["wall", "floor", "ceiling"])
def test_structure_is_found_however_little_its_masks_say(label):
    assert QueryEngine(Meanings()).answer(label, [an_object(0, label, 0.05)]).verdict == "found"


def test_what_an_operator_named_is_believed():
    assert QueryEngine(Meanings()).answer("cup", [an_object(0, "cup", 1.0)]).hits[0].score == 1


def test_adjectives_and_places_do_not_hide_the_noun():
    result = QueryEngine(Meanings()).answer("find the old red swivel chair next to the door", OFFICE)
    assert (result.verdict, ids(result)) == ("found", [0, 1])


def test_a_name_of_something_that_is_not_there_is_not_taken_for_its_neighbour():
    encoder = Meanings(fire_hydrant=("fire extinguisher", 0.8))
    assert QueryEngine(encoder).answer("fire extinguisher", a_map("fire hydrant")).verdict == "none"
    assert QueryEngine(encoder).answer("fire extinguisher", a_map("fire hydrant", "fire extinguisher")).hits


def test_two_kinds_that_fit_a_text_equally_leave_it_ambiguous():
    class Between(Meanings):
        def embed(self, texts):
            rows = super().embed(texts)
            for i, text in enumerate(texts):
                if text == "gizmo":
                    rows[i] = (self._axis("cup") + self._axis("book")) / np.float32(np.sqrt(2))
            return rows

    result = QueryEngine(Between(), QueryConfig(none_below=0.1, found_at=0.3)).answer("gizmo", OFFICE)
    assert (result.verdict, sorted(ids(result))) == ("ambiguous", [6, 7])


def test_a_weak_likeness_is_ambiguous_and_a_weaker_one_is_none():
    objects = a_map("cup", "door")
    verdicts = [
        QueryEngine(Meanings(goblin=("cup", cosine))).answer("goblin", objects).verdict for cosine in (0.8, 0.24, 0.1)
    ]
    assert verdicts == ["found", "ambiguous", "none"]


def test_unnamed_objects_answer_no_name():
    assert QueryEngine(Meanings()).answer("object", a_map("object", "object")).verdict == "none"


def test_nothing_mapped_is_blind_and_a_map_without_objects_is_none():
    engine = QueryEngine(Meanings())
    assert engine.answer("chair", [], mapped=False).verdict == "blind"
    assert engine.answer("chair", []).verdict == "none"


def test_top_k_bounds_the_hits():
    engine = QueryEngine(Meanings())
    assert len(engine.answer("chair", a_map(*["chair"] * 50), top_k=7).hits) == 7


@pytest.mark.parametrize("top_k", [0, -1, 1001])
def test_a_top_k_out_of_range_is_refused(top_k):
    with pytest.raises(Rejected, match=str(top_k)):
        QueryEngine(Meanings()).answer("chair", OFFICE, top_k=top_k)


@pytest.mark.parametrize("text", ["", "\x00", "chair " * 200])
def test_a_text_that_is_empty_or_overlong_is_refused(text):
    with pytest.raises(Rejected) as refused:
        QueryEngine(Meanings()).answer(text, OFFICE)
    assert refused.value.reason == "bad_query"


@pytest.mark.parametrize(
    "text", ["?", "的", "to", "the", "on the", "of of of", "🪑", "'; DROP TABLE objects; --", "a" * 1000, "some"]
)
def test_odd_texts_get_an_answer(text):
    assert QueryEngine(Meanings()).answer(text, OFFICE).verdict == "none"


@pytest.mark.parametrize("wrong", [{"none_below": 0.7}, {"found_at": 1.1}, {"margin": -0.1}, {"shortened_weight": 0.0}])
def test_thresholds_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(str(value) for value in wrong.values()))):
        QueryConfig(**wrong)


# With the default encoder


@pytest.fixture(scope="module")
def engine() -> QueryEngine:
    try:
        return QueryEngine(MiniLm())
    except MissingModel as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(
    ("text", "objects", "label"),
    [
        ("sofa", LIVING_ROOM, "couch"),
        ("settee", LIVING_ROOM, "couch"),
        ("red office chair", OFFICE, "chair"),
        ("monitor", OFFICE, "tv"),
        ("computer screen", OFFICE, "tv"),
        ("something to drink from", OFFICE, "cup"),
        ("something to type with", OFFICE, "keyboard"),
        ("the green plant in the corner", LIVING_ROOM, "potted plant"),
        ("something that gives light", LIVING_ROOM, "lamp"),
    ],
)
def test_a_text_finds_what_it_means(engine, text, objects, label):
    result = engine.answer(text, objects)
    assert (result.verdict, result.hits[0].object.label) == ("found", label)


@pytest.mark.parametrize("text", ["giraffe", "fire extinguisher", "microwave", "laptop", "bathtub", "happiness"])
def test_a_text_that_means_nothing_there_gets_none(engine, text):
    assert engine.answer(text, OFFICE).verdict == "none"


@pytest.mark.parametrize("text", ["somewhere to sit", "a place to sit down", "something comfortable to sit on"])
def test_somewhere_to_sit_is_a_chair_before_a_table(engine, text):
    scores = {match.label: match.score for match in engine.match(text, ("chair", "dining table", "tv"))}
    assert scores["chair"] > 0.5 > scores["dining table"]


def test_the_labelled_texts_are_answered_as_well_as_the_docs_say(engine):
    """The half of the list that chose nothing: docs/queries.md has the table."""
    cases = json.loads((Path(__file__).parent / "data" / "query_names.json").read_text())
    maps = {name: a_map(*labels) for name, labels in cases["maps"].items()}
    answers = [(query, engine.answer(query["text"], maps[query["map"]])) for query in cases["queries"][1::2]]
    found = [query for query, result in answers if result.verdict == "found"]
    right = [q for q, result in answers if result.verdict == "found" and result.hits[0].object.label in q["expect"]]
    absent = [result.verdict for query, result in answers if not query["expect"]]
    present = [query for query, _ in answers if query["expect"]]
    assert len(right) / len(found) > 0.95
    assert len(right) / len(present) > 0.8
    assert absent.count("none") / len(absent) > 0.9
    assert absent.count("found") / len(absent) <= 0.02


def test_a_new_text_over_a_thousand_objects_is_answered_in_time(engine):
    names = [name for name in scannet200().names if name != "object"]
    objects = a_map(*(names[i % len(names)] for i in range(1000)))
    engine.answer("warm up", objects)
    started = time.perf_counter()
    for text in ("some unheard of thing", "another new text", "third text"):
        engine.answer(text, objects)
    assert (time.perf_counter() - started) / 3 < 0.5  # 50 ms are promised; shared test machines get ten times that
