"""Saving and loading a map: whole or not at all.

A map is a folder (`map_folder.py` says why a crash cannot harm it): `map.json` with the records and the operator's
edits, one `cloud-<hash>.safetensors` with the points, and, where mapping is to go on from it, one
`view-<hash>.safetensors` a keyframe. Keyframes never change, so saving a map again writes only the new ones. Nothing
is loaded in part, and nothing is ever unpickled.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.mapping.anchors import no_anchor
from ovseg3r_core.mapping.life import Lives
from ovseg3r_core.mapping.life_files import lives_json, lives_of, place_arrays
from ovseg3r_core.mapping.map_folder import Content, DamagedMap, Saving, read_map, read_part, saving
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.memory_files import (
    check_memory,
    edits_json,
    edits_of,
    poses_json,
    poses_of,
    recognitions_json,
    recognitions_of,
    sightings_json,
    sightings_of,
)
from ovseg3r_core.mapping.snapshot import MapSnapshot, ObjectEmbeddings
from ovseg3r_core.mapping.view_files import check_unit_rows, pack_view, unpack_view
from ovseg3r_core.types import Box, ObjectRecord, SceneCloud
from ovseg3r_core.views import View

_CLOUD = {"xyz": ("float32", 3), "color": ("uint8", 3), "normal": ("float32", 3), "owner": ("int32", 0)}


def save_map(snapshot: MapSnapshot, folder: Path, memory: Memory | None = None) -> None:
    """Write the map so that `folder` holds either the old map or this one, whatever happens meanwhile.

    Args:
        memory: of the same moment as the snapshot; without it the map answers queries, but is not mapped on.

    Raises:
        ValueError: snapshot and memory do not fit, or are larger than what can be loaded again.
        OSError: the disk is full or the folder cannot be written; it holds the old map.
    """
    if memory:
        records = (*snapshot.objects, *snapshot.structure, *snapshot.removed)
        check_memory(memory, snapshot.owner, {record.id for record in records})
    looks = snapshot.embeddings
    with saving(folder) as save:
        save.finish(
            {
                "map_frame": snapshot.map_frame,
                "map_id": snapshot.map_id,
                "scale_known": snapshot.scale_known,
                "up": snapshot.up,
                "views": snapshot.views,
                "cloud": save.add("cloud", _cloud(snapshot, memory)),
                "objects": [asdict(record) for record in snapshot.objects],
                "structure": [asdict(record) for record in snapshot.structure],
                "removed": [asdict(record) for record in snapshot.removed],
                "encoder": asdict(looks.encoder) if looks else None,
                "memory": _memory_json(memory, save) if memory else None,
            }
        )


def load_map(folder: Path) -> MapSnapshot:
    """Read what readers see of a map; its keyframes are not touched.

    Args:
        folder: a folder that `save_map` wrote, or one that holds it as `map/`.

    Raises:
        FileNotFoundError: there is no map in the folder.
        DamagedMap: the map is truncated, altered, oversized, or of a version this release cannot read.
    """
    return read_map(folder, _snapshot)


def load_memory(folder: Path) -> Memory:
    """Read what mapping needs beyond the snapshot to go on.

    Raises:
        FileNotFoundError: there is no map in the folder.
        DamagedMap: as in `load_map`, or the map was saved without its memory.
    """
    return read_map(folder, _memory)


def load_both(folder: Path) -> tuple[MapSnapshot, Memory]:
    """Read a map and its memory of the same save; raises as `load_memory` does."""
    return read_map(folder, lambda at, content: (_snapshot(at, content), _memory(at, content)))


def _cloud(snapshot: MapSnapshot, memory: Memory | None) -> bytes:
    cloud, looks = snapshot.cloud, snapshot.embeddings
    arrays = {"xyz": cloud.xyz, "color": cloud.color, "normal": cloud.normal, "owner": snapshot.owner}
    if looks:
        arrays |= {"embedding": looks.vectors, "embedding_of": looks.ids}
    if memory:
        arrays |= {"members": memory.members, "anchor": memory.anchor} | place_arrays(memory.lives)
    _check_arrays(arrays)
    return save_tensors({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def _memory_json(memory: Memory, save: Saving) -> dict[str, Any]:
    return {
        "views": [save.add("view", pack_view(view)) for view in memory.views],
        "poses": poses_json(memory.views),
        "next_id": memory.next_id,
        "edits": edits_json(memory.edits),
        "sightings": sightings_json(memory.sightings),
        "recognitions": recognitions_json(memory.recognitions),
        "lives": lives_json(memory.lives, asdict),
    }


def _snapshot(folder: Path, content: Content) -> MapSnapshot:
    tensors = _tensors(folder, content)
    objects = tuple(_record(entry) for entry in content["objects"])
    return MapSnapshot(
        map_frame=str(content["map_frame"]),
        map_id=str(content.get("map_id", "")),
        scale_known=bool(content.get("scale_known", True)),  # once, all maps that were saved were in metres
        cloud=SceneCloud(xyz=tensors["xyz"], color=tensors["color"], normal=tensors["normal"]),
        owner=tensors["owner"],
        objects=objects,
        structure=tuple(_record(entry) for entry in content["structure"]),
        removed=tuple(_record(entry) for entry in content.get("removed", [])),  # older releases removed nothing
        up=_triple(content["up"]),
        views=int(content["views"]),
        embeddings=_embeddings(content["encoder"], tensors, {record.id for record in objects}),
    )


def _memory(folder: Path, content: Content) -> Memory:
    entry = content["memory"]
    if entry is None:
        raise DamagedMap(f"{folder} was saved without keyframes: it answers queries, but mapping cannot go on from it")
    tensors = _tensors(folder, content)
    views = [_view(folder, content, name) for name in entry["views"]]
    for place, T in poses_of(entry.get("poses", []), len(views)).items():  # once, poses were never corrected
        views[place] = views[place].moved_to(T)
    memory = Memory(
        views=tuple(views),
        members=tensors["members"],
        anchor=tensors.get("anchor", no_anchor(0)),  # releases before loop closures did not write them
        next_id=entry["next_id"],
        edits=edits_of(entry["edits"]),
        sightings=sightings_of(entry.get("sightings", [])),  # release 0.1 did not write them
        recognitions=recognitions_of(entry.get("recognitions", [])),  # nor these, and maps of masks alone have none
        lives=lives_of(entry["lives"], tensors, _record) if "lives" in entry else Lives(),
    )
    records = (*content["objects"], *content["structure"], *content.get("removed", []))
    check_memory(memory, tensors["owner"], {_record(record).id for record in records})
    return memory


def _view(folder: Path, content: Content, name: str) -> View:
    return unpack_view(read_part(folder, content, name, "view"))


def _tensors(folder: Path, content: Content) -> dict[str, ndarray]:
    tensors = load_tensors(read_part(folder, content, content["cloud"], "cloud"))
    _check_arrays(tensors)
    return tensors


def _check_arrays(arrays: dict[str, ndarray]) -> None:
    points = len(arrays["owner"])
    for name, (dtype, width) in _CLOUD.items():
        shape = (points, width) if width else (points,)
        if arrays[name].dtype != dtype or arrays[name].shape != shape:
            raise ValueError(f"{name} is {arrays[name].dtype} {arrays[name].shape}, not {dtype} {shape}")
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} holds numbers that are not finite")
    if arrays["owner"].min(initial=-1) < -1:
        raise ValueError(f"owner goes down to {arrays['owner'].min()}; nobody is -1")
    if "embedding" in arrays:
        check_unit_rows(arrays["embedding"], arrays["embedding_of"])


def _embeddings(
    encoder: dict[str, str] | None, tensors: dict[str, ndarray], objects: set[int]
) -> ObjectEmbeddings | None:
    if encoder is None:
        return None
    vectors, ids = tensors["embedding"], tensors["embedding_of"]
    if not objects.issuperset(ids.tolist()):
        raise ValueError("embeddings are of objects that are not there")
    return ObjectEmbeddings(
        encoder=EncoderId(name=str(encoder["name"]), source=str(encoder["source"])), ids=ids, vectors=vectors
    )


def _record(entry: dict[str, Any]) -> ObjectRecord:
    box = entry["box"]
    return ObjectRecord(
        id=int(entry["id"]),
        label=str(entry["label"]),
        score=float(entry["score"]),
        centre=_triple(entry["centre"]),
        box=Box(centre=_triple(box["centre"]), size=_triple(box["size"]), yaw=float(box["yaw"])),
        points=int(entry["points"]),
        observations=int(entry["observations"]),
        first_seen=float(entry["first_seen"]),
        last_seen=float(entry["last_seen"]),
        state=str(entry["state"]),
        name_score=float(entry.get("name_score", entry["score"])),  # once, the one number said both
    )


def _triple(values: list[float]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
