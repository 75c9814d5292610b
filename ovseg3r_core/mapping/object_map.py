"""The map of objects: masks of one view in, persistent objects out; a second look at all views together.

`associate` places the masks of one new view at once (greedy, live). `refine` clusters the masks of all
views by consensus and redraws who owns what, while ids stay with the objects that had them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from ovseg3r_core.checks import require_positive, require_shares
from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.association import NEW, UNCLEAR, AssociationConfig, match_mask, visible_counts
from ovseg3r_core.mapping.consensus import ConsensusConfig, cluster_masks
from ovseg3r_core.mapping.objects import MapObject, NamingConfig, Observation, SameName, vote_name
from ovseg3r_core.mapping.ownership import NOBODY, Ownership, connected_parts, vote_owners
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, ObjectRecord, SceneCloud, ViewIncidence


@dataclass(frozen=True, kw_only=True)
class MappingConfig:
    """How masks become objects."""

    association: AssociationConfig = field(default_factory=AssociationConfig)
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    naming: NamingConfig = field(default_factory=NamingConfig)
    carry_radius_m: float = 0.03
    """How far a point may have moved between two extractions of the surface and still be the same."""
    part_gap_m: float = 0.08
    """Parts of an object that lie further apart than this are different things."""
    min_part_of_mask: float = 0.2
    """A mask shows a part when at least this share of its points lies there."""
    min_points: int = 20
    """Smaller objects are not kept: a cup shows about 30 points at 2 cm."""
    named_weight: float = 2.5
    """What a mask with a name counts in the vote on a point, against 1 of a mask without one."""
    min_vote_share: float = 0.3
    """A point goes to an object that has this share of the votes on it."""
    min_view_share: float = 0.2
    """An object must be masked in this share of the views that see it ..."""
    trusted_score: float = 0.5
    """... and in two views at least, unless only one could see it or a detector named it this surely."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "carry_radius_m", "part_gap_m", "min_points", "named_weight")
        require_shares(self, "min_part_of_mask", "min_vote_share", "min_view_share", "trusted_score")


