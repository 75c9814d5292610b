"""2D features for the segmenter (method 1.1): of points through the incidence, of objects by their masks.

feature maps of views ─► at the pixels that see a point, bilinear ─► mean over its views ─► early fusion
lifted masks ─► a point in the middle of each, its embedding ─► what queries attend to
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch.nn.functional import grid_sample

from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, SceneCloud


def point_features(
    maps: Sequence[Float32[ndarray, "channels _ _"]],
    image_sizes: Sequence[tuple[int, int]],
    seen: Incidence,
    points: int,
) -> Float32[ndarray, "points channels"]:
    """The mean, over the views that see a point, of a feature map at the point's pixel; 0 where no view sees it.

    Args:
        maps: one a view, of any resolution; each covers its whole image.
        image_sizes: width and height of each view's image, pixels.

    Raises:
        ValueError: there is not one map and one size for each view.
    """
    if not len(maps) == len(image_sizes) == len(seen):
        raise ValueError(f"{len(maps)} feature maps and {len(image_sizes)} image sizes for {len(seen)} views")
    channels = len(maps[0]) if maps else 0
    sums, counts = np.zeros((points, channels), np.float32), np.zeros(points, np.float32)
    for number, (features, size) in enumerate(zip(maps, image_sizes, strict=True)):
        view = seen.view(number)
        # A pixel's centre is at whole coordinates; grid_sample's -1 and 1 are the outer edges of the image.
        at = torch.from_numpy((view.pixels + 0.5) / np.array(size) * 2 - 1).float()
        sampled = grid_sample(
            torch.from_numpy(features)[None], at[None, None], align_corners=False, padding_mode="border"
        )
        sums[view.points] += sampled[0, :, 0].T.numpy()
        counts[view.points] += 1
    return sums / np.maximum(counts, 1)[:, None]


def object_features(
    lifted: Sequence[LiftedMask], cloud: SceneCloud
) -> tuple[Float32[ndarray, "objects channels"], Float32[ndarray, "objects 3"]]:
    """The embeddings of the lifted masks that have one, and a place for each: its point nearest to their mean."""
    looks = [(mask.embedding, mask.points) for mask in lifted if mask.embedding is not None]
    if not looks:
        return np.zeros((0, 1), np.float32), np.zeros((0, 3), np.float32)
    return np.stack([look for look, _ in looks]), np.stack([_middle(cloud.xyz[points]) for _, points in looks])


def _middle(xyz: Float32[ndarray, "members 3"]) -> Float32[ndarray, "3"]:
    return xyz[((xyz - xyz.mean(axis=0)) ** 2).sum(axis=1).argmin()]
