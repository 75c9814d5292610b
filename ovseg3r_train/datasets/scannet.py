"""ScanNet and ScanNet200 (Dai et al., CVPR 2017; Rozenberszki et al., ECCV 2022), as ScanNet's README lays them out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_pose
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.sequences import scannet, sens
from ovseg3r_core.sequences.sequence import Sequence
from ovseg3r_train.datasets.assemble import Annotated3d, ReadConfig, assemble, truth_of
from ovseg3r_train.datasets.files import Official, plain_name, read_json, read_list, read_settings
from ovseg3r_train.datasets.mesh import read_mesh
from ovseg3r_train.datasets.scannet_labels import LabelSet, ScanNetClass, read_label_map, unknown_class
from ovseg3r_train.datasets.segments import owners, read_groups, read_segments
from ovseg3r_train.scene import LabelledScene, Truth

OFFICIAL = Official(
    name="ScanNet",
    page="ScanNet | Richly-annotated 3D Reconstructions of Indoor Scenes",
    layout=(
        "scans/<scene>/<scene>_vh_clean_2.ply, <scene>.aggregation.json, <scene>_vh_clean_2.0.010000.segs.json, "
        "<scene>.txt and <scene>.sens or color/ depth/ pose/ intrinsic/; beside scans/ the label map "
        "scannetv2-labels.combined.tsv and the lists scannetv2_train.txt, scannetv2_val.txt"
    ),
)
_LABEL_MAP = "scannetv2-labels.combined.tsv"
_MAX_INSTANCE = 998  # the benchmark writes 1000 * class + instance + 1


def list_scannet(folder: Path, split: Literal["train", "val", "test"] | None = None) -> list[str]:
    """The scenes of an official split, or all that are there.

    Raises:
        Rejected: `missing_file` where the list (`Tasks/Benchmark` of ScanNet's repository) is not beside the scenes.
    """
    if split is not None:
        return read_list(OFFICIAL.file(folder / f"scannetv2_{split}.txt", "the official split"))
    scenes = sorted(mesh.parent.name for mesh in folder.glob("scans*/scene*/*_vh_clean_2.ply"))
    if not scenes:
        raise OFFICIAL.missing(folder / "scans" / "<scene>" / "<scene>_vh_clean_2.ply")
    return scenes


def read_scannet(
    folder: Path,
    scene: str,
    *,
    labels: LabelSet = "scannet200",
    proposer: MaskProposer | None = None,
    config: ReadConfig | None = None,
) -> LabelledScene:
    """One scene on the vertices that the benchmark counts on, turned upright by its axis alignment.

    Ids of instances are those of the benchmark's ground truth files, 1000 * class + instance. Walls and floors are no
    instances. Scenes of `scans_test` have no truth.

    Raises:
        Rejected: a file is missing or damaged; the text names it.
    """
    config, scans = config or ReadConfig(), _scans(folder, plain_name(scene))
    mesh = read_mesh(OFFICIAL.file(scans / f"{scene}_vh_clean_2.ply"))
    T_map_dataset = _alignment(scans / f"{scene}.txt")
    hidden = scans.parent.name == "scans_test" and not (scans / f"{scene}.aggregation.json").exists()
    found = Annotated3d(
        official=OFFICIAL,
        name=scene,
        cloud=mesh.cloud(T_map_dataset),
        truth=None if hidden else _truth(folder, scans, labels, len(mesh.xyz)),
        T_map_dataset=T_map_dataset,
        facts={"labels": labels},
    )
    return assemble(found, _frames(scans, config), proposer, config)


def benchmark_ids(truth: Truth) -> Int64[ndarray, " points"]:
    """The truth of `read_scannet` as the benchmark's ground truth files hold it: 0 for what is no instance."""
    return np.where(truth.instance >= 0, truth.instance, 0).astype(np.int64)


def _scans(folder: Path, scene: str) -> Path:
    for part in ("scans", "scans_test"):
        if (folder / part / scene).is_dir():
            return folder / part / scene
    raise OFFICIAL.missing(folder / "scans" / scene)


def _truth(folder: Path, scans: Path, labels: LabelSet, points: int) -> Truth:
    classes = read_label_map(OFFICIAL.file(folder / _LABEL_MAP, "the map from raw labels to classes"), labels)
    segments = read_segments(OFFICIAL.file(scans / f"{scans.name}_vh_clean_2.0.010000.segs.json"), points)
    groups = read_groups(_aggregation(scans))
    if groups and max(group.id for group in groups) > _MAX_INSTANCE:
        raise Rejected("bad_file", f"{scans}: an objectId is above {_MAX_INSTANCE}, which the benchmark has no id for")
    of_group = [classes.get(group.label) or unknown_class(group.label, labels) for group in groups]
    ids = [_benchmark_id(kind, group.id) for kind, group in zip(of_group, groups, strict=True)]
    names: Mapping[int, str | None] = {id_: kind.name for id_, kind in zip(ids, of_group, strict=True)}
    return truth_of(np.array([*ids, -1], np.int64)[owners(segments, groups)], names)


def _benchmark_id(kind: ScanNetClass, object_id: int) -> int:
    return 1000 * kind.id + object_id + 1


def _aggregation(scans: Path) -> Path:
    """The groups of the annotated mesh; those of the fine mesh only where they speak of the same segments."""
    path, fine = scans / f"{scans.name}.aggregation.json", scans / f"{scans.name}_vh_clean.aggregation.json"
    if not path.exists() and fine.exists():
        content = read_json(fine)
        of = str(content.get("segmentsFile")) if isinstance(content, dict) else ""
        if of.endswith("_vh_clean_2.0.010000.segs.json"):
            return fine
    return OFFICIAL.file(path)


def _alignment(path: Path) -> Float64[ndarray, "4 4"]:
    """`axisAlignment` of the scene's text file; the identity where it has none, as in test scenes."""
    text = read_settings(path).get("axisAlignment") if path.is_file() else None
    if text is None:
        return np.eye(4)
    try:
        return check_pose(np.array([float(word) for word in text.split()]).reshape(4, 4))
    except ValueError as error:
        raise Rejected("bad_file", f"{path}: axisAlignment is no rigid 4x4 matrix: {error}") from error


def _frames(scans: Path, config: ReadConfig) -> Sequence | None:
    """Exported frames where there are any, else those of the stream."""
    if scannet.recognises(scans):
        return scannet.open_scannet(scans, config.frames)
    stream = scans / f"{scans.name}.sens"
    return sens.open_sens(stream, config.frames) if stream.is_file() else None
