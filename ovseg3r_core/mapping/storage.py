"""Saving and loading a map: whole or not at all.

A map is a folder with `map.json` (records, version, checksums) and one `cloud-<hash>.safetensors` that it
names (the points, and what objects look like where that is known). The cloud is written first, under a new name;
replacing `map.json` is the single step that makes the save valid, so a crash at any moment leaves the old map or the
new one. Both files carry a SHA-256: a truncated or flipped byte anywhere is refused, nothing is loaded in part, and
nothing is ever unpickled.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.language.encoder import EncoderId
from ovseg3r_core.mapping.snapshot import MapSnapshot, ObjectEmbeddings
from ovseg3r_core.types import Box, ObjectRecord, SceneCloud

VERSION = 1
MAX_JSON_BYTES = 64 << 20  # 100,000 objects take about 40 MiB
MAX_CLOUD_BYTES = 2 << 30  # 60 million points
_CLOUD = {"xyz": ("float32", 3), "color": ("uint8", 3), "normal": ("float32", 3), "owner": ("int32", 0)}


class DamagedMap(ValueError):
    """The folder holds no map that can be trusted; nothing of it was loaded."""


def save_map(snapshot: MapSnapshot, folder: Path) -> None:
    """Write the map so that `folder` holds either the old map or this one, whatever happens meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    cloud, looks = snapshot.cloud, snapshot.embeddings
    arrays = {"xyz": cloud.xyz, "color": cloud.color, "normal": cloud.normal, "owner": snapshot.owner}
    tensors = save_tensors(arrays | ({"embedding": looks.vectors, "embedding_of": looks.ids} if looks else {}))
    digest = hashlib.sha256(tensors).hexdigest()
    cloud_file = folder / f"cloud-{digest[:16]}.safetensors"
    content = {
        "version": VERSION,
        "map_frame": snapshot.map_frame,
        "up": snapshot.up,
        "views": snapshot.views,
        "cloud": {"file": cloud_file.name, "sha256": digest},
        "objects": [asdict(record) for record in snapshot.objects],
        "structure": [asdict(record) for record in snapshot.structure],
        "encoder": asdict(looks.encoder) if looks else None,
    }
    with atomic_write(cloud_file) as path:
        path.write_bytes(tensors)
    with atomic_write(folder / "map.json") as path:
        path.write_text(json.dumps({"sha256": _digest(content), "map": content}, allow_nan=False))
    for old in folder.glob("cloud-*.safetensors"):
        if old != cloud_file:
            old.unlink(missing_ok=True)


def load_map(folder: Path) -> MapSnapshot:
    """Read a map back.

    Args:
        folder: a folder that `save_map` wrote, or one that holds it as `map/`.

    Raises:
        FileNotFoundError: there is no map in the folder.
        DamagedMap: the map is truncated, altered, oversized, or of a version this release cannot read.
    """
    if not (folder / "map.json").is_file() and (folder / "map" / "map.json").is_file():
        folder = folder / "map"
    if not (folder / "map.json").is_file():
        raise FileNotFoundError(f"{folder} holds no map.json: make a map with `ovseg3r segment SEQUENCE --out DIR`")
    content = _read_json(folder / "map.json")
    tensors = _read_tensors(folder, content)
    try:
        objects = tuple(_record(entry) for entry in content["objects"])
        return MapSnapshot(
            map_frame=str(content["map_frame"]),
            cloud=SceneCloud(xyz=tensors["xyz"], color=tensors["color"], normal=tensors["normal"]),
            owner=tensors["owner"],
            objects=objects,
            structure=tuple(_record(entry) for entry in content["structure"]),
            up=_triple(content["up"]),
            views=int(content["views"]),
            embeddings=_embeddings(content.get("encoder"), tensors, {record.id for record in objects}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedMap(f"{folder / 'map.json'}: {error!r}") from error


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise DamagedMap(f"{path} has {path.stat().st_size} bytes; a map's are at most {MAX_JSON_BYTES}")
    try:
        sealed = json.loads(path.read_bytes())
        content, digest = sealed["map"], sealed["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedMap(f"{path} is not the JSON of a map: {error!r}") from error
    if _digest(content) != digest:
        raise DamagedMap(f"{path} was altered or damaged after it was saved (its checksum differs)")
    if content.get("version") != VERSION:
        raise DamagedMap(f"{path} is of version {content.get('version')}; this release reads version {VERSION}")
    return content


def _read_tensors(folder: Path, content: dict[str, Any]) -> dict[str, ndarray]:
    path = folder / Path(content["cloud"]["file"]).name  # a name only: the file lies in the map's own folder
    if not path.is_file():
        raise DamagedMap(f"{path}, which map.json names, is missing")
    if path.stat().st_size > MAX_CLOUD_BYTES:
        raise DamagedMap(f"{path} has {path.stat().st_size} bytes; a map's cloud has at most {MAX_CLOUD_BYTES}")
    raw = path.read_bytes()
    if hashlib.sha256(raw).hexdigest() != content["cloud"]["sha256"]:
        raise DamagedMap(f"{path} was truncated or damaged after it was saved (its checksum differs)")
    try:
        tensors = load_tensors(raw)
    except SafetensorError as error:
        raise DamagedMap(f"{path}: {error}") from error
    points = len(tensors.get("owner", ()))
    for name, (dtype, width) in _CLOUD.items():
        shape = (points, width) if width else (points,)
        if name not in tensors or tensors[name].dtype != dtype or tensors[name].shape != shape:
            raise DamagedMap(f"{path}: {name} is missing or not {dtype} {shape}")
    return tensors


def _embeddings(
    encoder: dict[str, str] | None, tensors: dict[str, ndarray], objects: set[int]
) -> ObjectEmbeddings | None:
    if encoder is None:
        return None
    vectors, ids = tensors["embedding"], tensors["embedding_of"]
    if (vectors.dtype, vectors.ndim, ids.dtype, ids.shape) != (np.float32, 2, np.int32, vectors.shape[:1]):
        raise ValueError(f"embeddings are {vectors.dtype} {vectors.shape} of objects {ids.dtype} {ids.shape}")
    if len(np.unique(ids)) != len(ids) or not objects.issuperset(ids.tolist()):
        raise ValueError("embeddings are of objects that are not there, or twice of one")
    length = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not (np.abs(length - 1) < 1e-3).all():  # NaN compares false
        raise ValueError(f"embeddings are no unit vectors: their lengths go from {length.min()} to {length.max()}")
    return ObjectEmbeddings(
        encoder=EncoderId(name=str(encoder["name"]), source=str(encoder["source"])), ids=ids, vectors=vectors
    )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _record(entry: dict[str, Any]) -> ObjectRecord:
    box = entry["box"]
    return ObjectRecord(
        **{
            **entry,
            "centre": _triple(entry["centre"]),
            "box": Box(centre=_triple(box["centre"]), size=_triple(box["size"]), yaw=float(box["yaw"])),
        }
    )


def _triple(values: list[float]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z
