"""Structure from motion: where images were taken from, and the points that they share, by COLMAP (pycolmap)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.focal import believed
from ovseg3r_core.photogrammetry.selection import Selection
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.colmap import CORNER_PX, ColmapRecording, calibration_of, load_pycolmap, read_model

_OFF_OF_WIDTH_PX = 640  # a pixel of an image that is less wide is more of the scene
_MODEL_KNOWN, _MODEL_UNKNOWN = "PINHOLE", "SIMPLE_RADIAL"


@dataclass(frozen=True, kw_only=True)
class SparseConfig:
    """How structure from motion is done."""

    features: Annotated[int, Within(100, 20_000)] = 2048
    """SIFT points an image at most."""
    contrast: Annotated[float, Within(0.0001, 0.1)] = 0.002
    """How far a point stands out from around it, in grey, 0 to 1; a room has few points that stand out by much."""
    off_px: Annotated[float, Within(0.1, 100.0)] = 4.0
    """So far may two images disagree of a point, of 640 pixels or more; of smaller images in proportion."""
    exhaustive_up_to: Annotated[int, Within(0, 10_000)] = 60
    """Of so few images every pair is matched; of more each with the ten that follow and with some far ahead."""
    fewest: Annotated[int, Within(2, 1000)] = 3
    """Images that a reconstruction has at least."""
    held_by: Annotated[int, Within(1, 1000)] = 5
    """Points that a camera, or a group of them, shares with the others at least; whom fewer hold is left out."""
    tracks_an_image: Annotated[int, Within(10, 100_000)] = 300
    """Points that images are placed by, each seen in several; more cost time and gain nothing."""
    threads: Annotated[int, Within(1, 1024)] = field(default=1, repr=False)
    """Threads of COLMAP; no part of what a kept result is known by, since it is not sought again for them."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class SparseModel:
    """Cameras and points of one reconstruction, in a frame and a unit of its own."""

    poses: dict[int, Float64[ndarray, "4 4"]]
    """T_model_camera by frame index, of the images that found their place."""
    xyz: Float64[ndarray, "points 3"]
    seen: dict[int, Int64[ndarray, " _"]]
    """Which points each of them sees."""
    calibration: Calibration
    """As it was given, or as the images tell."""
    intrinsics_known: bool
    reprojection_px: float
    """Root mean square of how far points are seen from where they should be."""
    focal_told: float
    """What the images say the focal length is over what it was taken to be: 1 where intrinsics are right."""


def structure_from_motion(
    selection: Selection, folder: Path, config: SparseConfig, on_step: Callable[[str], object] = lambda _: None
) -> SparseModel:
    """Match the selected images and solve for cameras and points.

    The database is left in `folder`; matching goes on from there if it was cut.

    Raises:
        ValueError: the images do not tell where they were taken from.
    """
    colmap = load_pycolmap()
    _quiet(colmap)
    colmap.set_random_seed(0)
    database = folder / "database.db"
    on_step("points of the images")
    _extract(colmap, database, selection, config)
    on_step("points that images share")
    _match(colmap, database, selection, config)
    on_step("cameras and points")
    found = _solve(colmap, database, selection, folder, config)
    if found is None or found.num_reg_images() < config.fewest:
        placed = found.num_reg_images() if found else 0
        raise ValueError(
            f"{placed} of {len(selection.stamps_s)} images fit together: without depth, images must overlap, show "
            "texture, and be taken from different places (a camera that only turns sees no depth)"
        )
    numbers = {selection.path(index).name: index for index in selection.stamps_s}
    return _model(colmap, found, numbers, intrinsics_known=selection.camera is not None)


def _extract(colmap: Any, database: Path, selection: Selection, config: SparseConfig) -> None:
    reader, options = colmap.ImageReaderOptions(), colmap.FeatureExtractionOptions()
    if (camera := selection.camera) is not None:
        numbers = (camera.fx, camera.fy, camera.cx + CORNER_PX, camera.cy + CORNER_PX)
        reader.camera_model, reader.camera_params = _MODEL_KNOWN, ",".join(repr(float(number)) for number in numbers)
    else:
        reader.camera_model = _MODEL_UNKNOWN
    options.num_threads, options.sift.max_num_features = config.threads, config.features
    options.sift.peak_threshold = config.contrast
    colmap.extract_features(
        database,
        selection.folder,
        image_names=[selection.path(index).name for index in selection.stamps_s],
        camera_mode=colmap.CameraMode.SINGLE,
        reader_options=reader,
        extraction_options=options,
    )


