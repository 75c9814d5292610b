"""The protocol that every source of 2D masks follows, and of detectors that give named boxes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.types import Frame, Mask


@runtime_checkable
class MaskProposer(Protocol):
    """Finds the things of one frame."""

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """Masks of the frame's own size, in any order; they may overlap.

        Args:
            explained: pixels on which an object of the map already lies; a proposer that pays for each mask
                need not find those again.
        """
        ...


@runtime_checkable
class EmbedsMasks(Protocol):
    """What a proposer has in addition whose masks may carry image embeddings."""

    @property
    def encoder(self) -> EncoderId | None:
        """Which encoder the embeddings are of; None where there are none."""
        ...


@runtime_checkable
class CountsPrompts(Protocol):
    """What a proposer has in addition that keeps count of what it asked its networks."""

    @property
    def stats(self) -> Counter[str]:
        """Counts by name since the start, such as frames, boxes and points."""
        ...


@runtime_checkable
class LooksForTexts(Protocol):
    """What a proposer or detector has in addition that can be told what to look for."""

    def look_for(self, texts: Sequence[str]) -> None:
        """Ask for these texts from the next image on."""
        ...


@runtime_checkable
class WorksAside(Protocol):
    """What a proposer has in addition that works in a process of its own, so that this one can go on meanwhile."""

    def close(self) -> None:
        """End that process."""
        ...


@dataclass(frozen=True, kw_only=True)
class Detections:
    """Named boxes in one image."""

    boxes: Float32[ndarray, "objects 4"]
    """(left, top, right, bottom), pixels, inside the image."""
    scores: Float32[ndarray, " objects"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        """How many things were found."""
        return len(self.names)

    def at(self, chosen: list[int]) -> "Detections":
        """Some of the detections, in the order given."""
        names = tuple(self.names[i] for i in chosen)
        return Detections(boxes=self.boxes[chosen], scores=self.scores[chosen], names=names)


@runtime_checkable
class Detector(Protocol):
    """Finds named boxes in an image."""

    def detect(self, color: UInt8[ndarray, "height width 3"]) -> Detections:
        """The detections in an RGB image, best first."""
        ...


def shrink(mask: Bool[ndarray, "height width"], rows: int, columns: int) -> Bool[ndarray, "rows columns"]:
    """A mask at lower resolution: a pixel is set where most of it was."""
    return cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA) > 0.5
