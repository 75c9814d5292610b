"""Records of objects, made anew only for those that changed: a map has many, and a view shows few of them.

Boxes and votes for names cost a millisecond an object, and everyone wants to read the map after every keyframe.
"""

from collections.abc import Hashable, Set

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.mapping.objects import MapObject, NamingConfig, SameName
from ovseg3r_core.types import ObjectRecord


class Descriptions:
    """The last record of each object, and what it was made of."""

    def __init__(self, same_name: SameName) -> None:
        self._same_name = same_name
        self._known: dict[int, tuple[Hashable, ObjectRecord]] = {}

    def record(self, obj: MapObject, xyz: Float32[ndarray, "points 3"], config: NamingConfig) -> ObjectRecord:
        """The object as readers see it, given the points it owns, map frame, metres."""
        traits = (*_evidence_of(obj), len(xyz), *xyz.sum(axis=0, dtype=np.float64).tolist(), config)
        known = self._known.get(obj.id)
        if known is None or known[0] != traits:
            known = self._known[obj.id] = traits, obj.record(xyz, config, self._same_name)
        return known[1]

    def keep(self, ids: Set[int]) -> None:
        """Forget all others."""
        self._known = {id_: known for id_, known in self._known.items() if id_ in ids}


def _evidence_of(obj: MapObject) -> tuple[Hashable, ...]:
    masks = hash(tuple((o.view, o.mask) for o in obj.ever))
    return masks, len(obj.past), obj.sighting, obj.recognition, obj.structure
