"""What a run leaves behind: the files of the command line's contract, each written whole or not at all."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import save_map
from ovseg3r_core.scene_files import transfer_labels, write_scannet_submission, write_scene_ply
from ovseg3r_core.types import Instances, ObjectRecord, QueryResult
from ovseg3r_core.visual.preview import render_preview
from ovseg3r_core.visual.recording import write_recording

NO_LABEL = 0
"""The label id of points that carry none: vocabularies number from 1."""


def write_outputs(folder: Path, snapshot: MapSnapshot, namer: Namer, memory: Memory) -> None:
    """Write `objects.json`, `scene.ply`, `map/`, `preview.png` and `recording.rrd`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_map(snapshot, folder / "map", memory)
    write_json(folder / "objects.json", objects_json(snapshot, namer))
    instance = snapshot.instance()
    write_scene_ply(folder / "scene.ply", snapshot.cloud, instance, point_labels(snapshot, namer))
    shown = [named(record, namer) for record in snapshot.objects]
    render_preview(snapshot.cloud, instance, shown, folder / "preview.png", up=snapshot.up)
    frames = [view.frame() for view in memory.views if view.kept]
    write_recording(folder / "recording.rrd", snapshot.cloud, instance, shown, keyframes=frames, up=snapshot.up)


def write_on_points(
    folder: Path, scene: str, snapshot: MapSnapshot, namer: Namer, xyz: Float32[ndarray, "points 3"]
) -> None:
    """Carry the instances onto given vertices and write them in the ScanNet submission format.

    Objects that the vocabulary has no name for are written with label 0: class-agnostic scores count them, others
    leave them out.
    """
    on_points = transfer_labels(snapshot.cloud.xyz, snapshot.instance(), xyz)
    shown = [record for record in snapshot.objects if (on_points == record.id).any()]
    instances = Instances(
        masks=np.array([on_points == record.id for record in shown], bool).reshape(-1, len(xyz)),
        labels=np.array([label_id(record.label, namer) for record in shown], np.int64),
        scores=np.array([record.score for record in shown], np.float64),
    )
    write_scannet_submission(folder / "scannet", scene, instances)


def objects_json(snapshot: MapSnapshot, namer: Namer) -> dict[str, Any]:
    """The objects as the contract lists them; structure, and what was removed, stand under keys of their own."""
    return {
        "map_frame": snapshot.map_frame,
        "scale_known": snapshot.scale_known,
        "vocabulary": list(namer.vocabulary.names),
        "objects": [record_json(named(record, namer)) for record in snapshot.objects],
        "structure": [record_json(named(record, namer)) for record in snapshot.structure],
        "removed": [record_json(named(record, namer)) for record in snapshot.removed],
    }


def answer_json(result: QueryResult) -> dict[str, Any]:
    """A query's answer as the contract lists it."""
    kept = ("id", "label", "centre", "box")
    hits = [{key: record_json(hit.object)[key] for key in kept} | {"score": hit.score} for hit in result.hits]
    return {"verdict": result.verdict, "explanation": result.explanation, "objects": hits}


def record_json(record: ObjectRecord) -> dict[str, Any]:
    """One object of `objects.json`."""
    box = {"centre": list(record.box.centre), "size": list(record.box.size), "yaw": record.box.yaw}
    return vars(record) | {"centre": list(record.centre), "box": box}


def named(record: ObjectRecord, namer: Namer) -> ObjectRecord:
    """The record under the name that the vocabulary has for it."""
    return replace(record, label=namer.name(record.label) or UNNAMED)


def label_id(label: str, namer: Namer) -> int:
    """The vocabulary's id for a label, `NO_LABEL` where it has no name for it."""
    name = namer.name(label)
    return NO_LABEL if name is None else namer.vocabulary.id_by_name[name]


def point_labels(snapshot: MapSnapshot, namer: Namer) -> Int32[ndarray, " points"]:
    """The vocabulary's label id of each point, 0 for none; structure is labelled too."""
    labels = np.full(len(snapshot.cloud), NO_LABEL, np.int32)
    for record in (*snapshot.objects, *snapshot.structure):
        labels[snapshot.owner == record.id] = label_id(record.label, namer)
    return labels


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that holds finite numbers only."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
