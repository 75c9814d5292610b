"""A look at the masks of all views together: which of them show one thing, and which points are its.

It reads only what it is given and changes nothing, so that it can run beside the mapping of new views; the
`ObjectMap` adopts the drawing when it is done.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int32, Int64
from numpy import ndarray

from ovseg3r_core.mapping.anchors import first_views
from ovseg3r_core.mapping.consensus import cluster_masks
from ovseg3r_core.mapping.fusion import Segmented, recognitions, with_instances
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.ownership import NOBODY, Ownership, connected_parts, vote_owners
from ovseg3r_core.mapping.recognition import Recognition
from ovseg3r_core.mapping.rims import with_rims, within_outlines
from ovseg3r_core.mapping.sighting import Sighting, sightings
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, SceneCloud

_PIECE_SHARE = 0.5  # a part of half the largest or more may be its neighbour, taken for one thing by every mask


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The things that all views together show, numbered from 0."""

    cloud: SceneCloud
    ownership: Ownership
    """The thing that owns each point of the cloud, -1 for none."""
    anchor: Int32[ndarray, " points"]
    """The first view that sees each point, -1 for none."""
    members: dict[int, list[LiftedMask]]
    """The masks that show each thing; none where only the segmenter found it."""
    sightings: dict[int, Sighting]
    """What the views made of each thing."""
    evident: frozenset[int]
    """The things that enough of the views that see them masked."""
    recognised: Mapping[int, Recognition] = field(default_factory=dict)
    """What the segmenter says of the things that it found too."""


def redraw(
    lifted: Sequence[LiftedMask],
    seen: Incidence,
    cloud: SceneCloud,
    config: MappingConfig,
    segmented: Segmented | None = None,
) -> Drawing:
    """Cluster the masks of all views by consensus, and let them vote on the points.

    Args:
        lifted: the masks of all views, on the points of `cloud`; `mask.view` indexes `seen`.
        segmented: what a learned segmenter found in the same cloud, which votes beside them (`fusion.py`).
    """
    real = seen
    if segmented is not None:
        lifted, seen = with_instances(lifted, seen, len(cloud), segmented)
    cluster = cluster_masks(lifted, seen, len(cloud), config.consensus)
    votes = vote_owners(lifted, cluster, len(cloud), named_weight=config.named_weight, min_share=config.min_vote_share)
    ownership, members = _cut_apart(votes, lifted, cluster, cloud, config)
    looks = real.looks(len(cloud))
    ownership = within_outlines(
        ownership, members, looks, cloud.xyz, reach_m=config.outline_m, min_share=config.min_vote_share
    )
    ownership = with_rims(ownership, cloud.xyz, config.rim_m)
    sighted = sightings(ownership.owner, members, seen)
    evident = frozenset(g for g, masks in members.items() if _is_evident(sighted[g], masks, config))
    return Drawing(
        cloud=cloud,
        ownership=ownership,
        anchor=first_views(real, len(cloud)),
        members={g: [mask for mask in masks if mask.view < len(real)] for g, masks in members.items()},
        sightings=sighted,
        evident=evident,
        recognised={} if segmented is None else recognitions(members, ownership.owner, real, segmented),
    )


def _cut_apart(
    votes: Ownership,
    lifted: Sequence[LiftedMask],
    cluster: Int64[ndarray, " masks"],
    cloud: SceneCloud,
    config: MappingConfig,
) -> tuple[Ownership, dict[int, list[LiftedMask]]]:
    """Make things of what hangs together, each with its masks.

    Far parts of a cluster are things of their own, and crumbs are nobody's. A smaller part that no mask shows without
    the largest is a piece of that, seen past something in front of it.
    """
    owner = np.full_like(votes.owner, NOBODY)
    members: dict[int, list[LiftedMask]] = {}
    for id_, points in votes.points_of.items():
        part = connected_parts(cloud.xyz[points], config.part_gap_m)
        parts = int(np.count_nonzero(np.bincount(part) >= config.min_points))  # the largest come first
        first = len(members)
        owner[points] = np.where(part < parts, first + part, NOBODY)
        members |= {first + p: [] for p in range(parts)}
        for index in np.flatnonzero(cluster == id_).tolist():
            mask = lifted[index]
            of_mask = owner[mask.points] - first
            shown = np.bincount(of_mask[(of_mask >= 0) & (of_mask < parts)], minlength=parts)
            for p in np.flatnonzero(shown >= config.min_part_of_mask * len(mask.points)):
                members[first + int(p)].append(mask)
        for piece in _pieces([members[first + p] for p in range(parts)], np.bincount(part)):
            owner[points[part == piece]] = first
            members[first + piece] = []
    return Ownership(owner, votes.votes), {g: masks for g, masks in members.items() if masks}


def _pieces(shown_by: Sequence[Sequence[LiftedMask]], sizes: Int64[ndarray, " parts"]) -> list[int]:
    """The parts that belong to the first and largest one; one mask alone is no witness.

    Args:
        shown_by: the masks that show each part.
    """
    of_largest = {(mask.view, mask.mask) for mask in shown_by[0]} if shown_by else set()
    if len(of_largest) < 2:
        return []
    return [
        p
        for p, masks in enumerate(shown_by)
        if p > 0 and sizes[p] < _PIECE_SHARE * sizes[0] and all((mask.view, mask.mask) in of_largest for mask in masks)
    ]


def _is_evident(sighting: Sighting, masks: Sequence[LiftedMask], config: MappingConfig) -> bool:
    """Whether enough of the views that see the thing masked it."""
    named = any(mask.label is not None and mask.score >= config.trusted_score for mask in masks)
    enough = sighting.masked >= config.min_view_share * sighting.seen
    return enough and (sighting.masked >= 2 or sighting.seen <= 1 or named)
