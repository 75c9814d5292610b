"""In the manner of Segment Anything 3D (SAM3D; Yang, Wu, He, Zhao, Liu, 2023): neighbouring views merge, two by two.

    masks of a view ─► groups on 5 cm voxels ─► views 1+2, 3+4, ... ─► pairs of pairs ─► ... ─► one ─► superpoints

Each voxel of a grouping meets the nearest one, within 7.5 cm, that the other grouping has seen. Groupings merge in both
directions: each group of one takes the number of the group of the other that it meets most, if that makes half of the
smaller of the two. In the end every superpoint goes to the group that it shares most points with, by the same rule.

Where it differs from the original: all views see points of one cloud, so that one grid of voxels serves all; and
superpoints that no group wants are left out, where the original makes each a group of its own (they have no mask, hence
no name and no score).
"""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import voxel_centres, voxel_keys
from ovseg3r_core.superpoints import SuperpointConfig, superpoints
from ovseg3r_train.baselines.evidence import found_instances, mask_matrix, membership
from ovseg3r_train.scene import FoundInstances, LabelledScene

Groups = Int64[ndarray, " voxels"]
"""The group of each voxel, from 0; or one of the following."""
NO_GROUP = -1
NOT_SEEN = -2

_STEPS = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 3)
_STEPS = _STEPS[np.argsort((_STEPS**2).sum(axis=1), kind="stable")][:19]
"""From a voxel to itself and to those at most 1.5 voxels away, which is 7.5 cm, the nearest first."""


