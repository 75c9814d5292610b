"""What MASt3R-SLAM (Murai et al. 2025) leaves in its logs: `SEQ.txt`, `SEQ.ply` and `keyframes/SEQ/TIME.png`.

It writes one cloud of all keyframes. A point came from the pixel of a keyframe that it projects to, whose colour it
has; so each keyframe's depth is found again. It is exact where the run was calibrated: points lie on rays of pixels.
"""

import logging
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import yaml
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_camera
from ovseg3r_core.geometry import invert, project, transform
from ovseg3r_core.learned.pixel_map import mast3r_map
from ovseg3r_core.learned.recording import LearnedRecording, NetworkView, Seen, settled
from ovseg3r_core.scene_files import read_cloud_ply
from ovseg3r_core.sequences.folder import read_calibration
from ovseg3r_core.sequences.images import read_color
from ovseg3r_core.sequences.trajectory_file import read_trajectory
from ovseg3r_core.types import Camera, SceneCloud

NEEDS = (
    "keyframes/SEQ/TIME.png, SEQ.txt and SEQ.ply, as MASt3R-SLAM logs them; the intrinsics.yaml of its --calib, or "
    "camera-intrinsics.txt (3x3) of the keyframe images; scale.txt (metres a unit) if known"
)
_SAME_COLOR = 3  # of 255: as much as rounding changes
_BEHIND = 0.03  # a point this much further away than the nearest one at its pixel is hidden by it
_FILLED = 0.05  # share of an image that must have depth; with wrong intrinsics hardly any point finds its colour

logger = logging.getLogger(__name__)


def recognises(path: Path) -> bool:
    """Whether the folder is a log with keyframes."""
    return (path / "keyframes").is_dir() and bool(_sequences(path))


def open_mast3r_slam(path: Path, frames: slice) -> LearnedRecording:
    """Open one log.

    Raises:
        ValueError: it holds several sequences, or there are no intrinsics.
    """
    sequences = _sequences(path)
    if len(sequences) != 1:
        raise ValueError(
            f"{path} holds the sequences {sequences}: leave one SEQ.txt with its SEQ.ply and keyframes/SEQ"
        )
    (name,) = sequences
    images = _keyframes(path / "keyframes" / name)
    if not images:
        raise ValueError(f"{path / 'keyframes' / name} holds no TIME.png")
    trajectory = read_trajectory(path / f"{name}.txt", max_gap_s=0.0)
    cloud = read_cloud_ply(path / f"{name}.ply")
    camera = _camera(path, images[0][1])
    views = []
    for index, (stamp_s, image) in enumerate(images):
        try:
            T = trajectory.at(round(stamp_s * 1e9))
        except Rejected as rejected:
            logger.warning("%s is left out: %s", image, rejected)
            continue
        see = partial(_see, image, cloud, T, camera)
        views.append(NetworkView(index=index, stamp_s=stamp_s, T_world_camera=T, see=see))
    return settled(name, views, path).at(frames)


def _sequences(path: Path) -> list[str]:
    clouds = {file.stem for file in path.glob("*.ply")}
    return sorted(clouds & {file.stem for file in path.glob("*.txt")})


