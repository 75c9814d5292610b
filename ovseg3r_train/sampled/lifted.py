"""Partial labels of drawn views, two ways: true instances lifted on the device, or any `MaskProposer` on the CPU.

Proposers see images of the full size, drawn ones enlarged: what they do to masks, and what lifting does to them, is
meant in pixels of the full size. Only outlines are as coarse as the drawn images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt16
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.lifting import LiftingConfig, carry, clean_ids
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import Camera, Frame, LiftedMask, SceneCloud
from ovseg3r_train.sampled.incidence import SeenPairs
from ovseg3r_train.sampled.zbuffer import DrawnViews

_STAMP_S = 0.1  # between views


@dataclass(frozen=True, kw_only=True)
class FullImages:
    """Drawn views as a proposer wants them: one frame at a time, enlarged to the camera's own size."""

    views: DrawnViews
    measured_m: Float32[Tensor, "views height width"]
    camera: Camera
    T_map_camera: Float64[ndarray, "views 4 4"]

    def frame(self, view: int) -> Frame:
        """A view as a frame."""
        return Frame(
            index=view,
            stamp_s=view * _STAMP_S,
            color=self._enlarged(self.views.color(view)),
            depth_m=self._enlarged(self.measured_m[view].cpu().numpy()),
            camera=self.camera,
            T_map_camera=self.T_map_camera[view],
        )

    def instances(self, view: int) -> UInt16[ndarray, "height width"]:
        """Instance ids of a view; 0 for walls, floor, ceiling and nothing."""
        return self._enlarged(self.views.instance[view].cpu().numpy().astype(np.uint16))

    def _enlarged(self, image: ndarray) -> ndarray:
        factor = self.camera.width // self.views.camera.width
        return image.repeat(factor, axis=0).repeat(factor, axis=1)


def lift_proposed(
    images: FullImages, proposer: MaskProposer, seen: Incidence, cloud: SceneCloud, config: LiftingConfig
) -> tuple[LiftedMask, ...]:
    """What a proposer finds in each view, carried onto the cloud as the core does it."""
    lifted: list[LiftedMask] = []
    for view in range(len(seen)):
        frame = images.frame(view)
        masks = proposer.propose(frame, np.zeros(frame.depth_m.shape, dtype=bool))
        ids = clean_ids(masks, frame.depth_m, config)
        lifted += carry(ids, masks, seen.view(view), cloud, frame.depth_m, view, config)
    return tuple(lifted)


def lift_true(
    views: DrawnViews, seen: SeenPairs, names: Mapping[int, str], config: LiftingConfig, min_pixels: int = 100
) -> tuple[LiftedMask, ...]:
    """The true outlines, their rims eroded, carried onto points without leaving the device.

    Args:
        names: name by instance id; ids without one are left out.
        min_pixels: smaller visible parts are left out, in pixels of the full image.
    """
    ids = max(names, default=0) + 1
    named = torch.zeros(ids, dtype=torch.bool, device=seen.view.device)
    named[list(names)] = True
    instance = torch.where(views.instance < ids, views.instance, 0)
    factor = seen.camera.width // views.camera.width
    view_of_pixel = torch.arange(len(views), device=named.device)[:, None, None].expand_as(instance)
    area_px = torch.bincount((view_of_pixel * ids + instance).view(-1), minlength=len(views) * ids) * factor**2
    key = seen.view * ids + instance[seen.view, seen.row // factor, seen.column // factor]
    inside = named[key % ids] & (area_px[key] >= min_pixels) & ~_on_rim(views, seen, area_px[key], config)
    return _grouped(key[inside], seen.point[inside], ids, names, config.min_points)


def _on_rim(
    views: DrawnViews, seen: SeenPairs, area_px: Int64[Tensor, " pairs"], config: LiftingConfig
) -> Bool[Tensor, " pairs"]:
    """Which pairs lie within the eroded rim of their mask, or beside a depth jump."""
    factor = seen.camera.width // views.camera.width
    height, width = views.depth_m.shape[1:]
    row, column = seen.row // factor, seen.column // factor
    inverse, instance = 1 / views.depth_m, views.instance
    here, mine = inverse[seen.view, row, column], instance[seen.view, row, column]
    radius_px = (config.erosion_ratio * area_px.double().sqrt()).clamp(max=config.max_erosion_px).long()
    rim = torch.zeros_like(mine, dtype=torch.bool)
    inner_row, inner_column = seen.row % factor, seen.column % factor
    for down, right, distance_px in (
        (-1, 0, inner_row),
        (1, 0, factor - 1 - inner_row),
        (0, -1, inner_column),
        (0, 1, factor - 1 - inner_column),
    ):
        beside = seen.view, (row + down).clamp(0, height - 1), (column + right).clamp(0, width - 1)
        jump = (inverse[beside] - here).abs() > factor * config.jump_ratio / 2 * torch.minimum(inverse[beside], here)
        rim |= (jump & (distance_px < 1)) | ((instance[beside] != mine) & (distance_px < radius_px))
    return rim


def _grouped(
    key: Int64[Tensor, " members"],
    point: Int64[Tensor, " members"],
    ids: int,
    names: Mapping[int, str],
    min_points: int,
) -> tuple[LiftedMask, ...]:
    """One lifted mask for each view and instance, in order; pairs come sorted by view and point."""
    key, order = torch.sort(key, stable=True)
    keys, counts = torch.unique_consecutive(key, return_counts=True)
    points, ends = point[order].cpu().numpy(), np.cumsum(counts.cpu().numpy())
    return tuple(
        LiftedMask(view=k // ids, mask=k % ids, points=points[first:end], score=1.0, label=names[k % ids])
        for k, first, end in zip(keys.tolist(), [0, *ends[:-1].tolist()], ends.tolist(), strict=False)
        if end - first >= min_points
    )


def instances_of(views: DrawnViews, sample: Int64[Tensor, " points"]) -> Int32[ndarray, " points"]:
    """Instance id of the sample of each point; -1 for walls, floor, ceiling and nothing."""
    instance = views.samples.instance[sample.clamp(min=0)]
    return torch.where((sample >= 0) & (instance > 0), instance, -1).to(torch.int32).cpu().numpy()
