"""The command `ovseg3r-train`: one verb a function, each a thin shell round the package.

What a verb needs is imported when it runs: `ovseg3r-train show` must not wait for what `ovseg3r-train scenes` loads.
"""

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ovseg3r_core.commands.app import err, out, run
from ovseg3r_core.commands.options import FormatName, FrameRange
from ovseg3r_core.devices import Device, pick_device
from ovseg3r_core.progress import progress_bar
from ovseg3r_train.training import cli as training_cli

if TYPE_CHECKING:
    from ovseg3r_train.make_scenes import MakeHome, SceneJob
    from ovseg3r_train.scene_set import SceneSet
    from ovseg3r_train.sensor.rendered import SensorConfig

app = typer.Typer(
    help="Labelled worlds: make them, look at them, and measure methods on them.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


class Split(str, Enum):
    """What scenes are for; the splits differ in models, homes and seeds."""

    train = "train"
    val = "val"
    test = "test"


class Style(str, Enum):
    """Who carries the camera."""

    human = "human"
    robot = "robot"
    both = "both"


def main() -> None:
    """The command `ovseg3r-train`."""
    run(app)


app.command(epilog=training_cli.TRAIN_EXAMPLES)(training_cli.train)
app.command(epilog=training_cli.ABLATE_EXAMPLES)(training_cli.ablate)


@app.callback()
def _verbs() -> None:
    """Keep the verbs verbs, however few there are: typer makes a single one the whole command."""


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r-train scenes rooms --count 50\n\n"
    "  ovseg3r-train scenes rooms --count 50 --masks perfect,simulated,default --style both --workers 8\n\n"
    "  ovseg3r-train scenes fast --split train --count 1000 --sampled --workers 8"
)
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


@app.command(
    epilog="Examples:\n\n  ovseg3r-train sheet homes.png\n\n  ovseg3r-train sheet val.png --split val --count 4"
)
def sheet(
    path: Annotated[Path, typer.Argument(metavar="OUT.png", help="The picture.")],
    count: Annotated[int, typer.Option(min=1, max=200, help="How many homes.")] = 12,
    split: Split = Split.test,
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Of the first home; the others follow.")] = 0,
    columns: Annotated[int, typer.Option(min=1, max=20, help="Homes in a row.")] = 4,
    width_px: Annotated[int, typer.Option(min=200, max=4000, help="Width of a home's picture.")] = 1000,
) -> None:
    """Draw homes as dolls' houses with their things named: are they plausible?"""
    from ovseg3r_train.homes.contact_sheet import contact_sheet
    from ovseg3r_train.homes.home import HomeConfig, build_home

    with err.status("furnishing"):
        homes = [build_home(HomeConfig(seed=number, split=split.value)) for number in range(seed, seed + count)]
    with err.status("drawing"):
        contact_sheet(homes, path, columns=columns, width_px=width_px)
    out.print(f"{count} homes: {escape(str(path))}", highlight=False, soft_wrap=True)


