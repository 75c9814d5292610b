"""What the segmenter is given: scenes, checked at this border and trusted inside, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from ovseg3r_core.checks import POSITION_LIMIT_M, Rejected
from ovseg3r_core.segmenter.decoder import ImageObjects
from ovseg3r_core.segmenter.morton import MAX_SCENES
from ovseg3r_core.segmenter.pooling import mean_by
from ovseg3r_core.segmenter.position import SceneBounds
from ovseg3r_core.types import SceneCloud

MAX_POINTS = 4_000_000
"""Of a batch: about 8 GB on a GPU. At 2 cm that is a flat of 40 rooms."""
MAX_SUPERPOINTS = 16_384
"""Of a scene: every one is a query that is compared with every other."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneInput:
    """One scene as tensors."""

    xyz: Float32[Tensor, "points 3"]
    color: Float32[Tensor, "points 3"]
    """-1 to 1."""
    superpoint: Int64[Tensor, " points"]
    """Numbered from 0 without gaps."""
    image: Float32[Tensor, "points image_channels"] | None = None
    """2D features of the pixels that see a point (early fusion)."""
    objects: Float32[Tensor, "objects object_channels"] | None = None
    """Features of what 2D models found, all views in one bag."""
    object_centre: Float32[Tensor, "objects 3"] | None = None

    @property
    def superpoints(self) -> int:
        """How many there are."""
        return int(self.superpoint.max()) + 1


def scene_input(
    cloud: SceneCloud,
    superpoint: Int[ndarray, " ids"],
    *,
    image: Float[ndarray, "image_rows image_channels"] | None = None,
    objects: Float[ndarray, "objects object_channels"] | None = None,
    object_centre: Float[ndarray, "object_centres 3"] | None = None,
) -> SceneInput:
    """A cloud and its superpoints as the segmenter takes them; further arguments as the fields of `SceneInput`.

    Raises:
        Rejected: `empty_cloud`, `too_many_points`, `bad_cloud`, `bad_superpoints` or `bad_features`.
    """
    check_cloud(cloud)
    _check_superpoints(superpoint, len(cloud))
    if (objects is None) != (object_centre is None):
        raise Rejected("bad_features", "2D objects need features and centres: one of them is missing")
    for name, rows, expected in (
        ("2D features of points", image, len(cloud)),
        ("features of 2D objects", objects, None if object_centre is None else len(object_centre)),
        ("centres of 2D objects", object_centre, None if objects is None else len(objects)),
    ):
        if rows is not None:
            _check_features(name, rows, expected)
    return SceneInput(
        xyz=torch.from_numpy(np.ascontiguousarray(cloud.xyz)),
        color=color_tensor(cloud.color),
        superpoint=torch.from_numpy(superpoint.astype(np.int64)),
        image=None if image is None else _tensor(image),
        objects=None if objects is None else _tensor(objects),
        object_centre=None if object_centre is None else _tensor(object_centre),
    )


