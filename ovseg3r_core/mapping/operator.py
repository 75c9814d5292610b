"""The four things an operator can do to a map: rename, merge, split and delete objects.

Each looks at the map of now and gives the edits of then; `ObjectMap.edit` applies them, and perception never undoes
what it did.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ovseg3r_core.checks import Rejected
from ovseg3r_core.mapping.edits import Cut, Edits
from ovseg3r_core.mapping.object_map import ObjectMap


@dataclass(frozen=True, kw_only=True)
class Change:
    """All edits of the map from now on, and the objects that this one left."""

    edits: Edits
    ids: tuple[int, ...]


Operation = Callable[[ObjectMap], Change]
"""Raises `Rejected`: `no_object` where an id means nothing, `bad_edit` where the rest makes no sense."""


def relabel(object_id: int, label: str) -> Operation:
    """The object is called `label`; an empty one gives the naming back to perception."""

    def change(objects: ObjectMap) -> Change:
        id_ = find(objects, object_id, removed_too=True)
        return Change(edits=objects.edits.relabelled(id_, label), ids=(id_,))

    return change


def merge(object_id: int, others: Sequence[int]) -> Operation:
    """The others are parts of the object."""

    def change(objects: ObjectMap) -> Change:
        id_, parts = find(objects, object_id), {find(objects, other) for other in others}
        if not parts or id_ in parts:
            raise Rejected("bad_edit", f"merging {sorted(others)} into {object_id}: give other objects than itself")
        return Change(edits=objects.edits.merged(id_, parts), ids=(id_,))

    return change


def split(object_id: int, seeds: Sequence[tuple[float, float, float]]) -> Operation:
    """The object is as many things as there are seeds: a point on each, metres in the map frame."""

    def change(objects: ObjectMap) -> Change:
        id_ = find(objects, object_id)
        Cut(tuple(range(len(seeds))), tuple(seeds))  # refuses bad seeds before ids are spent on them
        cut = Cut((id_, *objects.new_ids(len(seeds) - 1)), tuple(seeds))
        points = objects.cloud.xyz[objects.ownership.owner == id_]
        for part, seed in zip(cut.ids, cut.seeds, strict=True):
            got = np.count_nonzero(cut.part_of(points) == part)
            if got < objects.config.min_points:
                raise Rejected(
                    "bad_edit",
                    f"the part at {seed} would have {got} of the {len(points)} points of object {id_}, and an object "
                    f"has at least {objects.config.min_points}: give a seed in the middle of each thing",
                )
        return Change(edits=objects.edits.split(cut), ids=cut.ids)

    return change


def delete(object_id: int) -> Operation:
    """The object is no thing, and is not shown again."""

    def change(objects: ObjectMap) -> Change:
        return Change(edits=objects.edits.deleted(find(objects, object_id, removed_too=True)), ids=())

    return change


def find(objects: ObjectMap, object_id: int, *, removed_too: bool = False) -> int:
    """The object that an id means today; raises `Rejected("no_object")`."""
    id_ = objects.edits.resolve(object_id)
    if id_ in objects.edits.hidden:
        raise Rejected("no_object", f"object {object_id} was deleted")
    if id_ in objects.gone and removed_too:
        return id_
    if id_ in objects.gone:
        raise Rejected("no_object", f"object {object_id} was removed: it can be relabelled or deleted, and no more")
    if id_ not in objects.objects:
        raise Rejected("no_object", f"there is no object {object_id}; list_objects gives the ids of all")
    return id_
