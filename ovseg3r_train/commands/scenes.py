"""The verb `scenes`: labelled scenes of furnished homes."""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ovseg3r_core.commands.app import err, say
from ovseg3r_core.devices import Device, pick_device
from ovseg3r_core.progress import progress_bar
from ovseg3r_train.commands.options import Split

if TYPE_CHECKING:
    from ovseg3r_train.make_scenes import MakeHome, SceneJob
    from ovseg3r_train.scene_set import SceneSet
    from ovseg3r_train.sensor.rendered import SensorConfig


class Style(str, Enum):
    """Who carries the camera."""

    human = "human"
    robot = "robot"
    both = "both"


def scenes(
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the set; made, or gone on with.")],
    count: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many homes.")] = 50,
    split: Split = Split.test,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of the first home; the others follow.")] = 0,
    masks: Annotated[
        str,
        typer.Option(
            help="Where the 2D masks come from, with commas between several: perfect, simulated, open-vocabulary "
            "(simulated, with a name for everything), none, or what `ovseg3r segment --masks` takes, such as default. "
            "Several share one rendering and one fusion."
        ),
    ] = "perfect",
    frames: Annotated[int, typer.Option(min=2, max=100_000, help="Frames of a walk.")] = 100,
    style: Annotated[Style, typer.Option(help="Who carries the camera; both: in turn.")] = Style.both,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; 2 GB of memory each.")] = 1,
    keep_renders: Annotated[
        bool, typer.Option("--keep-renders/--no-keep-renders", help="Keep the exact frames in OUT/renders.")
    ] = False,
    sampled: Annotated[
        bool, typer.Option("--sampled", help="The fast path: surfaces are sampled, not rendered.")
    ] = False,
    keep_novel: Annotated[
        bool, typer.Option("--keep-novel", help="Keep the truth of novel classes in scenes for training.")
    ] = False,
    depth_noise: Annotated[float, typer.Option(min=0.0, max=20.0, help="Times the noise of a Kinect.")] = 1.0,
    pose_drift: Annotated[float, typer.Option(min=0.0, max=10.0, help="Metres that poses drift, r.m.s.")] = 0.0,
    pose_jitter: Annotated[float, typer.Option(min=0.0, max=1.0, help="Metres that each pose is off, r.m.s.")] = 0.0,
    drop: Annotated[float, typer.Option(min=0.0, max=0.99, help="Share of the frames that never arrive.")] = 0.0,
    device: Annotated[Device, typer.Option(help="Where networks and the fast path run.")] = Device.auto,
) -> None:
    """Make labelled scenes of furnished homes: noisy frames, fused, with 2D masks lifted and the truth known.

    Scenes for training do not tell the truth of ScanNet200's novel classes (the split of Open3DIS).
    What is in OUT already and whole is not made again. Writes scenes.json, a file or two a scene, attribution.json,
    classes.json and classes.png. Exit code 1 tells that some homes could not be made.
    """
    from ovseg3r_train.worlds import check_masks

    sources = check_masks(masks, networks=not sampled)
    where = pick_device(device.value, "--device")
    from ovseg3r_train.home_scenes import make
    from ovseg3r_train.make_scenes import SceneJob, threads_each
    from ovseg3r_train.scene_set import SceneSet

    faults = (depth_noise, pose_drift, pose_jitter, drop)
    jobs = [
        SceneJob(
            folder=folder,
            split=split.value,
            seed=number,
            style=("human", "robot")[number % 2] if style is Style.both else style.value,
            frames=frames,
            masks=sources,
            sensor=sensor_of(*faults),
            tag=tag_of(*faults),
            threads=threads_each(workers),
            hide_novel=split is Split.train and not keep_novel,
            sampled=sampled,
            keep_renders=keep_renders,
            device=where,
        )
        for number in range(seed, seed + count)
    ]
    if not _run(jobs, make, SceneSet.create(folder), workers):
        raise typer.Exit(1)


def sensor_of(depth_noise: float, pose_drift: float, pose_jitter: float, drop: float) -> "SensorConfig":
    """The usual sensor with some of its faults larger or smaller."""
    from ovseg3r_train.sensor.depth_noise import DepthNoiseConfig
    from ovseg3r_train.sensor.pose_drift import PoseDriftConfig
    from ovseg3r_train.sensor.rendered import SensorConfig

    return SensorConfig(
        depth=DepthNoiseConfig(scale=depth_noise),
        pose=PoseDriftConfig(drift_m=pose_drift, jitter_m=pose_jitter),
        drop_share=drop,
    )


def tag_of(depth_noise: float, pose_drift: float, pose_jitter: float, drop: float) -> str:
    """What the names of scenes say of a sensor: nothing of the usual one, else such as "noise2_drop0.3"."""
    faults = (
        ("noise", depth_noise, 1.0),
        ("drift", pose_drift, 0.0),
        ("jitter", pose_jitter, 0.0),
        ("drop", drop, 0.0),
    )
    return "_".join(f"{name}{value:g}" for name, value, usual in faults if value != usual)


def _run(jobs: "list[SceneJob]", make: "MakeHome", scene_set: "SceneSet", workers: int) -> bool:
    """Run jobs with a progress bar and say how it went; whether all of them succeeded."""
    from ovseg3r_train.make_scenes import jobs_left, run_jobs
    from ovseg3r_train.scene_set import SceneSet
    from ovseg3r_train.set_report import add_attribution, write_classes

    with err.status("looking at what is there"):
        left = jobs_left(jobs, scene_set)
    failed = 0
    with progress_bar(err) as progress:
        task = progress.add_task("homes", total=len(jobs), completed=len(jobs) - len(left))
        for outcome in run_jobs(left, make, min(workers, max(1, len(left)))):
            progress.advance(task)
            add_attribution(scene_set.folder, outcome.attribution)
            if outcome.error is not None:
                failed += 1
                said = f"[bold red]failed:[/] {escape(outcome.job.world)}: {escape(outcome.error)}"
                progress.console.print(said, highlight=False, soft_wrap=True)
    made = SceneSet(scene_set.folder)
    classes = write_classes(made)
    say(
        f"{len(made)} scenes in {made.folder}: {len(jobs) - len(left)} homes were there already, "
        f"{len(left) - failed} were made, {failed} failed; {sum(classes.values())} instances of {len(classes)} classes"
    )
    return failed == 0