def _keyframes(folder: Path) -> list[tuple[float, Path]]:
    """The keyframes by their time, seconds."""
    found = [file for file in folder.glob("*.png") if re.fullmatch(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?", file.stem)]
    return sorted((float(file.stem), file) for file in found)


def _camera(path: Path, image: Path) -> Camera:
    """The camera of the keyframe images."""
    height, width = read_color(image).shape[:2]
    if (path / "camera-intrinsics.txt").exists():
        return read_calibration(path / "camera-intrinsics.txt").camera(width, height)
    if (path / "intrinsics.yaml").exists():
        return _undistorted(path / "intrinsics.yaml", width, height)
    raise ValueError(
        f"{path} tells no intrinsics, and MASt3R-SLAM writes none: copy the intrinsics.yaml of its --calib there, or "
        f"give camera-intrinsics.txt (3x3) of the {width}x{height} keyframe images"
    )


@dataclass(frozen=True, kw_only=True)
class _Calibrated:
    """What `--calib` was given: of the original images, which it rectified before anything else."""

    width: int
    height: int
    K: Float64[ndarray, "3 3"]
    distortion: Float64[ndarray, " coefficients"]


def _read_calibrated(path: Path) -> _Calibrated:
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
        width, height = int(told["width"]), int(told["height"])
        fx, fy, cx, cy, *distortion = map(float, told["calibration"])
        if width <= 0 or height <= 0 or len(distortion) not in (0, 4, 5, 8):
            raise ValueError(f"{width}x{height} with {len(distortion)} coefficients")
        check_camera(Camera(fx=fx, fy=fy, cx=cx, cy=cy, width=width, height=height))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
        detail = f"{path} does not hold width, height and calibration (fx fy cx cy [k1 k2 p1 p2 [k3]]): {error}"
        raise Rejected("bad_intrinsics", detail) from error
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    return _Calibrated(width=width, height=height, K=K, distortion=np.array(distortion or [0.0] * 4))


def _undistorted(path: Path, width: int, height: int) -> Camera:
    """The camera that MASt3R-SLAM itself reckoned with: rectified, its principal point in the middle, then resized.

    It moves the principal point without the half pixel of `PixelMap`; its points lie on the rays of that camera.
    """
    told = _read_calibrated(path)
    size = (told.width, told.height)
    K, _ = cv2.getOptimalNewCameraMatrix(told.K, told.distortion, size, 0, size, centerPrincipalPoint=True)
    it = mast3r_map(*size)
    if (it.network_width, it.network_height) != (width, height):
        raise Rejected(
            "bad_intrinsics",
            f"{path} is for {size[0]}x{size[1]} images, of which MASt3R-SLAM makes {it.network_width}x"
            f"{it.network_height}; the keyframes are {width}x{height}",
        )
    half_cut = [(told.width * it.scale[0] - width) / 2, (told.height * it.scale[1] - height) / 2]
    return check_camera(
        Camera(
            fx=float(K[0, 0] * it.scale[0]),
            fy=float(K[1, 1] * it.scale[1]),
            cx=float(K[0, 2] * it.scale[0] - half_cut[0]),
            cy=float(K[1, 2] * it.scale[1] - half_cut[1]),
            width=width,
            height=height,
        )
    )


def _see(image: Path, cloud: SceneCloud, T_world_camera: Float64[ndarray, "4 4"], camera: Camera) -> Seen:
    color = read_color(image)
    if color.shape[:2] != (camera.height, camera.width):
        detail = f"{image} is {color.shape[1]}x{color.shape[0]}; the first keyframe is {camera.width}x{camera.height}"
        raise Rejected("size_mismatch", detail)
    depth = depth_of(color, cloud, T_world_camera, camera)
    filled = float((depth > 0).mean())
    if filled < _FILLED:
        raise Rejected(
            "empty_depth",
            f"{image}: only {100 * filled:.0f} % of its pixels find a point of their colour; are the intrinsics those "
            "of the keyframe images, and the cloud and the trajectory of the same run?",
        )
    return Seen(color=color, depth=depth, camera=camera)


def depth_of(
    color: ndarray, cloud: SceneCloud, T_world_camera: Float64[ndarray, "4 4"], camera: Camera
) -> Float32[ndarray, "height width"]:
    """The depth of a keyframe, from the cloud of all: of the points that have a pixel's colour and are not hidden, the
    one that lies nearest to the pixel's ray; 0 where there is none."""
    xyz = transform(invert(T_world_camera), cloud.xyz)
    uv, z = project(xyz, camera)
    pixel = np.round(np.nan_to_num(uv, nan=-1e9)).clip(-2, 2**30).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < (camera.width, camera.height))).all(axis=1)
    inside = np.flatnonzero(inside)
    place = pixel[inside, 1] * camera.width + pixel[inside, 0]
    alike = (np.abs(color.reshape(-1, 3)[place].astype(np.int16) - cloud.color[inside]) <= _SAME_COLOR).all(axis=1)
    points, place = inside[alike], place[alike]
    nearest = np.full(color.shape[0] * color.shape[1], np.inf, np.float32)
    np.minimum.at(nearest, place, z[points])
    seen = z[points] <= (1 + _BEHIND) * nearest[place]
    points, place = points[seen], place[seen]
    beside = np.linalg.norm(uv[points] - pixel[points], axis=1)
    return _of_first(place, z[points], order=np.lexsort((beside, place)), size=nearest.size).reshape(color.shape[:2])


def _of_first(
    place: Int64[ndarray, " points"], value: Float32[ndarray, " points"], order: Int64[ndarray, " points"], size: int
) -> Float32[ndarray, " size"]:
    """At each place the value of its first point in an order that goes by places."""
    filled = np.zeros(size, np.float32)
    places, first = np.unique(place[order], return_index=True)
    filled[places] = value[order][first]
    return filled
