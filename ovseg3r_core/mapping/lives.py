"""The rules of an object's life applied to a map: what views say of its objects, what leaves it, what comes back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.evidence import Verdict, Watched
from ovseg3r_core.mapping.life import (
    Departure,
    EventKind,
    Life,
    LifeConfig,
    LifeEvent,
    Place,
    Traits,
    are_alike,
    left_before,
)
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.objects import MapObject, guess_name
from ovseg3r_core.mapping.ownership import NOBODY, Ownership
from ovseg3r_core.mapping.recognition import surer
from ovseg3r_core.mapping.watched_points import background_points, watched_points
from ovseg3r_core.views import View

_GROWN = 0.1  # an object that gained or lost this share of its points is described anew
_MIN_VIEWS = 2  # what one view showed may be no thing at all


def remember(objects: ObjectMap, config: LifeConfig) -> None:
    """Note where the things of a map are, and which of their points are to be watched; only what changed is looked at.

    What depth doubts stays as it was noted before, and what an operator deleted, or is no thing, is not watched.
    """
    things = {id_ for id_, obj in objects.objects.items() if not obj.structure} - objects.edits.hidden
    objects.lives = {id_: life for id_, life in objects.lives.items() if id_ in things}
    changed = {
        id_: points
        for id_, points in objects.ownership.points_of.items()
        if id_ in things and len(points) >= objects.config.min_points and _has_changed(objects.lives.get(id_), points)
    }
    samples = watched_points(changed, objects.cloud.xyz, objects.ownership.owner, config.clear_m)
    for id_, points in changed.items():
        objects.lives[id_] = Life(place=_place(objects, id_, points), samples=samples[id_])


def watched_of(objects: ObjectMap, config: LifeConfig) -> Watched:
    """What the next frames are asked about."""
    lives = objects.lives
    places = [it.place.xyz for it in (*lives.values(), *objects.departures)]
    cloud, owner = objects.cloud.xyz, objects.ownership.owner
    return Watched.of(watched_things(objects), background_points(cloud, owner, lives.keys(), places, config.apart_m))


def shown_in_place(
    objects: ObjectMap, ids: Iterable[int], views: Sequence[View]
) -> list[tuple[View, Float64[ndarray, "3"]]]:
    """The kept keyframes that some objects were masked in until depth last met them there, and where they stand."""
    found = []
    for id_ in objects.lives.keys() & objects.objects.keys() & set(ids):
        record, shown = objects.lives[id_].place.record, objects.objects[id_].observations
        met_s = objects.met_s.get(id_, record.last_seen)
        at = sorted({it.view for it in shown if it.stamp_s <= met_s})
        found += [(views[view], np.array(record.centre)) for view in at if views[view].kept]
    return found


def watched_things(objects: ObjectMap) -> dict[int, Float32[ndarray, "_ 3"]]:
    """The points that stand for each object, where enough of them stand clear."""
    return {id_: life.samples for id_, life in objects.lives.items() if len(life.samples)}


def witness(
    objects: ObjectMap, said: Mapping[int, Verdict], stamp_s: float, next_view: int, config: LifeConfig
) -> tuple[Departure, ...]:
    """Take what one view says of the objects; gives the places that some of them turn out to have left.

    Args:
        stamp_s: of the view.
        next_view: the keyframe that comes next; those before it are older.
    """
    left = []
    for id_, verdict in said.items():
        life = objects.lives.get(id_)
        if life is None or id_ not in objects.objects:
            continue  # it became another thing since the view was asked
        if not life.against and verdict == "gone":
            life = replace(life, place=_as_of_now(objects, life))
        after = objects.lives[id_] = life.after(verdict, config)
        if verdict == "there":
            objects.met_s[id_] = stamp_s
            if life.against:
                _reclaim(objects, id_, life)
        if after.missing != life.missing:
            _tell(objects, "missing" if after.missing else "seen again", after, stamp_s)
        if after.against >= config.removed_after:
            left.append(_remove(objects, id_, stamp_s, next_view))
    if left:
        reunite(objects, stamp_s, config)
    return tuple(left)


def reunite(objects: ObjectMap, stamp_s: float, config: LifeConfig) -> None:
    """Find removed objects again: one like it that began after it was last met is the same, if no other may be.

    In its old place it was seen again, elsewhere it was moved. It keeps its id, and what an operator said of it.
    """
    if not objects.gone:
        return
    last = {departure.place.record.id: departure for departure in objects.departures}
    fits = [
        (id_, new)
        for id_ in objects.gone.keys() - objects.edits.hidden
        for new in _newcomers(objects)
        if _may_be(objects, last[id_].place, id_, new, config)
    ]
    back = [(id_, new) for id_, new in fits if _is_near(objects, last[id_].place, new, config.same_place_m)]
    for pairs in (back, fits):
        for id_, new in _only_choices(pairs):
            if id_ in objects.gone and new in objects.objects:
                _become(objects, last[id_], new, stamp_s, stayed=pairs is back)


def drop_points(objects: ObjectMap, object_id: int) -> None:
    """Take an object's points out of the cloud: its surface is to be forgotten."""
    kept = objects.ownership.owner != object_id
    ownership = objects.ownership
    objects.cloud = objects.cloud.at(kept)
    objects.ownership, objects.anchor = Ownership(ownership.owner[kept], ownership.votes[kept]), objects.anchor[kept]


