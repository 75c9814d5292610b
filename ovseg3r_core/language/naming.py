"""From what a detector calls a thing to the vocabulary that the user wants labels from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.language.coco import kind_of
from ovseg3r_core.language.encoder import TextEncoder
from ovseg3r_core.language.phrase import key
from ovseg3r_core.language.vocabulary import UNNAMED, Vocabulary


@dataclass(frozen=True, kw_only=True)
class NamingConfig:
    """When a label counts as the same name as a vocabulary entry."""

    min_cosine: Annotated[float, Within(0.01, 1.0)] = 0.7
    """Cosine from which two names mean the same. Fitted to MiniLM: "car" and "cart" lie at .5, "couch" and "sofa" at
    .86."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class Namer:
    """Names labels in the words of one vocabulary, and remembers what it decided.

    A label that is an entry, or has an alias that is one, needs no encoder; the rest goes to the entry whose text
    is nearest to the label's.
    """

    def __init__(self, vocabulary: Vocabulary, encoder: TextEncoder, config: NamingConfig | None = None) -> None:
        self.vocabulary = vocabulary
        self._encoder, self._config = encoder, config or NamingConfig()
        self._entry_by_key = {key(name): name for name in reversed(vocabulary.names)}
        self._decided: dict[str, str | None] = {}

    def name(self, label: str) -> str | None:
        """The entry that names a label; "object", or None where the vocabulary lacks it, when nothing does."""
        if label not in self._decided:
            self._decided[label] = self._same(label) or self._nearest(label) or self._entry_by_key.get(UNNAMED)
        return self._decided[label]

    def lacking(self, labels: Iterable[str]) -> list[str]:
        """Those of the labels that the vocabulary has no word for, by the alphabet."""
        return sorted({label for label in labels if self.name(label) in (None, UNNAMED)} - {UNNAMED})

    def with_names_of(self, labels: Iterable[str]) -> "Namer":
        """The same with a word more for each label that the vocabulary has none for."""
        return Namer(self.vocabulary.with_names(self.lacking(labels)), self._encoder, self._config)

    def _same(self, label: str) -> str | None:
        words = (label, *kind_of(label).names)
        return next((self._entry_by_key[key(word)] for word in words if key(word) in self._entry_by_key), None)

    def _nearest(self, label: str) -> str | None:
        if label == UNNAMED:
            return None
        cosine = self._encoder.embed(self.vocabulary.names) @ self._encoder.embed([label])[0]
        best = int(cosine.argmax())
        return self.vocabulary.names[best] if cosine[best] >= self._config.min_cosine else None
