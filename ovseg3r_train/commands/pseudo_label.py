"""The verb `pseudo-label`: recordings without any annotation in, partial 3D labels out."""

from pathlib import Path
from typing import Annotated

import typer

from ovseg3r_core.commands.app import err, out
from ovseg3r_core.commands.options import FormatName, FrameRange, VoxelSize
from ovseg3r_core.devices import Device, pick_device
from ovseg3r_train.commands.options import Split


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
    voxel_size: VoxelSize = 0.02,
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
