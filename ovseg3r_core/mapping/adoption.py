"""Which objects the things of a drawing are: ids stay with the things that had them.

A `Drawing` numbers what all views show from 0; the map knows it by ids, and knows more of it than those views tell.
`ObjectMap.adopt` takes what is decided here.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set

import numpy as np
from jaxtyping import Int32, Int64
from numpy import ndarray

from ovseg3r_core.mapping.objects import MapObject, Observation, Placed
from ovseg3r_core.mapping.ownership import NOBODY
from ovseg3r_core.mapping.recognition import surer
from ovseg3r_core.mapping.redraw import Drawing

SAME_SHARE = 0.5  # an object that no mask shows is told by most of its points, having nothing else to be known by


def things_alive(drawing: Drawing, dead: Set[Placed]) -> set[int]:
    """The things of which no more than half of the masks, of which there may be none, are dead."""
    return {
        thing
        for thing, masks in drawing.members.items()
        if 2 * sum((mask.view, mask.mask) in dead for mask in masks) <= len(masks)
    }


def inherited_ids(
    drawing: Drawing,
    former: Mapping[Placed, int],
    unmasked: Mapping[int, Int64[ndarray, " members"]],
    united: Set[int],
    new_id: Callable[[], int],
) -> dict[int, int]:
    """Each thing keeps the id that most of its masks had; the larger claim wins where two want one id.

    A thing without a mask keeps that of an object without one, where most of the object's points are.

    Args:
        former: the object that each mask belonged to before.
        unmasked: the points, in the drawing's cloud, of the objects that no mask shows.
        united: objects that several things may be, as an operator said that they are one.
        new_id: gives an id that was never used.
    """
    members, owner = drawing.members, drawing.ownership.owner
    claims = Counter(
        (thing, id_)
        for thing, masks in members.items()
        for mask in masks
        if (id_ := former.get((mask.view, mask.mask))) is not None
    )
    for id_, points in unmasked.items():
        things, shared = np.unique(owner[points], return_counts=True)
        if things[shared.argmax()] != NOBODY and shared.max() >= SAME_SHARE * len(points):
            claims[int(things[shared.argmax()]), id_] += 1
    ids: dict[int, int] = {}
    taken: set[int] = set()
    for (thing, id_), _ in claims.most_common():
        if thing not in ids and (id_ not in taken or id_ in united):
            ids[thing] = id_
            taken.add(id_)
    for thing in members:
        if thing not in ids:
            ids[thing] = new_id()
    return ids


def drawn_objects(
    drawing: Drawing,
    ids: Mapping[int, int],
    known: Mapping[int, MapObject],
    stamps_s: Sequence[float],
    without: Set[int],
) -> dict[int, MapObject]:
    """The objects that a drawing shows, under their ids, with what is known of them beside it.

    Args:
        known: the objects of before.
        stamps_s: of all views.
        without: views that the drawing could not look at: what they saw of an object still counts.
    """
    objects: dict[int, MapObject] = {}
    for thing, id_ in ids.items():
        obj = objects.setdefault(id_, MapObject(id_))
        obj.observations.extend(Observation.of(mask, stamps_s[mask.view]) for mask in drawing.members[thing])
        obj.sighting = obj.sighting.or_better(drawing.sightings[thing])
        said = surer(obj.recognition, drawing.recognised.get(thing))
        obj.recognition = said or (known[id_].recognition if id_ in known else None)
    for id_, obj in objects.items():
        if id_ in known:
            obj.past = known[id_].past
            obj.observations.extend(o for o in known[id_].observations if o.view in without)
    return objects


def drawn_owner(drawing: Drawing, ids: Mapping[int, int]) -> Int32[ndarray, " points"]:
    """The object that owns each point of the drawing's cloud, -1 for none: a thing without an id owns nothing."""
    owner = drawing.ownership.owner
    lookup = np.full(int(owner.max(initial=-1)) + 2, NOBODY, np.int32)  # the last serves -1
    for thing, id_ in ids.items():
        lookup[thing] = id_
    return lookup[owner]
