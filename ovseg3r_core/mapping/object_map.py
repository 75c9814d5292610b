"""The map of objects: masks of one view in, persistent objects out; a second look at all views together.

`associate` places the masks of one new view at once (greedy, live). `adopt` takes over what a look at all views
together found (`redraw`), while ids stay with the objects that had them (`adoption`). What an operator edited holds
through both.

What depth says of the objects since (`lives.py`) is kept here too: an object that is doubted stays, though its points
and masks may be lost, until it is met again or removed; one that was removed is no more drawn, but not forgotten.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from functools import reduce
from types import MappingProxyType

import numpy as np
from jaxtyping import Int32, Int64
from numpy import ndarray

from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.adoption import SAME_SHARE, drawn_objects, drawn_owner, inherited_ids, things_alive
from ovseg3r_core.mapping.anchors import NOTHING, no_anchor
from ovseg3r_core.mapping.association import NEW, UNCLEAR, match_mask, visible_counts
from ovseg3r_core.mapping.descriptions import Descriptions
from ovseg3r_core.mapping.edits import Edits
from ovseg3r_core.mapping.life import Departure, Life, LifeEvent, Lives, left_before
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.objects import MapObject, Observation, Placed, SameName, vote_name
from ovseg3r_core.mapping.ownership import NOBODY, Ownership, nearest_points
from ovseg3r_core.mapping.recognition import Recognition, surer
from ovseg3r_core.mapping.redraw import Drawing
from ovseg3r_core.mapping.sighting import FAIR_PART, Sighting, overlap, points_a_object
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.structure import NamedBy, Plane, StructureConfig, structure_kinds
from ovseg3r_core.mapping.watched_points import vanished
from ovseg3r_core.types import LiftedMask, ObjectRecord, SceneCloud, ViewIncidence

NOWHERE: Mapping[Placed, int] = MappingProxyType({})


class ObjectMap:
    """All objects of one map. One worker writes it; readers get the immutable records."""

    def __init__(self, config: MappingConfig, same_name: SameName) -> None:
        self.config = config
        self.same_name = same_name
        self.objects: dict[int, MapObject] = {}
        self.ownership = Ownership.empty(0)
        self.cloud = SceneCloud.empty()
        self.anchor = no_anchor(0)
        """The first view that saw each point of the cloud (`anchors.py`)."""
        self.edits = Edits()
        self.lives: dict[int, Life] = {}
        """What speaks for and against the objects that are things."""
        self.met_s: dict[int, float] = {}
        """When depth last met each of them where it is."""
        self.gone: dict[int, MapObject] = {}
        """Those that were removed and did not come back."""
        self.departures: tuple[Departure, ...] = ()
        """The places that objects left, in the order in which that was noticed."""
        self.events: list[LifeEvent] = []
        """What became of objects since somebody last took these."""
        self._next_id = 1
        self._descriptions = Descriptions(same_name)
        self._lost: set[int] = set()  # objects that are kept although their surface is not in the cloud

    @classmethod
    def restored(cls, config: MappingConfig, same_name: SameName, snapshot: MapSnapshot, memory: Memory) -> "ObjectMap":
        """The map as it was when it was saved."""
        restored = cls(config, same_name)
        restored.objects = memory.objects(snapshot.structure)
        seen = np.zeros(memory.next_id + 1, np.int32)  # the last entry serves -1
        for id_, obj in restored.objects.items():
            seen[id_] = obj.views
        restored.cloud = snapshot.cloud
        restored.anchor = memory.anchor if len(memory.anchor) else no_anchor(len(snapshot.cloud))
        restored.ownership = Ownership(snapshot.owner.copy(), seen[snapshot.owner])
        restored.edits, restored._next_id = memory.edits, memory.next_id
        restored.met_s = {record.id: record.last_seen for record in snapshot.objects}
        restored.departures, restored.lives = memory.lives.departures, dict(memory.lives.doubted)
        for id_, obj in restored.objects.items():
            obj.leave(left_before(memory.lives.departures, id_))
        restored.gone = {id_: restored.objects.pop(id_, MapObject(id_)) for id_ in memory.lives.gone}
        return restored

    def follow(self, cloud: SceneCloud) -> None:
        """Move on to a newer extraction of the scene cloud; what was owned stays owned."""
        if cloud is not self.cloud:
            nearest = nearest_points(self.cloud, cloud, self.config.carry_radius_m)
            self.ownership = self.ownership.followed(nearest)
            self.anchor = np.append(self.anchor, np.int32(NOTHING))[nearest]  # the last entry serves -1
        self.cloud = cloud

    def associate(
        self,
        lifted: Sequence[LiftedMask],
        seen: ViewIncidence,
        stamp_s: float,
        former: Mapping[Placed, int] = NOWHERE,
    ) -> None:
        """Place the masks of one view, largest first, on the objects they show; begin new objects for the rest.

        Args:
            former: the objects that the masks belonged to when the view was placed before.
        """
        visible = visible_counts(self.ownership.owner, seen, self._next_id)
        names = {id_: name for id_ in np.flatnonzero(visible).tolist() if (name := self.name(id_)) is not None}
        known = {id_: self.objects[id_].embedding() for id_ in np.flatnonzero(visible).tolist()}
        looks = {id_: look for id_, look in known.items() if look is not None}
        before, shown = self.ownership.owner, defaultdict[int, list[LiftedMask]](list)
        for mask in sorted(lifted, key=lambda mask: -len(mask.points)):
            object_id = match_mask(mask, before, visible, names, looks, self.config.association)
            if object_id == UNCLEAR:
                continue
            if object_id == NEW:
                object_id = self._begin_object(former.get((mask.view, mask.mask)))
            shown[object_id].append(mask)
            self.objects[object_id].observations.append(Observation.of(mask, stamp_s))
        self.ownership = self.ownership.claim((mask.points, id_) for id_, masks in shown.items() for mask in masks)
        self._count_sightings(before, visible, shown)
        self._apply_cuts()
        self._forget_ownerless()

    def adopt(
        self, drawing: Drawing, stamps_s: Sequence[float], *, without: Set[int] = frozenset(), anew: bool = False
    ) -> Mapping[Placed, int]:
        """Take a look at all views for the truth: ids stay with the things that had them, edits hold.

        Args:
            without: views whose masks could not be looked at any more. They count for names as before, and what no
                other view shows stays where it is.
            anew: the map lies on a surface of before, which is given up for the one that was looked at.

        Returns:
            Which object each placed mask belonged to before: `associate` needs it for the views that came after
            the ones that were looked at.
        """
        former = {
            (o.view, o.mask): obj.id for obj in self.objects.values() for o in obj.observations
        }  # a mask of several objects is told by the last
        dead, before = self.dead_masks(), self._unmasked(drawing.cloud, without)
        alive = things_alive(drawing, dead)  # not of what has gone meanwhile
        ids = inherited_ids(drawing, former, before, self.edits.united, self._new_id)
        ids = {g: id_ for g, id_ in ids.items() if g in alive and (g in drawing.evident or self.edits.keeps(id_))}
        known, self.objects = self.objects, drawn_objects(drawing, ids, self.objects, stamps_s, without)
        newest = self.cloud if len(self.cloud) and not anew else drawing.cloud
        self.cloud, self.anchor = drawing.cloud, drawing.anchor
        owner = drawn_owner(drawing, ids)
        for id_, points in before.items():
            free = points[owner[points] == NOBODY]
            if id_ not in self.objects and len(free) >= max(SAME_SHARE * len(points), self.config.min_points):
                owner[free], self.objects[id_] = id_, known[id_]
        self.ownership = Ownership(owner, drawing.ownership.votes)
        self.follow(newest)
        self._lost = set()
        self.objects |= {id_: known[id_] for id_ in self._held(known.keys() - self.objects.keys())}
        self._apply_cuts()
        return former

    def records(self) -> tuple[ObjectRecord, ...]:
        """Every object that owns enough points or is missing, by id; a doubted one is given as it was before."""
        points_of, found = self.ownership.points_of, []
        self._descriptions.keep(self.objects.keys())
        for id_ in sorted(self.objects.keys() - self.edits.hidden):
            life, points = self.lives.get(id_), points_of.get(id_, ())
            has_surface = len(points) >= self.config.min_points
            if life is not None and (life.missing or (life.against and has_surface)):
                found.append(self.in_edited_words(replace(life.place.record, state=life.state)))
            elif has_surface:
                found.append(self.record_of(id_, points_of[id_]))
        return tuple(found)

    def removed(self) -> tuple[ObjectRecord, ...]:
        """The objects that were removed and did not come back, with their last place, by id."""
        last = {departure.place.record.id: departure.place.record for departure in self.departures}
        shown = sorted(self.gone.keys() - self.edits.hidden)
        return tuple(self.in_edited_words(replace(last[id_], state="removed")) for id_ in shown)

    def record_of(self, object_id: int, points: Int64[ndarray, " members"]) -> ObjectRecord:
        """An object as readers see it, given its points in the cloud."""
        record = self._descriptions.record(self.objects[object_id], self.cloud.xyz[points], self.config.naming)
        met_s = self.met_s.get(object_id, record.last_seen)
        return self.in_edited_words(replace(record, last_seen=max(record.last_seen, met_s)))

    def dead_masks(self) -> set[Placed]:
        """The masks that show objects only where these are no more."""
        objects = (*self.objects.values(), *self.gone.values())
        past = {(o.view, o.mask) for obj in objects for o in obj.past}
        return past - {(o.view, o.mask) for obj in self.objects.values() for o in obj.observations} if past else past

    def saved_lives(self) -> Lives:
        """What a saved map keeps of all that."""
        doubted = {id_: life for id_, life in self.lives.items() if life.against}
        return Lives(doubted=doubted, departures=self.departures, gone=frozenset(self.gone))

    def take_events(self) -> tuple[LifeEvent, ...]:
        """What became of objects since the last call."""
        events, self.events = tuple(self.events), []
        return events

    def edit(self, edits: Edits) -> None:
        """Apply the operator's corrections; every later `associate` and `adopt` holds on to them."""
        for gone, into in edits.redirects.items():
            if gone in self.objects:
                part = self.objects.pop(gone)
                self.objects[into].observations.extend(part.observations)
                self.objects[into].sighting = self.objects[into].sighting.or_better(part.sighting)
                self.objects[into].recognition = surer(self.objects[into].recognition, part.recognition)
        self.ownership = self.ownership.renamed(edits.redirects)
        for id_ in self.edits.changed_by(edits):
            self.lives.pop(id_, None)  # it is another thing now
        self.edits = edits
        self._apply_cuts()
        self._forget_ownerless()

    def members(self) -> Int32[ndarray, "members 3"]:
        """(view, mask, object id) of every placed mask."""
        objects = (*self.objects.values(), *self.gone.values())
        rows = [(o.view, o.mask, obj.id) for obj in objects for o in obj.ever]
        return np.array(sorted(rows), np.int32).reshape(-1, 3)

    def sightings(self) -> dict[int, Sighting]:
        """What the views made of each object."""
        return {id_: obj.sighting for id_, obj in self.objects.items()}

    def recognitions(self) -> dict[int, Recognition]:
        """What the segmenter said of the objects that it found."""
        known = {**self.objects, **self.gone}
        return {id_: obj.recognition for id_, obj in known.items() if obj.recognition is not None}

    def new_ids(self, count: int) -> list[int]:
        """Ids that were never used."""
        return [self._new_id() for _ in range(count)]

    @property
    def next_id(self) -> int:
        """Ids from here on were never used."""
        return self._next_id

    def _unmasked(self, cloud: SceneCloud, without: Set[int]) -> dict[int, Int64[ndarray, " members"]]:
        """The points, in another extraction of the cloud, of the objects that no mask shows: the segmenter alone found
        them, or they were seen by views that are not looked at any more."""
        ids = {id_ for id_, obj in self.objects.items() if all(o.view in without for o in obj.observations)}
        if not ids:
            return {}
        carried = self.ownership.carried_to(self.cloud, cloud, self.config.carry_radius_m)
        return {id_: points for id_, points in carried.points_of.items() if id_ in ids}

    def _begin_object(self, former: int | None) -> int:
        """A new object; under the id of before where a view is placed again."""
        id_ = self._new_id() if former is None or former in self.objects else former
        self.objects[id_] = MapObject(id_)
        return id_

    def _count_sightings(
        self,
        owner: Int32[ndarray, " points"],
        visible: Int32[ndarray, " objects"],
        shown: Mapping[int, Sequence[LiftedMask]],
    ) -> None:
        """Note what one view made of the objects that it sees or began.

        Args:
            owner: before the view was placed.
            visible: how many points of each object it sees.
            shown: its masks of each object.
        """
        fair = visible >= FAIR_PART * points_a_object(owner, len(visible))
        for id_ in {*np.flatnonzero(fair & (visible > 0)).tolist(), *shown}:
            known = id_ < len(visible) and visible[id_] > 0
            masks = [mask.points for mask in shown.get(id_, ())]
            agreed = overlap(masks, owner, id_, int(visible[id_])) if known else 1.0  # a new object is its mask
            obj = self.objects[id_]
            obj.sighting = obj.sighting.with_view(seen=not known or bool(fair[id_]), overlap=agreed if masks else None)

    def _apply_cuts(self) -> None:
        """Give every point of an object that an operator split to its nearest seed.

        A part that perception lost begins anew with the observations of the others: one mask may show several parts.
        """
        for cut in filter(None, (cut.without(self.gone.keys()) for cut in self.edits.cuts)):
            points = np.flatnonzero(np.isin(self.ownership.owner, cut.ids))
            if not len(points):
                continue
            part = cut.part_of(self.cloud.xyz[points])
            owner = self.ownership.owner.copy()
            owner[points] = part
            self.ownership = Ownership(owner, self.ownership.votes)
            alive = [self.objects[id_] for id_ in cut.ids if id_ in self.objects]
            shown = {(o.view, o.mask): o for obj in alive for o in obj.observations}.values()
            sighting = max((obj.sighting for obj in alive), key=lambda it: it.masked, default=Sighting())
            said = reduce(surer, (obj.recognition for obj in alive), None)
            for id_ in set(part.tolist()) - self.objects.keys():
                self.objects[id_] = MapObject(id_, list(shown), sighting=sighting, recognition=said)

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def name(self, object_id: int) -> str | None:
        """What the views call the object, else the segmenter; None where neither is sure of a name."""
        label = self.objects[object_id].name(self.config.naming, self.same_name)[0]
        return None if label == UNNAMED else label

    def named_by(self, object_id: int) -> NamedBy:
        """Who gave the object its name."""
        observations = self.objects[object_id].observations
        if object_id in self.edits.labels or vote_name(observations, self.config.naming, self.same_name)[0] != UNNAMED:
            return "detector"
        return "segmenter" if self.name(object_id) else "nobody"

    def tell_structure(self, planes: Sequence[Plane], config: StructureConfig) -> None:
        """Mark the objects that are pieces of the walls, the floor or the ceiling, which are given."""
        things = self.ownership.points_of
        named: list[NamedBy] = [self.named_by(id_) for id_ in things]
        kinds = structure_kinds(list(things.values()), named, self.cloud, planes, config)
        for id_, kind in zip(things, kinds, strict=True):
            self.objects[id_].structure = kind

    def _forget_ownerless(self) -> None:
        """Objects that lost every point to others are gone."""
        alive = set((np.flatnonzero(np.bincount(self.ownership.owner + 1)) - 1).tolist())  # without a sort
        alive |= self._held(self.objects.keys() - alive)
        self.objects = {id_: obj for id_, obj in self.objects.items() if id_ in alive}

    def _held(self, ids: Set[int]) -> set[int]:
        """Those that stay without points: they are missing, or their surface went away and nobody took it.

        The latter is looked into when they lose it, and again by each look at all views.
        """
        known = {id_: self.lives[id_] for id_ in ids if id_ in self.lives}
        missing = {id_ for id_, life in known.items() if life.missing}
        still = {id_ for id_ in self._lost & known.keys() if known[id_].against} - missing
        suspects = {id_: life.samples for id_, life in known.items() if id_ not in missing | still}
        lost = vanished(suspects, self.cloud.xyz, 2 * self.config.carry_radius_m)
        for id_ in lost:
            self.lives[id_] = replace(known[id_], against=max(known[id_].against, 1))
        self._lost = still | lost
        return missing | self._lost

    def in_edited_words(self, record: ObjectRecord) -> ObjectRecord:
        """The record under the name that an operator gave the object, where one did."""
        if record.id not in self.edits.labels:
            return record
        return replace(record, label=self.edits.labels[record.id], score=1.0, name_score=1.0)
