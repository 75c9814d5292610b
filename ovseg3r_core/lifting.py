"""Masks to partial 3D labels: the masks of one view are carried onto the points that view sees (method 6.2).

    masks ─► one id a pixel ─► edges eroded, depth jumps cut ─► onto points ─► stray parts dropped ─► lifted masks

Which mask a pixel goes to is decided in `overlaps.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.mask_ids import as_rim
from ovseg3r_core.overlaps import OverlapConfig, id_image
from ovseg3r_core.reconstruction.depth_edges import depth_edges
from ovseg3r_core.reconstruction.incidence import Incidence, IncidenceConfig, see_points
from ovseg3r_core.types import LiftedMask, Mask, MaskTag, SceneCloud, ViewIncidence
from ovseg3r_core.views import OpenView


@dataclass(frozen=True, kw_only=True)
class LiftingConfig:
    """How masks are cleaned on their way onto points; lengths suit a cloud of 2 cm voxels."""

    overlap: OverlapConfig = field(default_factory=OverlapConfig)
    """How masks that overlap in one image are told apart."""
    jump_ratio: Annotated[float, Within(0.001, 1.0)] = 0.05
    """Pixels beside a depth jump of this share belong to no mask: their outline is a few pixels off there."""
    erosion_ratio: Annotated[float, Within(0.0, 1.0)] = 0.05
    """Pixels taken off the rim of a mask, against the square root of its area; at most max_erosion_px."""
    max_erosion_px: Annotated[int, Within(0, 20)] = 2
    """Most pixels taken off a rim: a cup 20 pixels wide loses one, a chair two, a 15 pixel thing none."""
    link_m: Annotated[float, Within(0.001, 1.0)] = 0.06
    """Points of a mask further apart than one to two of these belong to different parts."""
    part_ratio: Annotated[float, Within(0.0, 1.0)] = 0.25
    """Parts smaller than this share of the largest are dropped."""
    part_depth_m: Annotated[float, Within(0.001, 10.0)] = 0.15
    """Parts that lie this far in front of or behind the largest part's own span of depth are dropped."""
    min_points: Annotated[int, Within(1, 10_000)] = 12
    """A lifted mask with fewer points is dropped; a cup at 2 m has 20 to 30."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def lift(
    masks: Sequence[Mask],
    seen: ViewIncidence,
    cloud: SceneCloud,
    depth_m: Float32[ndarray, "height width"],
    view: int,
    config: LiftingConfig | None = None,
) -> list[LiftedMask]:
    """The masks of one view as sets of scene points; no point is in two of them.

    Args:
        seen: what the view sees of the cloud.
        depth_m: the depth image of the view, 0 where there is no reading.
        view: the index that the lifted masks carry.
    """
    config = config or LiftingConfig()
    return carry(clean_ids(masks, depth_m, config), masks, seen, cloud, depth_m, view, config)


def lift_views(
    views: Iterable[OpenView], cloud: SceneCloud, incidence: IncidenceConfig, config: LiftingConfig
) -> tuple[Incidence, list[LiftedMask]]:
    """What each of some views sees of a cloud, and their masks carried onto it."""
    seen, lifted = [], []
    for view in views:
        points, masks = lift_view(view, cloud, incidence, config)
        seen.append(points)
        lifted += masks
    return Incidence.build(seen), lifted


def lift_view(
    view: OpenView, cloud: SceneCloud, incidence: IncidenceConfig, config: LiftingConfig
) -> tuple[ViewIncidence, list[LiftedMask]]:
    """What one view sees of a cloud, and its masks carried onto it."""
    seen = see_points(cloud.xyz, view, incidence)
    return seen, carry(view.ids, view.tags, seen, cloud, view.depth_m, view.index, config)


def clean_ids(
    masks: Sequence[Mask], depth_m: Float32[ndarray, "height width"], config: LiftingConfig
) -> Int32[ndarray, "height width"]:
    """The half of lifting that the cloud has no part in: the mask each pixel surely belongs to, -1 for none.

    What was taken off the rim of mask i is -2 - i.
    """
    jumps = depth_edges(depth_m, config.jump_ratio)
    ids = id_image(masks, jumps, config.overlap)
    sure = ~jumps & (erode(ids, len(masks), config) >= 0)
    return np.where(sure | (ids < 0), ids, as_rim(ids))


def carry(
    ids: Int32[ndarray, "height width"],
    masks: Sequence[Mask] | Sequence[MaskTag],
    seen: ViewIncidence,
    cloud: SceneCloud,
    depth_m: Float32[ndarray, "height width"],
    view: int,
    config: LiftingConfig,
) -> list[LiftedMask]:
    """The other half: clean pixels onto the points of a cloud, again whenever the cloud is a new one.

    Args:
        ids: for each pixel a place in `masks`, or less, from `clean_ids`.
    """
    column, row = seen.pixels.T
    of_point = ids[row, column]
    mask_of_point = drop_stray_parts(of_point, cloud.xyz[seen.points], depth_m[row, column], config)
    rim_of_point = as_rim(of_point)
    counts = np.bincount(mask_of_point[mask_of_point >= 0], minlength=len(masks))
    return [
        LiftedMask(
            view=view,
            mask=source,
            points=np.sort(seen.points[mask_of_point == source]),
            score=masks[source].score,
            label=masks[source].label,
            embedding=masks[source].embedding,
            rim=np.sort(seen.points[rim_of_point == source]),
        )
        for source in np.flatnonzero(counts >= config.min_points).tolist()
    ]


def erode(ids: Int32[ndarray, "height width"], n_masks: int, config: LiftingConfig) -> Int32[ndarray, "height width"]:
    """Take the rim off each mask of an id image, in proportion to its size."""
    area = np.bincount(ids[ids >= 0], minlength=n_masks)
    radius_of_mask = np.minimum(config.erosion_ratio * np.sqrt(area), config.max_erosion_px).astype(np.int32)
    radius = np.where(ids >= 0, np.append(radius_of_mask, 0)[ids], 0)
    image = ids.astype(np.float32)  # the widest type that both filters take
    for r in range(1, config.max_erosion_px + 1):
        window = np.ones((2 * r + 1, 2 * r + 1), dtype=np.uint8)
        rim = cv2.dilate(image, window) != cv2.erode(image, window)
        ids = np.where(rim & (radius >= r), -1, ids)
    return ids


def drop_stray_parts(
    mask_of_point: Int32[ndarray, " pairs"],
    xyz: Float32[ndarray, "pairs 3"],
    depth_m: Float32[ndarray, " pairs"],
    config: LiftingConfig,
) -> Int32[ndarray, " pairs"]:
    """Keep of each mask its largest connected part, and those that a thin thing in front has cut off from it.

    Such a cut-off part is large too and lies at the same depth. What a mask caught of the wall behind its object,
    through the back of a chair say, is neither connected nor at that depth.
    """
    labelled = np.flatnonzero(mask_of_point >= 0)
    if not len(labelled):
        return mask_of_point
    mask, depth_m = mask_of_point[labelled], depth_m[labelled]
    part = connected_parts(mask, xyz[labelled], config.link_m)
    size = np.bincount(part)
    owner, nearest, furthest = np.zeros_like(size), np.full(size.shape, np.inf), np.zeros(size.shape)
    owner[part] = mask
    np.minimum.at(nearest, part, depth_m)
    np.maximum.at(furthest, part, depth_m)
    middle = np.bincount(part, weights=depth_m) / size

    largest = np.zeros(int(mask.max()) + 1, dtype=np.int64)
    order = np.argsort(size, kind="stable")
    largest[owner[order]] = order  # the last to be written stays
    main = largest[owner]
    kept = (
        (size >= config.part_ratio * size[main])
        & (middle >= nearest[main] - config.part_depth_m)
        & (middle <= furthest[main] + config.part_depth_m)
    )
    cleaned = mask_of_point.copy()
    cleaned[labelled[~kept[part]]] = -1
    return cleaned


def connected_parts(
    mask: Int32[ndarray, " members"], xyz: Float32[ndarray, "members 3"], link_m: float
) -> Int32[ndarray, " members"]:
    """Part number of each point: points of one mask whose cells of size `link_m` touch, corners included."""
    cell = np.floor(xyz / link_m).astype(np.int64)
    cell -= cell.min(axis=0) - 1
    shape = cell.max(axis=0) + 2  # an empty layer on each side: no neighbour wraps round
    stride = np.array([shape[1] * shape[2], shape[2], 1])
    keys, cell_of_point = np.unique(mask * np.prod(shape) + cell @ stride, return_inverse=True)
    source, target = _touching(keys, stride)
    graph = coo_array((np.ones(len(source), dtype=bool), (source, target)), shape=(len(keys), len(keys)))
    part_of_cell = connected_components(graph, directed=False)[1]
    return part_of_cell[cell_of_point]


def _touching(
    keys: Int64[ndarray, " cells"], stride: Int64[ndarray, "3"]
) -> tuple[Int64[ndarray, " edges"], Int64[ndarray, " edges"]]:
    """Pairs of occupied cells among the 26 neighbours, each pair once; keys are sorted."""
    offsets = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1], [-1, 0, 1], indexing="ij"), axis=-1).reshape(-1, 3) @ stride
    sources, targets = [], []
    for offset in offsets[offsets > 0]:
        place = np.minimum(np.searchsorted(keys, keys + offset), len(keys) - 1)
        source = np.flatnonzero(keys[place] == keys + offset)
        sources.append(source)
        targets.append(place[source])
    return np.concatenate(sources), np.concatenate(targets)
