"""What all folder formats share: a list of files a frame, read and checked one by one."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_images, check_pose
from ovseg3r_core.sequences.calibration import TUM_CAMERAS, Calibration, resample, undistort, undistort_color
from ovseg3r_core.sequences.images import read_color, read_depth
from ovseg3r_core.sequences.prefetch import or_reason, prefetch, without_depth
from ovseg3r_core.sequences.registration import DepthCamera, Extrinsics, to_color
from ovseg3r_core.types import ColorFrame, Frame, RgbdFrame

_NOMINAL_RATE_HZ = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FrameFiles:
    """Where one frame lies on disk, and where its pose comes from."""

    index: int
    stamp_s: float
    color: Path
    depth: Path | None
    """None where no depth image was taken at that time."""
    pose: Callable[[], Float64[ndarray, "4 4"]] | None
    """Gives `T_map_camera`, or raises `Rejected`; None where the recording has no poses."""


@dataclass(frozen=True, kw_only=True)
class FolderSequence:
    """A sequence whose frames are files; each is read when its turn comes, a few ahead."""

    name: str
    files: tuple[FrameFiles, ...]
    calibration: Calibration | None
    """None where there is no depth, and nobody knows the camera."""
    depth_unit_m: float = 0.001
    depth_calibration: Calibration | None = None
    """The depth camera's own, where it differs: colour of another size is then resampled to its grid."""
    extrinsics: Extrinsics | None = None
    """Where the cameras do not sit at one place: depth is then registered to colour."""

    def __len__(self) -> int:
        return len(self.files)

    @property
    def has_poses(self) -> bool:
        """Whether the recording tells where the camera was."""
        return any(files.pose is not None for files in self.files)

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order; a bad one is yielded as the `Rejected` that names its file."""
        return prefetch(or_reason(self._frame), self.files)

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        """The same without poses, which need not be there."""
        return prefetch(or_reason(self._images), self.files)

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        """T_map_camera by frame index, of the frames that have one; no image is read."""
        return poses_of((files.index, partial(self._pose, files)) for files in self.files if files.pose)

    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index; no image is read."""
        return {files.index: files.stamp_s for files in self.files}

    @property
    def has_depth(self) -> bool:
        """Whether the recording has depth images."""
        return any(files.depth is not None for files in self.files)

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The images alone, as they are beside their depth where there is depth."""
        return without_depth(self.read_unposed()) if self.has_depth else prefetch(or_reason(self._color), self.files)

    def _color(self, files: FrameFiles) -> ColorFrame:
        color, camera = read_color(files.color), None
        if self.calibration:
            camera = self.calibration.camera(color.shape[1], color.shape[0])
            color = undistort_color(color, self.calibration)
        return ColorFrame(index=files.index, stamp_s=files.stamp_s, color=color, camera=camera)

    def _frame(self, files: FrameFiles) -> Frame:
        T_map_camera = self._pose(files)
        return self._images(files).posed(T_map_camera)

    def _pose(self, files: FrameFiles) -> Float64[ndarray, "4 4"]:
        if files.pose is None:
            raise Rejected("no_pose", f"{files.color}: the recording has no poses")
        return of_color(files.pose(), self.extrinsics)

    def _images(self, files: FrameFiles) -> RgbdFrame:
        if files.depth is None or self.calibration is None:
            raise Rejected("no_depth", f"{files.color}: no depth image was taken at {files.stamp_s:.3f} s")
        return registered_images(
            index=files.index,
            stamp_s=files.stamp_s,
            color=read_color(files.color),
            depth=read_depth(files.depth),
            color_calibration=self.calibration,
            depth_calibration=self.depth_calibration,
            extrinsics=self.extrinsics,
            depth_unit_m=self.depth_unit_m,
            name=f"{files.color} with {files.depth}",
        )


def registered_images(
    *,
    index: int,
    stamp_s: float,
    color: ndarray,
    depth: ndarray,
    color_calibration: Calibration,
    depth_calibration: Calibration | None,
    depth_unit_m: float,
    name: str,
    extrinsics: Extrinsics | None = None,
) -> RgbdFrame:
    """Checked images of two cameras on one grid.

    Cameras at (nearly) one place: colour is resampled to the depth camera's grid; where both images are of one size,
    colour's intrinsics hold for both, as in an exported scan. With extrinsics depth is registered to colour.

    Args:
        depth_calibration: None where there is no camera of depth's own.
        name: what an error calls the images.
    """
    calibration, (height, width) = color_calibration, depth.shape
    try:
        if depth_calibration is not None and extrinsics is not None:
            depth_camera = DepthCamera(calibration=depth_calibration, T_color_depth=extrinsics.T_color_depth)
            color, depth = to_color(color, depth, calibration, depth_camera, depth_unit_m)
            calibration, (height, width) = replace(calibration, distortion=()), depth.shape
        elif depth_calibration is not None and color.shape[:2] != depth.shape:
            calibration = depth_calibration
            color = resample(color, color_calibration, calibration, width, height)
        color, depth = undistort(color, depth, calibration)
        return check_images(
            index=index,
            stamp_s=stamp_s,
            color=color,
            depth=depth,
            camera=calibration.camera(width, height),
            depth_unit_m=depth_unit_m,
        )
    except Rejected as rejected:
        raise Rejected(rejected.reason, f"{rejected} ({name})") from rejected


def of_color(T_map_device: Float64[ndarray, "4 4"], extrinsics: Extrinsics | None) -> Float64[ndarray, "4 4"]:
    """The colour camera's pose from that of its device."""
    return T_map_device if extrinsics is None else T_map_device @ extrinsics.T_device_color