@dataclass(frozen=True, kw_only=True)
class Sam3dConfig:
    """The settings of the original."""

    voxel_m: Annotated[float, Within(0.005, 0.5)] = 0.05
    """Voxels that groupings are compared on."""
    min_overlap: Annotated[float, Within(0.0, 1.0)] = 0.5
    """Groups are one when they share this much of the smaller of the two."""
    min_voxels: Annotated[int, Within(1, 100_000)] = 50
    """Smaller groups are dissolved before each merge."""
    min_points: Annotated[int, Within(1, 100_000)] = 20
    """Smaller groups are dissolved before superpoints go to them."""
    superpoints: SuperpointConfig = field(default_factory=lambda: SuperpointConfig(normals="given"))
    """The geometric superpoints; the original takes ScanNet's, made of the mesh and its normals by the same rule."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def sam3d_style(scene: LabelledScene, config: Sam3dConfig | None = None) -> FoundInstances:
    """Merge the masks of neighbouring views, two by two, and let superpoints clean the outcome."""
    config = config or Sam3dConfig()
    if not scene.lifted:
        return FoundInstances.empty()
    keys, voxel_of_point = np.unique(voxel_keys(scene.cloud.xyz, config.voxel_m), return_inverse=True)
    near = neighbourhood(keys, config.voxel_m)
    groupings = groups_of_views(scene, voxel_of_point)
    while len(groupings) > 1:
        pairs = [groupings[i : i + 2] for i in range(0, len(groupings), 2)]
        groupings = [merge(*pair, near, config) if len(pair) == 2 else pair[0] for pair in pairs]
    groups = without_small(groupings[0], config.min_voxels)[voxel_of_point]
    superpoint = superpoints(scene.cloud, config=config.superpoints)
    groups = snap(without_small(groups, config.min_points), superpoint, config)
    return _instances(scene, groups)


def groups_of_views(scene: LabelledScene, voxel_of_point: Int64[ndarray, " points"]) -> list[Groups]:
    """The masks of each view as groups of voxels."""
    voxels = int(voxel_of_point.max()) + 1
    groupings = [np.full(voxels, NOT_SEEN) for _ in scene.views]
    for view, groups in enumerate(groupings):
        groups[voxel_of_point[scene.seen.view(view).points]] = NO_GROUP
    for number, mask in enumerate(scene.lifted):
        groupings[mask.view][voxel_of_point[mask.points]] = number
    return [_numbered(groups) for groups in groupings]


def neighbourhood(keys: Int64[ndarray, " voxels"], voxel_m: float) -> Int64[ndarray, "voxels 19"]:
    """The occupied voxels about each one, itself first, the others by distance; the number of voxels where none is.

    Args:
        keys: packed voxels, sorted.
    """
    centres = voxel_centres(keys, voxel_m)
    sought = np.stack([voxel_keys(centres + step * np.float32(voxel_m), voxel_m) for step in _STEPS], axis=1)
    place = np.minimum(np.searchsorted(keys, sought), len(keys) - 1)
    return np.where(keys[place] == sought, place, len(keys))


def merge(first: Groups, second: Groups, near: Int64[ndarray, "voxels 19"], config: Sam3dConfig) -> Groups:
    """One grouping of what either has seen; where they still differ the first is right."""
    first, second = without_small(first, config.min_voxels), without_small(second, config.min_voxels)
    second = adopt(second, _met(second, first, near), group_sizes(first), config.min_overlap)
    first = adopt(first, _met(first, second, near), group_sizes(second), config.min_overlap)
    return _numbered(np.where(first == NOT_SEEN, second, first))


def _met(groups: Groups, others: Groups, near: Int64[ndarray, "voxels 19"]) -> Groups:
    """For each voxel that one grouping has seen, the group of the nearest one that the other has seen."""
    seen = np.flatnonzero(groups != NOT_SEEN)
    there = np.append(others, NOT_SEEN)[near[seen]]
    met = np.full_like(groups, NO_GROUP)
    met[seen] = np.maximum(there[np.arange(len(seen)), (there != NOT_SEEN).argmax(axis=1)], NO_GROUP)
    return met


def adopt(
    groups: Int64[ndarray, " n"], met: Int64[ndarray, " n"], met_sizes: Int64[ndarray, " others"], min_overlap: float
) -> Int64[ndarray, " n"]:
    """Groups under the number of the other grouping's group that they meet most, else under a new one.

    What has no group joins the group that it meets.

    Args:
        met: the group of the other grouping that each item meets, -1 for none.
        met_sizes: the size of each group of the other grouping.
    """
    sizes, others = group_sizes(groups), len(met_sizes)
    new_number = np.arange(len(sizes)) + others
    both = (groups >= 0) & (met >= 0)
    if both.any():
        pairs = np.bincount(groups[both] * others + met[both], minlength=len(sizes) * others)
        shared = pairs.reshape(len(sizes), others)
        best, most = shared.argmax(axis=1), shared.max(axis=1)
        agrees = (most > 0) & (most >= min_overlap * np.minimum(sizes, met_sizes[best]))
        new_number = np.where(agrees, best, new_number)
    adopted = groups.copy()
    adopted[groups >= 0] = new_number[groups[groups >= 0]]
    open_ = (groups == NO_GROUP) & (met >= 0)
    adopted[open_] = met[open_]
    return adopted


def group_sizes(groups: Int64[ndarray, " n"]) -> Int64[ndarray, " groups"]:
    """How often each group occurs."""
    return np.bincount(groups[groups >= 0], minlength=int(groups.max(initial=-1)) + 1)


def without_small(groups: Int64[ndarray, " n"], min_size: int) -> Int64[ndarray, " n"]:
    """The groups of at least this size."""
    small = np.append(group_sizes(groups) < min_size, [False, False])  # the last two are what -2 and -1 find
    return np.where(small[groups], NO_GROUP, groups)


def snap(
    groups: Int64[ndarray, " points"], superpoint: Int64[ndarray, " points"], config: Sam3dConfig
) -> Int64[ndarray, " points"]:
    """Give each superpoint as a whole to the group it overlaps most; -1 for those that no group wants."""
    snapped = adopt(superpoint, groups, group_sizes(groups), config.min_overlap)
    return np.where(snapped <= groups.max(initial=-1), snapped, NO_GROUP)


def _numbered(groups: Groups) -> Groups:
    """The same with numbers from 0, none left out."""
    number = np.cumsum(group_sizes(groups) > 0) - 1
    return np.where(groups >= 0, np.append(number, [0, 0])[groups], groups)


def _instances(scene: LabelledScene, groups: Int64[ndarray, " points"]) -> FoundInstances:
    """Groups with the masks that have at least half of their points there."""
    labels = np.unique(groups[groups >= 0])
    points = [np.flatnonzero(groups == label) for label in labels]
    masks = mask_matrix(scene.lifted, len(scene.cloud))
    inside = (membership(points, len(scene.cloud)) @ masks.T).toarray() >= 0.5 * np.maximum(masks.sum(axis=1), 1)
    return found_instances(scene, points, [np.flatnonzero(row).tolist() for row in inside])