class ObjectMap:
    """All objects of one map. One worker writes it; readers get the immutable records."""

    def __init__(self, config: MappingConfig, same_name: SameName) -> None:
        self.config = config
        self.same_name = same_name
        self.objects: dict[int, MapObject] = {}
        self.ownership = Ownership.empty(0)
        self.cloud: SceneCloud | None = None
        self._next_id = 1

    def follow(self, cloud: SceneCloud) -> None:
        """Move on to a newer extraction of the scene cloud; what was owned stays owned."""
        if self.cloud is None:
            self.ownership = Ownership.empty(len(cloud))
        elif cloud is not self.cloud:
            self.ownership = self.ownership.carried_to(self.cloud.xyz, cloud.xyz, self.config.carry_radius_m)
        self.cloud = cloud

    def associate(self, lifted: Sequence[LiftedMask], seen: ViewIncidence, stamp_s: float) -> None:
        """Place the masks of one view, largest first, on the objects they show; begin new objects for the rest."""
        visible = visible_counts(self.ownership.owner, seen, self._next_id)
        names = {id_: name for id_ in np.flatnonzero(visible).tolist() if (name := self.name(id_)) is not None}
        known = {id_: self.objects[id_].embedding() for id_ in np.flatnonzero(visible).tolist()}
        looks = {id_: look for id_, look in known.items() if look is not None}
        before = self.ownership.owner
        for mask in sorted(lifted, key=lambda mask: -len(mask.points)):
            object_id = match_mask(mask, before, visible, names, looks, self.config.association)
            if object_id == UNCLEAR:
                continue
            if object_id == NEW:
                object_id = self._begin_object()
            self.objects[object_id].observations.append(_observation(mask, stamp_s))
            self.ownership = self.ownership.claim(mask.points, object_id)
        self._forget_ownerless()

    def refine(self, lifted: Sequence[LiftedMask], seen: Incidence, stamps_s: Sequence[float]) -> None:
        """Look at the masks of all views again, lifted onto the present cloud, and redraw the objects.

        Args:
            lifted: the masks of all views; `mask.view` indexes `seen` and `stamps_s`.
        """
        if self.cloud is None:
            raise RuntimeError("refine() needs a cloud: call follow() first")
        points = len(self.cloud)
        cluster = cluster_masks(lifted, seen, points, self.config.consensus)
        votes = vote_owners(
            lifted, cluster, points, named_weight=self.config.named_weight, min_share=self.config.min_vote_share
        )
        votes, members = self._cut_apart(votes, lifted, cluster)
        old_id = {(o.view, o.mask): obj.id for obj in self.objects.values() for o in obj.observations}
        ids = self._inherit_ids(members, old_id)
        ids = {g: id_ for g, id_ in ids.items() if self._has_evidence(members[g], votes.owner == g, seen)}
        self.objects = {
            id_: MapObject(id_, [_observation(mask, stamps_s[mask.view]) for mask in members[g]])
            for g, id_ in ids.items()
        }
        lookup = np.full(int(votes.owner.max(initial=-1)) + 2, NOBODY, np.int32)  # the last entry serves -1
        for g, id_ in ids.items():
            lookup[g] = id_
        self.ownership = Ownership(lookup[votes.owner], votes.votes)

    def records(self) -> tuple[ObjectRecord, ...]:
        """Every object that owns enough points, by id."""
        if self.cloud is None:
            return ()
        points_of = self.ownership.points_of()
        return tuple(
            obj.record(self.cloud.xyz[points_of[id_]], self.config.naming, self.same_name)
            for id_, obj in sorted(self.objects.items())
            if len(points_of.get(id_, ())) >= self.config.min_points
        )

    def _cut_apart(
        self, votes: Ownership, lifted: Sequence[LiftedMask], cluster: Int64[ndarray, " masks"]
    ) -> tuple[Ownership, dict[int, list[LiftedMask]]]:
        """Make things of what hangs together, each with its masks.

        Far parts of a cluster are things of their own, and crumbs are nobody's.
        """
        assert self.cloud is not None
        owner = np.full_like(votes.owner, NOBODY)
        members: dict[int, list[LiftedMask]] = {}
        for id_, points in votes.points_of().items():
            part = connected_parts(self.cloud.xyz[points], self.config.part_gap_m)
            parts = int(np.count_nonzero(np.bincount(part) >= self.config.min_points))  # the largest come first
            first = len(members)
            owner[points] = np.where(part < parts, first + part, NOBODY)
            members |= {first + p: [] for p in range(parts)}
            for index in np.flatnonzero(cluster == id_).tolist():
                mask = lifted[index]
                of_mask = owner[mask.points] - first
                shown = np.bincount(of_mask[(of_mask >= 0) & (of_mask < parts)], minlength=parts)
                for p in np.flatnonzero(shown >= self.config.min_part_of_mask * len(mask.points)):
                    members[first + int(p)].append(mask)
        return Ownership(owner, votes.votes), {g: masks for g, masks in members.items() if masks}

    def _has_evidence(self, masks: Sequence[LiftedMask], points: ndarray, seen: Incidence) -> bool:
        """Whether enough of the views that see the object masked it."""
        enough = 0.3 * np.count_nonzero(points)
        could_see = sum(np.count_nonzero(points[seen.view(v).points]) >= enough for v in range(len(seen)))
        did = len({mask.view for mask in masks})
        named = any(mask.label is not None and mask.score >= self.config.trusted_score for mask in masks)
        return bool(did >= self.config.min_view_share * could_see and (did >= 2 or could_see <= 1 or named))

    def _inherit_ids(
        self, members: Mapping[int, Sequence[LiftedMask]], old_id: Mapping[tuple[int, int], int]
    ) -> dict[int, int]:
        """Each group keeps the id that most of its masks had; the larger claim wins where two want one id."""
        claims = Counter(
            (group, id_)
            for group, masks in members.items()
            for mask in masks
            if (id_ := old_id.get((mask.view, mask.mask))) is not None
        )
        ids: dict[int, int] = {}
        taken: set[int] = set()
        for (group, id_), _ in claims.most_common():
            if group not in ids and id_ not in taken:
                ids[group] = id_
                taken.add(id_)
        for group in members:
            if group not in ids:
                ids[group] = self._new_id()
        return ids

    def _begin_object(self) -> int:
        id_ = self._new_id()
        self.objects[id_] = MapObject(id_)
        return id_

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def name(self, object_id: int) -> str | None:
        """What the views call the object; None where they do not agree on a name."""
        label, _ = vote_name(self.objects[object_id].observations, self.config.naming, self.same_name)
        return None if label == UNNAMED else label

    def _forget_ownerless(self) -> None:
        """Objects that lost every point to others are gone."""
        alive = set(np.unique(self.ownership.owner).tolist())
        self.objects = {id_: obj for id_, obj in self.objects.items() if id_ in alive}


def _observation(mask: LiftedMask, stamp_s: float) -> Observation:
    return Observation(
        view=mask.view,
        mask=mask.mask,
        stamp_s=stamp_s,
        score=mask.score,
        label=mask.label,
        embedding=mask.embedding,
    )
