"""Replica (Straub et al. 2019): the meshes of its Habitat export, with NICE-SLAM's renderings of eight of them."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.sequences import replica
from ovseg3r_core.sequences.sequence import Sequence
from ovseg3r_train.datasets.assemble import Annotated3d, ReadConfig, assemble, truth_of
from ovseg3r_train.datasets.files import Official, json_list, plain_name, read_json
from ovseg3r_train.datasets.mesh import Mesh, read_mesh
from ovseg3r_train.datasets.names import truth_name
from ovseg3r_train.scene import LabelledScene

OFFICIAL = Official(
    name="Replica",
    page="GitHub - facebookresearch/Replica-Dataset: The Replica Dataset v1",
    layout=(
        "<scene>/habitat/mesh_semantic.ply and info_semantic.json; for views, from the page of NICE-SLAM, <scene> "
        "without its underline (room0 for room_0) with results/, traj.txt and ../cam_params.json"
    ),
)


def list_replica(folder: Path) -> list[str]:
    """The scenes that are there; the dataset has no official split."""
    scenes = sorted(mesh.parent.parent.name for mesh in folder.glob("*/habitat/mesh_semantic.ply"))
    if not scenes:
        raise OFFICIAL.missing(folder / "<scene>" / "habitat" / "mesh_semantic.ply")
    return scenes


def read_replica(
    folder: Path, scene: str, *, proposer: MaskProposer | None = None, config: ReadConfig | None = None
) -> LabelledScene:
    """One scene on the vertices of its mesh; a vertex belongs to the object that most faces round it are of.

    Ids of instances are those of `info_semantic.json`.

    Raises:
        Rejected: a file is missing or damaged; the text names it.
    """
    config, here = config or ReadConfig(), folder / plain_name(scene)
    path = OFFICIAL.file(here / "habitat" / "mesh_semantic.ply")
    mesh = read_mesh(path)
    if "object_id" not in mesh.of_face:
        raise Rejected("bad_ply", f"{path}: its faces have no object_id; is it mesh.ply under another name?")
    names = _names(OFFICIAL.file(here / "habitat" / "info_semantic.json"))
    truth = truth_of(_majority(mesh, mesh.of_face["object_id"].astype(np.int64)), names)
    found = Annotated3d(official=OFFICIAL, name=scene, cloud=mesh.cloud(np.eye(4)), truth=truth)
    return assemble(found, _frames(folder, scene, config), proposer, config)


def _names(path: Path) -> dict[int, str | None]:
    names: dict[int, str | None] = {}
    for place, item in enumerate(json_list(read_json(path), "objects", path)):
        id_, name = (item.get("id"), item.get("class_name")) if isinstance(item, dict) else (None, None)
        if not isinstance(id_, int) or not isinstance(name, str) or not 0 <= id_ < 1 << 31:
            raise Rejected("bad_file", f"{path}: objects[{place}] has no id that is an integer, or no class_name")
        names[id_] = truth_name(name)
    return names


def _majority(mesh: Mesh, object_of_face: Int64[ndarray, " faces"]) -> Int64[ndarray, " points"]:
    """For each vertex the object of most of the triangles round it, the lower id of equals; -1 without triangles."""
    pairs = np.stack([mesh.triangles.ravel(), np.repeat(object_of_face[mesh.face], 3)], axis=-1)
    pairs, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.lexsort((-pairs[:, 1], counts, pairs[:, 0]))  # the last of each vertex wins
    owner = np.full(len(mesh.xyz), -1, np.int64)
    owner[pairs[order, 0]] = pairs[order, 1]
    return owner


def _frames(folder: Path, scene: str, config: ReadConfig) -> Sequence | None:
    """NICE-SLAM's renderings, in the scene's folder or in one named its way."""
    for candidate in (folder / scene, folder / scene.replace("_", "")):
        if replica.recognises(candidate):
            return replica.open_replica(candidate, config.frames)
    return None
