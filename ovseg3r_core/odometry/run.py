"""A recording to a trajectory and a cloud: what `ovseg3r reconstruct` does."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.atomic import make_folder
from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.estimate import estimate_poses, with_estimate
from ovseg3r_core.odometry.picture import draw_reconstruction
from ovseg3r_core.outputs import write_json
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.scene_files import write_scene_ply
from ovseg3r_core.sequences.sequence import Recording, Sequence, scale_known
from ovseg3r_core.sequences.trajectory_file import write_trajectory
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.types import Frame


def reconstruct(
    recording: Recording,
    folder: Path,
    tsdf: TsdfConfig,
    on_frame: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Estimate poses, fuse, and write trajectory.txt, cloud.ply, report.json and preview.png.

    Args:
        on_frame: is called twice for each frame: when it was tracked, and when it was fused.

    Returns:
        The content of `report.json`; where the recording has poses of its own, with the distance to them.

    Raises:
        ValueError: no frame can be tracked.
    """
    make_folder(folder)
    estimate = estimate_poses(recording, on_frame=on_frame)
    write_trajectory(
        folder / "trajectory.txt", {estimate.stamps_s[index]: pose for index, pose in estimate.poses.items()}
    )
    volume, clock = TsdfVolume(tsdf), Stopwatch()
    _fuse(with_estimate(recording, estimate), volume, clock, on_frame)
    cloud = volume.extract()
    nobody = np.full(len(cloud), -1, np.int32)
    write_scene_ply(folder / "cloud.ply", cloud, nobody, np.zeros(len(cloud), np.int32))
    error = trajectory_error(estimate.poses, recorded_poses(recording)) if recording.has_poses else None
    report = estimate.report() | {"fused": volume.frames, "points": len(cloud), "scale_known": scale_known(recording)}
    report["seconds"] |= dict(clock.seconds)
    report["against_recorded_poses"] = asdict(error) if error else None
    write_json(folder / "report.json", report)
    draw_reconstruction(folder / "preview.png", cloud, estimate, report)
    return report


def recorded_poses(recording: Recording) -> Mapping[int, Float64[ndarray, "4 4"]]:
    """The recording's own, by frame index."""
    return {item.index: item.T_map_camera for item in recording.read() if isinstance(item, Frame)}


def _fuse(source: Sequence, volume: TsdfVolume, clock: Stopwatch, on_frame: Callable[[], object]) -> None:
    for item in source.read():
        on_frame()
        if isinstance(item, Frame):
            try:
                with clock("fuse"):
                    volume.integrate(item)
            except Rejected:  # nothing in range; the pose stays
                continue
