"""A text that says where a thing is, taken apart: "the cup on the desk" is a cup, on, the desk.

The place may be described by another one ("the cup on the desk near the window"), and a text may end with where it is
looked from ("left of the monitor, seen from the door"; "... seen from 1.5, -2", metres in the map).
"""

import re
from collections.abc import Container
from dataclasses import dataclass

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.phrase import clean, key
from ovseg3r_core.mapping.relations import Relation

MAX_RELATIONS = 3
_MAX_NAME = 6  # words; no name of a thing is longer

_WORDS: dict[Relation, str] = {
    "left of": r"(?:(?:to|on|at) the )?left(?:[ -]hand)?(?: side)? (?:of|from)",
    "right of": r"(?:(?:to|on|at) the )?right(?:[ -]hand)?(?: side)? (?:of|from)",
    "across from": r"across from|opposite(?: to| of| from)?|on the opposite side of",
    "in front of": r"in front of|before",
    "behind": r"behind|in back of|at the back of",
    "next to": r"next to|besides?|adjacent to|alongside",
    "near": r"near(?: to|by)?|close to|by|at|around|against",
    "on": r"on the (?:top|surface) of|(?:up)?on(?: top of)?|atop",
    "in": r"inside(?: of)?|in|within",
    "under": r"under(?:neath)?|beneath|below",
    "above": r"above|over",
}
"""In the order in which they are tried: "on the left of" begins with "on"."""
_RELATION = re.compile(
    r"(?<![\w'-])(?:" + "|".join(f"(?P<r{i}>{words})" for i, words in enumerate(_WORDS.values())) + r")(?![\w'-])"
)
_FROM = re.compile(r"[ ,]+(?:as )?(?:seen|viewed|looked at|looking|when standing|standing) (?:from|at) (?P<from>.+)$")
_POINT = re.compile(r"^\(?\s*(-?\d+(?:\.\d+)?)\s*[, ]\s*(-?\d+(?:\.\d+)?)\s*\)?$")
_FILLER = re.compile(
    r"(?:[ ,]+(?:that|which|who|is|are|was|s|stands|standing|lies|lying|sits|sitting|hangs|hanging|placed|located|"
    r"kept|left|put|right|directly|just|somewhere|immediately|found))+$"
)
_NO_THING = re.compile(
    r"^(?:the |a |this |that |my |our )?(?:(?:\w+ )?(?:corner|room|middle|cent(?:er|re)|kitchen|bathroom|hallway|hall|"
    r"flat|apartment|house|home|building|office|front|back|left|right|top|bottom|wheels|map|scene)|here|there)$"
)


@dataclass(frozen=True, kw_only=True)
class Where:
    """A thing, and how it is to another one, which may be described by its place in turn."""

    thing: str
    relation: Relation
    anchor: "str | Where"
    seen_from: "str | tuple[float, float] | None" = None
    """A thing that the viewer stands at, or a place on the floor, metres in the map."""


def read_where(text: str, names: Container[str]) -> Where | None:
    """What a text says of a place, or None where it says nothing of one.

    Args:
        names: keys of known names; words inside one are no relation ("bag worn on the back"), and a text that is a
            name as it stands says nothing of a place.

    Raises:
        Rejected: `bad_query` for a text that is empty or overlong, or that names more than 3 relations.
    """
    plain = clean(text).casefold().rstrip(" .?!,;:")
    if key(plain) in names:
        return None
    seen_from: str | tuple[float, float] | None = None
    if viewer := _FROM.search(plain):
        plain, place = plain[: viewer.start()], viewer["from"].strip()
        point = _POINT.match(place)
        seen_from = (float(point[1]), float(point[2])) if point else place
    return _read(plain, names, seen_from, MAX_RELATIONS)


def _read(plain: str, names: Container[str], seen_from: str | tuple[float, float] | None, left: int) -> Where | None:
    if (cut := _first_relation(plain, names)) is None:
        return None
    thing, relation, anchor = cut
    if left == 0:
        raise Rejected("bad_query", f"the text names more than {MAX_RELATIONS} places: ask in shorter steps")
    inner = _read(anchor, names, seen_from, left - 1)
    return Where(thing=thing, relation=relation, anchor=inner or anchor, seen_from=seen_from)


def _first_relation(plain: str, names: Container[str]) -> tuple[str, Relation, str] | None:
    """The first relation with a thing before it and another thing after it."""
    known = _known_spans(plain, names)
    for match in _RELATION.finditer(plain):
        thing, anchor = _FILLER.sub("", plain[: match.start()].rstrip(" ,")).strip(), plain[match.end() :].strip(" ,")
        if any(low < match.end() and match.start() < high for low, high in known):
            continue
        if not key(thing) or not key(anchor) or _RELATION.match(anchor) or _NO_THING.match(anchor):
            continue
        named = next(i for i in range(len(_WORDS)) if match[f"r{i}"] is not None)
        return thing, list(_WORDS)[named], anchor
    return None


def _known_spans(plain: str, names: Container[str]) -> list[tuple[int, int]]:
    """Where known names of several words stand, the longest first at each place."""
    words = [match.span() for match in re.finditer(r"[\w'-]+", plain)]
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(words):
        for count in range(min(_MAX_NAME, len(words) - at), 1, -1):
            low, high = words[at][0], words[at + count - 1][1]
            if key(plain[low:high]) in names:
                spans.append((low, high))
                at += count - 1
                break
        at += 1
    return spans
