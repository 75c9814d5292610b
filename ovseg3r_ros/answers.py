"""What readers ask the map: objects by name, by id and by text, always on the newest map and never waiting for one."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import Vocabulary, default_vocabulary
from ovseg3r_core.live import LiveMap
from ovseg3r_core.mapping.edits import Edits
from ovseg3r_core.mapping.life import LifeEvent
from ovseg3r_core.mapping.queries import QueryEngine
from ovseg3r_core.mapping.questions import ask
from ovseg3r_core.mapping.standing import AnswerChange, StandingAnswer, StandingText, answer_all, changes_since
from ovseg3r_core.mapping.standing import standing_texts as stand
from ovseg3r_core.outputs import named
from ovseg3r_core.types import QueryResult
from ovseg3r_ros.outputs.labelled_map import LabelledMap, LabelledObject, fits_messages, label_map
from ovseg3r_ros.outputs.labels import check_class_ids


class Answers:
    """The newest map in the words of the vocabulary, and what it says to the standing texts.

    Whoever makes a map calls `update`, in its own thread; whoever reads takes `shown`, which is whole at any moment.
    """

    def __init__(self, first: LiveMap, encoder: TextEncoder, engine: QueryEngine, vocabulary: Vocabulary) -> None:
        self._engine, self._encoder = engine, encoder
        self._vocabulary = self._named_from = vocabulary
        self._namer = Namer(vocabulary, encoder)
        self._standing: tuple[StandingText, ...] = ()
        self._answers: tuple[StandingAnswer, ...] = ()
        self._changes: list[AnswerChange] = []
        self._events: list[LifeEvent] = []
        self._newest = first
        self._edition = 0
        self._writing = threading.Lock()
        self.shown = self._label()

    @property
    def edits(self) -> Edits:
        """The operator's corrections in the newest map."""
        return self._newest.edits

    @property
    def vocabulary(self) -> Vocabulary:
        """Names and class ids; grows at its end when things with other names are met."""
        return self._vocabulary

    def update(self, newest: LiveMap) -> None:
        """Take a newer map."""
        with self._writing:
            self._newest = newest
            self._look_again()
            self._events += newest.events

    def set_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Choose the words that labels are taken from.

        Raises:
            Rejected: `bad_vocabulary` where its ids do not fit into messages.
        """
        check_class_ids(vocabulary)
        with self._writing:
            self._vocabulary = self._named_from = vocabulary
            self._namer = Namer(vocabulary, self._encoder)
            self._look_again()

    def set_texts(self, texts: Sequence[str]) -> tuple[StandingAnswer, ...]:
        """Choose the standing texts; gives their answers of now.

        Raises:
            Rejected: `bad_query`; the old texts stay.
        """
        answer_all(stand(texts, self._standing), self.shown.snapshot, self._engine)  # encodes what is new, unlocked
        with self._writing:
            self._standing = stand(texts, self._standing)
            self._look_again()
            return self._answers

    def ask(self, text: str, top_k: int, *, removed_too: bool = False) -> tuple[LabelledMap, QueryResult]:
        """The answer to a free text, and the map that gave it.

        Args:
            removed_too: whether what is gone may answer.

        Raises:
            Rejected: `bad_query`.
        """
        shown = self.shown
        return shown, ask(self._engine, shown.snapshot, text, top_k=top_k, removed_too=removed_too)

    def get(self, object_id: int) -> tuple[LabelledMap, LabelledObject]:
        """The object that an id means today; raises `Rejected("no_object")`."""
        shown, edits = self.shown, self.edits
        if (found := shown.by_id.get(edits.resolve(object_id))) is not None:
            return shown, found
        if edits.resolve(object_id) in edits.hidden:
            raise Rejected("no_object", f"object {object_id} was deleted")
        raise Rejected("no_object", f"there is no object {object_id}; list_objects gives the ids of all")

    def take_changes(self) -> list[AnswerChange]:
        """What became different about the answers to the standing texts since the last call."""
        with self._writing:
            changes, self._changes = self._changes, []
            return changes

    def take_events(self) -> list[LifeEvent]:
        """What became of objects since the last call, under the names that the vocabulary has for them."""
        with self._writing:
            events, self._events = self._events, []
            return [
                replace(event, record=named(event.record, self._namer))
                for event in events
                if fits_messages(event.record) and np.isfinite(event.previous_place).all()
            ]

    def _look_again(self) -> None:
        before = self._answers
        self._answers = answer_all(self._standing, self._newest.snapshot, self._engine)
        self._changes += changes_since(before, self._answers)
        self._edition += 1
        self.shown = self._label()

    def _label(self) -> LabelledMap:
        self._learn_names()
        return label_map(
            self._newest.snapshot,
            self._namer,
            stamp_ns=round(self._newest.stamp_s * 1e9),
            revision=self._edition,
            answers=self._answers,
        )

    def _learn_names(self) -> None:
        """Make room for names that the vocabulary lacks: those of operators always, those of masks in the default.

        A vocabulary that was asked for is kept to.
        """
        new = set(self._newest.edits.labels.values()) - set(self._vocabulary.names)
        if self._named_from == default_vocabulary():
            things = (*self._newest.snapshot.objects, *self._newest.snapshot.removed)
            new.update(self._namer.lacking(record.label for record in things))
        if new:
            grown = self._vocabulary.with_names(sorted(new))
            check_class_ids(grown)
            self._vocabulary = grown
            self._namer = Namer(self._vocabulary, self._encoder)