def _has_changed(life: Life | None, points: Int64[ndarray, " members"]) -> bool:
    if life is None:
        return True
    before = len(life.place.xyz)
    return not life.against and abs(len(points) - before) > _GROWN * before


def _place(objects: ObjectMap, object_id: int, points: Int64[ndarray, " members"]) -> Place:
    return Place(
        record=objects.record_of(object_id, points),
        xyz=objects.cloud.xyz[points],
        color=objects.cloud.color[points].mean(axis=0, dtype=np.float32),
    )


def _as_of_now(objects: ObjectMap, life: Life) -> Place:
    """The place of an object that begins to be doubted; as it was noted, where its points have gone already."""
    points = np.flatnonzero(objects.ownership.owner == life.place.record.id)
    id_ = life.place.record.id
    if len(points) >= (1 - _GROWN) * len(life.place.xyz):
        return _place(objects, id_, points)
    last_seen = max(life.place.record.last_seen, objects.met_s.get(id_, -np.inf))
    return replace(life.place, record=replace(life.place.record, last_seen=last_seen))


def _remove(objects: ObjectMap, object_id: int, stamp_s: float, next_view: int) -> Departure:
    life, obj = objects.lives.pop(object_id), objects.objects.pop(object_id)
    objects.gone[object_id] = MapObject(object_id, past=obj.ever, sighting=obj.sighting, recognition=obj.recognition)
    departure = Departure(
        place=replace(life.place, record=replace(life.place.record, state="removed")), before_view=next_view
    )
    objects.departures = (*objects.departures, departure)
    drop_points(objects, object_id)
    record = next(it for it in objects.removed() if it.id == object_id)
    objects.events.append(LifeEvent(kind="removed", stamp_s=stamp_s, record=record, previous_place=record.centre))
    return departure


def _tell(objects: ObjectMap, kind: EventKind, life: Life, stamp_s: float) -> None:
    record = objects.in_edited_words(replace(life.place.record, state=life.state))
    objects.events.append(LifeEvent(kind=kind, stamp_s=stamp_s, record=record, previous_place=record.centre))


def _reclaim(objects: ObjectMap, object_id: int, life: Life) -> None:
    """Give an object that was met again the points about its place that nobody owns: its own may have gone and come."""
    free = np.flatnonzero(objects.ownership.owner == NOBODY)
    if not len(free):
        return
    reach_m = objects.config.carry_radius_m
    distance, _ = KDTree(life.place.xyz).query(objects.cloud.xyz[free], distance_upper_bound=reach_m)
    owner = objects.ownership.owner.copy()
    owner[free[np.isfinite(distance)]] = object_id
    objects.ownership = Ownership(owner, objects.ownership.votes)


