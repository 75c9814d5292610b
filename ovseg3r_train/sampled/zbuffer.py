"""Depth, colour and instance images of sampled surfaces, many views at once, without meshes or rays.

Each sample is a small disc in the plane of its triangle. A pixel whose ray meets the disc gets the depth of the meeting
point, so that flat surfaces have the depth a ray caster gives; the nearest disc of a pixel stays. Depth and sample are
packed into one integer, and one scattered minimum decides all pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.types import Camera
from ovseg3r_train.sampled.surface_samples import SurfaceSamples

NEAREST_M = 0.05  # what is closer to the camera is not drawn
DISC_RADIUS = 1.0  # in spacings; even samples would need 0.71, the samples of small triangles are less even
_WIDEST = 15  # pixels across the largest splat: 1 cm discs are closed from 0.2 m at 160 columns
_EMPTY = torch.iinfo(torch.int64).max
_POINTS_AT_ONCE = 24_000_000  # samples times views in one go on a GPU: about 2 GB


@dataclass(frozen=True, kw_only=True)
class DeviceSamples:
    """Surface samples in the memory of a device, as `SurfaceSamples` has them."""

    xyz: Float32[Tensor, "samples 3"]
    normal: Float32[Tensor, "samples 3"]
    color: UInt8[Tensor, "samples 3"]
    instance: Int32[Tensor, " samples"]
    spacing_m: Float32[Tensor, " samples"]

    @classmethod
    def of(cls, samples: SurfaceSamples, device: str | torch.device) -> "DeviceSamples":
        """Copy samples to a device."""
        return cls(
            xyz=torch.as_tensor(samples.xyz, device=device),
            normal=torch.as_tensor(samples.normal, device=device),
            color=torch.as_tensor(samples.color, device=device),
            instance=torch.as_tensor(samples.instance, device=device),
            spacing_m=torch.as_tensor(samples.spacing_m, device=device),
        )

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True, kw_only=True)
class DrawnViews:
    """What cameras see of the samples."""

    samples: DeviceSamples
    camera: Camera
    T_map_camera: Float64[ndarray, "views 4 4"]
    depth_m: Float32[Tensor, "views height width"]
    """Along the optical axis; 0 where nothing is."""
    sample: Int32[Tensor, "views height width"]
    """The sample that is seen, -1 where nothing is."""

    def __len__(self) -> int:
        return len(self.depth_m)

    @cached_property
    def instance(self) -> Int32[Tensor, "views height width"]:
        """Instance ids; 0 for walls, floor and nothing."""
        return torch.where(self.sample >= 0, self.samples.instance[self.sample.clamp(min=0).long()], 0)

    def color(self, view: int) -> UInt8[ndarray, "height width 3"]:
        """One view's colours without light and shadow."""
        sample = self.sample[view]
        return torch.where((sample >= 0)[..., None], self.samples.color[sample.clamp(min=0).long()], 0).cpu().numpy()


def smaller_camera(camera: Camera, factor: int) -> Camera:
    """The same field of view with pixels `factor` times as large.

    Raises:
        ValueError: the image cannot be divided into such pixels.
    """
    if camera.width % factor or camera.height % factor:
        raise ValueError(f"an image of {camera.width}x{camera.height} has no whole pixels {factor} times as large")
    return Camera(
        fx=camera.fx / factor,
        fy=camera.fy / factor,
        cx=(camera.cx + 0.5) / factor - 0.5,
        cy=(camera.cy + 0.5) / factor - 0.5,
        width=camera.width // factor,
        height=camera.height // factor,
    )


def camera_from_map(
    T_map_camera: Float64[ndarray, "views 4 4"], device: torch.device
) -> tuple[Float32[Tensor, "views 3 3"], Float32[Tensor, "views 3"]]:
    """Rotation and translation that take map coordinates into each camera."""
    R = T_map_camera[:, :3, :3].transpose(0, 2, 1)
    t = -np.einsum("vij,vj->vi", R, T_map_camera[:, :3, 3])
    return tuple(torch.as_tensor(part.astype(np.float32), device=device) for part in (R, t))  # pyright: ignore[reportReturnType]


def turned(
    R: Float32[Tensor, "rows 3 3"], xyz: Float32[Tensor, "#rows points 3"]
) -> tuple[Float32[Tensor, "rows points"], Float32[Tensor, "rows points"], Float32[Tensor, "rows points"]]:
    """Points turned by each rotation, as x, y and z.

    Written out: a matrix product would be rounded to ten bits in a training process that allows TF32 or autocasts.
    """
    x, y, z = xyz.unbind(-1)
    return tuple(R[:, i, 0, None] * x + R[:, i, 1, None] * y + R[:, i, 2, None] * z for i in range(3))  # pyright: ignore[reportReturnType]


def to_cameras(
    R: Float32[Tensor, "views 3 3"], t: Float32[Tensor, "views 3"], xyz: Float32[Tensor, "points 3"]
) -> tuple[Float32[Tensor, "views points"], Float32[Tensor, "views points"], Float32[Tensor, "views points"]]:
    """Camera coordinates x, y and z of all points in all views."""
    return tuple(along.add_(t[:, i, None]) for i, along in enumerate(turned(R, xyz[None])))  # pyright: ignore[reportReturnType]


