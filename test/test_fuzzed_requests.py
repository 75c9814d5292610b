"""What services are asked for, with anything in it: answered, or refused by a reason."""

import tempfile
from pathlib import Path

from fuzzed import FEW
from hypothesis import given
from hypothesis import strategies as st
from maps import COUCH, NoLikeness, make_record, make_snapshot

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping.edits import Cut, Edits
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.questions import ask
from ovseg3r_core.mapping.standing import answer_all, standing_texts

ENGINE = QueryEngine(NoLikeness())
WORDS = ["couch", "the", "on", "in", "under", "left of", "seen from", "1, 2", "nan", "object", "next to", "what", ","]
texts = st.text(max_size=80) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
ids = st.integers(-(2**40), 2**40) | st.sampled_from([0, COUCH, 8])
numbers = st.floats() | st.sampled_from([0.0, 1e300, -1e300])


@FEW
@given(text=texts, top_k=st.integers(-5, 1200), copies=st.integers(0, 3))
def test_any_question_is_answered_or_refused(text: str, top_k: int, copies: int):
    snapshot = make_snapshot()
    more = tuple(make_record(100 + i, ("couch", "", "on", "\0")[i]) for i in range(copies))
    snapshot = type(snapshot)(**vars(snapshot) | {"objects": snapshot.objects + more})
    try:
        result = ask(ENGINE, snapshot, text, top_k=top_k)
    except Rejected as refused:
        assert refused.reason == "bad_query"
        return
    assert result.verdict in ("found", "ambiguous", "none")
    assert len(result.hits) <= top_k
    assert all(0 <= hit.score <= 1 for hit in result.hits)


@FEW
@given(st.lists(texts, max_size=4))
def test_any_standing_texts_are_answered_or_refused(asked: list[str]):
    try:
        answers = answer_all(standing_texts(asked), make_snapshot(), ENGINE)
    except Rejected as refused:
        assert refused.reason == "bad_query"
        return
    assert len(answers) == len(asked)


@given(st.lists(texts, max_size=4))
def test_any_vocabulary_is_taken_or_refused(names: list[str]):
    try:
        vocabulary = Vocabulary(name="own", names=tuple(names), ids=tuple(range(1, len(names) + 1)))
    except ValueError:
        return
    assert len(set(vocabulary.names)) == len(names)


@given(id_=ids, label=texts)
def test_any_label_is_taken_or_refused(id_: int, label: str):
    try:
        edits = Edits().relabelled(id_, label)
    except ValueError:
        return
    assert all(name and len(name) <= 100 and name.isprintable() for name in edits.labels.values())


@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=4))
def test_any_seeds_are_taken_or_refused(seeds: list[tuple[float, float, float]]):
    try:
        cut = Cut(ids=tuple(range(len(seeds))), seeds=tuple(seeds))
    except ValueError:
        return
    assert len(set(cut.seeds)) == len(seeds) >= 2


@given(texts | st.text("./\\~$-_ab\0", max_size=80))
def test_any_name_of_a_map_stays_in_its_directory(name: str):
    from ovseg3r_ros.map_directory import MapDirectory

    with tempfile.TemporaryDirectory() as root:
        try:
            folder = MapDirectory(Path(root)).folder(name)
        except Rejected as refused:
            assert refused.reason == "bad_name"
            return
        assert folder.resolve().parent == Path(root).resolve()