@app.command(
    epilog="Examples:\n\n  ovseg3r-train show rooms\n\n  ovseg3r-train show rooms/test-00003-robot-perfect.safetensors"
)
def show(
    path: Annotated[Path, typer.Argument(metavar="FOLDER_OR_FILE", help="A set of scenes, or one scene.")],
    split: Annotated[Split | None, typer.Option(help="Only those of one split.")] = None,
    masks: Annotated[str | None, typer.Option(help="Only those with masks of one source.")] = None,
) -> None:
    """List scenes: points, views, masks, instances, megabytes; of one file, what it says of itself as well."""
    from ovseg3r_train.scene_files import load_scene
    from ovseg3r_train.scene_set import SceneSet
    from ovseg3r_train.set_report import scene_table, set_table

    if path.is_dir():
        out.print(set_table(SceneSet(path, split=split.value if split else None, masks=masks)))
        return
    scene = load_scene(path, clean=False)
    out.print(scene_table(scene, path))
    out.print_json(data=dict(scene.facts), default=str)


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r-train evaluate rooms\n\n"
    "  ovseg3r-train evaluate rooms --masks default --methods offline,sam3d --workers 2"
)
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A set of labelled scenes.")],
    methods: Annotated[
        str,
        typer.Option(
            help="Which, with commas: online, offline, mask-clustering, ovir3d, sam3d and, with weights, segmenter and "
            "fused; all without it."
        ),
    ] = "",
    split: Annotated[Split | None, typer.Option(help="Only the scenes of one split.")] = None,
    masks: Annotated[str | None, typer.Option(help="Only the scenes with masks of one source.")] = None,
    segmenter: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="Weights of the 3D segmenter; else $OVSEG3R_SEGMENTER, else those that ship with the package, if any.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; seconds are truest with one.")] = 1,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results; FOLDER/benchmark if none.")
    ] = None,
) -> None:
    """Compare our map with its neighbours on the same masks: one table, as JSON and as pictures too.

    Writes table.json, methods.png and, where scenes were made with several sensors, curves_*.png. What a method found
    in a scene is kept in --out, so that a comparison that was cut goes on.
    """
    from ovseg3r_core.shipped import chosen_checkpoint
    from ovseg3r_train.benchmark.compare import compare
    from ovseg3r_train.benchmark.methods import all_methods, methods_named
    from ovseg3r_train.benchmark.results import write_results
    from ovseg3r_train.benchmark.table import as_table
    from ovseg3r_train.scene_set import SceneSet

    weights = chosen_checkpoint(segmenter)
    chosen = methods_named([it.strip() for it in methods.split(",")], weights) if methods else all_methods(weights)
    scenes = SceneSet(folder, split=split.value if split else None, masks=masks)
    results = out_dir or folder / "benchmark"
    with progress_bar(err) as progress:
        task = progress.add_task("scenes", total=len(scenes))
        rows = compare(
            folder,
            scenes.entries,
            chosen,
            results / "found",
            workers=workers,
            checkpoint=weights,
            on_scene=lambda: progress.advance(task),
        )
    written = write_results(results, rows)
    out.print(as_table(rows, f"{len(scenes)} scenes"))
    out.print(f"written: {', '.join(str(path) for path in written)}", highlight=False, soft_wrap=True)


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r-train calibrate rooms\n\n"
    "  ovseg3r-train calibrate rooms --split val --masks default --absent 100 --workers 2 --out figures"
)
def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A set of labelled scenes.")],
    split: Annotated[Split | None, typer.Option(help="Only the scenes of one split.")] = None,
    masks: Annotated[str | None, typer.Option(help="Only the scenes with masks of one source.")] = None,
    absent: Annotated[int, typer.Option(min=1, max=200, help="Names each room is asked for that are not there.")] = 50,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; 1 GB of memory each.")] = 1,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Folder of the results; FOLDER/calibration if none.")
    ] = None,
) -> None:
    """Ask the map of every scene for what is there and for what is not: are verdicts and scores honest?

    Writes calibration.json and reliability.png. The last line has the numbers of QueryConfig that would fit these
    scenes best; docs/queries.md says what they mean.
    """
    from ovseg3r_core.mapping.queries import QueryConfig
    from ovseg3r_train.benchmark import calibrate as calibration
    from ovseg3r_train.benchmark.honesty import fit_trust
    from ovseg3r_train.scene_set import SceneSet

    scenes, lowest = SceneSet(folder, split=split.value if split else None, masks=masks), QueryConfig().none_below
    with progress_bar(err) as progress:
        task = progress.add_task("scenes", total=len(scenes))
        results = calibration.calibrate(
            folder, scenes.entries, absent=absent, workers=workers, on_scene=lambda: progress.advance(task)
        )
    written = calibration.write_calibration(out_dir or folder / "calibration", results, lowest)
    out.print(calibration.as_table(results, lowest))
    out.print(f"written: {', '.join(str(path) for path in written)}", highlight=False, soft_wrap=True)
    fit = fit_trust([it.named for it in results])
    told = f"label_bias {fit[0]:.2f}, label_gain {fit[1]:.2f}" if fit else "nothing: no name is wrong, or none is right"
    out.print(f"fitted to these scenes: {told}", highlight=False, soft_wrap=True)


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r-train convert scannet200 data/scannet labelled --split val\n\n"
    "  ovseg3r-train convert scannet200 data/scannet labelled scene0011_00 --masks default\n\n"
    "  ovseg3r-train convert s3dis data/Stanford3dDataset_v1.2_Aligned_Version labelled --voxel-m 0.02"
)
def convert(
    dataset: Annotated[
        str,
        typer.Argument(help="scannet, scannet200, scannet20, scannetpp, replica, s3dis, 3rscan or arkitscenes."),
    ],
    root: Annotated[Path, typer.Argument(help="The dataset's folder, laid out as docs/datasets.md says.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the set; made, or gone on with.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="SCENE", help="Scenes; without any, all.")] = None,
    split: Annotated[Split | None, typer.Option(help="Those of an official split.")] = None,
    masks: Annotated[
        str, typer.Option(help="2D masks to lift: none, or what `ovseg3r segment --masks` takes, such as default.")
    ] = "none",
    frame_step: Annotated[int, typer.Option(min=0, max=10_000, help="Every how many frames; 0 for none.")] = 10,
    voxel_m: Annotated[float, typer.Option(min=0.0, max=0.5, help="One point a voxel; 0 keeps every point.")] = 0.0,
    device: Annotated[Device, typer.Option(help="Where networks run.")] = Device.auto,
) -> None:
    """Read scenes of a public dataset, which you have downloaded, into scene files with their official truth.

    Exit code 1 tells that some scenes were refused.
    """
    from ovseg3r_core.masks.build import build_proposer
    from ovseg3r_train.datasets.assemble import ReadConfig
    from ovseg3r_train.datasets.convert import chosen, kind_named
    from ovseg3r_train.datasets.convert import convert as convert_scenes

    kind, part = kind_named(dataset), split.value if split else None
    proposer = None if masks == "none" else build_proposer(masks, device=pick_device(device.value, "--device"))
    config, refused = ReadConfig(frame_step=frame_step, voxel_m=voxel_m), 0
    scenes = chosen(kind, root, names or [], part)
    for number, done in enumerate(
        convert_scenes(kind, root, folder, scenes, split=part, masks=masks, proposer=proposer, config=config), start=1
    ):
        refused += not done.done
        told = f"{number}/{len(scenes)} {escape(done.scene)}: {'' if done.done else 'refused: '}{escape(done.detail)}"
        out.print(told, highlight=False, soft_wrap=True)
    if refused:
        raise typer.Exit(1)


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r-train pseudo-label recordings --out labelled\n\n"
    "  ovseg3r-train pseudo-label recordings --out labelled --poses odometry\n\n"
    "  ovseg3r-train pseudo-label office_bag kitchen.mcap --out labelled --masks everything --workers 4\n\n"
    "  ovseg3r-train pseudo-label /shared/recordings --out /shared/labelled --ray auto --device cuda"
)
def pseudo_label(
    recordings: Annotated[
        list[Path], typer.Argument(metavar="RECORDING...", help="Sequences and rosbags, or folders of them.")
    ],
    folder: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the set; made, or gone on with.", show_default=False)
    ],
    format: FormatName = "auto",
    frames: FrameRange = "::",
    masks: Annotated[
        str,
        typer.Option(
            help="Source of 2D masks, as `ovseg3r segment` takes it: default, everything, sam:CHECKPOINT.pth, "
            "hf:FOLDER, files:FOLDER (of several recordings, FOLDER/NAME), each with +clip:ARCHITECTURE:CHECKPOINT. "
            "Several with commas share one fusion."
        ),
    ] = "default",
    poses: Annotated[
        str,
        typer.Option(
            metavar="auto|recorded|odometry|colour|FILE|DIR",
            help="What a recording is reconstructed by, as in `ovseg3r segment` (of several recordings, DIR/NAME). "
            "Another way beside the first makes a scene of its own of the same video.",
        ),
    ] = "auto",
    video: Annotated[
        str, typer.Option(help="What video the recording is of, where another one is of the same; else its name.")
    ] = "",
    split: Annotated[Split, typer.Option(help="What the scenes are for.")] = Split.train,
    voxel_size: Annotated[
        float, typer.Option(help="Metres; other lengths follow. 0.02 is for rooms, 0.005 for a bin or a table top.")
    ] = 0.02,
    workers: Annotated[
        int, typer.Option(min=0, max=4096, help="Recordings at once; 0: as many as cores and memory have room for.")
    ] = 0,
    ray: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Work on a Ray cluster: HOST:PORT, auto (the one of this machine) or local (processes of this machine "
            "alone). All machines must see the recordings and DIR at the same paths.",
        ),
    ] = "",
    keep_masks: Annotated[
        bool,
        typer.Option(
            "--keep-masks/--no-keep-masks",
            help="Keep the 2D masks in DIR/masks when they are lifted, and poses and depth that had to be found.",
        ),
    ] = True,
    device: Annotated[
        Device, typer.Option(help="Where networks run; with --ray, only cuda asks for GPUs, one for each recording.")
    ] = Device.auto,
) -> None:
    """Label recordings without any annotation: fused, masked by a 2D teacher, the masks lifted as partial 3D labels.

    What is in DIR already and whole is not made again. Writes scenes.json, a scene and a picture for each recording,
    and pseudo_labels.json, which tells whether the labels are any good. Exit code 1 tells that some recordings could
    not be labelled.
    """
    from ovseg3r_train.pseudo.recording_job import MASKS, RecordingJob, frame_slice
    from ovseg3r_train.pseudo.recordings import claim, find_recordings, titles_of
    from ovseg3r_train.pseudo.run import pseudo_label as label_all
    from ovseg3r_train.pseudo.teachers import check_teachers
    from ovseg3r_train.scene_set import SceneSet

    sources, titles = check_teachers(masks), titles_of(find_recordings(recordings, format))
    frame_slice(frames)
    if len(titles) > 1 and (video or poses not in ("auto", "recorded", "odometry")):
        raise ValueError(f"--video and a trajectory in --poses are of one recording; here are {len(titles)}")
    where = device.value if ray else pick_device(device.value, "--device")
    scene_set = SceneSet.create(folder)
    claim(folder / MASKS, titles)
    jobs = [
        RecordingJob(
            folder=folder,
            recording=recording,
            title=title,
            split=split.value,
            masks=sources,
            format=format,
            frames=frames,
            poses=poses,
            video=video,
            voxel_size_m=voxel_size,
            device=where,
            keep_masks=keep_masks,
            alone=len(titles) == 1,
        )
        for title, recording in titles.items()
    ]
    if not label_all(jobs, scene_set, out, err, workers=workers, ray=ray):
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
    out.print(
        f"{len(made)} scenes in {escape(str(made.folder))}: {len(jobs) - len(left)} homes were there already, "
        f"{len(left) - failed} were made, {failed} failed; {sum(classes.values())} instances of {len(classes)} classes",
        highlight=False,
        soft_wrap=True,
    )
    return failed == 0


if __name__ == "__main__":
    main()
