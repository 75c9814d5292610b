"""Which blocks of space a volume holds, and in which slot of its memory each of them lies."""

import numpy as np
from jaxtyping import Int32, Int64
from numpy import ndarray

from ovseg3r_core.packing import find, pack, unpack


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
        slots = self._find(keys)
        new = slots < 0
        slots[new] = added = np.arange(len(self), len(self) + np.count_nonzero(new))
        if len(added):
            self._keys = np.concatenate([self._keys, keys[new]])
            merged = np.concatenate([self._sorted, keys[new]])
            order = np.argsort(merged, kind="stable")
            self._sorted, self._slot = merged[order], np.concatenate([self._slot, added])[order]
        return slots

    def _find(self, keys: Int64[ndarray, " blocks"]) -> Int64[ndarray, " blocks"]:
        at = find(keys, self._sorted)
        known = at >= 0
        at[known] = self._slot[at[known]]
        return at
