"""Masks read off the truth: the upper bound of everything that comes after 2D."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, UInt16
from numpy import ndarray

from ovseg3r_core.types import Frame, Mask


class PerfectMasks:
    """A `MaskProposer` that outlines every visible instance exactly and calls it by its true name."""

    def __init__(
        self,
        instances: Callable[[int], UInt16[ndarray, "height width"]],
        names: Mapping[int, str],
        min_pixels: int = 100,
    ) -> None:
        """Take the truth.

        Args:
            instances: instance ids of the frame with an index, such as `RoomSequence.instances`.
            names: true name by id; ids without one are not proposed.
            min_pixels: smaller visible parts are left out, as no detector would see them.
        """
        self._instances = instances
        self._names = names
        self._min_pixels = min_pixels

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        """One mask for each visible named instance; what is explained already is proposed all the same."""
        instances = self._instances(frame.index)
        ids, counts = np.unique(instances, return_counts=True)
        return [
            Mask(pixels=instances == id, score=1.0, label=self._names[int(id)])
            for id, count in zip(ids, counts, strict=True)
            if int(id) in self._names and count >= self._min_pixels
        ]
