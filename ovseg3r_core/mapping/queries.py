"""Free-text queries over the object map, with a verdict.

**Score.** Every label leads to a kind of thing with names, aliases and uses (`language.coco`). The likeness of
a text and a kind is the best cosine between the wordings of the text and the words of the kind, where wordings
that leave words out count for less. A likeness alone cannot tell "fire extinguisher" (.53 to "fire
hydrant", which it is not) from "something to drink from" (.43 to "cup", which it is), so that it is held against
the best likeness to all *other* things we know, be they in the map or not. A logistic function of likeness and
lead, fitted on labelled texts, makes of both the probability that the text means this kind. What carries the label
may be another thing that was misnamed, so that the score of an object is this probability times the one that its label
is right, as what its views called it says (`ObjectRecord.name_score`).

**Verdict.**
`blind`      nothing has been mapped yet: no answer is possible, and none would be honest.
`found`      the best score reaches `found_at`, and the text means no other kind about as well, within `margin`. All
             objects of the kind answer. Kinds that match through the same words stand together: a chair and a couch
             are both "somewhere to sit", which is no doubt about what is meant.
`ambiguous`  other kinds are meant about as well, or the best score is below `found_at`: the text fits only so-so, or
             the label is in doubt. What few views named can be asked for, but is not vouched for.
`none`       the text means no kind with a probability of `none_below`, however sure the labels are.

**Looks.** Where the map's masks were embedded by an image-text encoder, and its text side is at hand, every object,
named or not, is also held against the text by what it looks like (`visual_queries`). An object counts with the better
of its two scores. A match by looks is a match with the text's own words, so that all such matches stand together; as
no label is believed for it, none is doubted.

The numbers come from test/bench_queries.py and `ovseg3r-train calibrate` and are explained in docs/queries.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.language.coco import COCO, HOUSEHOLD, kind_of, same_name
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.language.phrase import clean, key, wordings
from ovseg3r_core.language.vocabulary import STRUCTURE, UNNAMED, scannet200
from ovseg3r_core.mapping.snapshot import ObjectEmbeddings
from ovseg3r_core.mapping.visual_queries import visual_lead, visual_score
from ovseg3r_core.types import ObjectRecord, QueryHit, QueryResult, Verdict

MAX_TOP_K = 1000


@dataclass(frozen=True, kw_only=True)
class QueryConfig:
    """When a text counts as answered. The defaults are fitted to MiniLM; another encoder needs its own."""

    found_at: Annotated[float, Within(0.001, 1.0)] = 0.5
    """Scores from here on are answers."""
    none_below: Annotated[float, Within(0.001, 1.0)] = 0.3
    """Objects of a kind that the text means with less than this probability are not even candidates."""
    margin: Annotated[float, Within(0.0, 0.99)] = 0.1
    """Kinds that the text means with probabilities this close cannot be told apart."""
    shortened_weight: Annotated[float, Within(0.01, 1.0)] = 0.85
    """What a likeness counts when words of the text were left out for it."""
    bias: Annotated[float, Within(-100.0, 100.0)] = -3.9
    """Evidence for an object that is nothing like the text; the logistic function makes it the probability that it is
    meant."""
    likeness_gain: Annotated[float, Within(0.0, 100.0)] = 5.1
    """Evidence from the likeness of the object's name and the text."""
    lead_gain: Annotated[float, Within(0.0, 100.0)] = 11.0
    """Evidence from the lead that this likeness has on what the text is like anyway."""
    label_bias: Annotated[float, Within(-10.0, 10.0)] = 0.0
    """Log-odds that a label is right whose `name_score` is 0.5; `ovseg3r-train calibrate` fits it to labelled
    scenes."""
    label_gain: Annotated[float, Within(0.0, 10.0)] = 1.0
    """What the log-odds of `name_score` count; with no bias, 1 takes it as the probability that it is."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if self.none_below > self.found_at:
            raise ValueError(
                f"none_below is {self.none_below} and found_at {self.found_at}; the first must not be more"
            )


@dataclass(frozen=True, kw_only=True)
class Match:
    """How well a text fits one label, or the looks of one object."""

    label: str
    words: str
    """The word of the label's kind that came nearest to the text; the text itself where looks were compared."""
    likeness: float
    """Cosine of the two, -1..1."""
    lead: float
    """How much likelier that is than the best word of any other kind, or a phrase that fits anything."""
    score: float
    """The probability that the text means it."""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """An object that the text may mean."""

    match: Match
    score: float
    """The probability that the object is what was asked for."""