def draw(
    samples: DeviceSamples, T_map_camera: Sequence[Float64[ndarray, "4 4"]], camera: Camera, far_m: float = 10.0
) -> DrawnViews:
    """Draw all views.

    Args:
        T_map_camera: the pose of each view.
        camera: intrinsics of the images wanted; 160x120 is enough for 2 cm voxels in rooms.
        far_m: what is further away is not drawn.

    Raises:
        ValueError: there is no view.
    """
    if not T_map_camera:
        raise ValueError("no views to draw: give at least one pose")
    poses, device = np.stack(T_map_camera), samples.xyz.device
    at_once = max(_POINTS_AT_ONCE // max(len(samples), 1), 1) if device.type == "cuda" else 1
    keys = torch.cat(
        [_nearest(samples, poses[i : i + at_once], camera, far_m) for i in range(0, len(poses), at_once)]
    ).view(len(poses), camera.height, camera.width)
    empty = keys == _EMPTY
    depth_m = (keys >> 32).to(torch.int32).view(torch.float32)
    return DrawnViews(
        samples=samples,
        camera=camera,
        T_map_camera=poses,
        depth_m=torch.where(empty, 0.0, depth_m),
        sample=torch.where(empty, -1, keys & 0xFFFFFFFF).to(torch.int32),
    )


def _nearest(
    samples: DeviceSamples, poses: Float64[ndarray, "views 4 4"], camera: Camera, far_m: float
) -> Int64[Tensor, " pixels"]:
    """Depth bits and sample of the nearest disc at each pixel of each view."""
    R, t = camera_from_map(poses, samples.xyz.device)
    view, sample, xyz = _in_sight(samples, R, t, camera, far_m)
    normal = torch.stack(turned(R[view], samples.normal[sample, None]), dim=-1)[:, 0]
    radius_m = DISC_RADIUS * samples.spacing_m[sample]
    keys = torch.full((len(poses) * camera.height * camera.width,), _EMPTY, device=xyz.device)
    for chosen, row, column in _pixels(xyz, radius_m, camera):
        depth_m, hit = _meet(xyz[chosen], normal[chosen], radius_m[chosen], row, column, camera)
        hit &= (row >= 0) & (row < camera.height) & (column >= 0) & (column < camera.width)
        hit_at = hit.nonzero().squeeze(1)
        chosen, row, column = chosen[hit_at], row[hit_at], column[hit_at]
        bits = depth_m[hit_at].view(torch.int32).long()  # of positive floats: in the order of the floats
        at = (view[chosen] * camera.height + row) * camera.width + column
        keys.scatter_reduce_(0, at, bits << 32 | sample[chosen], "amin")
    return keys


def _in_sight(
    samples: DeviceSamples,
    R: Float32[Tensor, "views 3 3"],
    t: Float32[Tensor, "views 3"],
    camera: Camera,
    far_m: float,
) -> tuple[Int64[Tensor, " found"], Int64[Tensor, " found"], Float32[Tensor, "found 3"]]:
    """View, sample and camera coordinates of what may show in the images."""
    x, y, z = to_cameras(R, t, samples.xyz)
    margin = DISC_RADIUS * samples.spacing_m
    inside = (z > NEAREST_M) & (z < far_m)
    for along, f, c, size in ((x, camera.fx, camera.cx, camera.width), (y, camera.fy, camera.cy, camera.height)):
        low, high = (-0.5 - c) / f, (size - 0.5 - c) / f
        inside &= (along > low * z - margin) & (along < high * z + margin)
    view, sample = inside.nonzero().unbind(1)
    return view, sample, torch.stack([x[inside], y[inside], z[inside]], dim=1)


def _pixels(
    xyz: Float32[Tensor, "found 3"], radius_m: Float32[Tensor, " found"], camera: Camera
) -> Iterator[tuple[Int64[Tensor, " some"], Int64[Tensor, " some"], Int64[Tensor, " some"]]]:
    """(which, row, column) of the pixels that discs may cover, once for each place in a window of each size."""
    z = xyz[:, 2]
    u = xyz[:, 0] / z * camera.fx + camera.cx
    v = xyz[:, 1] / z * camera.fy + camera.cy
    reach_px = radius_m * max(camera.fx, camera.fy) / z
    # A window of n pixels that is centred on a disc holds every pixel centre within (n - 1) / 2 of the disc's own.
    size = ((2 * reach_px).ceil().long() + 1).clamp(max=_WIDEST)
    size = torch.where(reach_px <= 0.5, 1, size)
    for n in range(1, int(size.max()) + 1 if len(size) else 0):
        chosen = (size == n).nonzero().squeeze(1)
        if not len(chosen):
            continue
        first_row = (v[chosen] - (n - 1) / 2).round().long()
        first_column = (u[chosen] - (n - 1) / 2).round().long()
        for place in range(n * n):
            yield chosen, first_row + place // n, first_column + place % n


def _meet(
    xyz: Float32[Tensor, "some 3"],
    normal: Float32[Tensor, "some 3"],
    radius_m: Float32[Tensor, " some"],
    row: Int64[Tensor, " some"],
    column: Int64[Tensor, " some"],
    camera: Camera,
) -> tuple[Float32[Tensor, " some"], Tensor]:
    """Depth at which the rays of pixels meet the planes of discs, and whether they meet the discs."""
    ray_x, ray_y = (column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy
    slope = normal[:, 0] * ray_x + normal[:, 1] * ray_y + normal[:, 2]
    depth_m = (normal * xyz).sum(dim=1) / slope  # infinite or NaN edge on, which no comparison takes for near
    off = (depth_m * ray_x - xyz[:, 0]) ** 2 + (depth_m * ray_y - xyz[:, 1]) ** 2 + (depth_m - xyz[:, 2]) ** 2
    return depth_m, (off <= radius_m**2) & (depth_m > NEAREST_M)
