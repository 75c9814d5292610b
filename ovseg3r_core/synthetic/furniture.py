"""Furniture models of the Debian package `sweethome3d-furniture`, as metric textured triangles.

The package holds zip libraries (.sh3f) with one catalogue each (`PluginFurnitureCatalog.properties`) and models in
OBJ with MTL. A model comes out z up in metres, standing on z = 0 with its centre at x = y = 0, its front towards -y.
The catalogue's sizes are authoritative: a model is scaled to them.
"""

import io
import json
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float64, UInt8
from numpy import ndarray
from PIL import Image
from trimesh.resolvers import ZipResolver
from trimesh.visual.material import SimpleMaterial

from ovseg3r_core.synthetic.mesh import Part, plain

FURNITURE_FOLDER = Path("/usr/share/sweethome3d/furniture")
FURNITURE_VARIABLE = "OVSEG3R_FURNITURE"
_CATALOGUE = "PluginFurnitureCatalog.properties"
_GLASS_OPACITY = 0.5  # a depth camera sees through glass, so ours does too
_TEXTURE_LIMIT_PX = 1024
_YUP_TO_ZUP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=np.float64)


class MissingFurnitureError(FileNotFoundError):
    """The furniture libraries are not on this machine."""


@dataclass(frozen=True, kw_only=True)
class CatalogueEntry:
    """One model as its catalogue describes it; `creator` and `licence` are the attribution to keep."""

    id: str
    name: str
    tags: tuple[str, ...]
    category: str
    creator: str
    licence: str
    size_m: tuple[float, float, float]
    """Width (x), depth (y), height (z)."""
    top_m: float | None
    """Height of the surface that things stand on; None where nothing can."""
    elevation_m: float
    """How high over the floor it hangs; 0 where it stands."""
    library: Path
    member: str
    rotation: tuple[float, ...]
    """Row by row, in the y-up frame of the file."""


@dataclass(frozen=True, kw_only=True)
class FurnitureModel:
    """A model ready to be placed."""

    entry: CatalogueEntry
    class_name: str
    parts: tuple[Part, ...]


def furniture_folder() -> Path:
    """The folder with the .sh3f libraries: `$OVSEG3R_FURNITURE`, else where Debian puts them.

    Raises:
        MissingFurnitureError: no library is there; the text says how to get them.
    """
    folder = Path(os.environ.get(FURNITURE_VARIABLE) or FURNITURE_FOLDER)
    if not any(folder.glob("*.sh3f")):
        raise MissingFurnitureError(
            f"no furniture library (*.sh3f) in {folder}: apt-get install sweethome3d-furniture, "
            f"or copy its files and set {FURNITURE_VARIABLE} to their folder"
        )
    return folder


def read_catalogue(folder: Path) -> dict[str, CatalogueEntry]:
    """All entries of all libraries in a folder, by id such as "Scopia#chair"."""
    return {entry.id: entry for path in sorted(folder.glob("*.sh3f")) for entry in _entries(path)}


def demo_classes() -> dict[str, str]:
    """The models chosen for furnished rooms, catalogue id -> class name.

    COCO's name where COCO has the thing, else the one ScanNet uses.
    """
    text = resources.files("ovseg3r_core.synthetic").joinpath("furniture_classes.json").read_text("utf-8")
    return {id: name for name, ids in json.loads(text).items() for id in ids}


def load_model(entry: CatalogueEntry, class_name: str) -> FurnitureModel:
    """Read one model.

    Raises:
        ValueError: the file holds no opaque triangle.
    """
    parts = [part for mesh in _read_meshes(entry) if (part := _part(mesh)) is not None]
    if not parts:
        raise ValueError(f"{entry.id} ({entry.library.name}:{entry.member}) holds no opaque triangles")
    return FurnitureModel(entry=entry, class_name=class_name, parts=_to_catalogue_size(parts, entry))


