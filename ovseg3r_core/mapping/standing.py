"""Standing queries: texts that are asked again whenever the map changes, and what became different about an answer.

Nothing is encoded twice: encoders remember their texts (`language.encoder.EmbeddingMemory`), so that asking again
costs a product of matrices. Everything here is a value; whoever holds the texts and the last answers decides when
to ask.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.phrase import clean
from ovseg3r_core.mapping.queries import MAX_TOP_K, QueryEngine
from ovseg3r_core.mapping.questions import ask
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.types import QueryHit, QueryResult, Verdict

MAX_TEXTS = 64


@dataclass(frozen=True, kw_only=True)
class StandingText:
    """One text, and the place it keeps for as long as it stands: colours and class ids are made of it."""

    text: str
    place: int
    """0..63, different for all texts that stand together."""


@dataclass(frozen=True, kw_only=True)
class StandingAnswer:
    """What the map says to one standing text at one moment."""

    asked: StandingText
    verdict: Verdict
    hits: tuple[QueryHit, ...] = ()
    """The objects that answer, best first; empty unless the verdict is `found` or `ambiguous`."""


@dataclass(frozen=True, kw_only=True)
class AnswerChange:
    """An answer that is not what it was."""

    answer: StandingAnswer
    previous: Verdict | None = None
    """The verdict before; None for a text that is new."""


def standing_texts(texts: Sequence[str], before: Iterable[StandingText] = ()) -> tuple[StandingText, ...]:
    """The texts in the order given; those that stood before keep their place, new ones take the lowest free.

    Raises:
        Rejected: with reason `bad_query` for more than 64 texts, an empty or overlong one, or one that is there
            twice (case does not count).
    """
    if len(texts) > MAX_TEXTS:
        raise Rejected("bad_query", f"{len(texts)} standing texts; give at most {MAX_TEXTS}")
    wanted = [clean(text) for text in texts]
    folded = [text.casefold() for text in wanted]
    if twice := next((text for i, text in enumerate(wanted) if folded[i] in folded[:i]), None):
        raise Rejected("bad_query", f"the standing text {twice!r} is there twice: give each once")
    kept = {it.text: it.place for it in before if it.text in wanted}
    free = iter(sorted(set(range(MAX_TEXTS)) - set(kept.values())))
    return tuple(StandingText(text=text, place=kept[text] if text in kept else next(free)) for text in wanted)


def answer_all(
    standing: Iterable[StandingText], snapshot: MapSnapshot, engine: QueryEngine
) -> tuple[StandingAnswer, ...]:
    """What the map says to each text, in their order; structure answers too ("wall").

    Raises:
        Rejected: with reason `other_encoder` where the map was embedded by another encoder than the engine's.
    """
    return tuple(
        _answer(asked, ask(engine, snapshot, asked.text, top_k=MAX_TOP_K), engine.config.found_at) for asked in standing
    )


def changes_since(before: Iterable[StandingAnswer], now: Iterable[StandingAnswer]) -> tuple[AnswerChange, ...]:
    """The answers with another verdict, or with other objects behind it; a text that was not asked before is one.

    Scores and the order of the objects may waver without being a change.
    """
    last = {answer.asked: answer for answer in before}
    return tuple(
        AnswerChange(answer=answer, previous=last[answer.asked].verdict if answer.asked in last else None)
        for answer in now
        if answer.asked not in last or _meaning(answer) != _meaning(last[answer.asked])
    )


def _answer(asked: StandingText, result: QueryResult, found_at: float) -> StandingAnswer:
    """Once something is found, what is merely likely is no candidate any more: nobody wants it marked."""
    hits = tuple(hit for hit in result.hits if result.verdict != "found" or hit.score >= found_at)
    return StandingAnswer(asked=asked, verdict=result.verdict, hits=hits)


def _meaning(answer: StandingAnswer) -> tuple[Verdict, frozenset[int]]:
    return answer.verdict, frozenset(hit.object.id for hit in answer.hits)
