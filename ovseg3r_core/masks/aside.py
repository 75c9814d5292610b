"""A source of masks in a process of its own: on a GPU finding masks is a hundred short calls, and each of them waits
for Python's lock where threads beside it map a scene.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from ovseg3r_core.child import Child
from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.masks.proposer import CountsPrompts, EmbedsMasks, LooksForTexts
from ovseg3r_core.types import Frame, Mask


@dataclass(frozen=True, kw_only=True)
class _Question:
    """One frame; whoever answers may have been started a moment ago, and knows of none before."""

    frame: Frame
    explained: Bool[ndarray, "height width"]
    texts: tuple[str, ...] | None
    """What was to be looked for; None for what the source was built with."""


@dataclass(frozen=True, kw_only=True)
class _PackedMask:
    """A mask as it is sent: a bit a pixel."""

    bits: UInt8[ndarray, " bytes"]
    score: float
    label: str | None
    embedding: Float32[ndarray, " channels"] | None

    @classmethod
    def of(cls, mask: Mask) -> "_PackedMask":
        return cls(bits=np.packbits(mask.pixels), score=mask.score, label=mask.label, embedding=mask.embedding)

    def unpacked(self, height: int, width: int) -> Mask:
        pixels = np.unpackbits(self.bits, count=height * width).reshape(height, width).view(bool)
        return Mask(pixels=pixels, score=self.score, label=self.label, embedding=self.embedding)


@dataclass(frozen=True, kw_only=True)
class _Answer:
    masks: list[_PackedMask]
    stats: Counter[str]


class MasksAside:
    """What `build_proposer` builds, in a child process, which ends with this one. For one thread or several.

    Raises:
        ValueError, MissingModel, FileNotFoundError: as `build_proposer`.
        ChildProcessError: from `propose`, where the child died twice over one frame.
    """

    def __init__(self, name: str, *, device: str = "cpu", vocabulary: Sequence[str] | None = None) -> None:
        self._child = Child(__name__, name, device, json.dumps(vocabulary))
        self._texts: tuple[str, ...] | None = None
        self.stats: Counter[str] = Counter()
        """What the child asked its networks since it was started."""
        try:
            self.encoder: EncoderId | None = self._child.ask(None)
        except BaseException:
            self.close()
            raise

    def look_for(self, texts: Sequence[str]) -> None:
        """Tell the detector what to look for, where it can be told."""
        self._texts = tuple(texts)

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """The masks that the child finds."""
        answer: _Answer = self._child.ask(_Question(frame=frame, explained=explained, texts=self._texts))
        self.stats = answer.stats
        return [mask.unpacked(*explained.shape) for mask in answer.masks]

    def close(self) -> None:
        """End the child."""
        self._child.close()


def answers(name: str, device: str, vocabulary: str) -> Callable[[_Question | None], object]:
    """The child's side; this process imports no network."""
    from ovseg3r_core.masks.build import build_proposer

    proposer = build_proposer(name, device=device, vocabulary=json.loads(vocabulary))
    told: tuple[str, ...] | None = None

    def answer(question: _Question | None) -> object:
        nonlocal told
        if question is None:
            return proposer.encoder if isinstance(proposer, EmbedsMasks) else None
        if question.texts is not None and question.texts != told and isinstance(proposer, LooksForTexts):
            proposer.look_for(question.texts)
            told = question.texts
        masks = proposer.propose(question.frame, question.explained)
        stats = proposer.stats if isinstance(proposer, CountsPrompts) else Counter[str]()
        return _Answer(masks=[_PackedMask.of(mask) for mask in masks], stats=stats)

    return answer
