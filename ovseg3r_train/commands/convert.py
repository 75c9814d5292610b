"""The verb `convert`: scenes of public datasets, with their official truth."""

from pathlib import Path
from typing import Annotated

import typer

from ovseg3r_core.commands.app import say
from ovseg3r_core.devices import Device, pick_device
from ovseg3r_train.commands.options import Split


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
        say(f"{number}/{len(scenes)} {done.scene}: {'' if done.done else 'refused: '}{done.detail}")
    if refused:
        raise typer.Exit(1)
