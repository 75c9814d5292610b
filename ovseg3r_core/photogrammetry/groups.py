"""Cameras that hold one another in their places by the points that they share, and those that nothing holds.

Structure from motion gives a place to every camera that matched another, also to some whose shared points it later
threw away as wrong. Such cameras may still agree among themselves: that says how they lie to one another, and nothing
of where all of them are, since they can be moved, turned and stretched against the others without any error.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from ovseg3r_core.photogrammetry.sparse import SparseModel


def held_together(model: SparseModel, points: int, fewest: int) -> tuple[SparseModel, tuple[int, ...]]:
    """The largest group of cameras that hold one another, with the points they see; and the frames that are not of it.

    Args:
        points: so many points must two groups share to be one. Three that are not in line hold one against the other
            (seven numbers: place, turn and size), and of so few none may be wrong.
        fewest: images that a group has at least.

    Raises:
        ValueError: no group is so large.
    """
    groups = groups_of(model, points)
    largest = max(groups, key=lambda group: len(group.frames))
    if len(largest.frames) < fewest:
        raise ValueError(
            f"{len(largest.frames)} of {len(model.poses)} images hold one another by {points} shared points or more: "
            "without depth, images must overlap and show texture"
        )
    apart = tuple(index for index in model.poses if index not in largest.frames)
    return (_only(model, largest) if apart else model), apart


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Cameras, and which points of the model they see."""

    frames: frozenset[int]
    sees: Bool[ndarray, " points"]

    def __or__(self, other: "Group") -> "Group":
        return Group(frames=self.frames | other.frames, sees=self.sees | other.sees)


def groups_of(model: SparseModel, points: int) -> list[Group]:
    """All cameras in groups of which no two share so many points; the order of the cameras changes nothing."""
    groups = list[Group]()
    for index, seen in model.seen.items():
        group = Group(frames=frozenset([index]), sees=np.zeros(len(model.xyz), bool))
        group.sees[seen] = True
        while near := [other for other in groups if np.count_nonzero(other.sees & group.sees) >= points]:
            groups = [other for other in groups if other not in near]
            for other in near:
                group |= other
        groups.append(group)
    return groups


def _only(model: SparseModel, group: Group) -> SparseModel:
    number = np.cumsum(group.sees) - 1
    return replace(
        model,
        poses={index: pose for index, pose in model.poses.items() if index in group.frames},
        seen={index: number[seen] for index, seen in model.seen.items() if index in group.frames},
        xyz=model.xyz[group.sees],
    )