class QueryEngine:
    """Answers texts over any objects; keeps nothing of them, so that one engine serves many threads.

    Args:
        encoder: compares texts with names.
        visual: compares texts with what objects look like, for maps that hold embeddings of that encoder.
    """

    def __init__(
        self, encoder: TextEncoder, config: QueryConfig | None = None, *, visual: TextEncoder | None = None
    ) -> None:
        self._encoder, self._visual = encoder, visual
        self.config = config or QueryConfig()
        names = [kind.name for kind in (*COCO, *HOUSEHOLD)] + [name for name in scannet200().names if name != UNNAMED]
        self._known = {at: word for name in names for at, word in _words_of(name).items()}

    def with_config(self, config: QueryConfig) -> "QueryEngine":
        """The same encoders with other thresholds."""
        return QueryEngine(self._encoder, config, visual=self._visual)

    def answer(
        self,
        text: str,
        objects: Sequence[ObjectRecord],
        *,
        embeddings: ObjectEmbeddings | None = None,
        mapped: bool = True,
        top_k: int = 10,
    ) -> QueryResult:
        """What the objects say to a text, best first.

        Args:
            embeddings: what the objects look like; without the engine's `visual` encoder they answer by name alone.
            mapped: False while the map holds no point yet; the verdict is then `blind`.
            top_k: most objects to return, 1..1000.

        Raises:
            Rejected: with reason `bad_query` for an empty or overlong text or a `top_k` out of range, and
                `other_encoder` where the embeddings are not of the `visual` encoder.
        """
        text = clean(text)
        if not 1 <= top_k <= MAX_TOP_K:
            raise Rejected("bad_query", f"top_k is {top_k}; ask for 1 to {MAX_TOP_K} objects")
        if not mapped:
            return QueryResult(text=text, verdict="blind")
        candidates = self._by_name(text, objects)
        if embeddings is not None and self._visual is not None:
            for id_, match in self._looks(text, objects, embeddings, self._visual).items():
                known = candidates.get(id_)
                if match.score >= self.config.none_below and (known is None or match.score > known.score):
                    candidates[id_] = _Candidate(match=match, score=match.score)
        return QueryResult(
            text=text, verdict=self._verdict(list(candidates.values())), hits=_hits(objects, candidates)[:top_k]
        )

    def known_names(self, labels: Iterable[str]) -> set[str]:
        """Keys of all names that a text may say: those that the engine knows, and these labels."""
        return {*self._known, *(key(label) for label in labels if label != UNNAMED)}

    def match(self, text: str, labels: Iterable[str]) -> list[Match]:
        """How well a text fits each label; unnamed things ("object") fit no text and are left out."""
        words = {label: _words_of(label) for label in labels if label != UNNAMED}
        known = self._known | {at: word for own in words.values() for at, word in own.items()}
        likeness = self._likeness(text, known)
        row = {at: i for i, at in enumerate(known)}
        return [self._judge(label, known, likeness, [row[at] for at in own]) for label, own in words.items()]

    def trust(self, record: ObjectRecord) -> float:
        """The probability that an object's label is right, 0..1; walls, floors and ceilings are told by geometry."""
        if record.label in STRUCTURE or record.name_score >= 1:
            return 1.0
        if not record.name_score > 0:
            return 0.0
        odds = math.log(record.name_score / (1 - record.name_score))
        return 1 / (1 + math.exp(-self.config.label_bias - self.config.label_gain * odds))

    def _by_name(self, text: str, objects: Sequence[ObjectRecord]) -> dict[int, _Candidate]:
        """The objects whose name the text may mean, by id."""
        likely = {
            match.label: match
            for match in self.match(text, sorted({record.label for record in objects}))
            if match.score >= self.config.none_below
        }
        return {
            record.id: _Candidate(match=match, score=match.score * self.trust(record))
            for record in objects
            if (match := likely.get(record.label)) is not None
        }

    def _looks(
        self, text: str, objects: Sequence[ObjectRecord], embeddings: ObjectEmbeddings, encoder: TextEncoder
    ) -> dict[int, Match]:
        """How well a text fits what each object looks like, by id; the whole text counts, colours and all."""
        asked = wordings(text, ())[0]
        label = {record.id: record.label for record in objects}
        lead = visual_lead([asked], embeddings, encoder)
        score = visual_score(lead)[0]
        cosine = embeddings.vectors @ encoder.embed([asked])[0]
        return {
            id_: Match(
                label=label[id_], words=text, likeness=float(cosine[i]), lead=float(lead[0, i]), score=float(score[i])
            )
            for i, id_ in enumerate(embeddings.ids.tolist())
            if id_ in label
        }

    def _likeness(self, text: str, known: dict[str, str]) -> Float32[ndarray, " words"]:
        """The best cosine of a text's wordings to every known word; 1 where they say the same."""
        ways = wordings(text, known)
        cosine = self._encoder.embed(ways) @ self._encoder.embed(list(known.values())).T
        for i, way in enumerate(ways):
            cosine[i, [at == key(way) for at in known]] = 1
        cosine[1:] *= self.config.shortened_weight  # the first wording is the whole text
        return cosine.max(axis=0)

    def _judge(self, label: str, known: dict[str, str], likeness: Float32[ndarray, " words"], own: list[int]) -> Match:
        best = own[int(np.argmax(likeness[own]))]
        near = float(likeness[best])
        lead = near - float(np.delete(likeness, own).max())
        config = self.config
        evidence = config.bias + config.likeness_gain * near + config.lead_gain * lead
        score = 1.0 if near == 1 else 1 / (1 + math.exp(-evidence))
        return Match(label=label, words=list(known.values())[best], likeness=near, lead=lead, score=score)

    def _verdict(self, candidates: list[_Candidate]) -> Verdict:
        if not candidates:
            return "none"
        first = max(candidates, key=lambda it: it.score)
        best = first.match
        rivals = [it.match for it in candidates if it.match.score > best.score - self.config.margin]
        clear = all(same_name(match.label, best.label) or key(match.words) == key(best.words) for match in rivals)
        return "found" if clear and first.score >= self.config.found_at else "ambiguous"


def _hits(objects: Sequence[ObjectRecord], candidates: Mapping[int, _Candidate]) -> tuple[QueryHit, ...]:
    """Objects by score; among equals those whose own label was named come first, then the surest."""

    def rank(hit: QueryHit) -> tuple[float, bool, float, int]:
        match = candidates[hit.object.id].match
        return (-hit.score, key(match.words) != key(match.label), -hit.object.score, hit.object.id)

    found = [QueryHit(object=it, score=candidates[it.id].score) for it in objects if it.id in candidates]
    return tuple(sorted(found, key=rank))


def _words_of(label: str) -> dict[str, str]:
    """Every word that leads to a label: its own, and the names and uses of its kind, by key."""
    kind = kind_of(label)
    return {key(word): word for word in (*kind.names, *kind.uses, label)}
