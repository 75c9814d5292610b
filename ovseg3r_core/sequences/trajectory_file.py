"""Trajectories in the TUM format (Sturm et al. 2012): `time tx ty tz qx qy qz qw` a line, T_map_camera, s and m."""

import logging
from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.poses import Trajectory, pose_from_quaternion, quaternion_of

logger = logging.getLogger(__name__)


def read_trajectory(path: Path, max_gap_s: float) -> Trajectory:
    """The poses of a file; a damaged line is logged and skipped.

    Args:
        max_gap_s: samples further apart are not interpolated between.

    Raises:
        FileNotFoundError: there is no such file.
    """
    trajectory = Trajectory(max_gap_s)
    for stamp_ns, words in read_rows(path, words=8):
        try:
            x, y, z, qx, qy, qz, qw = map(float, words)
            trajectory.insert(stamp_ns, pose_from_quaternion((x, y, z), (qx, qy, qz, qw)))
        except ValueError as error:
            logger.warning("%s: the pose at %.4f s is skipped: %s", path, stamp_ns / 1e9, error)
    return trajectory


def read_rows(path: Path, words: int) -> list[tuple[int, tuple[str, ...]]]:
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


def write_trajectory(path: Path, poses: Mapping[float, Float64[ndarray, "4 4"]]) -> None:
    """Write poses by their stamps, seconds."""
    lines = ["# time tx ty tz qx qy qz qw"]
    for stamp_s, T in sorted(poses.items(), key=lambda item: item[0]):
        numbers = (*T[:3, 3], *quaternion_of(T))
        lines.append(f"{stamp_s:.9f} " + " ".join(f"{number:.9f}" for number in numbers))
    with atomic_write(path) as part:
        part.write_text("\n".join(lines) + "\n", "utf-8")


def check_trajectory(path: Path) -> Trajectory:
    """The trajectory of a file that somebody named; raises Rejected (`no_pose`) where it holds no pose at all."""
    trajectory = read_trajectory(path, max_gap_s=0.1)
    if not len(trajectory):
        raise Rejected("no_pose", f"{path} holds no pose: give lines of time tx ty tz qx qy qz qw")
    return trajectory
