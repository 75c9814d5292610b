"""The verb `segment`: a recording in, every object of it in 3D out."""

import json
import time
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ovseg3r_core.commands.app import err, out, say
from ovseg3r_core.commands.options import (
    AsJson,
    FormatName,
    FrameRange,
    OutPath,
    SegmenterFile,
    SequencePath,
    VoxelSize,
    parse_range,
)
from ovseg3r_core.commands.tables import objects_table, report_text
from ovseg3r_core.devices import Device, pick_device

if TYPE_CHECKING:
    from ovseg3r_core.language.encoder import TextEncoder
    from ovseg3r_core.language.naming import Namer
    from ovseg3r_core.language.vocabulary import Vocabulary
    from ovseg3r_core.mapping.snapshot import MapSnapshot


class Mode(str, Enum):
    """How `segment` goes through a recording."""

    online = "online"
    offline = "offline"


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
    segmenter: SegmenterFile = None,
    voxel_size: VoxelSize = 0.02,
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
    from ovseg3r_core.language.vocabulary import load_vocabulary
    from ovseg3r_core.masks.build import build_proposer
    from ovseg3r_core.odometry.choice import Recovery, with_poses
    from ovseg3r_core.perception_config import config_of
    from ovseg3r_core.run import OnPoints, perceive, write_run
    from ovseg3r_core.scene_files import read_points_ply
    from ovseg3r_core.segmenter_choice import choose_segmenter
    from ovseg3r_core.sequences.identity import identity
    from ovseg3r_core.sequences.sequence import open_sequence

    start = time.perf_counter()
    config = config_of(online=mode is Mode.online, voxel_size_m=voxel_size)
    names = load_vocabulary(vocabulary)
    asked = names.names if vocabulary else None

    part = parse_range(frames)
    recording = open_sequence(sequence, format, part)
    where = pick_device(device.value, "--device")
    recovery = Recovery(
        folder=out_dir / "reconstruction",
        identity=identity(sequence, format, part, out_dir),
        device=where,
    )
    placed = with_poses(recording, poses, err, recovery)
    source = placed.sequence
    target = OnPoints(xyz=read_points_ply(on_points), scene=scene or source.name) if on_points else None

    with err.status("loading the networks"):
        proposer = build_proposer(masks, device=where, vocabulary=asked)
        encoder = MiniLm()
        choice = choose_segmenter(off=no_segmenter, checkpoint=segmenter, names=asked or (), device=where)

    perception = perceive(source, proposer, config, console=err, segmenter=choice.segmenter)

    with err.status("writing the results"):
        snapshot = replace(perception.snapshot(), scale_known=placed.scale_known)
        snapshot, namer = _name(snapshot, names, encoder, kept_to=bool(vocabulary), device=where)
        origin = {"poses": placed.by, "scale_known": placed.scale_known, "doubts": list(placed.doubts)}
        report = write_run(out_dir, perception, snapshot, namer, start, choice, target, origin)

    if as_json:
        out.print_json(json.dumps(report))
    else:
        out.print(objects_table(snapshot, namer))
        say(report_text(report, out_dir))


def _name(
    snapshot: "MapSnapshot", names: "Vocabulary", encoder: "TextEncoder", *, kept_to: bool, device: str
) -> "tuple[MapSnapshot, Namer]":
    """The map, and what gives its objects names of a vocabulary.

    Args:
        kept_to: the vocabulary was asked for: what has no name takes the entry that it looks like. Else it grows by the
            names that the masks brought and it lacks.
    """
    from ovseg3r_core.language.naming import Namer
    from ovseg3r_core.language.open_clip_text import open_clip_text
    from ovseg3r_core.mapping.visual_queries import name_by_looks

    if not kept_to:
        return snapshot, Namer(names, encoder).with_names_of(record.label for record in snapshot.objects)
    if snapshot.embeddings:
        snapshot = name_by_looks(snapshot, names, open_clip_text(snapshot.embeddings.encoder.source, device))
    return snapshot, Namer(names, encoder)
