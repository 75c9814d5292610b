"""What a text encoder is, and the memory that saves encoding the same text twice."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from numpy import ndarray


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into directions: the cosine of two rows says how near two texts are in meaning."""

    @property
    def name(self) -> str:
        """Which encoder and weights; embeddings of different names must not be compared."""
        ...

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One unit row a text."""
        ...


@dataclass(frozen=True, kw_only=True)
class EncoderId:
    """Which encoder of images and texts gave some embeddings, and where its weights were."""

    name: str
    """Architecture and checksum of the weights: the `name` of its text encoder."""
    source: str
    """"ARCHITECTURE:CHECKPOINT" on the machine that made them; another machine may have the file elsewhere."""


class EmbeddingMemory:
    """The latest embeddings of an encoder, by text; safe to share between threads.

    Args:
        encode: gives one unit row a text, for texts that differ from each other.
        capacity: texts to keep; the one that was not asked for longest is dropped first.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], Float32[ndarray, "texts channels"]], channels: int, capacity: int = 8192
    ) -> None:
        self._encode, self._channels, self._capacity = encode, channels, capacity
        self._rows: OrderedDict[str, Float32[ndarray, " channels"]] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One row a text, encoding only those that are not remembered, in one batch."""
        if not texts:
            return np.zeros((0, self._channels), np.float32)
        with self._lock:
            known = {text: self._rows[text] for text in texts if text in self._rows}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, self._encode(new), strict=True))
        with self._lock:
            for text in known:
                self._rows[text] = known[text]
                self._rows.move_to_end(text)
            while len(self._rows) > self._capacity:
                self._rows.popitem(last=False)
        return np.stack([known[text] for text in texts])
