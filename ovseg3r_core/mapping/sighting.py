"""How sure it is that an object exists: how many of the views that see it masked it, and how well.

A thing that is there is masked, with about the same outline, by most views that see it. A fragment is masked by few of
them; a piece of a thing, or a mixture of two, has masks that lie across its outline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int32, Int64
from numpy import ndarray

from ovseg3r_core.mapping.wilson import surely
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask

FAIR_PART = 0.3
"""A view sees an object when it sees this share of its points."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What the views made of one object."""

    seen: int = 0
    """Views that see a fair part of it."""
    masked: int = 0
    """Views that masked it."""
    overlap: float = 0.0
    """Overlap (IoU) of the masks of a view with what the view sees of the object, summed over the views that masked
    it."""

    @property
    def sureness(self) -> float:
        """How sure it is, 0..1, that there is such an object: the overlap of its masks, times how surely a view that
        sees it masks it."""
        if not self.masked:
            return 0.0
        asked = max(self.seen, self.masked)
        return self.overlap / self.masked * float(surely(np.array([self.masked], float), np.array([asked], float))[0])

    def with_view(self, *, seen: bool, overlap: float | None) -> "Sighting":
        """One more view.

        Args:
            seen: it sees a fair part of the object.
            overlap: of its masks with what it sees of the object; None where it has no mask of it.
        """
        masked = overlap is not None
        return Sighting(
            seen=self.seen + seen, masked=self.masked + masked, overlap=self.overlap + (overlap if masked else 0.0)
        )

    def or_better(self, other: "Sighting") -> "Sighting":
        """That of the two parts of an object that more views masked: no view counts twice."""
        return max(self, other, key=lambda sighting: sighting.masked)


def sightings(
    owner: Int32[ndarray, " points"], members: Mapping[int, Sequence[LiftedMask]], seen: Incidence
) -> dict[int, Sighting]:
    """What all views made of every object.

    Args:
        owner: the object that owns each point, -1 for none.
        members: the masks of every object; `mask.view` indexes `seen`.
    """
    ids = max([*members, -1]) + 1
    size = points_a_object(owner, ids)
    found: dict[int, list[float]] = {id_: [] for id_ in members}
    watched = np.zeros(ids, np.int64)
    masks_in = _by_view(members, len(seen))
    for view in range(len(seen)):
        visible = points_a_object(owner[seen.view(view).points], ids)
        watched += (visible >= FAIR_PART * size) & (visible > 0)
        for id_, masks in masks_in[view].items():
            found[id_].append(overlap([mask.points for mask in masks], owner, id_, int(visible[id_])))
    return {
        id_: Sighting(seen=int(watched[id_]), masked=len(values), overlap=float(sum(values)))
        for id_, values in found.items()
    }


def overlap(
    masks: Sequence[Int64[ndarray, " _"]], owner: Int32[ndarray, " points"], object_id: int, visible: int
) -> float:
    """Intersection over union of the masks that one view has of an object, and what the view sees of it.

    Args:
        masks: the points of each; no point is in two.
        visible: how many points of the object the view sees.
    """
    shared = sum(int(np.count_nonzero(owner[points] == object_id)) for points in masks)
    return shared / max(sum(map(len, masks)) + visible - shared, 1)


def points_a_object(owner: Int[ndarray, " points"], ids: int) -> Int64[ndarray, " ids"]:
    """How many points each object owns."""
    return np.bincount(owner[owner >= 0], minlength=ids)[:ids]


def _by_view(members: Mapping[int, Sequence[LiftedMask]], views: int) -> list[dict[int, list[LiftedMask]]]:
    """For each view the masks that it has of each object."""
    masks_in: list[dict[int, list[LiftedMask]]] = [{} for _ in range(views)]
    for id_, masks in members.items():
        for mask in masks:
            masks_in[mask.view].setdefault(id_, []).append(mask)
    return masks_in
