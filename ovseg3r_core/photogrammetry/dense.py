"""Depth of every image of a sparse model, and what of it other images confirm."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import back_project, invert, project, transform
from ovseg3r_core.photogrammetry.metric import depths
from ovseg3r_core.photogrammetry.selection import Selection
from ovseg3r_core.photogrammetry.sparse import SparseModel
from ovseg3r_core.photogrammetry.sweep import PosedImage, SweepConfig, sweep
from ovseg3r_core.sequences.calibration import undistort_color
from ovseg3r_core.types import Camera

_FEWEST_SHARED = 15  # points that two images share, to be compared
_GOOD_RAD, _WIDE_RAD = np.deg2rad(4.0), np.deg2rad(25.0)  # rays that meet so are told apart, and still look alike


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """How depth is made, and what is believed of it."""

    width_px: Annotated[int, Within(32, 4096)] = 320
    """Images are made this wide first; twice the width costs eight times the time."""
    others: Annotated[int, Within(1, 20)] = 4
    """Images that each is compared with."""
    agreeing: Annotated[int, Within(1, 20)] = 2
    """So many of the others must see a point at the same place."""
    tolerance: Annotated[float, Within(0.0001, 0.5)] = 0.02
    """What is the same place: a share of the depth."""
    sweep: SweepConfig = field(default_factory=SweepConfig)

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def estimate_depth(
    model: SparseModel,
    selection: Selection,
    folder: Path,
    config: DenseConfig,
    device: str = "cpu",
    on_image: Callable[[], object] = lambda: None,
) -> dict[int, Float32[ndarray, "height width"]]:
    """Confirmed depth by frame index, in the model's unit, 0 for none; images that share too little are left out.

    What the sweep finds is kept in `folder` and not made again after a run was cut.
    """
    images = {index: _image(model, selection, index, config.width_px) for index in model.poses}
    others = {index: neighbours(model, index, config.others) for index in model.poses}
    raw = {}
    for index, near in others.items():
        if near:
            kept = folder / f"{index:06d}.npy"
            raw[index] = _swept(kept, model, images, index, near, config.sweep, device)
        on_image()
    return {
        index: confirmed(images[index], depth, [(images[o], raw[o]) for o in others[index] if o in raw], config)
        for index, depth in raw.items()
    }


def neighbours(model: SparseModel, index: int, count: int) -> list[int]:
    """The images to compare one with: they share many points, seen from clearly different places."""
    mine = model.seen[index]
    scores = []
    for other, theirs in model.seen.items():
        shared = np.intersect1d(mine, theirs, assume_unique=True)
        if other == index or len(shared) < _FEWEST_SHARED:
            continue
        rays = [model.xyz[shared] - model.poses[i][:3, 3] for i in (index, other)]
        a, b = (ray / np.linalg.norm(ray, axis=1, keepdims=True) for ray in rays)
        angle = float(np.median(np.arccos(np.clip(np.sum(a * b, axis=1), -1, 1))))
        if angle < _WIDE_RAD:
            scores.append((len(shared) * min(angle / _GOOD_RAD, 1.0), other))
    return [other for _, other in sorted(scores, key=lambda it: (-it[0], it[1]))[:count]]


def confirmed(
    image: PosedImage,
    depth: Float32[ndarray, "height width"],
    others: list[tuple[PosedImage, Float32[ndarray, "_ _"]]],
    config: DenseConfig,
) -> Float32[ndarray, "height width"]:
    """The depth where enough of the others have a surface at the same place; 0 elsewhere."""
    agree = np.zeros(depth.size, np.int32)
    xyz = back_project(depth, image.camera).reshape(-1, 3)
    for other, theirs in others:
        uv, z = project(transform(invert(other.T_map_camera) @ image.T_map_camera, xyz), other.camera)
        height, width = theirs.shape
        column, row = (np.nan_to_num(np.rint(it), nan=-1).astype(np.int64) for it in uv.T)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        seen = np.where(inside, theirs[row.clip(0, height - 1), column.clip(0, width - 1)], 0)
        agree += (seen > 0) & (np.abs(seen - z) <= config.tolerance * z)
    enough = agree.reshape(depth.shape) >= min(config.agreeing, max(len(others), 1))
    return np.where(enough & (depth > 0), depth, np.float32(0))


def _swept(
    kept: Path,
    model: SparseModel,
    images: dict[int, PosedImage],
    index: int,
    near: list[int],
    config: SweepConfig,
    device: str,
) -> Float32[ndarray, "height width"]:
    if kept.exists():
        return np.load(kept)
    closest, furthest = _range(model, index)
    depth = sweep(images[index], [images[other] for other in near], closest, furthest, config, device)
    with atomic_write(kept) as part:
        np.save(part, depth)
    return depth


def _range(model: SparseModel, index: int) -> tuple[float, float]:
    """From where to where depth is looked for: as far as the points are that the image sees, and some more."""
    far = depths(model, index)
    closest, furthest = np.quantile(far[far > 0], [0.02, 0.98])
    return 0.7 * float(closest), 1.5 * float(furthest)


def _image(model: SparseModel, selection: Selection, index: int, width: int) -> PosedImage:
    grey = cv2.imread(str(selection.path(index)), cv2.IMREAD_GRAYSCALE)
    assert grey is not None, "selection wrote it"
    grey = undistort_color(grey, model.calibration)
    camera = model.calibration.camera(grey.shape[1], grey.shape[0])
    if width < grey.shape[1]:
        height = round(grey.shape[0] * width / grey.shape[1])
        camera = scaled(camera, width, height)
        grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    return PosedImage(grey=grey.astype(np.float32) / 255, camera=camera, T_map_camera=model.poses[index])


def scaled(camera: Camera, width: int, height: int) -> Camera:
    """The camera of the image made another size: pixel centres stay where they are in the scene."""
    across, down = width / camera.width, height / camera.height
    return Camera(
        fx=camera.fx * across,
        fy=camera.fy * down,
        cx=(camera.cx + 0.5) * across - 0.5,
        cy=(camera.cy + 0.5) * down - 0.5,
        width=width,
        height=height,
    )
