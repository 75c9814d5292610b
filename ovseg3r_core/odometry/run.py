"""A recording to a trajectory and a cloud: what `ovseg3r reconstruct` does."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.odometry.picture import draw_reconstruction
from ovseg3r_core.outputs import write_json
from ovseg3r_core.photogrammetry.from_color import Tell
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.recovered import Recovered
from ovseg3r_core.scene_files import write_scene_ply
from ovseg3r_core.sequences.sequence import Recording, Sequence
from ovseg3r_core.sequences.trajectory_file import write_trajectory
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.types import Frame


def reconstruct(
    recording: Recording,
    recovery: Recovery,
    tsdf: TsdfConfig,
    *,
    from_color: bool,
    tell: Tell = lambda *_: None,
) -> dict[str, Any]:
    """Recover poses, and depth if that is asked for, fuse, and write the files.

    They are trajectory.txt, cloud.ply, report.json and preview.png, beside reconstruction.json and depth/ that hold
    what was recovered.

    Returns:
        The content of `report.json`; where the recording has poses of its own, with the distance to them.

    Raises:
        ValueError: no frame can be placed.
    """
    folder = recovery.folder
    found = recover(recording, recovery, from_color=from_color, tell=tell)
    write_trajectory(folder / "trajectory.txt", {found.stamps_s[index]: pose for index, pose in found.poses.items()})
    volume, clock, left_out = TsdfVolume(tsdf), Stopwatch(), Counter[str]()
    _fuse(found.of(recording), volume, clock, left_out, tell)
    cloud = volume.extract()
    nobody = np.full(len(cloud), -1, np.int32)
    write_scene_ply(folder / "cloud.ply", cloud, nobody, np.zeros(len(cloud), np.int32))
    report = dict(found.report) | {
        "fused": volume.frames,
        "not_fused": dict(left_out),
        "points": len(cloud),
        "scale_known": found.scale_known,
        "seconds": dict(found.report["seconds"]) | dict(clock.seconds),
        "against_recorded_poses": _against_recorded(found, recording),
    }
    write_json(folder / "report.json", report)
    draw_reconstruction(folder / "preview.png", cloud, found.poses, report)
    return report


def _against_recorded(found: Recovered, recording: Recording) -> Mapping[str, Any] | None:
    """How far the poses are from the recorded ones; stretched to fit where their scale is not known."""
    try:
        error = trajectory_error(found.poses, recording.read_poses(), scaled=not found.scale_known)
    except ValueError:  # a camera that stood still has no scale to compare
        return None
    return asdict(error) if error else None


def _fuse(source: Sequence, volume: TsdfVolume, clock: Stopwatch, left_out: Counter[str], tell: Tell) -> None:
    for done, item in enumerate(source.read(), start=1):
        tell("fusing", done, len(source))
        if isinstance(item, Frame):
            try:
                with clock("fuse"):
                    volume.integrate(item)
            except Rejected as rejected:  # nothing in range; the pose stays
                left_out[rejected.reason] += 1
