"""Strategies for what nobody meant to send: JSON with one value replaced, bytes with holes, flips and rubbish."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

FEW = settings(max_examples=max(settings().max_examples // 4, 1))
"""For what takes long; a profile with more examples has more of these, too."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(content: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the values of a JSON document are."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for step, value in items:
        yield (*path, step)
        yield from places(value, (*path, step))


@st.composite
def changed_json(draw: st.DrawFn, content: Any) -> Any:
    """A document with one to three of its values replaced by others, or gone."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(content)) or [()]))
        if not path:
            return draw(JSON)
        inner = content
        for step in path[:-1]:
            inner = inner[step]
        if draw(st.integers(0, 3)) == 0:
            del inner[path[-1]]
        else:
            inner[path[-1]] = draw(JSON)
    return content


@st.composite
def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes that were cut, flipped, overwritten or made longer, at one to four places."""
    hurt = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(hurt) - 1, 0)))
        kind = draw(st.sampled_from(["cut", "flip", "write", "insert"]))
        if kind == "cut":
            del hurt[place:]
        elif kind == "flip" and hurt:
            hurt[place] ^= draw(st.integers(1, 255))
        elif kind == "write":
            rubbish = draw(st.binary(min_size=1, max_size=8))
            hurt[place : place + len(rubbish)] = rubbish
        else:
            hurt[place:place] = draw(st.binary(min_size=1, max_size=8))
    return bytes(hurt)