def poses_of(
    sources: Iterable[tuple[int, Callable[[], Float64[ndarray, "4 4"]]]],
) -> dict[int, Float64[ndarray, "4 4"]]:
    """The poses that can be had, by frame index."""
    poses = {}
    for index, pose in sources:
        with suppress(Rejected):
            poses[index] = pose()
    return poses


def nominal_stamp_s(number: int) -> float:
    """A time for the frame with that number, where the recording has none.

    The first is not at 0, which means "no time" in ROS, and all are whole nanoseconds: any sequence may become a bag.
    """
    return round((number + 1) * 1e9 / _NOMINAL_RATE_HZ) / 1e9


def numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """The files of a folder whose whole name matches, by the number that the pattern's first group takes."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := re.fullmatch(pattern, path.name):
            found[int(match[1])] = path
    return found


def suffix_of(found: dict[int, Path]) -> str:
    """The ending that a recording's colour images have: what a missing one would be called."""
    return next((path.suffix for path in found.values()), ".jpg")


def read_numbers(path: Path) -> list[float]:
    """All numbers of a text file; raises `Rejected` (`missing_file`, `bad_file`) with the path."""
    try:
        return [float(word) for word in path.read_text().replace(",", " ").split()]
    except FileNotFoundError:
        raise Rejected("missing_file", f"{path} is missing") from None
    except (OSError, ValueError) as error:
        raise Rejected("bad_file", f"{path} does not hold plain numbers: {error}") from error


def read_pose(path: Path) -> Float64[ndarray, "4 4"]:
    """A 4x4 camera-to-map matrix from a text file; raises `Rejected` with the path."""
    return pose_from_numbers(read_numbers(path), str(path))


def pose_from_numbers(numbers: Iterable[float], name: str) -> Float64[ndarray, "4 4"]:
    """Sixteen numbers, row by row, as a checked pose; `name` is what an error calls it."""
    numbers = list(numbers)
    if len(numbers) != 16:
        raise Rejected("bad_file", f"{name} holds {len(numbers)} numbers where a 4x4 pose has 16")
    try:
        return check_pose(np.array(numbers).reshape(4, 4))
    except Rejected as rejected:
        raise Rejected(rejected.reason, f"{name}: {rejected}") from rejected


def _published_distortion(K: Float64[ndarray, "rows rows"], path: Path) -> tuple[float, ...]:
    intrinsics = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    for name, known in TUM_CAMERAS.items():
        if known.distorts and np.allclose(intrinsics, (known.fx, known.fy, known.cx, known.cy), atol=1e-3):
            logger.warning("%s is the camera of TUM %s: its published lens distortion is removed", path, name)
            return known.distortion
    return ()


def read_calibration(path: Path, distortion_path: Path | None = None) -> Calibration:
    """Intrinsics from a 3x3 or 4x4 matrix in a text file, distortion from a file of k1 k2 p1 p2 [k3].

    Where there is no such file and the intrinsics are exactly those of a camera with a published lens, that lens's
    distortion is taken; a file of zeros says that the images have none left.
    """
    numbers = read_numbers(path)
    if len(numbers) not in (9, 16):
        raise Rejected("bad_intrinsics", f"{path} holds {len(numbers)} numbers; give a 3x3 or 4x4 intrinsic matrix")
    K = np.array(numbers).reshape(3, 3) if len(numbers) == 9 else np.array(numbers).reshape(4, 4)
    if distortion_path and distortion_path.exists():
        distortion = tuple(read_numbers(distortion_path))
    else:
        distortion = _published_distortion(K, path)
    try:
        return Calibration(
            fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]), distortion=distortion
        )
    except Rejected as rejected:
        raise Rejected(rejected.reason, f"{path}: {rejected}") from rejected
