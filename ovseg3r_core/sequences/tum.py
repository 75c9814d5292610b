"""TUM RGB-D (Sturm et al. 2012): `rgb.txt depth.txt groundtruth.txt`, three streams with clocks of their own."""

import logging
from functools import partial
from pathlib import Path

import numpy as np

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.association import associate
from ovseg3r_core.sequences.calibration import TUM_CAMERAS, Calibration
from ovseg3r_core.sequences.folder import FolderSequence, FrameFiles, read_calibration, read_numbers
from ovseg3r_core.sequences.poses import Trajectory, pose_from_quaternion

NEEDS = (
    "rgb.txt and depth.txt (time, file), groundtruth.txt (time tx ty tz qx qy qz qw); intrinsics by freiburg1, 2 or 3 "
    "in the folder's name, or from calibration.txt (fx fy cx cy [k1 k2 p1 p2 k3]) or camera-intrinsics.txt (3x3)"
)
_MAX_IMAGE_SKEW_S = 0.02
_MAX_POSE_GAP_S = 0.1  # the motion capture runs at 100 Hz: a longer gap is a camera it lost
_DEPTH_UNIT_M = 1 / 5000
_ROS_DEFAULT = Calibration(fx=525.0, fy=525.0, cx=319.5, cy=239.5)

logger = logging.getLogger(__name__)


def recognises(path: Path) -> bool:
    """Whether the folder lists its colour and depth images as TUM does."""
    return (path / "rgb.txt").is_file() and (path / "depth.txt").is_file()


def open_tum(path: Path, frames: slice) -> FolderSequence:
    """Open one recording: each colour image with the nearest depth image and the pose in between two samples."""
    color, depth = _read_list(path / "rgb.txt", words=2), _read_list(path / "depth.txt", words=2)
    stamps_ns, depth_ns = (np.array([row[0] for row in rows], dtype=np.int64) for rows in (color, depth))
    partner = associate(stamps_ns, depth_ns, _MAX_IMAGE_SKEW_S)
    trajectory = _read_trajectory(path / "groundtruth.txt")
    files = [
        FrameFiles(
            index=index,
            stamp_s=stamp_ns / 1e9,
            color=path / name,
            depth=path / depth[partner[index]][1][0] if partner[index] >= 0 else None,
            pose=partial(trajectory.at, stamp_ns),
        )
        for index, (stamp_ns, (name,)) in enumerate(color)
    ]
    return FolderSequence(
        name=path.resolve().name,
        files=tuple(files[frames]),
        calibration=_calibration(path),
        depth_unit_m=_DEPTH_UNIT_M,
    )


def _read_list(path: Path, words: int) -> list[tuple[int, tuple[str, ...]]]:
    """The lines of a list file as (stamp in ns, other words), sorted by time; a damaged line is logged and skipped."""
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        stamp, *others = line.split()
        try:
            if len(others) != words - 1:
                raise ValueError(f"{len(others) + 1} words where {words} belong")
            rows.append((round(float(stamp) * 1e9), tuple(others)))
        except (ValueError, OverflowError) as error:
            logger.warning("%s, line %d is skipped: %s", path, number, error)
    return sorted(rows)


def _read_trajectory(path: Path) -> Trajectory:
    trajectory = Trajectory(_MAX_POSE_GAP_S)
    for stamp_ns, words in _read_list(path, words=8):
        try:
            x, y, z, qx, qy, qz, qw = map(float, words)
            trajectory.insert(stamp_ns, pose_from_quaternion((x, y, z), (qx, qy, qz, qw)))
        except ValueError as error:
            logger.warning("%s: the pose at %.4f s is skipped: %s", path, stamp_ns / 1e9, error)
    return trajectory


def _calibration(path: Path) -> Calibration:
    if (path / "camera-intrinsics.txt").exists():
        return read_calibration(path / "camera-intrinsics.txt", path / "camera-distortion.txt")
    if (path / "calibration.txt").exists():
        return _read_line(path / "calibration.txt")
    for name, calibration in TUM_CAMERAS.items():
        if name in path.resolve().name or name.replace("freiburg", "fr") in path.resolve().name:
            return calibration
    logger.warning("%s names no freiburg camera and has no calibration.txt: taking fx = fy = 525", path)
    return _ROS_DEFAULT


def _read_line(path: Path) -> Calibration:
    numbers = read_numbers(path)
    if len(numbers) not in (4, 8, 9):
        raise Rejected("bad_intrinsics", f"{path} holds {len(numbers)} numbers; give fx fy cx cy [k1 k2 p1 p2 [k3]]")
    fx, fy, cx, cy, *distortion = numbers
    try:
        return Calibration(fx=fx, fy=fy, cx=cx, cy=cy, distortion=tuple(distortion))
    except Rejected as rejected:
        raise Rejected(rejected.reason, f"{path}: {rejected}") from rejected
