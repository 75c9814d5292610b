"""When keyframes turn out to be elsewhere, points, objects and edits move with the views that saw them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.mapping.anchors import motion_of_points, moved_cloud, moved_cuts
from ovseg3r_core.mapping.duplicates import join_duplicates
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.moved_places import motion_nearby, moved_departures, moved_lives
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.snapshot import MapSnapshot


@dataclass(frozen=True, kw_only=True)
class Reanchored:
    """What a correction of the poses did to the map."""

    views: int = 0
    """Keyframes that moved."""
    median_shift_m: float = 0.0
    """Half of them moved further."""
    merged: Mapping[int, int] = field(default_factory=dict)
    """Objects that turned out to be others: the ids that are gone, and where each leads."""
    seconds: float = 0.0
    """Until the corrected map could be read; the surface is made anew after that."""


def reanchor(objects: ObjectMap, T_new_old: Float64[ndarray, "views 4 4"]) -> dict[int, int]:
    """Move everything with the views that saw it, and join what was mapped twice; ids, names and edits stay.

    Args:
        T_new_old: how the map as each view shows it moved.

    Returns:
        The ids of objects that turned out to be others, and where each leads.
    """
    cloud, owner = objects.cloud, objects.ownership.owner
    follows = motion_of_points(cloud.xyz, objects.anchor)
    cuts = moved_cuts(objects.edits.cuts, cloud.xyz, owner, follows, T_new_old)
    objects.cloud = moved_cloud(cloud, follows, T_new_old)
    objects.edits = replace(objects.edits, cuts=cuts)
    motion = motion_nearby(cloud.xyz, follows, T_new_old)
    objects.departures, objects.lives = moved_departures(objects.departures, motion), moved_lives(objects.lives, motion)
    return join_duplicates(objects, cloud.xyz)


def laid_out(snapshot: MapSnapshot, memory: Memory, T_map_saved: Float64[ndarray, "4 4"]) -> tuple[MapSnapshot, Memory]:
    """A saved map where it lies in a map of another origin, to go on from; the records of its objects stay behind.

    Args:
        T_map_saved: the saved map's frame in the map of now.
    """
    cloud, follows = snapshot.cloud, np.zeros(len(snapshot.cloud), np.int32)
    cuts = moved_cuts(memory.edits.cuts, cloud.xyz, snapshot.owner, follows, T_map_saved[None])
    lives = replace(
        memory.lives,
        departures=moved_departures(memory.lives.departures, lambda _: T_map_saved),
        doubted=moved_lives(memory.lives.doubted, lambda _: T_map_saved),
    )
    views = tuple(view.moved_to(T_map_saved @ view.T_map_camera) for view in memory.views)
    return (
        replace(snapshot, cloud=moved_cloud(cloud, follows, T_map_saved[None])),
        replace(memory, views=views, lives=lives, edits=replace(memory.edits, cuts=cuts)),
    )
