"""Superpoints that keep to the outlines of 2D masks: IBSp of the paper, on the neighbourhood graph of a cloud.

    points ─► nearest neighbours ─► normals ─► bending of each edge ─► edges cut by views ─► graph segmentation

The paper keeps an edge if both its points have the same mask, and leaves open how points of different views compare:
masks of different views are not associated. Our rule is that every view speaks for itself.

1. Two clusters join only if no view shows them in two different masks. It is asked at every join, so that no superpoint
   holds two masks of one view, not even by way of points that the view does not see.
2. An edge is cut where most views that say something say that its points are apart. A view says "apart" when it sees
   both and has them in different masks, or one in a mask and one in the background; it says "together" when it has both
   in one mask. Rims of masks are uncertain, so that one view alone decides nothing where others see more.
3. A view that does not see one of two points, or has both in the background, says nothing about them.

Superpoints that are too small join along their lightest edge that is not cut, slivers along their shortest edge, both
by rule 1 as well. Without masks this is the plain segmentation of the ScanNet segmentator.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.graph.bending import bending
from ovseg3r_core.graph.clustering import clusters
from ovseg3r_core.graph.edges import edges_of
from ovseg3r_core.graph.neighbours import nearest
from ovseg3r_core.graph.normals import surface_normals, unit_or_zero
from ovseg3r_core.graph.order import ordered_nodes
from ovseg3r_core.types import SceneCloud
from ovseg3r_core.view_labels import ViewLabels

MAX_POINTS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class SuperpointConfig:
    """The neighbourhood graph and how it is cut; there are no lengths in it, any cloud will do."""

    neighbours: Annotated[int, Within(1, 64)] = 8
    """Points that each point is linked to."""
    reach: Annotated[float, Within(1.0, 100.0)] = 2.5
    """Links longer than this many times the usual distance of the furthest neighbour are left out."""
    normals: Literal["fitted", "given"] = "fitted"
    """Of planes through a point and its neighbours; or what the cloud says, and fitted where it says nothing. Which
    side is up is the cloud's in both."""
    k: Annotated[float, Within(0.0, 100.0)] = 0.01
    """How much rougher than itself a superpoint may grow, over its size: smaller gives more of them. ScanNet's."""
    min_points: Annotated[int, Within(1, 100_000)] = 20
    """Smaller ones join a neighbour, as in ScanNet."""
    sliver_points: Annotated[int, Within(0, 100_000)] = 5
    """Still smaller ones join one even across the outline of a mask with the background."""
    cut_share: Annotated[float, Within(0.0, 1.0)] = 0.5
    """Edges are cut that more than this share of the views, of those that say something, tell apart; 1 cuts none."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def superpoints(
    cloud: SceneCloud, labels: ViewLabels | None = None, config: SuperpointConfig | None = None
) -> Int64[ndarray, " points"]:
    """The superpoint that each point belongs to, numbered from 0 without gaps.

    Permuting the points permutes the result and changes nothing else: numbers included.

    Args:
        labels: which mask of each view each point lies in; None for plain geometry.

    Raises:
        ValueError: a coordinate is not finite, there are more than ten million points, or labels of other points.
    """
    config = config or SuperpointConfig()
    labels = ViewLabels.none(len(cloud)) if labels is None else labels
    _check(cloud, labels)
    given = unit_or_zero(cloud.normal)
    nodes = ordered_nodes(cloud.xyz, given, labels.signature())
    xyz, given = cloud.xyz[nodes.point], given[nodes.point]
    near, distance_m = nearest(xyz, config.neighbours)
    edges = edges_of(near, distance_m, config.reach)
    normal = surface_normals(xyz, given, nodes.count, near, edges, config.normals)
    cluster = clusters(
        edges,
        bending(xyz, normal, edges),
        outlines(labels, nodes.point[edges.a], nodes.point[edges.b], config.cut_share),
        nodes.count,
        labels.masks_of(nodes.point),
        k=config.k,
        min_points=config.min_points,
        sliver_points=config.sliver_points,
    )
    return cluster[nodes.of_point]


def outlines(
    labels: ViewLabels, a: Int64[ndarray, " edges"], b: Int64[ndarray, " edges"], cut_share: float
) -> Bool[ndarray, " edges"]:
    """Whether the outline of a mask runs between two points, as most views see it; for many pairs of points."""
    together, apart = labels.compare(a, b)
    return apart > cut_share * (together + apart)


def _check(cloud: SceneCloud, labels: ViewLabels) -> None:
    if len(cloud) > MAX_POINTS:
        raise ValueError(f"the cloud has {len(cloud)} points; superpoints are made of at most {MAX_POINTS}")
    if not np.isfinite(cloud.xyz).all():
        bad = (~np.isfinite(cloud.xyz)).any(axis=1).sum()
        raise ValueError(f"{bad} of {len(cloud)} points have coordinates that are not finite: leave them out")
    if len(labels) != len(cloud):
        raise ValueError(f"the cloud has {len(cloud)} points but the masks are of {len(labels)}")
