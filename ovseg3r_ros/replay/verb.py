"""The verb `replay` of the command line: a bag through the live node, and a verdict as numbers and as an exit code.

As in `ovseg3r_core.commands`, what it needs is imported when it runs.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ovseg3r_core.commands.app import err, out

if TYPE_CHECKING:
    from ovseg3r_core.evaluation.ground_truth import GroundTruth
    from ovseg3r_ros.replay.config import ReplayConfig
    from ovseg3r_ros.replay.metrics import ReplayMetrics
    from ovseg3r_ros.replay.thresholds import Threshold

FAILED, ERROR, INTERRUPTED = 1, 2, 130


def replay(
    context: typer.Context,
    bag: Annotated[
        Path,
        typer.Argument(
            help="A rosbag2 with colour, depth, CameraInfo and, but for --poses odometry, /tf.", show_default=False
        ),
    ],
    out_path: Annotated[Path, typer.Option("--out", help="The metrics, as JSON.", show_default=False)],
    ground_truth: Annotated[
        Path | None, typer.Option(help="What is truly there: a PLY with `instance` a vertex, a ScanNet .txt, a folder.")
    ] = None,
    ground_truth_cloud: Annotated[
        Path | None, typer.Option(help="The PLY whose vertices a ScanNet .txt speaks of.")
    ] = None,
    rate: Annotated[str, typer.Option(help="Speed: 0.5, 1, 2, 4, or max for as fast as the node keeps up.")] = "1",
    at_least: Annotated[
        list[str] | None,
        typer.Option("--min", metavar="NAME=VALUE", help="Fail where a number of the metrics is smaller; repeatable."),
    ] = None,
    at_most: Annotated[
        list[str] | None,
        typer.Option("--max", metavar="NAME=VALUE", help="Fail where a number of the metrics is larger; repeatable."),
    ] = None,
    start: Annotated[float, typer.Option(help="Seconds into the bag to begin at.")] = 0.0,
    duration: Annotated[float, typer.Option(help="Seconds of the bag to play.")] = math.inf,
    poses: Annotated[
        str, typer.Option(help="recorded, or odometry: the bag's /tf is withheld, and the node finds its way itself.")
    ] = "recorded",
    camera: Annotated[str, typer.Option(help="Play as this camera of the node's parameter `cameras`.")] = "",
    node: Annotated[
        str, typer.Option(help="The node to start: perception, or a path; `running` for one that runs already.")
    ] = "perception",
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME:=VALUE", help="A parameter of the node; repeatable.")
    ] = None,
    params_file: Annotated[Path | None, typer.Option(help="Parameters of the node, as for any ROS node.")] = None,
    domain: Annotated[int | None, typer.Option(help="DDS domain; default: one that nobody uses.")] = None,
) -> None:
    """Play a bag to the live perception node over DDS, and measure what comes out.

    Objects, drops, delays, CPU and memory go into the JSON; with --ground-truth also what was found, missed and
    doubled. Exit code: 0 for a pass, 1 where a --min or --max is missed, 2 for an error, 130 when interrupted.
    """
    from ovseg3r_ros.replay.config import ReplayConfig, parse_poses
    from ovseg3r_ros.replay.playback import PlaybackConfig, parse_rate
    from ovseg3r_ros.replay.thresholds import parse_thresholds

    thresholds = [*parse_thresholds("min", at_least or ()), *parse_thresholds("max", at_most or ())]
    config = ReplayConfig(
        bag=bag,
        playback=PlaybackConfig(rate=parse_rate(rate), start_s=start, duration_s=duration),
        poses=parse_poses(poses),
        camera=camera,
        node=node,
        parameters=tuple(param or ()),
        parameter_file=params_file,
        ros_arguments=context.obj or (),
        node_log=out_path.with_suffix(".node.log"),
    )
    truth = _read_truth(ground_truth, ground_truth_cloud, thresholds)
    raise typer.Exit(run(config, truth, thresholds, out_path, domain))


def run(
    config: "ReplayConfig",
    truth: "GroundTruth | None",
    thresholds: "list[Threshold]",
    out_path: Path,
    domain: int | None,
) -> int:
    """Replay, write the metrics, tell the verdict; gives the exit code."""
    from ovseg3r_core.outputs import write_json

    try:
        from ovseg3r_ros.replay.live import replay_live
    except ImportError as error:
        raise ImportError(f"no ROS 2 here ({error}): source one, or install the wheels") from error

    if not out_path.parent.is_dir():
        raise FileNotFoundError(f"--out {out_path}: no folder {out_path.parent}")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("the bag is read", total=1.0)
        metrics = replay_live(
            config, truth, domain, lambda what, share: progress.update(task, description=what, completed=share)
        )
    content = metrics.as_json()
    write_json(out_path, content)
    return _verdict(metrics, content, thresholds, out_path)


def _read_truth(path: Path | None, cloud: Path | None, thresholds: "list[Threshold]") -> "GroundTruth | None":
    from ovseg3r_core.evaluation.ground_truth import read_ground_truth

    if path is not None:
        return read_ground_truth(path, cloud)
    if needy := [threshold.path for threshold in thresholds if threshold.needs_truth]:
        raise ValueError(f"{', '.join(needy)} can only be measured against --ground-truth")
    return None


def _verdict(
    metrics: "ReplayMetrics", content: Mapping[str, object], thresholds: "list[Threshold]", out_path: Path
) -> int:
    from ovseg3r_ros.replay.summary import summary

    out.print(summary(metrics), highlight=False, soft_wrap=True)
    if metrics.ended != "finished":
        err.print(f"[bold red]{metrics.ended}:[/] {escape(metrics.problem or '')}", highlight=False, soft_wrap=True)
        err.print(f"what was measured until then is in {escape(str(out_path))}", highlight=False, soft_wrap=True)
        return INTERRUPTED if metrics.ended == "interrupted" else ERROR
    misses = [miss for threshold in thresholds if (miss := threshold.failure(content)) is not None]
    for miss in misses:
        err.print(f"[bold red]failed:[/] {escape(miss)}", highlight=False, soft_wrap=True)
    out.print(f"metrics in {escape(str(out_path))}", highlight=False, soft_wrap=True)
    return FAILED if misses else 0
