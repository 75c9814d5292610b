"""Arguments and options that several verbs take."""

from pathlib import Path
from typing import Annotated

import typer

SequencePath = Annotated[
    Path, typer.Argument(help="A recorded sequence, a rosbag2, a video or a folder of images.", show_default=False)
]
MapPath = Annotated[Path, typer.Argument(metavar="MAP", help="A saved map, or the --out folder that holds it.")]
OutPath = Annotated[Path, typer.Option("--out", help="Folder for the results; made if it is not there.")]
FormatName = Annotated[
    str,
    typer.Option(
        help="scannet, sens, tum, 7scenes, replica, rosbag, vggt, mast3r-slam, colmap, video or images; auto tells by "
        "the files."
    ),
]
FrameRange = Annotated[str, typer.Option(help="Which frames, from A to B by STEP; every part may be left out.")]
SegmenterFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.safetensors",
        help="Weights of the 3D segmenter; else $OVSEG3R_SEGMENTER, else those that ship with the package, if any.",
    ),
]
VoxelSize = Annotated[
    float, typer.Option(help="Metres; other lengths follow. 0.02 is for rooms, 0.005 for a bin or a table top.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]


def parse_range(text: str) -> slice:
    """A:B:STEP as a slice; one number A means from A on.

    Raises:
        ValueError: the text is not one to three integers with colons between them, or the step is not positive.
    """
    try:
        parts = [int(part) if part.strip() else None for part in text.split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or (len(parts) == 3 and parts[2] is not None and parts[2] < 1):
        raise ValueError(f"--frames {text!r}: give A:B:STEP with integers and a step of at least 1, such as 0:300:2")
    return slice(*parts) if len(parts) > 1 else slice(parts[0], None)
