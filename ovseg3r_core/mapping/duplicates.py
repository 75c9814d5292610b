"""Things that were mapped twice, before and after a drift, and that a correction of the poses brought together.

Only what the correction itself brought together is joined: two objects that lay in one another before it are two to the
eyes of all views, a cup and its saucer, and stay two.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray
from scipy.spatial import KDTree

from ovseg3r_core.mapping.edits import Edits
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.objects import Placed
from ovseg3r_core.mapping.ownership import points_by_owner

_SAME_SHARE = 0.5  # of the points of an object, near another one
_SAMPLES = 200  # points of an object that are looked at for that


def join_duplicates(objects: ObjectMap, xyz_before: Float32[ndarray, "points 3"]) -> dict[int, int]:
    """Join the objects of a map that a correction brought together; the older id stays and the other leads to it.

    What an operator did is never undone: it holds for the one that stays, and things that were named apart or cut apart
    by hand are left as they are.

    Args:
        xyz_before: where the points of the map were before the correction.

    Returns:
        The ids that are gone, and where each leads.
    """
    edits, joined = objects.edits, dict[int, int]()
    for gone, kept in _pairs(objects, xyz_before):
        into = edits.resolve(kept)
        if gone not in joined and into != gone and edits.may_join(into, gone):
            edits, joined[gone] = edits.joined(into, gone), into
    objects.edit(edits)
    return joined


def heirs(former: Mapping[Placed, int], objects: ObjectMap) -> dict[int, int]:
    """Where the ids lead that a look at all views made no use of: to the object that has most of their masks.

    Args:
        former: the object that each mask belonged to before.
    """
    holders: dict[int, Counter[int]] = {}
    for obj in objects.objects.values():
        for seen in obj.observations:
            was = former.get((seen.view, seen.mask), obj.id)
            if was not in objects.objects:
                holders.setdefault(was, Counter())[obj.id] += 1
    return {was: found.most_common(1)[0][0] for was, found in holders.items()}


def _pairs(objects: ObjectMap, xyz_before: Float32[ndarray, "points 3"]) -> Iterator[tuple[int, int]]:
    """(newer, older) ids of objects that are one thing now and were not before, the surest older one of each first."""
    points = points_by_owner(objects.ownership.owner)
    now, before = (_Things(xyz, points, objects.config.rim_m) for xyz in (objects.cloud.xyz, xyz_before))
    found: list[tuple[int, bool, float, int]] = []
    for older, newer in now.touching():
        if objects.objects[older].structure or objects.objects[newer].structure or _look_apart(objects, older, newer):
            continue
        same_name = _same_name(objects, older, newer)
        share = now.share(older, newer, same_name=same_name)
        if share >= _SAME_SHARE > before.share(older, newer, same_name=same_name):
            found.append((newer, not same_name, -share, older))
    return ((newer, older) for newer, _, _, older in sorted(found))


def _same_name(objects: ObjectMap, one: int, other: int) -> bool:
    names = [objects.edits.labels.get(id_) or objects.name(id_) for id_ in (one, other)]
    return names[0] is not None and names[1] is not None and objects.same_name(names[0], names[1])


def _look_apart(objects: ObjectMap, one: int, other: int) -> bool:
    looks = objects.objects[one].embedding(), objects.objects[other].embedding()
    if looks[0] is None or looks[1] is None or _same_name(objects, one, other):
        return False
    return float(looks[0] @ looks[1]) < objects.config.association.min_alike


class _Things:
    """Where the objects lie.

    Args:
        points: of each object.
        reach_m: points this near to an object lie on it.
    """

    def __init__(
        self, xyz: Float32[ndarray, "points 3"], points: Mapping[int, Int64[ndarray, " _"]], reach_m: float
    ) -> None:
        self._xyz, self._points, self._reach_m = xyz, points, reach_m
        self._row = {id_: row for row, id_ in enumerate(points)}
        self._trees: dict[int, KDTree] = {}

    def touching(self) -> Iterator[tuple[int, int]]:
        """Pairs of objects, the older first, whose boxes along the axes meet."""
        ids, (low, high) = np.array(list(self._points), np.int64), self._boxes
        for place in range(len(ids)):
            later = slice(place + 1, None)
            meet = ((low[later] <= high[place]) & (high[later] >= low[place])).all(axis=1)
            for other in ids[later][meet].tolist():
                yield int(ids[place]), other

    def share(self, one: int, other: int, *, same_name: bool) -> float:
        """How much of the one lies on the other: of the smaller of two that have one name, of both otherwise."""
        low, high = (side[[self._row[one], self._row[other]]] for side in self._boxes)
        if (low.max(axis=0) > high.min(axis=0)).any():
            return 0.0
        share = self._on(one, other)
        if (share >= _SAME_SHARE) == same_name:  # it says all already
            return share
        return (max if same_name else min)(share, self._on(other, one))

    def _on(self, one: int, other: int) -> float:
        points = self._points[one]
        some = self._xyz[points[:: -(-len(points) // _SAMPLES)]]
        distance, _ = self._tree(other).query(some, distance_upper_bound=self._reach_m)
        return float(np.isfinite(distance).mean())

    def _tree(self, id_: int) -> KDTree:
        if id_ not in self._trees:
            self._trees[id_] = KDTree(self._xyz[self._points[id_]], balanced_tree=False, compact_nodes=False)
        return self._trees[id_]

    @cached_property
    def _boxes(self) -> tuple[Float32[ndarray, "objects 3"], Float32[ndarray, "objects 3"]]:
        members = [self._xyz[points] for points in self._points.values()]
        low = np.array([xyz.min(axis=0) for xyz in members], np.float32).reshape(-1, 3)
        high = np.array([xyz.max(axis=0) for xyz in members], np.float32).reshape(-1, 3)
        return low - np.float32(self._reach_m), high


def led_on(edits: Edits, leads: Mapping[int, int]) -> Edits:
    """The edits with ids that perception gave up leading to where their masks went."""
    for gone, into in leads.items():
        if edits.may_join(into, gone):
            edits = edits.joined(into, gone)
    return edits
