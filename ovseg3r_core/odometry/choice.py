"""Whose poses a recording is mapped with, and whose depth: its own, what was recovered of it, or those of a file."""

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from ovseg3r_core.atomic import make_folder
from ovseg3r_core.learned.recording import LearnedRecording
from ovseg3r_core.odometry.diary import Diary
from ovseg3r_core.odometry.doubts import doubts
from ovseg3r_core.odometry.estimate import estimate_poses
from ovseg3r_core.photogrammetry.from_color import ColorConfig, Tell, color_config, recover_from_color, scale_of
from ovseg3r_core.photogrammetry.metric import Scale
from ovseg3r_core.progress import telling
from ovseg3r_core.recovered import FILE, Recovered, load_recovered
from ovseg3r_core.sequences.posed import PosedRecording
from ovseg3r_core.sequences.sequence import Recording, Sequence, scale_known
from ovseg3r_core.sequences.trajectory_file import check_trajectory


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """How to find what a recording lacks, and where to keep it."""

    folder: Path
    """What was found is kept here, and not sought again for the same inputs and settings."""
    identity: str
    """Of the recording, as `sequences.identity` gives it."""
    scale: Scale = field(default_factory=Scale)
    """For recordings without depth."""
    color: ColorConfig = field(default_factory=color_config)
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A recording whose every frame has a pose and depth, or a reason why not."""

    sequence: Sequence
    by: str
    """Where the poses are from: recorded, odometry, colour, or a file's name."""
    scale_known: bool = True
    """Whether its unit is the metre."""
    doubts: tuple[str, ...] = ()
    """What a user must know of them, a sentence each."""


def with_poses(recording: Recording, poses: str, console: Console, recovery: Recovery) -> Placed:
    """The recording with the poses asked for, and depth where it has none.

    Args:
        poses: `auto` (recorded, else whatever the images give), `recorded`, `odometry` (of colour and depth), `colour`
            (of images alone; recorded poses without depth tell its scale and place), a trajectory file in the TUM
            format, or the folder of an earlier reconstruction.

    Raises:
        ValueError: there are no recorded poses, or no such file; nothing can be tracked.
    """
    if poses == "auto":
        poses = "colour" if not recording.has_depth else "recorded" if recording.has_poses else "odometry"
    if poses == "recorded":
        if not recording.has_poses or not recording.has_depth:
            lacks = "poses" if not recording.has_poses else "depth"
            raise ValueError(f"{recording.name} has no {lacks}: give --poses odometry or colour, or a trajectory file")
        return Placed(sequence=recording, by=poses, scale_known=scale_known(recording))
    if poses in ("odometry", "colour"):
        if poses == "colour" and recording.has_poses and not recording.has_depth:
            recovery = replace(recovery, scale=scale_of(recording, positions_from="recorded"))
        with telling(console) as tell:
            found = recover(recording, recovery, from_color=poses == "colour", tell=tell)
        return _placed(recording, found, poses, console)
    path = Path(poses)
    if (path / FILE).is_file():
        return _placed(recording, load_recovered(path), poses, console)
    if not path.is_file():
        raise ValueError(
            f"--poses {poses}: no such file; give auto, recorded, odometry, colour, a trajectory file, or the --out of "
            "`ovseg3r reconstruct`"
        )
    if not recording.has_depth:
        raise ValueError(
            f"{recording.name} has no depth, so a trajectory alone does not do: give it to `ovseg3r reconstruct "
            f"--scale-from {poses}` and then --poses the --out of that"
        )
    trajectory = check_trajectory(path)
    if isinstance(recording, LearnedRecording):  # its depth fits its own poses alone, and has their unit
        return Placed(sequence=recording.aligned_to(trajectory), by=poses)
    posed = PosedRecording(recording=recording, pose=lambda index, stamp_s: trajectory.at(round(stamp_s * 1e9)))
    return Placed(sequence=posed, by=poses)


def _placed(recording: Recording, found: Recovered, by: str, console: Console) -> Placed:
    """The recording with what was found, and a word on how good that is."""
    placed = Placed(sequence=found.of(recording), by=by, scale_known=found.scale_known, doubts=doubts(found))
    taken = f"{len(found.poses)} of {found.report['frames']['read']} frames"
    console.print(f"poses of {taken} by {escape(by)}", highlight=False, soft_wrap=True)
    for doubt in placed.doubts:
        console.print(f"[bold yellow]warning:[/] {escape(doubt)}", highlight=False, soft_wrap=True)
    return placed


def recover(
    recording: Recording,
    recovery: Recovery,
    *,
    from_color: bool,
    tell: Tell = lambda *_: None,
) -> Recovered:
    """Find the poses of a recording, and its depth where that is asked for; what an earlier run found is kept.

    Raises:
        ValueError: nothing can be tracked, or the images do not tell where they were taken from.
    """
    key = f"{recovery.identity} {recovery.color} {recovery.scale.key}" if from_color else recovery.identity
    if (recovery.folder / FILE).is_file() and (kept := load_recovered(recovery.folder)).key == key:
        return kept
    if from_color:
        return recover_from_color(
            recording, recovery.folder, key, recovery.color, recovery.scale, device=recovery.device, tell=tell
        )
    if not recording.has_depth:
        raise ValueError(f"{recording.name} has no depth: give --from colour, or --poses colour")
    return _by_odometry(recording, recovery.folder, key, tell)


def _by_odometry(recording: Recording, folder: Path, key: str, tell: Tell) -> Recovered:
    make_folder(folder)
    read = iter(range(1, len(recording) + 2))
    with Diary(folder, key) as diary:
        tracked = partial(tell, "where the camera was")
        estimate = estimate_poses(recording, on_frame=lambda: tracked(next(read), len(recording)), diary=diary)
    recovered = Recovered(
        key=key,
        recording=recording.name,
        poses=estimate.poses,
        stamps_s=estimate.stamps_s,
        scale_known=scale_known(recording),
        report={"from": "colour and depth"} | estimate.report(),
    )
    recovered.save(folder)
    diary.forget()
    return recovered
