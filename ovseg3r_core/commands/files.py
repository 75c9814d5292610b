"""The verbs that make something else of a recording or of a run: `bag`, `view`, `report`."""

from pathlib import Path
from typing import Annotated

import typer

from ovseg3r_core.commands.app import err, say
from ovseg3r_core.commands.options import FormatName, FrameRange, MapPath, SequencePath, parse_range


def bag(
    sequence: SequencePath,
    out_path: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new rosbag2 (MCAP).")],
    format: FormatName = "auto",
    frames: FrameRange = "::",
) -> None:
    """Write any sequence as a rosbag2 with images, CameraInfo and /tf."""
    from ovseg3r_core.sequences.bag_writer import write_bag
    from ovseg3r_core.sequences.sequence import open_sequence

    source = open_sequence(sequence, format, parse_range(frames))
    with err.status(f"writing {len(source)} frames"):
        written = write_bag(source, out_path)
    say(f"{written.frames} frames in {out_path}")
    for reason, count in written.rejected.items():
        err.print(f"left out: {count} {reason}", highlight=False)


def view(map_dir: MapPath) -> None:
    """Open a map in the rerun viewer."""
    from ovseg3r_core.mapping.storage import load_map
    from ovseg3r_core.visual.view import view_map

    view_map(load_map(map_dir))


def report(
    run_dir: Annotated[Path, typer.Argument(metavar="DIR", help="The --out folder of a segment run, or a saved map.")],
    page: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.html", help="The page; DIR/report.html if none.")
    ] = None,
) -> None:
    """Make one HTML page of a run: pictures, objects with thumbnails, a box to ask the map, times, what was left out.

    The page needs no other file and no network.
    """
    from ovseg3r_core.language.embedding_cache import CachedEncoder
    from ovseg3r_core.language.minilm import MiniLm
    from ovseg3r_core.mapping.queries import QueryEngine
    from ovseg3r_core.report.page import write_report

    target = page or run_dir / "report.html"
    with err.status("making the page"):
        write_report(run_dir, target, QueryEngine(CachedEncoder(MiniLm())))
    say(f"written: {target}")
