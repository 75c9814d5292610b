"""Texts that say where a thing is, taken apart; names with such words in them stay whole."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.phrase import key
from ovseg3r_core.mapping.relation_text import MAX_RELATIONS, Where, read_where

NAMES = {
    key(name)
    for name in (
        *("cup", "desk", "sink in kitchen counter", "bag worn on the back", "something to sit on", "living room"),
        *("picture in a frame", "kitchen counter", "table tennis racket"),
    )
}


@pytest.mark.parametrize(
    ("text", "thing", "relation", "anchor"),
    [
        ("the cup on the desk", "the cup", "on", "the desk"),
        ("cup on top of the desk", "cup", "on", "the desk"),
        ("the cup that is standing on the desk?", "the cup", "on", "the desk"),
        ("Chair near the window", "chair", "near", "the window"),
        ("chair close to the window", "chair", "near", "the window"),
        ("the chair at the desk", "the chair", "near", "the desk"),
        ("the box left of the monitor", "the box", "left of", "the monitor"),
        ("box on the left side of the monitor", "box", "left of", "the monitor"),
        ("the box to the right of the monitor", "the box", "right of", "the monitor"),
        ("something to sit on next to the table", "something to sit on", "next to", "the table"),
        ("lamp right next to the bed", "lamp", "next to", "the bed"),
        ("bin underneath the desk", "bin", "under", "the desk"),
        ("the picture above the couch", "the picture", "above", "the couch"),
        ("book inside the shelf", "book", "in", "the shelf"),
        ("the door opposite the bed", "the door", "across from", "the bed"),
        ("chair across from the couch", "chair", "across from", "the couch"),
        ("table in front of the couch", "table", "in front of", "the couch"),
        ("box behind the couch", "box", "behind", "the couch"),
        ("find me the mug on my desk", "find me the mug", "on", "my desk"),
        ("a bag worn on the back on the chair", "a bag worn on the back", "on", "the chair"),
        ("soap on the sink in kitchen counter", "soap", "on", "the sink in kitchen counter"),
        ("book on the table tennis racket", "book", "on", "the table tennis racket"),
    ],
)
def test_a_thing_its_relation_and_its_anchor(text, thing, relation, anchor):
    assert read_where(text, NAMES) == Where(thing=thing, relation=relation, anchor=anchor)


@pytest.mark.parametrize(
    "text",
    [
        *("red office chair", "sink in kitchen counter", "the sinks in kitchen counter", "table tennis racket"),
        *("something to sit on", "something to drink from", "a bag worn on the back", "living room", "on the desk"),
        *("built-in oven", "left shoe", "bottle of water", "on", "in of on", "the plant in the corner"),
        *("the cup in the kitchen", "chair on wheels", "the chair on the left", "?", "的", "🪑"),
    ],
)
def test_what_says_nothing_of_another_thing_is_left_to_the_names(text):
    assert read_where(text, NAMES) is None


def test_the_place_may_have_a_place():
    inner = Where(thing="the desk", relation="near", anchor="the window")
    assert read_where("cup on the desk near the window", NAMES) == Where(thing="cup", relation="on", anchor=inner)


@pytest.mark.parametrize(
    ("said", "seen_from"),
    [
        (", seen from the door", "the door"),
        (" as seen from the door", "the door"),
        (", seen from 1.5, -2", (1.5, -2.0)),
        (" seen from (0 3)", (0.0, 3.0)),
    ],
)
def test_a_text_may_say_where_one_looks_from(said, seen_from):
    where = read_where("the box left of the monitor" + said, NAMES)
    assert where == Where(thing="the box", relation="left of", anchor="the monitor", seen_from=seen_from)


def test_more_places_than_anybody_means_are_refused():
    text = "cup" + " on the desk" * (MAX_RELATIONS + 1)
    with pytest.raises(Rejected, match="more than 3 places"):
        read_where(text, NAMES)
    assert read_where(text[: -len(" on the desk")], NAMES) is not None


words = st.lists(
    st.sampled_from(["cup", "the", "on", "left", "of", "next", "to", "in", "seen", "from", "front", ",", "3", "desk"]),
    max_size=14,
).map(" ".join)


@given(words | st.text(string.printable, max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        where = read_where(text, NAMES)
    except Rejected as refused:
        assert refused.reason == "bad_query"
        return
    if where is not None:
        assert where.thing
        assert where.anchor
