"""The job of one recording: reconstructed, masked by a 2D teacher, and the masks lifted.

    recording ─► fused as the robot does it ─► cloud, keyframes
    keyframes ─► masks of a teacher ─► lifted onto the cloud ─► scene without truth, its figures, a picture

Nobody has annotated anything: what the scene holds are partial labels, one set a view, as good as the teacher.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from ovseg3r_core.checks import Rejected
from ovseg3r_core.devices import pick_device
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.odometry.choice import Recovery, with_poses
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.photogrammetry.from_color import color_config
from ovseg3r_core.recovered import FILE
from ovseg3r_core.sequences.identity import identity
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.stopwatch import Stopwatch
from ovseg3r_core.views import View
from ovseg3r_train.make_scenes import Split, file_name
from ovseg3r_train.pseudo.figures import figures_of
from ovseg3r_train.pseudo.picture import render_labels
from ovseg3r_train.pseudo.teachers import kept_masks, teacher
from ovseg3r_train.reconstruct import Reconstruction, fuse, lift_onto, masked_view
from ovseg3r_train.scene import LabelledScene

MASKS = "masks"
_RECOVERED = "reconstruction"  # poses and depth that a recording lacks


@dataclass(frozen=True, kw_only=True)
class RecordingJob:
    """One recording, and the teachers that it is labelled by."""

    folder: Path
    """Of the set that the scenes are added to."""
    recording: Path
    title: str
    """What its scenes are called, as `titles_of` gives it."""
    split: Split = "train"
    masks: tuple[str, ...] = ("default",)
    format: str = "auto"
    frames: str = "::"
    """Which frames, as A:B:STEP."""
    poses: str = "auto"
    """What it is reconstructed by, as `ovseg3r segment --poses` takes it."""
    video: str = ""
    """What video it is of, where another recording is of the same one; else its title."""
    voxel_size_m: float = 0.02
    device: str = "auto"
    """Where networks run; "auto" is decided by the machine that does the job."""
    keep_masks: bool = True
    """Whether masks stay when the scenes are made, and poses and depth that were found."""
    alone: bool = True
    """Whether it is the only recording: then a folder of mask files may be its own."""
    tag: str = ""
    """Nobody knows what sensor it was."""

    @property
    def world(self) -> str:
        """The recording's title, with the part of it that is read, the poses and the voxels where not the usual."""
        part = "" if set(self.frames) <= {":"} else "-frames" + re.sub("[^0-9]+", "_", self.frames)
        return self.title + part + self._by + (f"-voxel{self.voxel_size_m:g}" if self.voxel_size_m != 0.02 else "")

    @property
    def _by(self) -> str:
        return "" if self.poses == "auto" else "-" + file_name(self.poses)[-24:].lstrip("_")

    @property
    def kept(self) -> Path:
        """Where the masks of the recording's keyframes are kept, whatever part of it is read."""
        return self.folder / MASKS / self.title

    @property
    def found(self) -> Path:
        """Where poses and depth are kept that the recording lacks, of each way to find them."""
        return self.kept / f"{_RECOVERED}{self._by}"

    @property
    def identity(self) -> str:
        """Of the recording and the part of it that is read."""
        return identity(self.recording, self.format, frame_slice(self.frames), self.folder)

    def name(self, masks: str) -> str:
        """The name of the scene with the masks of one teacher."""
        return f"{self.world}-{file_name(masks)}"

    def tidy(self, done: bool) -> None:
        """Remove masks, poses and depth once they are used, unless they are kept; a job that was cut needs them."""
        if done and not self.keep_masks:
            shutil.rmtree(self.found, ignore_errors=True)
            for source in self.masks:
                shutil.rmtree(kept_masks(self.kept, source), ignore_errors=True)


def make(job: RecordingJob, sources: Sequence[str]) -> Iterator[tuple[str, LabelledScene]]:
    """The scenes of a recording with the masks of some teachers; beside each, its picture.

    Raises:
        ValueError, OSError: the recording cannot be opened, no surface comes of it, or a teacher cannot be had.
    """
    if not sources:
        return
    device = pick_device(job.device, "--device")
    # First of all the teachers: one that is missing need not wait until everything is fused.
    teachers = {source: teacher(source, job.title, job.kept, alone=job.alone, device=device) for source in sources}
    recording, clock = open_sequence(job.recording, job.format, frame_slice(job.frames)), Stopwatch()
    with clock("poses"):
        threads = torch.get_num_threads()  # this process's share of the cores
        color = color_config(threads)
        recovery = Recovery(folder=job.found, identity=job.identity, device=device, color=color)
        placed = with_poses(recording, _poses(job), Console(quiet=True), recovery)
    sequence = placed.sequence
    with clock("fuse"):
        reconstruction = fuse(sequence, config_of(online=False, voxel_size_m=job.voxel_size_m))
    for source, proposer in teachers.items():
        scene = _labelled(job, source, reconstruction, proposer, clock.seconds["fuse"], len(sequence))
        yield (
            source,
            replace(scene, facts={**scene.facts, "scale_known": placed.scale_known, "doubts": list(placed.doubts)}),
        )


def _poses(job: RecordingJob) -> str:
    """Of a folder with a reconstruction of each recording, that of this one."""
    of_this = Path(job.poses) / job.title
    return str(of_this) if (of_this / FILE).is_file() else job.poses


def frame_slice(text: str) -> slice:
    """A:B:STEP as a slice; raises ValueError as `ovseg3r segment --frames` does."""
    from ovseg3r_core.commands.options import parse_range

    return parse_range(text)


def _labelled(
    job: RecordingJob, source: str, reconstruction: Reconstruction, proposer: MaskProposer, fused_s: float, read: int
) -> LabelledScene:
    clock = Stopwatch()
    views, left_out = _mask(reconstruction, proposer, clock)
    if not views:
        raise ValueError(f"none of {len(reconstruction.keyframes)} keyframes has masks that can be used: {left_out}")
    facts = {"generator": "ovseg3r-train pseudo-label", "recording": job.title, "masks": source}
    facts |= {"video": job.video or job.title, "poses": job.poses}
    with clock("lift"):
        scene = lift_onto(reconstruction, views, name=job.name(source), facts=facts)
    with clock("picture"):
        render_labels(scene, job.folder / f"{scene.name}.png")
    figures = figures_of(
        scene,
        views,
        frames_read=read,
        frames_fused=reconstruction.fused,
        frames_left_out=dict(reconstruction.drops) | left_out,
        seconds={"fuse": fused_s, **clock.seconds},
    )
    return figures.told_by(scene)


def _mask(
    reconstruction: Reconstruction, proposer: MaskProposer, clock: Stopwatch
) -> tuple[list[View], dict[str, int]]:
    """The keyframes with masks, and how many have none that can be used, by the reason why.

    Such a keyframe is no view, as in `Perception.look`: a view without masks would say that nothing is there.
    """
    views, left_out = list[View](), Counter[str]()
    for keyframe in reconstruction.keyframes:
        try:
            with clock("masks"):
                views.append(masked_view(len(views), keyframe, proposer, reconstruction.config))
        except Rejected as rejected:
            left_out[rejected.reason] += 1
    return views, dict(left_out)
