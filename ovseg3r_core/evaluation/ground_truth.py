"""What is truly there, read from the files that people have.

a PLY       x y z, `instance` (-1 for none) and, where classes are known, `label`, a vertex; names from `vocabulary.txt`
            beside it (label ids are its line numbers from 1) or from the `objects.json` of a run
a ScanNet   one integer a line, 1000 * label id + instance, 0 for none, for the vertices of a cloud that is given with
.txt        it; names from `vocabulary.txt` beside it, else ScanNet200's
a folder    that holds `truth.ply`, `scene.ply`, or one PLY with instances
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Int64
from numpy import ndarray
from plyfile import PlyData

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.average_precision import TrueInstances
from ovseg3r_core.evaluation.scannet200 import SURFACES
from ovseg3r_core.language.vocabulary import UNNAMED, read_vocabulary, scannet200
from ovseg3r_core.scene_files import read_points_ply

_USUAL = ("truth.ply", "scene.ply")
_NO_LABEL = 0


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """The true things of a scene, in the map frame."""

    xyz: Float32[ndarray, "points 3"]
    instances: TrueInstances
    names: Mapping[int, str]
    """Name of each label id; empty where the classes are not known."""

    @property
    def class_ids(self) -> list[int]:
        """The label ids that instances are scored under: all but walls, floors and what has no name."""
        skipped = (*SURFACES, UNNAMED)
        return [label for label, name in self.names.items() if name.casefold() not in skipped]

    def name_of(self, instance: int) -> str:
        """What a thing is called; "object" where that is not known."""
        return self.names.get(self.instances.labels[instance], UNNAMED)


def read_ground_truth(path: Path, cloud: Path | None = None) -> GroundTruth:
    """Read the truth of one scene.

    Args:
        cloud: the PLY whose vertices a ScanNet .txt speaks of.

    Raises:
        FileNotFoundError: nothing is at `path`, or a folder holds no PLY with instances.
        ValueError: the file is none of the kinds above; `Rejected("bad_truth")` where its numbers make no sense.
    """
    if path.is_dir():
        path = _file_of(path)
    if not path.is_file():
        raise FileNotFoundError(f"no ground truth at {path}; give a PLY with instances, a ScanNet .txt or a folder")
    if path.suffix == ".ply":
        return _read_ply(path)
    if path.suffix != ".txt":
        raise ValueError(f"{path} is neither a .ply nor a ScanNet .txt")
    if cloud is None:
        raise ValueError(f"{path} has one integer a vertex, and no vertices: give their cloud with it")
    return _read_scannet(path, cloud)


def _file_of(folder: Path) -> Path:
    for name in _USUAL:
        if (folder / name).is_file():
            return folder / name
    with_instances = [file for file in sorted(folder.glob("*.ply")) if _holds_instances(file)]
    if len(with_instances) != 1:
        found = ", ".join(file.name for file in with_instances) or "none"
        raise FileNotFoundError(f"{folder} holds no {' or '.join(_USUAL)}; PLY files with instances: {found}")
    return with_instances[0]


def _holds_instances(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4096).split(b"end_header")[0]
    return any(line.split()[-1:] == [b"instance"] for line in head.splitlines())


def _read_ply(path: Path) -> GroundTruth:
    xyz = read_points_ply(path)
    vertices = PlyData.read(str(path))["vertex"]
    properties = {item.name for item in vertices.properties}
    if "instance" not in properties:
        raise ValueError(f"{path} has no `instance` a vertex; it has {sorted(properties)}")
    try:
        instance = np.asarray(vertices["instance"]).astype(np.int64)
        label = np.asarray(vertices["label"]).astype(np.int64) if "label" in properties else np.zeros_like(instance)
    except (ValueError, TypeError) as error:  # a list a vertex
        raise Rejected("bad_truth", f"{path}: instance and label must be one number a vertex ({error})") from error
    names, objects = _vocabulary_beside(path), path.with_name("objects.json")
    if not names and objects.is_file():
        label, names = _labels_of_run(objects, instance)
    return _truth(path, xyz, np.where(instance < 0, -1, instance), label, names)


def _read_scannet(path: Path, cloud: Path) -> GroundTruth:
    xyz = read_points_ply(cloud)
    try:
        values = np.array(path.read_text("ascii").split(), dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise Rejected("bad_truth", f"{path} is not one integer a line: {error}") from error
    if len(values) != len(xyz):
        raise Rejected("bad_truth", f"{path} has {len(values)} lines but {cloud} has {len(xyz)} vertices")
    label = values // 1000
    names = _vocabulary_beside(path) or scannet200().name_by_id
    return _truth(path, xyz, np.where(label > _NO_LABEL, values, -1), label, names)


def _truth(
    path: Path,
    xyz: Float32[ndarray, "points 3"],
    instance: Int64[ndarray, " points"],
    label: Int[ndarray, " points"],
    names: Mapping[int, str],
) -> GroundTruth:
    if not (instance >= 0).any():
        raise Rejected("bad_truth", f"{path} has {len(instance)} vertices, and none belongs to an instance")
    labels = {}
    for id_ in np.unique(instance[instance >= 0]).tolist():
        found, counts = np.unique(label[instance == id_], return_counts=True)
        labels[id_] = int(found[counts.argmax()])
    return GroundTruth(xyz=xyz, instances=TrueInstances(instance=instance, labels=labels), names=names)


def _vocabulary_beside(path: Path) -> Mapping[int, str]:
    """Name by label id from the vocabulary in the same folder; empty where there is none."""
    vocabulary = path.with_name("vocabulary.txt")
    return read_vocabulary(vocabulary).name_by_id if vocabulary.is_file() else {}


def _labels_of_run(
    objects: Path, instance: Int64[ndarray, " points"]
) -> tuple[Int64[ndarray, " points"], Mapping[int, str]]:
    """A label id a vertex, and their names, from the objects that a run wrote."""
    try:
        called = {int(item["id"]): str(item["label"]) for item in json.loads(objects.read_text("utf-8"))["objects"]}
    except (ValueError, KeyError, TypeError) as error:
        raise Rejected("bad_truth", f"{objects} is no list of objects with id and label: {error!r}") from error
    names = dict(enumerate(sorted({*called.values(), UNNAMED}), start=1))
    number = {name: id_ for id_, name in names.items()}
    ids, place = np.unique(instance, return_inverse=True)
    return np.array([number[called.get(id_, UNNAMED)] for id_ in ids.tolist()], np.int64)[place], names
