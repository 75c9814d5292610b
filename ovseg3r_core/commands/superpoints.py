"""The verb `superpoints`: a cloud, cut along the outlines of 2D masks."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from jaxtyping import Int64
from numpy import ndarray
from rich.text import Text

from ovseg3r_core.commands.app import err, say

if TYPE_CHECKING:
    from ovseg3r_core.view_labels import ViewLabels


def superpoints(
    cloud: Annotated[Path, typer.Argument(metavar="CLOUD.ply", help="Points x, y, z; with normals nx, ny, nz if any.")],
    out_file: Annotated[Path, typer.Option("--out", metavar="FILE.npy", help="One int64 a point goes there.")],
    masks: Annotated[
        Path | None,
        typer.Option(
            help="A saved map, whose keyframes see the cloud; or a .npy of mask ids, (points,) or (views, points): "
            "-1 is background, -2 not seen. Default: geometry alone."
        ),
    ] = None,
    k: Annotated[float, typer.Option(help="Smaller gives more superpoints, larger fewer.")] = 0.01,
    min_points: Annotated[
        int, typer.Option(help="Smaller superpoints join a neighbour, where no mask forbids it.")
    ] = 20,
    picture: Annotated[Path | None, typer.Option(metavar="FILE.png", help="A picture of them.")] = None,
    ply: Annotated[
        Path | None, typer.Option(metavar="FILE.ply", help="The cloud in their colours, `instance` being the id.")
    ] = None,
) -> None:
    """Cut a cloud into superpoints that keep to the outlines of 2D masks: one id a point.

    No superpoint holds two masks of one view. The order of the points makes no difference.
    """
    from ovseg3r_core.scene_files import read_cloud_ply, write_scene_ply
    from ovseg3r_core.superpoint_files import read_labels, write_superpoints
    from ovseg3r_core.superpoints import SuperpointConfig, superpoints
    from ovseg3r_core.types import SceneCloud
    from ovseg3r_core.visual.colors import object_colors
    from ovseg3r_core.visual.superpoint_picture import render_superpoints

    config = SuperpointConfig(k=k, min_points=min_points)
    with err.status("reading"):
        points = read_cloud_ply(cloud)
        labels = read_labels(masks, points) if masks else None
    with err.status("superpoints (the first run on a machine compiles the loops)"):
        start = time.perf_counter()
        ids = superpoints(points, labels, config)
        seconds = time.perf_counter() - start
        write_superpoints(out_file, ids)
    with err.status("pictures"):
        if picture:
            render_superpoints(points, ids, picture)
        if ply:
            colored = SceneCloud(xyz=points.xyz, color=object_colors(ids), normal=points.normal)
            write_scene_ply(ply, colored, ids.astype("int32"), ids.astype("int32") * 0)
    say(superpoints_text(ids, labels, seconds, out_file))


def superpoints_text(
    superpoint: Int64[ndarray, " points"], labels: "ViewLabels | None", seconds: float, path: Path
) -> Text:
    """What was made, of what, and where it is."""
    sizes = np.bincount(superpoint)
    median = f", median size {np.median(sizes):.0f}" if len(sizes) else ""
    masks = "" if labels is None else f"; masks of {np.count_nonzero(np.bincount(labels.view))} views"
    return Text(f"{len(superpoint)} points, {len(sizes)} superpoints{median}{masks}; {seconds:.2f} s\n{path}")
