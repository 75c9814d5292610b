"""Depth of every image of a sparse model: a sweep, what other images confirm of it, and planes where it has gaps.

Twice it is held against that of other images, before planes are fitted to it and after: what too few of them agree on
is dropped, and where it has gaps, what they agree on is taken. The second time matters most for what comes after, since
masks are carried to the points that an image has depth for.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.photogrammetry.agreement import completed, confirmed
from ovseg3r_core.photogrammetry.metric import depths
from ovseg3r_core.photogrammetry.planar import PlanarConfig, planes_filled
from ovseg3r_core.photogrammetry.selection import Selection
from ovseg3r_core.photogrammetry.sparse import SparseModel
from ovseg3r_core.photogrammetry.sweep import PosedImage, SweepConfig, sweep
from ovseg3r_core.sequences.calibration import undistort_color
from ovseg3r_core.types import Camera

Depths = dict[int, Float32[ndarray, "height width"]]
"""Depth images by frame index, in the model's unit, 0 for none."""

_FEWEST_SHARED = 15  # points that two images share, to be compared
_FEWEST_SEEN = 5  # and for one to confirm what the other has
_GOOD_RAD, _WIDE_RAD = np.deg2rad(4.0), np.deg2rad(25.0)  # rays that meet so are told apart, and still look alike


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """How depth is made, and what is believed of it."""

    width_px: Annotated[int, Within(32, 4096)] = 320
    """Images are made this wide first; twice the width costs eight times the time."""
    others: Annotated[int, Within(1, 20)] = 4
    """Images that each is compared with."""
    witnesses: Annotated[int, Within(1, 100)] = 12
    """Images that confirm its depth and close its gaps: they cost little, as each of them was swept anyway."""
    agreeing: Annotated[int, Within(1, 20)] = 2
    """So many of these must see the same place."""
    agreeing_in_plane: Annotated[int, Within(1, 20)] = 1
    """So many, of planes: they are held already by what was confirmed."""
    tolerance: Annotated[float, Within(0.0001, 0.5)] = 0.02
    """What is the same place: a share of the depth."""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    planar: PlanarConfig = field(default_factory=PlanarConfig)

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
) -> Depths:
    """The depth of every image; those that share too little are left out.

    What the sweep finds is kept in `folder` and not made again after a run was cut.
    """
    images = {index: _image(model, selection, index, config.width_px) for index in model.poses}
    swept, witnesses = {}, {}
    for index in images:
        others = neighbours(model, index)
        witnesses[index] = list(others)[: config.witnesses]
        if near := [it for it, shared in others.items() if shared >= _FEWEST_SHARED][: config.others]:
            kept = folder / f"{index:06d}.npy"
            swept[index] = _swept(kept, model, images, index, near, config.sweep, device)
        on_image()

    def together(step: Callable[..., Any], depths: Depths, agreeing: int) -> Depths:
        """Every image against its witnesses, as all of them are before the step."""
        others = {index: [(images[it], depths[it]) for it in witnesses[index] if it in depths] for index in depths}
        return {
            index: step(images[index], depth, others[index], agreeing, config.tolerance)
            for index, depth in depths.items()
        }

    sure = together(completed, together(confirmed, swept, config.agreeing), config.agreeing)
    flat = {index: planes_filled(images[index].grey, depth, config.planar) for index, depth in sure.items()}
    return together(completed, together(confirmed, flat, config.agreeing_in_plane), config.agreeing)


def neighbours(model: SparseModel, index: int) -> dict[int, int]:
    """The images to compare one with, best first, and how many points they share with it.

    The best share many points, seen from clearly different places.
    """
    mine, T, scores = model.seen[index], model.poses[index], []
    for other, theirs in model.seen.items():
        shared = np.intersect1d(mine, theirs, assume_unique=True)
        if other == index or len(shared) < _FEWEST_SEEN:
            continue
        rays = [model.xyz[shared] - pose[:3, 3] for pose in (T, model.poses[other])]
        a, b = (ray / np.linalg.norm(ray, axis=1, keepdims=True) for ray in rays)
        angle = float(np.median(np.arccos(np.clip(np.sum(a * b, axis=1), -1, 1))))
        if angle < _WIDE_RAD:
            scores.append((len(shared) * min(angle / _GOOD_RAD, 1.0), other, len(shared)))
    return {other: shared for _, other, shared in sorted(scores, key=lambda it: (-it[0], it[1]))}


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
