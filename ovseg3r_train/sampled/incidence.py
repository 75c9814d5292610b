"""The torch twin of `ovseg3r_core.reconstruction.incidence.see_points`: the same rule, many views at once.

The depth may come at a lower resolution than the camera has; pixels are always those of the camera.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.reconstruction.incidence import Incidence, IncidenceConfig
from ovseg3r_core.types import Camera
from ovseg3r_train.sampled.zbuffer import camera_from_map, to_cameras

_POINTS_AT_ONCE = 48_000_000  # points times views in one go on a GPU


@dataclass(frozen=True, kw_only=True)
class SeenPairs:
    """Which views see which points at which pixels, sorted by view and then by point, on a device."""

    view: Int64[Tensor, " pairs"]
    point: Int64[Tensor, " pairs"]
    column: Int64[Tensor, " pairs"]
    row: Int64[Tensor, " pairs"]
    camera: Camera
    views: int

    def incidence(self) -> Incidence:
        """The record as the rest of the project has it."""
        counts = torch.bincount(self.view, minlength=self.views).cpu().numpy()
        pixels = torch.stack([self.column, self.row], dim=1).to(torch.int32)
        return Incidence(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            points=self.point.cpu().numpy(),
            pixels=pixels.cpu().numpy(),
        )


def see_all(
    xyz: Float32[Tensor, "points 3"],
    depth_m: Float32[Tensor, "views height width"],
    T_map_camera: Float64[ndarray, "views 4 4"],
    camera: Camera,
    config: IncidenceConfig | None = None,
) -> SeenPairs:
    """For every view the points that project into its image and lie on the surface its depth measures there.

    Args:
        xyz: the scene cloud, map frame, metres.
        depth_m: depth along the optical axis, 0 for no reading; as large as the camera's images, or a whole number of
            times smaller.
    """
    config, views = config or IncidenceConfig(), len(depth_m)
    at_once = max(_POINTS_AT_ONCE // max(len(xyz), 1), 1) if xyz.device.type == "cuda" else 1
    R, t = camera_from_map(T_map_camera, xyz.device)
    found = [
        torch.stack(_see(xyz, depth_m[some], R[some], t[some], camera, config, some.start))
        for some in (slice(first, first + at_once) for first in range(0, views, at_once))
    ]
    empty = torch.zeros((4, 0), dtype=torch.int64, device=xyz.device)
    view, point, column, row = torch.cat([empty, *found], dim=1).unbind(0)
    return SeenPairs(view=view, point=point, column=column, row=row, camera=camera, views=views)


def _see(
    xyz: Float32[Tensor, "points 3"],
    depth_m: Float32[Tensor, "views height width"],
    R: Float32[Tensor, "views 3 3"],
    t: Float32[Tensor, "views 3"],
    camera: Camera,
    config: IncidenceConfig,
    first_view: int,
) -> tuple[Int64[Tensor, " pairs"], ...]:
    x, y, z = to_cameras(R, t, xyz)
    u = x / z * camera.fx + (camera.cx + 0.5)  # + 0.5: floor rounds to the nearest pixel
    v = y / z * camera.fy + (camera.cy + 0.5)
    edge = config.border_px
    inside = (z > 1e-3) & (u >= edge) & (u < camera.width - edge) & (v >= edge) & (v < camera.height - edge)
    view, point = inside.nonzero().unbind(1)
    column, row, z = u[inside].long(), v[inside].long(), z[inside]
    factor = camera.width // depth_m.shape[2]
    measured = depth_m[view, row // factor, column // factor]
    seen = (measured > 0) & ((z - measured).abs() <= config.tolerance_m + config.tolerance_ratio * measured)
    return view[seen] + first_view, point[seen], column[seen], row[seen]
