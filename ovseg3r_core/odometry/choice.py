"""Whose poses a recording is mapped with: its own, those of odometry, or those of a file."""

from pathlib import Path

from rich.console import Console

from ovseg3r_core.learned.recording import LearnedRecording
from ovseg3r_core.odometry.estimate import PosedRecording, estimate_poses, with_estimate
from ovseg3r_core.progress import progress_bar
from ovseg3r_core.sequences.sequence import Recording, Sequence
from ovseg3r_core.sequences.trajectory_file import check_trajectory


def with_poses(recording: Recording, poses: str, console: Console) -> Sequence:
    """The recording with the poses asked for: `auto`, `recorded`, `odometry`, or a trajectory file in the TUM format.

    Raises:
        ValueError: there are no recorded poses, or no such file; nothing can be tracked.
    """
    if poses == "auto":
        poses = "recorded" if recording.has_poses else "odometry"
    if poses == "recorded":
        if not recording.has_poses:
            raise ValueError(f"{recording.name} has no poses: give --poses odometry, or a trajectory file")
        return recording
    if poses == "odometry":
        with progress_bar(console) as progress:
            task = progress.add_task("where the camera was", total=len(recording))
            estimate = estimate_poses(recording, on_frame=lambda: progress.advance(task))
        console.print(f"odometry placed {len(estimate.poses)} of {estimate.frames} frames", highlight=False)
        return with_estimate(recording, estimate)
    path = Path(poses)
    if not path.is_file():
        raise ValueError(f"--poses {poses}: no such file; give auto, recorded, odometry, or a trajectory file")
    trajectory = check_trajectory(path)
    if isinstance(recording, LearnedRecording):  # its depth fits its own poses alone, and has their unit
        return recording.aligned_to(trajectory)
    return PosedRecording(recording=recording, pose=lambda index, stamp_s: trajectory.at(round(stamp_s * 1e9)))
