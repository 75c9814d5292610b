"""What the map answers to some hundred texts, worked out in advance: a page has no text encoder."""

from collections.abc import Sequence
from dataclasses import dataclass

from ovseg3r_core.language.coco import COCO_CLASSES, HOUSEHOLD
from ovseg3r_core.language.vocabulary import STRUCTURE, UNNAMED, scannet200
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.questions import ask
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


@dataclass(frozen=True, kw_only=True)
class KnownAnswer:
    """The verdict on one text, and the objects that answer it, best first."""

    text: str
    verdict: Verdict
    ids: tuple[int, ...]
    scores: tuple[float, ...]


def known_answers(snapshot: MapSnapshot, engine: QueryEngine) -> list[KnownAnswer]:
    """The answers to all names that the package knows, to those in the map, and to `PHRASES`."""
    answers = []
    for text in _texts([record.label for record in snapshot.objects]):
        result = ask(engine, snapshot, text, top_k=50)
        ids, scores = tuple(hit.object.id for hit in result.hits), tuple(round(hit.score, 3) for hit in result.hits)
        answers.append(KnownAnswer(text=text, verdict=result.verdict, ids=ids, scores=scores))
    return answers


def _texts(labels: Sequence[str]) -> list[str]:
    household = [name for kind in HOUSEHOLD for name in kind.names]
    names = {*COCO_CLASSES, *household, *scannet200().names, *STRUCTURE, *labels} - {UNNAMED}
    return sorted({name.lower() for name in names}) + list(PHRASES)
