"""Which surface each point of a fused cloud belongs to, and with it the instance and the colour.

A point is given to the nearest of the samples that the views show at it. What no view shows (the far side of thin
things, where fusion makes a surface of its own) takes what its nearest neighbour has.
"""

import torch
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray
from scipy.spatial import KDTree
from torch import Tensor

from ovseg3r_train.sampled.incidence import SeenPairs
from ovseg3r_train.sampled.zbuffer import DISC_RADIUS, DrawnViews, camera_from_map, turned

REACH_M = 0.05  # as `ovseg3r_core.synthetic.truth` has it: what is further off belongs to nothing
_NONE = torch.iinfo(torch.int64).max


def nearest_samples(
    xyz: Float32[Tensor, "points 3"], seen: SeenPairs, views: DrawnViews, T_believed: Float64[ndarray, "views 4 4"]
) -> Int64[Tensor, " points"]:
    """The sample that each point is nearest to; -1 where none is within reach.

    Args:
        T_believed: T_map_camera of each view as the reconstruction has it. Point and sample are compared in the frame
            of the camera, so that drift of the poses does not come between them.
    """
    factor = seen.camera.width // views.camera.width
    sample = views.sample[seen.view, seen.row // factor, seen.column // factor].long()
    there = sample >= 0
    view, point, sample = seen.view[there], seen.point[there], sample[there]
    R_true, t_true = camera_from_map(views.T_map_camera, xyz.device)
    R, t = camera_from_map(T_believed, xyz.device)
    here = torch.stack(turned(R[view], xyz[point, None]), dim=-1)[:, 0] + t[view]
    surface = torch.stack(turned(R_true[view], views.samples.xyz[sample, None]), dim=-1)[:, 0] + t_true[view]
    normal = torch.stack(turned(R_true[view], views.samples.normal[sample, None]), dim=-1)[:, 0]
    off_m = _off_disc(here - surface, normal, DISC_RADIUS * views.samples.spacing_m[sample])
    keys = torch.full((len(xyz),), _NONE, device=xyz.device)
    keys.scatter_reduce_(0, point, off_m.view(torch.int32).long() << 32 | sample, "amin")
    near = (keys >> 32).clamp(max=2**31 - 1).to(torch.int32).view(torch.float32) <= REACH_M  # NaN where there is none
    return _spread(xyz, torch.where(near, keys & 0xFFFFFFFF, -1))


def _off_disc(
    off_m: Float32[Tensor, "pairs 3"], normal: Float32[Tensor, "pairs 3"], radius_m: Float32[Tensor, " pairs"]
) -> Float32[Tensor, " pairs"]:
    """How far points at `off_m` from the centres of discs are from the discs."""
    above = (off_m * normal).sum(dim=1)
    aside = (off_m.square().sum(dim=1) - above.square()).clamp(min=0).sqrt()
    return torch.hypot(above, (aside - radius_m).clamp(min=0))


def _spread(xyz: Float32[Tensor, "points 3"], sample: Int64[Tensor, " points"]) -> Int64[Tensor, " points"]:
    """Give points without a sample that of the nearest point with one, where it is within reach."""
    has, lacks = (sample >= 0).nonzero().squeeze(1), (sample < 0).nonzero().squeeze(1)
    if not len(has) or not len(lacks):
        return sample
    distance_m, nearest = KDTree(xyz[has].cpu().numpy()).query(xyz[lacks].cpu().numpy())
    nearest = torch.as_tensor(nearest, device=sample.device)
    within = torch.as_tensor(distance_m <= REACH_M, device=sample.device)
    return sample.index_put((lacks,), torch.where(within, sample[has][nearest], -1))