def color_tensor(color: UInt8[ndarray, "points 3"]) -> Float32[Tensor, "points 3"]:
    """Colours as `SceneInput` has them, -1 to 1."""
    return torch.from_numpy(color.astype(np.float32) / np.float32(127.5) - 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Several scenes, one behind the other."""

    xyz: Float32[Tensor, "points 3"]
    features: Float32[Tensor, "points channels"]
    """Colour, place about the middle of its scene in metres, and 2D features where there are some."""
    scene: Int64[Tensor, " points"]
    superpoint: Int64[Tensor, " points"]
    """Row of a point's superpoint, the scenes padded to `most_superpoints` each."""
    superpoints: tuple[int, ...]
    """How many each scene has."""
    bounds: SceneBounds
    """The box round the points of each scene."""
    objects: ImageObjects | None

    @property
    def scenes(self) -> int:
        """How many there are."""
        return len(self.superpoints)

    @property
    def most_superpoints(self) -> int:
        """Of any scene: what the others are padded to."""
        return max(self.superpoints)

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device."""
        objects = self.objects and ImageObjects(
            features=self.objects.features.to(device),
            centre=self.objects.centre.to(device),
            real=self.objects.real.to(device),
        )
        return replace(
            self,
            xyz=self.xyz.to(device),
            features=self.features.to(device),
            scene=self.scene.to(device),
            superpoint=self.superpoint.to(device),
            bounds=SceneBounds(self.bounds.low.to(device), self.bounds.high.to(device)),
            objects=objects,
        )


def collate(scenes: Sequence[SceneInput]) -> Batch:
    """Scenes as one batch; each of them must bring the same kinds of features.

    Raises:
        ValueError: there is no scene, or there are too many, or some have features that others lack.
        Rejected: `too_many_points` in all.
    """
    if not 1 <= len(scenes) <= MAX_SCENES:
        raise ValueError(f"a batch of {len(scenes)} scenes; give 1 to {MAX_SCENES}")
    points = sum(len(scene.xyz) for scene in scenes)
    if points > MAX_POINTS:
        raise Rejected("too_many_points", f"a batch of {points} points; at most {MAX_POINTS}: give fewer scenes")
    most = max(scene.superpoints for scene in scenes)
    xyz = torch.cat([scene.xyz for scene in scenes])
    number = torch.cat([torch.full_like(scene.superpoint, i) for i, scene in enumerate(scenes)])
    middle = mean_by(xyz, number, len(scenes))
    features = [torch.cat([scene.color for scene in scenes]), xyz - middle[number]]
    images = [scene.image for scene in scenes if scene.image is not None]
    if images:
        if len(images) < len(scenes):
            raise ValueError(f"{len(images)} of {len(scenes)} scenes have 2D features; all or none must")
        features.append(torch.cat(images))
    return Batch(
        xyz=xyz,
        features=torch.cat(features, dim=1),
        scene=number,
        superpoint=torch.cat([scene.superpoint + i * most for i, scene in enumerate(scenes)]),
        superpoints=tuple(scene.superpoints for scene in scenes),
        bounds=SceneBounds(
            torch.stack([scene.xyz.amin(0) for scene in scenes]), torch.stack([scene.xyz.amax(0) for scene in scenes])
        ),
        objects=_collate_objects(scenes),
    )


def _collate_objects(scenes: Sequence[SceneInput]) -> ImageObjects | None:
    given = [(s.objects, s.object_centre) for s in scenes if s.objects is not None and s.object_centre is not None]
    if not given:
        return None
    if len(given) < len(scenes):
        raise ValueError(f"{len(given)} of {len(scenes)} scenes have 2D objects; all or none must")
    most = max(len(features) for features, _ in given)
    features = given[0][0].new_zeros(len(given), most, given[0][0].shape[1])
    centre, real = features.new_zeros(len(given), most, 3), torch.zeros(len(given), most, dtype=torch.bool)
    for i, (rows, places) in enumerate(given):
        features[i, : len(rows)], centre[i, : len(rows)], real[i, : len(rows)] = rows, places, True
    return ImageObjects(features=features, centre=centre, real=real)


def check_cloud(cloud: SceneCloud) -> None:
    """Raise `Rejected` for a cloud that is empty, too large, not finite or too far from the origin."""
    if not len(cloud):
        raise Rejected("empty_cloud", "the cloud has no points: there is nothing to segment")
    if len(cloud) > MAX_POINTS:
        raise Rejected(
            "too_many_points",
            f"the cloud has {len(cloud)} points; at most {MAX_POINTS} are segmented at once: thin it to one point a "
            "voxel, or cut it into parts",
        )
    if not np.isfinite(cloud.xyz).all():
        raise Rejected("bad_cloud", f"{(~np.isfinite(cloud.xyz)).any(axis=1).sum()} points are not finite")
    if (far := float(np.abs(cloud.xyz).max())) > POSITION_LIMIT_M:
        raise Rejected(
            "bad_cloud",
            f"a point lies {far:.3g} m from the origin; at most {POSITION_LIMIT_M:.0f} m: float32 has no centimetres "
            "out there, move the origin",
        )


def _check_superpoints(superpoint: Int[ndarray, " ids"], points: int) -> None:
    if len(superpoint) != points:
        raise Rejected("bad_superpoints", f"{len(superpoint)} superpoint ids for {points} points")
    if superpoint.min() < 0:
        raise Rejected("bad_superpoints", f"superpoint {superpoint.min()}: ids are 0 or more")
    most = int(superpoint.max()) + 1
    if most > MAX_SUPERPOINTS:
        raise Rejected(
            "bad_superpoints",
            f"there are {most} superpoints; at most {MAX_SUPERPOINTS} a scene: let smaller ones join (min_points)",
        )
    if missing := np.flatnonzero(np.bincount(superpoint, minlength=most) == 0).tolist():
        raise Rejected("bad_superpoints", f"no point has superpoint {missing[0]}: number them from 0 without gaps")


def _check_features(name: str, rows: Float[ndarray, "rows channels"], expected: int | None) -> None:
    if expected is not None and len(rows) != expected:
        raise Rejected("bad_features", f"{name}: {len(rows)} rows where {expected} are expected")
    if not np.isfinite(rows).all():
        raise Rejected("bad_features", f"{name}: {(~np.isfinite(rows)).any(axis=1).sum()} rows are not finite")


def _tensor(rows: Float[ndarray, "rows channels"]) -> Float32[Tensor, "rows channels"]:
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
