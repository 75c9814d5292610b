"""In the manner of OVIR-3D (Lu, Chang, Jing, Boularias, Bekris, CoRL 2023): masks join instances view by view.

    each view: its masks go to the instance they overlap most and that has their name, else begin a new one
    now and then, and at the end: points rarely masked go, small instances go, what overlaps and has one name merges
    last: the largest connected part of each

An instance counts, for each point, how many of its masks held it.

Where it differs from the original: a mask's feature is its name as a unit vector, in place of CLIP's, and an instance's
feature the sum of those, so that the cosine of the original says how far the names agree; without a name nothing is
known, and everything agrees with it. The original filters and merges every 300 frames of a video, we every 30 views,
as a keyframe comes about every tenth frame; and not after the very first one, which empties the map.
"""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int64
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.types import SceneCloud
from ovseg3r_train.baselines.evidence import found_instances, mask_matrix
from ovseg3r_train.baselines.mask_clustering import dbscan
from ovseg3r_train.scene import FoundInstances, LabelledScene


@dataclass(frozen=True, kw_only=True)
class Ovir3dConfig:
    """The settings of the original."""

    min_iou: Annotated[float, Within(0.0, 1.0)] = 0.25
    """A mask and an instance, or two instances, with this overlap may be one."""
    min_inside: Annotated[float, Within(0.0, 1.0)] = 0.5
    """An instance with this share of its points in another may be part of it."""
    min_similarity: Annotated[float, Within(0.0, 1.0)] = 0.75
    """Cosine of the names that both need besides."""
    min_mask_points: Annotated[int, Within(1, 100_000)] = 25
    """Smaller masks are not used."""
    min_detected: Annotated[float, Within(0.0, 1.0)] = 0.2
    """A point stays when the instance's masks held it in this share of the views that saw it."""
    min_points: Annotated[int, Within(0, 100_000)] = 50
    """Instances must have more points than this."""
    interval: Annotated[int, Within(1, 100_000)] = 30
    """Views between two rounds of filtering and merging."""
    link_m: Annotated[float, Within(0.001, 10.0)] = 0.1
    """Points closer than this hang together."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class _Fusion:
    """The instances so far."""

    counts: sparse.csr_array
    """(instances, points): how many masks of the instance held the point."""
    names: Float64[ndarray, "instances classes"]
    """How many masks of the instance had each name."""
    members: list[list[int]]

    def joined(self, group: Int64[ndarray, " instances"]) -> "_Fusion":
        """The instances of each group as one."""
        groups = int(group.max(initial=-1)) + 1
        pool = sparse.csr_array((np.ones(len(group)), (group, np.arange(len(group)))), (groups, len(group)))
        members: list[list[int]] = [[] for _ in range(groups)]
        for of, masks in zip(group.tolist(), self.members, strict=True):
            members[of] += masks
        return _Fusion(sparse.csr_array(pool @ self.counts), pool @ self.names, members)

    def only(self, kept: Bool[ndarray, " instances"]) -> "_Fusion":
        """Some of the instances."""
        members = [masks for masks, keep in zip(self.members, kept, strict=True) if keep]
        return _Fusion(self.counts[kept], self.names[kept], members)

    def with_masks(self, of: Int64[ndarray, " masks"], masks: "_Fusion") -> "_Fusion":
        """More masks, each a member of the instance given; -1 begins a new one."""
        new = of < 0
        of = np.where(new, len(self.members) + np.cumsum(new) - 1, of)
        both = _Fusion(
            sparse.csr_array(sparse.vstack([self.counts, masks.counts])),
            np.concatenate([self.names, masks.names]),
            self.members + masks.members,
        )
        return both.joined(np.concatenate([np.arange(len(self.members)), of]))


def ovir3d_style(scene: LabelledScene, config: Ovir3dConfig | None = None) -> FoundInstances:
    """Fuse the masks of the views one after the other."""
    config = config or Ovir3dConfig()
    masks = _masks(scene)
    sizes = masks.counts.sum(axis=1)
    view_of = np.array([mask.view for mask in scene.lifted], dtype=np.int64)
    fused, views_of_point = masks.only(np.zeros(len(sizes), bool)), np.zeros(len(scene.cloud))
    for view in range(len(scene.views)):
        visible = np.zeros(len(scene.cloud))
        visible[scene.seen.view(view).points] = 1
        views_of_point += visible
        new = masks.only((view_of == view) & (sizes >= config.min_mask_points))
        fused = fused.with_masks(_matches(new, fused, visible, config), new)
        if view == len(scene.views) - 1 or (view > 0 and view % config.interval == 0):
            fused = _merged(_filtered(fused, views_of_point, sizes, config), config)
    if not fused.members:
        return FoundInstances.empty()
    extents = np.split(fused.counts.indices, fused.counts.indptr[1:-1])  # the last round left no empty one
    points = [_largest_part(scene.cloud, extent, config.link_m) for extent in extents]
    kept = [i for i, members in enumerate(points) if len(members) > config.min_points]
    return found_instances(scene, [points[i] for i in kept], [fused.members[i] for i in kept])


def _masks(scene: LabelledScene) -> _Fusion:
    """Every mask as an instance of its own."""
    classes = sorted({mask.label for mask in scene.lifted if mask.label is not None})
    names = np.zeros((len(scene.lifted), len(classes)))
    for i, mask in enumerate(scene.lifted):
        if mask.label is not None:
            names[i, classes.index(mask.label)] = 1
    return _Fusion(mask_matrix(scene.lifted, len(scene.cloud)), names, [[i] for i in range(len(scene.lifted))])


def _matches(
    masks: _Fusion, fused: _Fusion, visible: Float64[ndarray, " points"], config: Ovir3dConfig
) -> Int64[ndarray, " masks"]:
    """The instance that each mask joins, -1 for none; overlap is counted on what the view sees."""
    if not len(masks.members) or not len(fused.members):
        return np.full(len(masks.members), -1)
    extent = _occupied(fused.counts)
    shared = (masks.counts @ extent.T).toarray()
    iou = shared / (masks.counts.sum(axis=1)[:, None] + (extent @ visible)[None] - shared)
    fits = (iou >= config.min_iou) & (_similarity(masks.names, fused.names) >= config.min_similarity)
    return np.where(fits.any(axis=1), np.where(fits, iou, -1).argmax(axis=1), -1)


def _filtered(
    fused: _Fusion,
    views_of_point: Float64[ndarray, " points"],
    mask_sizes: Float32[ndarray, " masks"],
    config: Ovir3dConfig,
) -> _Fusion:
    """Without points that the masks rarely held; then without instances no larger than their median mask."""
    counts = fused.counts.tocoo()
    often = counts.data >= config.min_detected * np.maximum(views_of_point[counts.col], 1)
    counts = sparse.csr_array((counts.data[often], (counts.row[often], counts.col[often])), counts.shape)
    size = np.diff(counts.indptr)
    median = np.array([np.median(mask_sizes[members]) for members in fused.members])
    return replace(fused, counts=counts).only((size > config.min_points) & (size > median))


def _merged(fused: _Fusion, config: Ovir3dConfig) -> _Fusion:
    """What overlaps and agrees in name as one."""
    extent = _occupied(fused.counts)
    size = extent.sum(axis=1)
    shared = (extent @ extent.T).toarray()
    overlap = shared / (size[:, None] + size - shared) >= config.min_iou
    overlap |= shared / size[:, None] >= config.min_inside
    one = overlap & (_similarity(fused.names, fused.names) >= config.min_similarity)
    return fused.joined(connected_components(one, directed=False)[1].astype(np.int64))


def _similarity(
    names: Float64[ndarray, "some classes"], others: Float64[ndarray, "others classes"]
) -> Float64[ndarray, "some others"]:
    """Cosine between the names of both; 1 where either has none."""
    norm, other_norm = np.linalg.norm(names, axis=1), np.linalg.norm(others, axis=1)
    cosine = names @ others.T / np.maximum(norm[:, None] * other_norm, 1e-9)
    return np.where((norm[:, None] > 0) & (other_norm > 0), cosine, 1.0)


def _occupied(counts: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(counts.data), np.float32), counts.indices, counts.indptr), counts.shape)


def _largest_part(cloud: SceneCloud, points: Int[ndarray, " members"], link_m: float) -> Int[ndarray, " _"]:
    part = dbscan(cloud.xyz[points], link_m, min_points=1)
    return points[part == np.bincount(part).argmax()]
