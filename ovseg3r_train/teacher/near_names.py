"""Which names are near in meaning: the first few of a vocabulary by the sentence embeddings of MiniLM.

They are kept in a file so that simulating masks loads no text encoder; `python -m ovseg3r_train.teacher.near_names`
writes it anew.
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.language.coco import COCO_CLASSES, kind_of, same_name
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.vocabulary import scannet200

NEAR = 8
"""How many names count as near."""
_FILE = Path(__file__).parent / "near_names.json"


def near_names(name: str, words: Sequence[str]) -> tuple[str, ...]:
    """Those of the words that are near a name in meaning but do not mean the same; none where it is unknown."""
    table = _table()
    among = "coco" if set(words) <= set(COCO_CLASSES) else "scannet200"
    found = table[among].get(name) or table[among].get(kind_of(name).name) or []
    known = set(words)
    return tuple(near for near in found if near in known)


@cache
def _table() -> dict[str, dict[str, list[str]]]:
    return json.loads(_FILE.read_text("utf-8"))


def build_table() -> dict[str, dict[str, list[str]]]:
    """The nearest names of each known name, among the words of COCO and among those of ScanNet200."""
    encoder = MiniLm()
    names = list(dict.fromkeys((*scannet200().names, *COCO_CLASSES)))
    return {
        "coco": _nearest(encoder, names, COCO_CLASSES),
        "scannet200": _nearest(encoder, names, scannet200().names),
    }


def _nearest(encoder: MiniLm, names: Sequence[str], words: Sequence[str]) -> dict[str, list[str]]:
    order = np.argsort(-(encoder.embed(names) @ encoder.embed(words).T), axis=1, kind="stable")
    return {
        name: [word for word in (str(words[i]) for i in row) if not same_name(word, name)][:NEAR]
        for name, row in zip(names, order, strict=True)
    }


if __name__ == "__main__":
    with atomic_write(_FILE) as path:
        path.write_text(json.dumps(build_table(), indent=0), "utf-8")
