"""In the manner of MaskClustering (Yan, Zhang, Zhu, Wang, CVPR 2024): masks that most views hold in one mask are one.

    masks ─► which views see each, and in which mask ─► under-segmented ones go ─► clusters, best observed pairs first
          ─► far parts apart, points that few masks hold go, what lies in another goes

This is the published method with its published settings. Our own map grew out of the same idea and has further rules
(`ovseg3r_core/mapping/consensus.py`); nothing is shared with it, so that the two can be compared.

Where it differs from the original: masks reach points by our lifting, not by a ball query round the depth pixels.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import open3d as o3d
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.types import SceneCloud
from ovseg3r_train.baselines.evidence import found_instances, mask_matrix, membership
from ovseg3r_train.scene import FoundInstances, LabelledScene


@dataclass(frozen=True, kw_only=True)
class MaskClusteringConfig:
    """The settings of the original."""

    min_visible: Annotated[float, Within(0.0, 1.0)] = 0.3
    """A view sees a mask when its own masks cover this share of its points ..."""
    surely_visible: Annotated[int, Within(1, 1_000_000)] = 500
    """... or this many of them."""
    min_contained: Annotated[float, Within(0.0, 1.0)] = 0.8
    """A mask of a view contains another when it has more than this share of the points that the view's masks cover."""
    max_split: Annotated[float, Within(0.0, 1.0)] = 0.3
    """A mask that more than this share of the views splits is under-segmented."""
    min_consensus: Annotated[float, Within(0.0, 1.0)] = 0.9
    """Masks merge when this share of the views that see both contain both in one mask."""
    split_m: Annotated[float, Within(0.001, 10.0)] = 0.1
    """Parts of a cluster further apart than this are instances of their own (DBSCAN, 4 points)."""
    min_detected: Annotated[float, Within(0.0, 1.0)] = 0.5
    """A point stays when more than this share of the masked views of it hold it in a mask of the cluster."""
    max_inside: Annotated[float, Within(0.0, 1.0)] = 0.8
    """An instance with more than this share of its points in another goes."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class Nodes:
    """Masks, later clusters of masks, and what the views say of them."""

    visible: Float64[ndarray, "nodes views"]
    """1 where a view sees the node and contains it in one mask."""
    contained: sparse.csr_array
    """(nodes, masks): 1 where the mask contains the node."""
    members: sparse.csr_array
    """(nodes, masks): 1 where the mask belongs to the node."""

    def merged(self, group: Int64[ndarray, " nodes"]) -> "Nodes":
        """The nodes of each group as one: seen where any is seen, contained where any is contained."""
        pool = sparse.csr_array((np.ones(len(group)), (group, np.arange(len(group)))))
        return Nodes(np.minimum(pool @ self.visible, 1), _ones(pool @ self.contained), pool @ self.members)

    def __getitem__(self, chosen: Bool[ndarray, " nodes"]) -> "Nodes":
        return Nodes(self.visible[chosen], self.contained[chosen], self.members[chosen])


@dataclass(frozen=True)
class Part:
    """A connected part of a cluster: its points and its masks."""

    points: Int64[ndarray, " members"]
    masks: list[int]


def mask_clustering_style(scene: LabelledScene, config: MaskClusteringConfig | None = None) -> FoundInstances:
    """Cluster the masks of all views by the consensus of the views, and turn clusters into instances."""
    config = config or MaskClusteringConfig()
    if not scene.lifted:
        return FoundInstances.empty()
    masks = mask_matrix(scene.lifted, len(scene.cloud))
    view_of = np.array([mask.view for mask in scene.lifted])
    nodes, whole = ask_views(masks, view_of, len(scene.views), config)
    if not whole.any():
        return FoundInstances.empty()
    thresholds = observer_thresholds(nodes.visible)
    nodes = cluster(nodes[whole], thresholds, config.min_consensus)
    parts = _parts(scene.cloud, nodes, masks, view_of, config)
    parts = without_contained(parts, len(scene.cloud), config.max_inside)
    return found_instances(scene, [part.points for part in parts], [part.masks for part in parts])


def ask_views(
    masks: sparse.csr_array, view_of: Int64[ndarray, " masks"], views: int, config: MaskClusteringConfig
) -> tuple[Nodes, Bool[ndarray, " masks"]]:
    """What every view says of every mask, and which masks are not under-segmented.

    Args:
        masks: (masks, points).
    """
    count = len(view_of)
    asked = ~_shared_in_a_view(masks, view_of, views)
    judged = sparse.csr_array(masks @ sparse.diags_array(asked.astype(np.float32)))
    shared = sparse.csr_array(judged @ judged.T).tocoo()
    of, by, view = shared.row, shared.col, view_of[shared.col]
    covered, most = np.zeros((count, views)), np.zeros((count, views))
    np.add.at(covered, (of, view), shared.data)
    np.maximum.at(most, (of, view), shared.data)
    sees = (covered >= config.min_visible * judged.sum(axis=1)[:, None]) | (covered >= config.surely_visible)
    sees &= covered > 0
    holds = sees & (most > config.min_contained * covered)
    whole = sees.any(axis=1) & ((sees & ~holds).sum(axis=1) <= config.max_split * sees.sum(axis=1))

    containing = holds[of, view] & (shared.data == most[of, view])
    mistaken = containing & ~whole[by]  # to be held by an under-segmented mask says nothing
    holds[of[mistaken], view[mistaken]] = False
    containing &= whole[by]
    links = (of[containing], by[containing])
    contained = sparse.csr_array((np.ones(len(links[0])), links), (count, count))
    return Nodes(holds.astype(np.float64), contained, sparse.csr_array(sparse.eye_array(count))), whole


def _shared_in_a_view(
    masks: sparse.csr_array, view_of: Int64[ndarray, " masks"], views: int
) -> Bool[ndarray, " points"]:
    """The points that several masks of one view claim: they lie on rims and are not asked about."""
    times = _by_view(masks, view_of, views)
    return (times.max(axis=0) > 1).toarray().ravel()


def _by_view(masks: sparse.csr_array, view_of: Int64[ndarray, " masks"], views: int) -> sparse.csr_array:
    """How many masks of each view hold each point: (views, points)."""
    pool = sparse.csr_array(
        (np.ones(len(view_of), np.float32), (view_of, np.arange(len(view_of)))), (views, len(view_of))
    )
    return sparse.csr_array(pool @ masks)


def observer_thresholds(visible: Float64[ndarray, "masks views"]) -> list[float]:
    """How many views must see both of a pair, round by round: the 95th to the 0th percentile over all pairs."""
    observers = (visible @ visible.T).ravel()
    observers = observers[observers > 0]
    if not len(observers):
        return []
    percentiles = np.arange(95, -5, -5)
    thresholds = []
    for percentile, threshold in zip(percentiles, np.percentile(observers, percentiles), strict=True):
        if threshold <= 1 and percentile < 50:
            break
        thresholds.append(max(float(threshold), 1.0))
    return thresholds


def cluster(nodes: Nodes, thresholds: list[float], min_consensus: float) -> Nodes:
    """Merge what the views agree on, in rounds, pairs with the most observers first."""
    for threshold in thresholds:
        supporters = (nodes.contained @ nodes.contained.T).tocoo()
        i, j = supporters.row, supporters.col
        observers = (nodes.visible @ nodes.visible.T)[i, j]
        agree = (observers >= threshold) & (supporters.data >= min_consensus * (observers + 1e-7)) & (i != j)
        links = sparse.coo_array((np.ones(agree.sum()), (i[agree], j[agree])), supporters.shape)
        nodes = nodes.merged(connected_components(links, directed=False)[1].astype(np.int64))
    return nodes


def _parts(
    cloud: SceneCloud,
    nodes: Nodes,
    masks: sparse.csr_array,
    view_of: Int64[ndarray, " masks"],
    config: MaskClusteringConfig,
) -> list[Part]:
    """The connected parts of the clusters of two and more masks, without the points that few masks hold."""
    masked = _by_view(masks, view_of, nodes.visible.shape[1]).toarray() > 0
    parts = []
    for node in np.flatnonzero(nodes.members.sum(axis=1) >= 2):
        members = nodes.members[[node]].indices
        points = np.unique(masks[members].indices)
        views = np.flatnonzero(nodes.visible[node])
        inside = masks[members][:, points]
        held = (_by_view(inside, view_of[members], len(masked)).toarray()[views] > 0).sum(axis=0)
        detected = held > config.min_detected * masked[np.ix_(views, points)].sum(axis=0)
        part = dbscan(cloud.xyz[points], config.split_m)
        shows = inside @ sparse.csr_array((np.ones(len(part)), (np.arange(len(part)), part)))  # (members, parts)
        part_of_mask = shows.toarray().argmax(axis=1)
        for p in range(int(part.max()) + 1):
            kept, shown_by = points[(part == p) & detected], members[part_of_mask == p]
            if len(kept) and len(shown_by) >= 2:
                parts.append(Part(kept, shown_by.tolist()))
    return parts


def dbscan(xyz: Float32[ndarray, "points 3"], radius_m: float, min_points: int = 4) -> Int64[ndarray, " points"]:
    """The part that each point lies in, numbered from 0; strays that hang on nothing are a part together."""
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(xyz.astype(np.float64)))
    label = np.asarray(cloud.cluster_dbscan(radius_m, min_points), dtype=np.int64)
    return label - label.min()


def without_contained(parts: list[Part], points: int, max_inside: float) -> list[Part]:
    """Of two parts of which one lies mostly in the other, the latter; one after the other, as in the original."""
    extents = membership([part.points for part in parts], points)
    size = np.array([len(part.points) for part in parts])
    inside = (extents @ extents.T).toarray() > max_inside * size[:, None]
    gone = np.zeros(len(parts), bool)
    for i in range(len(parts)):
        later = (np.arange(len(parts)) > i) & ~gone
        if not gone[i]:
            gone |= later & inside[:, i] & ~inside[i]
            gone[i] = (later & inside[i]).any()
    return [part for part, is_gone in zip(parts, gone, strict=True) if not is_gone]


def _ones(matrix: sparse.csr_array) -> sparse.csr_array:
    matrix = sparse.csr_array(matrix)
    matrix.data = np.minimum(matrix.data, 1)
    return matrix
