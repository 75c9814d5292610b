"""TUM RGB-D (Sturm et al. 2012): `rgb.txt depth.txt groundtruth.txt`, three streams with clocks of their own."""

import logging
from functools import partial
from pathlib import Path

import numpy as np

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.association import associate
from ovseg3r_core.sequences.calibration import TUM_CAMERAS, Calibration
from ovseg3r_core.sequences.folder import FolderSequence, FrameFiles, read_calibration, read_numbers
from ovseg3r_core.sequences.trajectory_file import read_rows, read_trajectory

NEEDS = (
    "rgb.txt and, if there is depth, depth.txt (time, file), groundtruth.txt (time tx ty tz qx qy qz qw) if there are "
    "poses; intrinsics by freiburg1, 2 or 3 in the folder's name, or from calibration.txt (fx fy cx cy "
    "[k1 k2 p1 p2 k3]) or camera-intrinsics.txt (3x3)"
)
_MAX_IMAGE_SKEW_S = 0.02
_MAX_POSE_GAP_S = 0.1  # the motion capture runs at 100 Hz: a longer gap is a camera it lost
_DEPTH_UNIT_M = 1 / 5000
_ROS_DEFAULT = Calibration(fx=525.0, fy=525.0, cx=319.5, cy=239.5)

logger = logging.getLogger(__name__)


def recognises(path: Path) -> bool:
    """Whether the folder lists its colour images as TUM does; depth may be missing."""
    return (path / "rgb.txt").is_file()


def open_tum(path: Path, frames: slice) -> FolderSequence:
    """Open one recording: each colour image with the nearest depth image and the pose in between two samples."""
    color = read_rows(path / "rgb.txt", words=2)
    depth = read_rows(path / "depth.txt", words=2) if (path / "depth.txt").exists() else []
    stamps_ns, depth_ns = (np.array([row[0] for row in rows], dtype=np.int64) for rows in (color, depth))
    partner = associate(stamps_ns, depth_ns, _MAX_IMAGE_SKEW_S)
    poses = path / "groundtruth.txt"
    trajectory = read_trajectory(poses, _MAX_POSE_GAP_S) if poses.exists() else None
    files = [
        FrameFiles(
            index=index,
            stamp_s=stamp_ns / 1e9,
            color=path / name,
            depth=path / depth[partner[index]][1][0] if partner[index] >= 0 else None,
            pose=partial(trajectory.at, stamp_ns) if trajectory else None,
        )
        for index, (stamp_ns, (name,)) in enumerate(color)
    ]
    return FolderSequence(
        name=path.resolve().name,
        files=tuple(files[frames]),
        calibration=_calibration(path, guess=bool(depth)),
        depth_unit_m=_DEPTH_UNIT_M,
    )


def _calibration(path: Path, *, guess: bool) -> Calibration | None:
    if (path / "camera-intrinsics.txt").exists():
        return read_calibration(path / "camera-intrinsics.txt", path / "camera-distortion.txt")
    if (path / "calibration.txt").exists():
        return _read_line(path / "calibration.txt")
    for name, calibration in TUM_CAMERAS.items():
        if name in path.resolve().name or name.replace("freiburg", "fr") in path.resolve().name:
            return calibration
    if not guess:
        return None
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
