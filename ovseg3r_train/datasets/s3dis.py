"""S3DIS (Armeni et al., CVPR 2016): rooms as point clouds, one text file a thing."""

import io
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.types import SceneCloud
from ovseg3r_train.datasets.assemble import Annotated3d, ReadConfig, assemble, truth_of
from ovseg3r_train.datasets.files import Official, plain_name
from ovseg3r_train.datasets.mesh import MAX_POINTS, cloud_normals
from ovseg3r_train.datasets.names import truth_name
from ovseg3r_train.scene import LabelledScene

OFFICIAL = Official(
    name="S3DIS",
    page="Large Scale Parsing - Stanford 2D-3D-Semantics Dataset (Stanford3dDataset_v1.2_Aligned_Version)",
    layout="Area_<1-6>/<room>/Annotations/<class>_<number>.txt, lines of x y z r g b",
)
_MAX_BYTES = 1 << 30
_STRAY = re.compile(rb"[^0-9eE+\-.\s]")  # Area_5/hallway_6 has a stray character between two numbers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Piece:
    label: str
    numbers: Float64[ndarray, "points 6"]


def list_s3dis(folder: Path, split: Literal["train", "val"] | None = None) -> list[str]:
    """The rooms as `Area_1.office_3`; "val" is Area 5, by far the most usual split, and "train" the others."""
    found = sorted(path.parent for path in folder.glob("Area_*/*/Annotations") if path.is_dir())
    if not found:
        raise OFFICIAL.missing(folder / "Area_1" / "<room>" / "Annotations")
    rooms = [f"{room.parent.name}.{room.name}" for room in found]
    return [room for room in rooms if split is None or room.startswith("Area_5.") == (split == "val")]


def read_s3dis(folder: Path, scene: str, *, config: ReadConfig | None = None) -> LabelledScene:
    """One room; `ReadConfig.voxel_m` thins its points, which lie millimetres apart. It has no frames.

    Ids of instances count the files of the room in the order of their names. Normals are estimated.

    Args:
        scene: as `list_s3dis` gives it, or `Area_1/office_3`.

    Raises:
        Rejected: a file is missing or damaged; the text names it.
    """
    area, _, room = scene.replace("/", ".").partition(".")
    annotations = folder / plain_name(area) / plain_name(room) / "Annotations"
    pieces = [_read_piece(path) for path in _piece_files(annotations)]
    numbers = np.concatenate([piece.numbers for piece in pieces])
    if len(numbers) > MAX_POINTS:
        raise Rejected("bad_file", f"{annotations} holds {len(numbers)} points; at most {MAX_POINTS} are read")
    xyz = numbers[:, :3].astype(np.float32)
    color = np.clip(numbers[:, 3:], 0, 255).astype(np.uint8)
    instance = np.repeat(np.arange(len(pieces)), [len(piece.numbers) for piece in pieces]).astype(np.int64)
    truth = truth_of(instance, {number: truth_name(piece.label) for number, piece in enumerate(pieces)})
    found = Annotated3d(
        official=OFFICIAL,
        name=f"{area}.{room}",
        cloud=SceneCloud(xyz=xyz, color=color, normal=cloud_normals(xyz)),
        truth=truth,
    )
    return assemble(found, None, None, config or ReadConfig())


def _piece_files(annotations: Path) -> list[Path]:
    """The files of single things; copies that an unpacker left ("wall_3 (1).txt") are told and passed over."""
    texts = sorted(annotations.glob("*.txt")) if annotations.is_dir() else []
    files = [path for path in texts if re.fullmatch(r"[A-Za-z]+_\d+\.txt", path.name)]
    for path in sorted(set(texts) - set(files)):
        logger.warning("%s is passed over: files are named <class>_<number>.txt", path)
    if not files:
        raise OFFICIAL.missing(annotations / "<class>_<number>.txt")
    return files


def _read_piece(path: Path) -> _Piece:
    if path.stat().st_size > _MAX_BYTES:
        raise Rejected("bad_file", f"{path} has {path.stat().st_size} bytes; at most {_MAX_BYTES} are read")
    data, strays = _STRAY.subn(b" ", path.read_bytes())
    if strays:
        logger.warning("%s: %d characters that are no part of a number are read as spaces", path, strays)
    try:
        numbers = np.loadtxt(io.BytesIO(data), dtype=np.float64, ndmin=2) if data.strip() else np.zeros((0, 6))
    except ValueError as error:
        raise Rejected("bad_file", f"{path} is damaged: {error}") from error
    if numbers.shape[1] != 6 or not np.isfinite(numbers).all() or np.abs(numbers).max(initial=0) > 1e4:
        raise Rejected("bad_file", f"{path}: a line is not x y z r g b in metres and bytes")
    return _Piece(label=path.name.rpartition("_")[0], numbers=numbers)