def _newcomers(objects: ObjectMap) -> list[int]:
    """The objects that may turn out to be ones that were elsewhere; not those that an operator vouched for."""
    return [
        id_
        for id_, life in objects.lives.items()
        if not life.against and not objects.edits.keeps(id_) and objects.objects[id_].views >= _MIN_VIEWS
    ]


def _may_be(objects: ObjectMap, place: Place, object_id: int, new: int, config: LifeConfig) -> bool:
    """Whether a newcomer may be what left a place."""
    began = min(o.stamp_s for o in objects.objects[new].ever)
    if began <= place.record.last_seen:
        return False
    gone, found = objects.gone[object_id], objects.objects[new]
    before = _traits(gone, place, _sure_name(objects, gone))
    after = _traits(found, objects.lives[new].place, _likeliest_name(objects, found))
    return are_alike(before, after, objects.same_name, config)


def _traits(obj: MapObject, place: Place, name: str | None) -> Traits:
    return Traits(name=name, look=obj.embedding(), size=place.record.box.size, color=place.color)


def _sure_name(objects: ObjectMap, obj: MapObject) -> str | None:
    label = obj.name(objects.config.naming, objects.same_name)[0]
    return None if label == UNNAMED else label


def _likeliest_name(objects: ObjectMap, obj: MapObject) -> str | None:
    """What a newcomer is called, else what most of the few views call it that have a name for it.

    That is little to name a thing by, and enough where a thing of that name, size and colour is being missed.
    """
    return _sure_name(objects, obj) or guess_name(obj.ever, objects.same_name)


def _is_near(objects: ObjectMap, place: Place, new: int, reach_m: float) -> bool:
    return bool(
        np.linalg.norm(np.subtract(objects.lives[new].place.record.box.centre, place.record.box.centre)) <= reach_m
    )


def _only_choices(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs of which neither side is in another."""
    pairs = list(pairs)
    old, new = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return [pair for pair in pairs if old.count(pair[0]) == new.count(pair[1]) == 1]


def _become(objects: ObjectMap, departure: Departure, new: int, stamp_s: float, *, stayed: bool) -> None:
    """A removed object is what a newcomer shows."""
    place = departure.place
    id_ = place.record.id
    gone, found = objects.gone.pop(id_), objects.objects.pop(new)
    past, again = gone.past, found.observations
    if stayed:  # it never left: what was seen of it there counts again
        objects.departures = tuple(it for it in objects.departures if it is not departure)
        earlier = left_before(objects.departures, id_)
        again = [*(o for o in past if o.view >= earlier), *again]
        past = [o for o in past if o.view < earlier]
    objects.objects[id_] = MapObject(
        id_,
        observations=again,
        past=past,
        sighting=found.sighting.or_better(gone.sighting) if stayed else found.sighting,
        recognition=surer(gone.recognition, found.recognition),
    )
    objects.edits = objects.edits.one_thing(id_, new)
    objects.ownership = objects.ownership.renamed({new: id_})
    life = objects.lives.pop(new)
    label, _, sure = objects.objects[id_].name(objects.config.naming, objects.same_name)
    now = replace(
        life.place.record,
        id=id_,
        label=label,
        name_score=sure,
        observations=len(again) + len(past),
        first_seen=place.record.first_seen,
    )
    objects.lives[id_] = replace(life, place=replace(life.place, record=now))
    objects.met_s[id_] = objects.met_s.pop(new, now.last_seen)
    record = objects.in_edited_words(now)
    previous = record.centre if stayed else place.record.centre
    kind: EventKind = "seen again" if stayed else "moved"
    objects.events.append(LifeEvent(kind=kind, stamp_s=stamp_s, record=record, previous_place=previous))