def _entries(path: Path) -> Iterator[CatalogueEntry]:
    common: dict[str, str] = {}
    numbered: dict[int, dict[str, str]] = defaultdict(dict)
    with zipfile.ZipFile(path) as library:
        text = library.read(_CATALOGUE).decode("latin-1")
    for line in text.splitlines():
        match = re.match(r"\s*(\w+)(?:#(\d+))?\s*=\s*(.*?)\s*$", line)
        if match:
            key, number, value = match.groups()
            (numbered[int(number)] if number else common)[key] = _unescape(value)
    for fields in numbered.values():
        yield _entry(fields, path, common.get("license", ""))


def _entry(fields: dict[str, str], path: Path, licence: str) -> CatalogueEntry:
    size_m = tuple(float(fields[key]) / 100 for key in ("width", "depth", "height"))
    top_m = float(fields.get("dropOnTopElevation", size_m[2] * 100)) / 100
    return CatalogueEntry(
        id=fields["id"],
        name=fields["name"],
        tags=tuple(tag.strip() for tag in fields["tags"].split(",") if tag.strip()),
        category=fields["category"],
        creator=fields["creator"],
        licence=licence,
        size_m=(size_m[0], size_m[1], size_m[2]),
        top_m=top_m if top_m >= 0 else None,
        elevation_m=float(fields.get("elevation", 0)) / 100,
        library=path,
        member=fields["model"].lstrip("/"),
        rotation=tuple(float(value) for value in fields.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()),
    )


def _unescape(text: str) -> str:
    """Undo the \\uXXXX escapes of Java property files."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)


def _read_meshes(entry: CatalogueEntry) -> list[trimesh.Trimesh]:
    folder = entry.member.rsplit("/", 1)[0] + "/"
    with zipfile.ZipFile(entry.library) as library:
        names = [name for name in library.namelist() if name.startswith(folder) and not name.endswith("/")]
        files = {name[len(folder) :]: io.BytesIO(library.read(name)) for name in names}
    resolver = ZipResolver(files)
    scene = trimesh.load_scene(files[entry.member[len(folder) :]], file_type="obj", resolver=resolver, process=False)
    return [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)]


def _part(mesh: trimesh.Trimesh) -> Part | None:
    """The mesh with its texture or plain colour; None where it is of glass."""
    material = getattr(mesh.visual, "material", None)
    if not isinstance(material, SimpleMaterial) or _opacity(material) < _GLASS_OPACITY:
        return None
    uv, image = getattr(mesh.visual, "uv", None), material.image
    if uv is None or image is None:
        red, green, blue = map(int, material.diffuse[:3])
        uv, texture = np.zeros((len(mesh.vertices), 2)), plain((red, green, blue))
    else:
        texture = _texture(image)
    return Part(
        vertices=np.asarray(mesh.vertices, dtype=np.float32),
        normals=np.asarray(mesh.vertex_normals, dtype=np.float32),
        uv=np.asarray(uv, dtype=np.float32),
        triangles=np.asarray(mesh.faces, dtype=np.int32),
        texture=texture,
    )


def _texture(image: Image.Image) -> UInt8[ndarray, "rows columns 4"]:
    small = image.convert("RGBA")
    small.thumbnail((_TEXTURE_LIMIT_PX, _TEXTURE_LIMIT_PX))
    return np.asarray(small)


def _opacity(material: SimpleMaterial) -> float:
    value = material.kwargs.get("d", 1.0)
    return float(np.ravel(np.asarray(value, dtype=object))[-1])  # numbers or, after "-halo", a list of words


def _to_catalogue_size(parts: list[Part], entry: CatalogueEntry) -> tuple[Part, ...]:
    R = _YUP_TO_ZUP @ np.array(entry.rotation).reshape(3, 3)
    vertices = np.concatenate([part.vertices for part in parts]) @ R.T
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    scale = np.array(entry.size_m) / np.maximum(high - low, 1e-9)
    centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return tuple(_fitted(part, R, centre, scale) for part in parts)


def _fitted(part: Part, R: Float64[ndarray, "3 3"], centre: ndarray, scale: ndarray) -> Part:
    normals = (part.normals @ R.T) / scale  # normals scale inversely
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    vertices = (part.vertices @ R.T - centre) * scale
    return Part(
        vertices=vertices.astype(np.float32),
        normals=normals.astype(np.float32),
        uv=part.uv,
        triangles=part.triangles,
        texture=part.texture,
    )
