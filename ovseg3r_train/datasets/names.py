"""From what a dataset calls a thing to the name that ScanNet200 has for it."""

import json
from functools import cache
from pathlib import Path

from ovseg3r_core.language.phrase import key
from ovseg3r_core.language.vocabulary import scannet200


def truth_name(own: str) -> str | None:
    """The ScanNet200 name of a thing, or its own name where that has none; None for structure and for no thing at all.

    Case, hyphens, underscores and plurals do not count. Structure is wall, floor and ceiling: they are no instances.
    """
    known, structure, nothing = _tables()
    wording = key(own.replace("_", " "))
    if not wording or wording in structure or wording in nothing:
        return None
    return known.get(wording, own.strip())


def mapped(own: str) -> bool:
    """Whether a name is one of ScanNet200's, or known to mean one."""
    return key(own.replace("_", " ")) in _tables()[0]


@cache
def _tables() -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    content = json.loads((Path(__file__).parent / "names.json").read_text(encoding="utf-8"))
    same = {key(own): name for own, name in content["same"].items()}
    exact = {key(name): name for name in scannet200().names}
    return same | exact, frozenset(map(key, content["structure"])), frozenset(map(key, content["nothing"]))