def _match(colmap: Any, database: Path, selection: Selection, config: SparseConfig) -> None:
    options = colmap.FeatureMatchingOptions()
    options.num_threads = config.threads
    geometry = colmap.TwoViewGeometryOptions()
    geometry.ransac.random_seed = 0
    geometry.ransac.max_error = config.off_px * min(selection.size[0] / _OFF_OF_WIDTH_PX, 1.0)
    how = colmap.match_exhaustive if len(selection.stamps_s) <= config.exhaustive_up_to else colmap.match_sequential
    how(database, matching_options=options, verification_options=geometry)


def _solve(colmap: Any, database: Path, selection: Selection, folder: Path, config: SparseConfig) -> Any:
    """The reconstruction with the most images; None where there is none."""
    options = colmap.GlobalPipelineOptions()
    options.num_threads, options.random_seed = config.threads, 0
    options.mapper.track_required_tracks_per_view = config.tracks_an_image
    adjust = options.mapper.bundle_adjustment
    adjust.refine_focal_length = adjust.refine_extra_params = selection.camera is None
    adjust.ceres.use_gpu = options.mapper.global_positioning.use_gpu = False
    models = folder / "models"
    models.mkdir(exist_ok=True)
    try:
        found = colmap.global_mapping(database, selection.folder, models, options)
    except (ValueError, RuntimeError):
        return None
    return max(found.values(), key=lambda model: model.num_reg_images(), default=None)


def exported_model(recording: ColmapRecording, selection: Selection, config: SparseConfig) -> SparseModel:
    """The model that an export came with, of the images that were selected; its lens distortion is removed from them.

    Raises:
        ValueError: it places too few of them.
    """
    colmap = load_pycolmap()
    found = read_model(recording.model)
    numbers = {name: index for name, index in recording.numbers.items() if index in selection.stamps_s}
    model = _model(colmap, found, numbers, intrinsics_known=True)
    model = replace(model, calibration=replace(model.calibration, distortion=(), model="plumb_bob"))
    if len(model.poses) < config.fewest:
        raise ValueError(f"{recording.name}: its model places {len(model.poses)} images that can be used")
    return model


def _model(colmap: Any, found: Any, numbers: Mapping[str, int], *, intrinsics_known: bool) -> SparseModel:
    """Our own arrays of it, before the focal length is asked for once more.

    Args:
        numbers: frame index by an image's name; of other images nothing is taken.
    """
    number = {point_id: i for i, point_id in enumerate(sorted(found.points3D))}
    poses, seen = {}, {}
    for image in found.images.values():
        if not image.has_pose or image.name not in numbers:
            continue
        T_camera_model = np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])
        poses[numbers[image.name]] = np.linalg.inv(T_camera_model)
        points = [number[point.point3D_id] for point in image.points2D if point.has_point3D()]
        seen[numbers[image.name]] = np.unique(np.array(points, np.int64))
    camera = next(iter(found.cameras.values()))
    xyz = np.array([found.points3D[point_id].xyz for point_id in number], np.float64).reshape(-1, 3)
    return SparseModel(
        poses=dict(sorted(poses.items())),
        xyz=xyz,
        seen=dict(sorted(seen.items())),
        calibration=calibration_of(camera),
        intrinsics_known=intrinsics_known,
        reprojection_px=float(found.compute_mean_reprojection_error()),
        focal_told=_focal_told(colmap, found) if intrinsics_known else 1.0,
    )


def _quiet(colmap: Any) -> None:
    """What goes wrong is told by its results, and by our own words."""
    colmap.logging.minloglevel = colmap.logging.Level.FATAL.value


def _focal_told(colmap: Any, found: Any) -> float:
    """By what the focal length is multiplied when the images may choose it, and gain by that."""
    before, off_px = _focal(found), _adjusted(colmap, found, free=False)
    off_told_px = _adjusted(colmap, found, free=True)
    return believed(_focal(found) / before, off_px, off_told_px)


def _adjusted(colmap: Any, found: Any, *, free: bool) -> float:
    """How far points are seen from where they should be, px, after an adjustment with a free focal length or not."""
    options, all_images = colmap.BundleAdjustmentOptions(), colmap.BundleAdjustmentConfig()
    options.refine_focal_length, options.refine_extra_params = free, False
    options.print_summary = False
    options.ceres.use_gpu, options.ceres.solver_options.max_num_iterations = False, 30
    _quiet(colmap)  # the mapper has turned its voice up again
    for image_id in found.reg_image_ids():
        all_images.add_image(image_id)
    all_images.fix_gauge(colmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    colmap.create_default_bundle_adjuster(options, all_images, found).solve()
    found.update_point_3d_errors()
    return float(found.compute_mean_reprojection_error())


def _focal(found: Any) -> float:
    return float(next(iter(found.cameras.values())).params[0])
