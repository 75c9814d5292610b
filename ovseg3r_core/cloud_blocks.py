"""Which points of a cloud lie in which block of space, and in which state each block was read.

A volume is read block by block. Between two readings most blocks of a large map stay as they are, and so do their
points: whoever goes from one cloud to the next needs to look at the others only.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int32, Int64
from numpy import ndarray

from ovseg3r_core.packing import STEPS, find, pack, unpack

_readings = itertools.count(1)  # of all volumes: no two states of a block have one number


def beside(places: Int32[ndarray, "blocks 3"]) -> Int32[ndarray, "more 3"]:
    """Some blocks, and those that touch them, corners included; each once."""
    return unpack(np.unique(pack(places[:, None] + STEPS))).astype(np.int32)


@dataclass(frozen=True, kw_only=True)
class CloudBlocks:
    """The blocks that hold points, sorted; the points of block b are `start[b]` to `start[b + 1]`."""

    key: Int64[ndarray, " blocks"]
    start: Int64[ndarray, " rows"]
    """One more than there are blocks."""
    reading: Int64[ndarray, " blocks"]
    """When each block was read: the same number, the same points."""

    @classmethod
    def read_now(cls, key: Int64[ndarray, " blocks"], sizes: Int64[ndarray, " blocks"]) -> "CloudBlocks":
        """Blocks whose points were just read; the keys are sorted."""
        reading = np.full(len(key), next(_readings), np.int64)
        return cls(key=key, start=np.concatenate([[0], np.cumsum(sizes)]), reading=reading)

    @property
    def sizes(self) -> Int64[ndarray, " blocks"]:
        """Points of each block."""
        return np.diff(self.start)

    def runs(self, which: Bool[ndarray, " blocks"]) -> list[tuple[int, int]]:
        """The points of some blocks, as few slices as there are."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], which, [False]]).astype(np.int8)))
        return list(zip(self.start[edges[::2]].tolist(), self.start[edges[1::2]].tolist(), strict=True))

    def unchanged_in(self, later: "CloudBlocks") -> Int64[ndarray, " points"]:
        """For each point of a later cloud its place in this one; -1 where its block was read again since."""
        if not len(self.key):
            return np.full(int(later.start[-1]), -1, np.int64)
        at = find(later.key, self.key)
        same = (at >= 0) & (self.reading[at] == later.reading)
        before = np.arange(later.start[-1]) + np.repeat(self.start[at] - later.start[:-1], later.sizes)
        before[np.repeat(~same, later.sizes)] = -1
        return before
