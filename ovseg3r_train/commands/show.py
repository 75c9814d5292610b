"""The verbs that show what there is: `sheet` draws homes, `show` lists scenes."""

from pathlib import Path
from typing import Annotated

import typer

from ovseg3r_core.commands.app import err, out, say
from ovseg3r_train.commands.options import Split


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
    say(f"{count} homes: {path}")


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
