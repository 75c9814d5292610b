"""Which object owns each scene point: one owner a point, kept by majority vote as views come in.

The map *is* the scene cloud with an owner for every point. That one representation answers where an
object is, what a view should see of it, and how much a new mask overlaps it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from ovseg3r_core.types import LiftedMask, SceneCloud

NOBODY = -1


@dataclass(frozen=True)
class Ownership:
    """Owner (object id, -1 for none) and the net number of masks that support it, a scene point each."""

    owner: Int32[ndarray, " points"]
    votes: Int32[ndarray, " points"]

    @classmethod
    def empty(cls, points: int) -> "Ownership":
        """Nobody owns anything."""
        return cls(np.full(points, NOBODY, np.int32), np.zeros(points, np.int32))

    def claim(self, claims: Iterable[tuple[Int64[ndarray, " _"], int]]) -> "Ownership":
        """Some more masks say that points are an object's: the majority vote of Boyer and Moore, a point each.

        Args:
            claims: the points of each mask and the object's id.
        """
        owner, votes = self.owner.copy(), self.votes.copy()
        for points, object_id in claims:
            mine = (owner[points] == object_id) | (votes[points] <= 0)
            owner[points[mine]] = object_id
            votes[points] += np.where(mine, 1, -1).astype(np.int32)
        return Ownership(owner, votes)

    def renamed(self, new_id: Mapping[int, int]) -> "Ownership":
        """The same points under other ids; an id may be led on more than once."""
        last = max(int(self.owner.max(initial=NOBODY)), *new_id, *new_id.values(), NOBODY)
        lookup = np.append(np.arange(last + 1, dtype=np.int32), np.int32(NOBODY))  # the last entry serves NOBODY
        for old in new_id:
            new = old
            while new in new_id:
                new = new_id[new]
            lookup[old] = new
        return Ownership(lookup[self.owner], self.votes)

    def carried_to(self, before: SceneCloud, after: SceneCloud, max_distance_m: float) -> "Ownership":
        """The ownership of a new reading of the same surface: each point follows its nearest old one."""
        return self.followed(nearest_points(before, after, max_distance_m))

    def followed(self, nearest: Int64[ndarray, " others"]) -> "Ownership":
        """The ownership of points that each follow one of these; -1 follows none."""
        fresh, known = Ownership.empty(len(nearest)), nearest >= 0
        fresh.owner[known], fresh.votes[known] = self.owner[nearest[known]], self.votes[nearest[known]]
        return fresh

    @cached_property
    def points_of(self) -> dict[int, Int64[ndarray, " members"]]:
        """The points of every object that owns any."""
        return points_by_owner(self.owner)


def nearest_points(before: SceneCloud, after: SceneCloud, max_distance_m: float) -> Int64[ndarray, " points"]:
    """For each point of a cloud the nearest of the cloud before; -1 where none is that near.

    What was not read again since is the same point, and is not searched for.
    """
    nearest = np.full(len(after), -1, np.int64)
    if before.blocks is not None and after.blocks is not None:
        nearest = before.blocks.unchanged_in(after.blocks)
    changed = np.flatnonzero(nearest < 0)
    if not len(changed) or not len(before):
        return nearest
    xyz = after.xyz[changed]
    low, high = xyz.min(axis=0) - max_distance_m, xyz.max(axis=0) + max_distance_m
    about = np.flatnonzero(((before.xyz >= low) & (before.xyz <= high)).all(axis=1))
    if not len(about):
        return nearest
    tree = KDTree(before.xyz[about], balanced_tree=False, compact_nodes=False)  # three times as fast to build
    distance, found = tree.query(xyz, distance_upper_bound=max_distance_m, workers=-1)
    near = np.isfinite(distance)
    nearest[changed[near]] = about[np.asarray(found)[near]]
    return nearest


def points_by_owner(owner: Int32[ndarray, " points"]) -> dict[int, Int64[ndarray, " members"]]:
    """The points of every owner, by one sort for all: a scan an object takes seconds in a large map."""
    owned = np.flatnonzero(owner != NOBODY)
    order = owned[np.argsort(owner[owned], kind="stable")]
    ids, starts, sizes = np.unique(owner[order], return_index=True, return_counts=True)
    return {int(i): order[start : start + size] for i, start, size in zip(ids, starts, sizes, strict=True)}


def vote_owners(
    masks: Sequence[LiftedMask],
    group: Int64[ndarray, " masks"],
    points: int,
    *,
    named_weight: float,
    min_share: float,
) -> Ownership:
    """Give every point to the group whose masks cover it most often.

    Args:
        group: the group of each mask; -1 votes for nobody but still counts as having covered the point.
        named_weight: what the vote of a mask with a name counts, against 1 of a mask without.
        min_share: the winner needs this share of all votes for the point, else nobody gets it.
    """
    groups = int(group.max(initial=-1)) + 1
    member = np.concatenate([mask.points for mask in masks]) if masks else np.empty(0, np.int64)
    lengths = [len(mask.points) for mask in masks]
    of_group = np.repeat(group, lengths)
    weight = np.repeat([named_weight if mask.label else 1.0 for mask in masks], lengths)
    covered = np.bincount(member, weights=weight, minlength=points)
    counted = of_group >= 0
    ballots = sparse.coo_array(
        (weight[counted], (member[counted], of_group[counted])), (points, max(groups, 1))
    ).tocsr()
    result = Ownership.empty(points)
    rows = np.repeat(np.arange(points), np.diff(ballots.indptr))
    order = np.lexsort((-ballots.indices, ballots.data, rows))  # the last entry of a row is its winner
    last = np.flatnonzero(np.diff(rows[order], append=points) != 0)
    winner = order[last]
    point, share = rows[winner], ballots.data[winner] / covered[rows[winner]]
    wins = share >= min_share
    result.owner[point[wins]] = ballots.indices[winner[wins]]
    result.votes[point[wins]] = np.rint(ballots.data[winner[wins]])
    return result


def connected_parts(xyz: Float32[ndarray, "points 3"], radius_m: float) -> Int32[ndarray, " points"]:
    """The connected part each point lies in when points closer than the radius hang together; 0 is the largest."""
    pairs = KDTree(xyz).query_pairs(radius_m, output_type="ndarray")
    links = sparse.coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (len(xyz), len(xyz)))
    _, part = connected_components(links, directed=False)
    rank = np.argsort(np.argsort(-np.bincount(part), kind="stable"), kind="stable")
    return rank[part].astype(np.int32)
