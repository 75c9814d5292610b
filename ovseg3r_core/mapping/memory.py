"""What mapping needs beyond the snapshot to go on where it stopped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jaxtyping import Int32
from numpy import ndarray

from ovseg3r_core.mapping.anchors import no_anchor
from ovseg3r_core.mapping.edits import Edits
from ovseg3r_core.mapping.life import Lives
from ovseg3r_core.mapping.objects import MapObject, Observation
from ovseg3r_core.mapping.recognition import Recognition
from ovseg3r_core.mapping.sighting import Sighting
from ovseg3r_core.types import ObjectRecord
from ovseg3r_core.views import View

if TYPE_CHECKING:
    from ovseg3r_core.mapping.object_map import ObjectMap


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The keyframes of a map, what became of their masks, and the operator's edits."""

    views: tuple[View, ...]
    """`views[i].index == i`."""
    members: Int32[ndarray, "members 3"]
    """(view, mask, object id): which object each mask that was placed belongs to."""
    anchor: Int32[ndarray, " points"] = field(default_factory=lambda: no_anchor(0))
    """The first view that saw each point of the cloud, -1 where none did; empty where that is not known."""
    next_id: int
    """Ids from here on were never used."""
    edits: Edits = field(default_factory=Edits)
    sightings: Mapping[int, Sighting] = field(default_factory=dict)
    """What the views made of each object; of one that is missing here, nothing more than its members is known."""
    recognitions: Mapping[int, Recognition] = field(default_factory=dict)
    """What the segmenter said of the objects that it found; some of them have no mask."""
    lives: Lives = field(default_factory=Lives)
    """What depth said against objects, and which places they left."""

    @classmethod
    def of(cls, objects: "ObjectMap", views: Sequence[View]) -> "Memory":
        """What a map knows now; later views and edits change nothing of it."""
        return cls(
            views=tuple(views),
            members=objects.members(),
            anchor=objects.anchor,
            next_id=objects.next_id,
            edits=objects.edits,
            sightings=objects.sightings(),
            recognitions=objects.recognitions(),
            lives=objects.saved_lives(),
        )

    def objects(self, structure: Iterable[ObjectRecord]) -> dict[int, MapObject]:
        """Every object by its id, of those that are gone too: its observations, and what was said of it beside them.

        Args:
            structure: the records of those that are pieces of walls, floor and ceiling.
        """
        objects: dict[int, MapObject] = {}
        for view, mask, id_ in self.members.tolist():
            tag, stamp_s = self.views[view].tags[mask], self.views[view].stamp_s
            shown = Observation(
                view=view, mask=mask, stamp_s=stamp_s, score=tag.score, label=tag.label, embedding=tag.embedding
            )
            objects.setdefault(id_, MapObject(id_)).observations.append(shown)
        for id_, said in self.recognitions.items():
            objects.setdefault(id_, MapObject(id_)).recognition = said
        for id_, obj in objects.items():
            unknown = Sighting(seen=obj.views, masked=obj.views, overlap=float(obj.views))
            obj.sighting = self.sightings.get(id_, unknown)
        for record in structure:
            objects[record.id].structure = record.label
        return objects
