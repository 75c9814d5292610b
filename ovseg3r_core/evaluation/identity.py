"""Whether things keep their identity from one published map to the next: changes of id, and changes of name."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32, Int, Int64
from numpy import ndarray

from ovseg3r_core.geometry import voxel_keys
from ovseg3r_core.language.vocabulary import UNNAMED


class IdSwitches:
    """For each true thing, how often another object than before covers it best.

    Map and truth are compared on coarse voxels, cheap enough to do for every map while a robot maps: which object
    covers a thing best does not hang on centimetres.

    Args:
        xyz: points of the truth, in the map frame.
        instance: id of the thing each belongs to, -1 for none.
        min_share: share of a thing's voxels that an object must fill to count as covering it.
    """

    def __init__(
        self,
        xyz: Float32[ndarray, "points 3"],
        instance: Int64[ndarray, " points"],
        voxel_m: float = 0.05,
        min_share: float = 0.2,
    ) -> None:
        self._voxel_m, self._min_share = voxel_m, min_share
        things = instance >= 0
        keys, first = np.unique(voxel_keys(xyz[things], voxel_m), return_index=True)
        self._keys, (self._ids, self._thing) = keys, np.unique(instance[things][first], return_inverse=True)
        self._sizes = np.bincount(self._thing, minlength=len(self._ids))
        self._covered_by: dict[int, int] = {}
        self.switches: Counter[int] = Counter()
        """Changes so far by true thing; a time without any cover in between does not count as one."""

    def add(self, xyz: Float32[ndarray, "points 3"], instance: Int[ndarray, " points"]) -> None:
        """Take the next map: its points, in the map frame, and the object id of each, -1 for none."""
        for thing, owner in self._best_covers(xyz, instance).items():
            if self._covered_by.get(thing, owner) != owner:
                self.switches[thing] += 1
            self._covered_by[thing] = owner

    @property
    def total(self) -> int:
        """Changes of all things together."""
        return self.switches.total()

    def _best_covers(self, xyz: Float32[ndarray, "points 3"], instance: Int[ndarray, " points"]) -> dict[int, int]:
        members = instance >= 0
        keys, first = np.unique(voxel_keys(xyz[members], self._voxel_m), return_index=True)
        _, of_truth, of_map = np.intersect1d(self._keys, keys, assume_unique=True, return_indices=True)
        if not len(of_truth):
            return {}
        owners, owner = np.unique(instance[members][first][of_map], return_inverse=True)
        joint = self._thing[of_truth] * len(owners) + owner
        shared = np.bincount(joint, minlength=len(self._ids) * len(owners)).reshape(len(self._ids), -1)
        best = shared.argmax(axis=1)
        covered = np.flatnonzero(shared.max(axis=1) >= self._min_share * self._sizes)
        return {int(self._ids[row]): int(owners[best[row]]) for row in covered}


class LabelFlips:
    """For each object, how often its name changed; getting its first name does not count."""

    def __init__(self) -> None:
        self._called: dict[int, str] = {}
        self.flips: Counter[int] = Counter()
        """Changes so far by object id."""

    def add(self, labels: Mapping[int, str]) -> None:
        """Take the next map: the name of each object."""
        for id_, label in labels.items():
            if self._called.get(id_, UNNAMED) not in (UNNAMED, label):
                self.flips[id_] += 1
            self._called[id_] = label

    @property
    def total(self) -> int:
        """Changes of all objects together."""
        return self.flips.total()
