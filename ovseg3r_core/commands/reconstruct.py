"""The verb `reconstruct`: where the camera was, and the surface that it saw."""

import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.text import Text

from ovseg3r_core.commands.app import err, out, say, warn
from ovseg3r_core.commands.options import AsJson, FormatName, FrameRange, OutPath, SequencePath, parse_range
from ovseg3r_core.commands.tables import dropped
from ovseg3r_core.devices import Device, pick_device


class From(str, Enum):
    """What `reconstruct` looks at."""

    auto = "auto"
    depth = "depth"
    colour = "colour"


def reconstruct(
    sequence: SequencePath,
    out_dir: OutPath,
    format: FormatName = "auto",
    frames: FrameRange = "::",
    voxel_size: Annotated[float, typer.Option(help="Metres between the points of the cloud.")] = 0.02,
    source_of: Annotated[
        From, typer.Option("--from", help="depth: colour and depth; colour: images alone; auto: depth where there is.")
    ] = From.auto,
    scale: Annotated[
        float | None, typer.Option(help="From colour: how many times larger the result shall be than without this.")
    ] = None,
    camera_height: Annotated[
        float | None, typer.Option(metavar="METRES", help="From colour: how high over the floor the camera was.")
    ] = None,
    scale_from: Annotated[
        str | None,
        typer.Option(
            metavar="recorded|FILE",
            help="From colour: scale and place by the recorded poses, or a trajectory of TUM's format in metres.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of structure from motion; default: the processors that there are.")
    ] = None,
    device: Device = Device.auto,
    as_json: AsJson = False,
) -> None:
    """Find out where the camera was, from colour and depth or from colour alone, and fuse what it saw.

    Writes trajectory.txt (TUM format), cloud.ply, report.json, preview.png, reconstruction.json and, from colour alone,
    depth/ into --out. Poses that the recording has are not used; the report says how far from them it came. A run that
    was cut goes on where it was when it is started again.
    """
    from ovseg3r_core.odometry.choice import Recovery
    from ovseg3r_core.odometry.doubts import doubts_of_images
    from ovseg3r_core.odometry.run import reconstruct as run_reconstruct
    from ovseg3r_core.perception_config import config_of
    from ovseg3r_core.photogrammetry.from_color import color_config, scale_of
    from ovseg3r_core.progress import telling
    from ovseg3r_core.sequences.identity import identity
    from ovseg3r_core.sequences.sequence import open_sequence

    part = parse_range(frames)
    source = open_sequence(sequence, format, part)
    from_color = source_of is From.colour or (source_of is From.auto and not source.has_depth)
    if not from_color and any(it is not None for it in (scale, camera_height, scale_from)):
        raise ValueError("depth tells the scale: --scale, --camera-height and --scale-from are for --from colour")
    recovery = Recovery(
        folder=out_dir,
        identity=identity(sequence, format, part, out_dir),
        scale=scale_of(source, metres_per_unit=scale, camera_height_m=camera_height, positions_from=scale_from),
        color=color_config(threads),
        device=pick_device(device.value, "--device"),
    )
    tsdf = config_of(online=False, voxel_size_m=voxel_size).tsdf
    with telling(err) as tell:
        report = run_reconstruct(source, recovery, tsdf, from_color=from_color, tell=tell)
    if as_json:
        out.print_json(json.dumps(report))
    else:
        say(reconstruction_text(report, out_dir))
    for doubt in doubts_of_images(report):
        warn(doubt)


def reconstruction_text(report: Mapping[str, Any], folder: Path) -> Text:
    """How many frames have a pose, how far from the recorded poses, and where it is."""
    frames, error = report["frames"], report["against_recorded_poses"]
    compared = ""
    if error:
        compared = (
            f"against the recorded poses: ATE {100 * error['ate_m']:.1f} cm, RPE {1000 * error['rpe_m']:.1f} mm and "
            f"{np.degrees(error['rpe_rad']):.2f} degrees a frame, over {error['frames']} frames"
            f"{'' if report['scale_known'] else ', stretched to fit them'}\n"
        )
    how = _by_structure(report) if report["from"] == "colour" else _by_odometry(report)
    return Text(
        f"{frames['posed']} of {frames['read']} frames placed; without a pose: {dropped(report)}\n{compared}{how}"
        f"{folder / 'preview.png'}  {folder / 'trajectory.txt'}  {folder / 'cloud.ply'}"
    )


def _by_odometry(report: Mapping[str, Any]) -> str:
    frames, seconds = report["frames"]["read"], report["seconds"]
    return (
        f"{report['keyframes']} keyframes, {report['loops']} loops, {report['points']} points; "
        f"{1000 * seconds['track'] / max(frames, 1):.0f} ms a frame to track, {seconds['loops']:.1f} s for loops\n"
    )


def _by_structure(report: Mapping[str, Any]) -> str:
    seconds, camera = report["seconds"], report["intrinsics"]
    return (
        f"{report['points']} points; scale: {report['scale']}\n"
        f"intrinsics {'given' if camera['known'] else 'estimated'}: fx {camera['fx']:.1f}, fy {camera['fy']:.1f}, "
        f"cx {camera['cx']:.1f}, cy {camera['cy']:.1f}; points are seen within {report['reprojection_px']:.2f} px, "
        f"{100 * report['depth_share']:.0f} % of the pixels have depth\n"
        f"{seconds['read']:.0f} s to read, {seconds['structure']:.0f} s for poses, {seconds['depth']:.0f} s for depth\n"
    )
