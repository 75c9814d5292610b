"""What the map answers to some hundred texts, worked out in advance: a page has no text encoder.

They are all known names, some uses, and where the things of the map are to each other ("cup on desk").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ovseg3r_core.language.coco import COCO_CLASSES, HOUSEHOLD
from ovseg3r_core.language.vocabulary import STRUCTURE, UNNAMED, scannet200
from ovseg3r_core.mapping.bodies import bodies_of
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.questions import ask
from ovseg3r_core.mapping.relations import Relation, related
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.types import Verdict

PHRASES = (
    "somewhere to sit",
    "somewhere to sleep",
    "somewhere to lie down",
    "something to drink from",
    "something to eat from",
    "something to read",
    "something to write on",
    "something to cook with",
    "something to sit at",
    "a place to wash hands",
    "a place to put books",
    "a place to keep clothes",
    "a place to keep food cold",
    "a light",
    "a screen",
    "a plant",
    "a way out",
)
"""What people ask for by its use."""
PLACES: tuple[Relation, ...] = ("on", "in", "under", "above", "next to", "near")
"""Relations that are the same from wherever one looks."""


@dataclass(frozen=True, kw_only=True)
class KnownAnswer:
    """The verdict on one text, and the objects that answer it, best first."""

    text: str
    verdict: Verdict
    ids: tuple[int, ...]
    scores: tuple[float, ...]


def known_answers(snapshot: MapSnapshot, engine: QueryEngine, others: Sequence[str] = ()) -> list[KnownAnswer]:
    """The answers to all names that the package knows, to those in the map, to `PHRASES`, and to other texts."""
    answers = []
    for text in dict.fromkeys((*_texts([record.label for record in snapshot.objects]), *others)):
        result = ask(engine, snapshot, text, top_k=50)
        ids, scores = tuple(hit.object.id for hit in result.hits), tuple(round(hit.score, 3) for hit in result.hits)
        answers.append(KnownAnswer(text=text, verdict=result.verdict, ids=ids, scores=scores))
    return answers


def places(snapshot: MapSnapshot) -> list[str]:
    """What holds between named things of the map, and the room, in words: "cup on desk"."""
    records = [record for record in (*snapshot.objects, *snapshot.structure) if record.label != UNNAMED]
    bodies, told = bodies_of(snapshot, records), dict[str, None]()
    for relation in PLACES:
        holds = related(relation, bodies, bodies)
        np.fill_diagonal(holds, False)
        pairs = sorted({(records[i].label, records[j].label) for i, j in np.argwhere(holds).tolist()})
        told |= dict.fromkeys(f"{thing} {relation} {anchor}".lower() for thing, anchor in pairs)
    return list(told)


def _texts(labels: Sequence[str]) -> list[str]:
    household = [name for kind in HOUSEHOLD for name in kind.names]
    names = {*COCO_CLASSES, *household, *scannet200().names, *STRUCTURE, *labels} - {UNNAMED}
    return sorted({name.lower() for name in names}) + list(PHRASES)
