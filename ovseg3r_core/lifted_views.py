"""What all views see of a cloud that goes on growing, and their masks on it.

A look at all views needs both on the points of now. For a view that measured nothing near what was read again, the
points are the ones of before under other numbers; only the others are lifted anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt16
from numpy import ndarray

from ovseg3r_core.geometry import back_project, transform
from ovseg3r_core.lifting import LiftingConfig, lift_view
from ovseg3r_core.reconstruction.incidence import Incidence, IncidenceConfig
from ovseg3r_core.types import LiftedMask, SceneCloud, ViewIncidence
from ovseg3r_core.views import OpenView, View

_EVERY_PX = 4  # of a depth image, to know how far it reaches
_SLACK_M = 0.3  # beyond that: between its pixels, and as far as a point may lie from what was measured


@dataclass(frozen=True, kw_only=True)
class _Lifted:
    """One view on the cloud; 8 bytes a point that it sees."""

    view: View
    points: Int32[ndarray, " pairs"]
    pixels: UInt16[ndarray, "pairs 2"]
    masks: tuple[LiftedMask, ...]
    reach: Float32[ndarray, "2 3"]
    """The least and the greatest corner of all that the view measured, map frame, metres."""

    @classmethod
    def of(cls, view: View, opened: OpenView, seen: ViewIncidence, masks: Iterable[LiftedMask]) -> "_Lifted":
        return cls(
            view=view,
            points=seen.points.astype(np.int32),
            pixels=seen.pixels.astype(np.uint16),
            masks=tuple(masks),
            reach=_reach_of(opened),
        )

    @property
    def seen(self) -> ViewIncidence:
        return ViewIncidence(points=self.points.astype(np.int64), pixels=self.pixels.astype(np.int32))

    def renumbered(self, later: Int32[ndarray, " points"]) -> "_Lifted":
        """The same points by other numbers; the order stays, as unchanged blocks keep theirs."""

        def now(points: Int64[ndarray, " members"]) -> Int64[ndarray, " members"]:
            return later[points].astype(np.int64)

        masks = tuple(replace(mask, points=now(mask.points), rim=now(mask.rim)) for mask in self.masks)
        return replace(self, points=later[self.points], masks=masks)


class LiftedViews:
    """Keeps what was lifted from one look at all views to the next. For one thread."""

    def __init__(self) -> None:
        self._cloud = SceneCloud.empty()
        self._settings: tuple[IncidenceConfig, LiftingConfig] | None = None
        self._known: dict[int, _Lifted] = {}

    def lift(
        self, views: Sequence[View], cloud: SceneCloud, incidence: IncidenceConfig, config: LiftingConfig
    ) -> tuple[Incidence, list[LiftedMask]]:
        """What each view sees of a cloud, and all masks on it: as if all were lifted now."""
        kept = self._unchanged(views, cloud) if self._settings == (incidence, config) else {}
        known = {}
        for view in views:
            known[view.index] = kept.get(view.index) or _lifted_anew(view, cloud, incidence, config)
        self._cloud, self._known, self._settings = cloud, known, (incidence, config)
        return Incidence.build([it.seen for it in known.values()]), [m for it in known.values() for m in it.masks]

    def _unchanged(self, views: Sequence[View], cloud: SceneCloud) -> dict[int, _Lifted]:
        """What was lifted of views that nothing changed about, on the points of now."""
        before = self._cloud
        if before.blocks is None or cloud.blocks is None:
            return {}
        earlier = before.blocks.unchanged_in(cloud.blocks)
        later = np.full(len(before), -1, np.int32)
        later[earlier[earlier >= 0]] = np.flatnonzero(earlier >= 0)
        changed = np.concatenate([_corners(before, later < 0), _corners(cloud, earlier < 0)])
        same = [it for view in views if (it := self._known.get(view.index)) is not None and it.view is view]
        return {it.view.index: it.renumbered(later) for it in same if not _meets(it.reach, changed)}


def _lifted_anew(view: View, cloud: SceneCloud, incidence: IncidenceConfig, config: LiftingConfig) -> _Lifted:
    opened = view.open()
    seen, masks = lift_view(opened, cloud, incidence, config)
    return _Lifted.of(view, opened, seen, masks)


def _reach_of(view: OpenView) -> Float32[ndarray, "2 3"]:
    xyz = back_project(view.depth_m, view.camera)[::_EVERY_PX, ::_EVERY_PX]
    xyz = transform(view.T_map_camera, xyz[view.depth_m[::_EVERY_PX, ::_EVERY_PX] > 0])
    if not len(xyz):
        return np.array([[np.inf] * 3, [-np.inf] * 3], np.float32)
    return np.stack([xyz.min(axis=0) - _SLACK_M, xyz.max(axis=0) + _SLACK_M]).astype(np.float32)


def _corners(cloud: SceneCloud, changed: ndarray) -> Float32[ndarray, "blocks 2 3"]:
    """The least and the greatest corner of each block whose points changed."""
    assert cloud.blocks is not None
    held = cloud.blocks.sizes > 0
    starts = cloud.blocks.start[:-1][held]
    starts, ends = starts[changed[starts]], cloud.blocks.start[1:][held][changed[starts]]
    if not len(starts):
        return np.zeros((0, 2, 3), np.float32)
    points = np.concatenate([np.arange(a, b) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)])
    first = np.concatenate([[0], np.cumsum(ends - starts)[:-1]])
    xyz = cloud.xyz[points]
    return np.stack([np.minimum.reduceat(xyz, first), np.maximum.reduceat(xyz, first)], axis=1)


def _meets(reach: Float32[ndarray, "2 3"], boxes: Float32[ndarray, "boxes 2 3"]) -> bool:
    return bool(((boxes[:, 0] <= reach[1]) & (boxes[:, 1] >= reach[0])).all(axis=1).any())
