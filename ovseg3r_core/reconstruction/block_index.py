"""Which blocks of space a volume holds, and in which slot of its memory each of them lies."""

import numpy as np
from jaxtyping import Int32, Int64
from numpy import ndarray

from ovseg3r_core.packing import pack, unpack


class BlockIndex:
    """Blocks by their place. The first block gets slot 0, each new one the slot after the last."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, np.int64)  # keys
        self._slot = np.empty(0, np.int64)  # of each sorted key
        self._keys = np.empty(0, np.int64)  # of each slot

    def __len__(self) -> int:
        return len(self._keys)

    def places(self, slots: Int64[ndarray, " blocks"]) -> Int32[ndarray, "blocks 3"]:
        """Where the blocks of some slots lie: (x, y, z), in blocks."""
        return unpack(self._keys[slots]).astype(np.int32)

    def find(self, places: Int32[ndarray, "blocks 3"]) -> Int64[ndarray, " blocks"]:
        """The slots of some blocks; -1 where there is no such block."""
        return self._find(pack(places))

    def missing(self, keys: Int64[ndarray, " blocks"]) -> int:
        """How many of some blocks, packed and each given once, there are not yet."""
        return int(np.count_nonzero(self._find(keys) < 0))

    def take(self, keys: Int64[ndarray, " blocks"]) -> Int64[ndarray, " blocks"]:
        """The slots of some blocks, packed and each given once; those that there are not yet are added."""
        new = keys[self._find(keys) < 0]
        if len(new):
            added = np.arange(len(self), len(self) + len(new))
            self._keys = np.concatenate([self._keys, new])
            merged, slots = np.concatenate([self._sorted, new]), np.concatenate([self._slot, added])
            order = np.argsort(merged, kind="stable")
            self._sorted, self._slot = merged[order], slots[order]
        return self._find(keys)

    def _find(self, keys: Int64[ndarray, " blocks"]) -> Int64[ndarray, " blocks"]:
        if not len(self):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self._sorted, keys).clip(max=len(self) - 1)
        return np.where(self._sorted[at] == keys, self._slot[at], -1)
