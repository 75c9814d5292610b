"""3RScan (Wald et al., ICCV 2019): rooms scanned several times, each scan in a frame of its own."""

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64, UInt8, UInt16
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import nominal_stamp_s, pose_from_numbers
from ovseg3r_core.sequences.images import decode_color
from ovseg3r_train.datasets.assemble import Annotated3d, ReadConfig, assemble, truth_of
from ovseg3r_train.datasets.files import Official, plain_name, read_list
from ovseg3r_train.datasets.frames import Pack, Shot, ShotSequence, decode_pgm
from ovseg3r_train.datasets.mesh import read_mesh
from ovseg3r_train.datasets.names import truth_name
from ovseg3r_train.datasets.segments import read_groups
from ovseg3r_train.scene import LabelledScene

OFFICIAL = Official(
    name="3RScan",
    page="RIO: 3D Object Instance Re-Localization in Changing Indoor Environments",
    layout=(
        "<scan>/labels.instances.annotated.v2.ply and semseg.v2.json; for views <scan>/sequence.zip or, unpacked, "
        "sequence/ with _info.txt and frame-NNNNNN.color.jpg, .depth.pgm, .pose.txt; beside the scans the lists "
        "train_scans.txt, val_scans.txt"
    ),
)


def list_3rscan(folder: Path, split: Literal["train", "val"] | None = None) -> list[str]:
    """The scans of an official split, rescans among them, or all that are there; raises `Rejected` without them."""
    if split is not None:
        return read_list(OFFICIAL.file(folder / f"{split}_scans.txt", "the official split, from 3RScan's FAQ page"))
    scans = sorted(mesh.parent.name for mesh in folder.glob("*/labels.instances.annotated.v2.ply"))
    if not scans:
        raise OFFICIAL.missing(folder / "<scan>" / "labels.instances.annotated.v2.ply")
    return scans


def read_3rscan(
    folder: Path, scene: str, *, proposer: MaskProposer | None = None, config: ReadConfig | None = None
) -> LabelledScene:
    """One scan on the vertices of its annotated mesh; ids of instances are its `objectId`, the same in all rescans.

    Raises:
        Rejected: a file is missing or damaged; the text names it.
    """
    config, here = config or ReadConfig(), folder / plain_name(scene)
    path = OFFICIAL.file(here / "labels.instances.annotated.v2.ply")
    mesh = read_mesh(path)
    if "objectId" not in mesh.of_vertex:
        raise Rejected("bad_ply", f"{path}: its vertices have no objectId")
    groups = read_groups(OFFICIAL.file(here / "semseg.v2.json"))
    names = {group.id: truth_name(group.label) for group in groups}
    truth = truth_of(mesh.of_vertex["objectId"].astype(np.int64), names)
    found = Annotated3d(official=OFFICIAL, name=scene, cloud=mesh.cloud(np.eye(4)), truth=truth)
    return assemble(found, _frames(here, scene, config), proposer, config)


def _frames(here: Path, scene: str, config: ReadConfig) -> ShotSequence | None:
    pack = Pack.open(here / "sequence", here / "sequence.zip")
    if pack is None:
        return None
    color, depth = _calibrations(pack)
    numbers = sorted(int(name[6:-10]) for name in pack.names if name[:6] == "frame-" and name.endswith(".color.jpg"))
    shots = (_shot(pack, number, color, depth) for number in numbers[config.frames])
    return ShotSequence(name=scene, shots=tuple(shots))


def _shot(pack: Pack, number: int, color: Calibration, depth: Calibration) -> Shot:
    stem = f"frame-{number:06d}"
    return Shot(
        index=number,
        stamp_s=nominal_stamp_s(number),
        name=f"{stem} of {pack.path}",
        color=partial(_color, pack, f"{stem}.color.jpg"),
        depth=partial(_depth, pack, f"{stem}.depth.pgm"),
        pose=partial(_pose, pack, f"{stem}.pose.txt"),
        color_calibration=lambda width, height: color,
        depth_calibration=lambda width, height: depth,
    )


def _color(pack: Pack, name: str) -> UInt8[ndarray, "height width 3"]:
    return decode_color(pack.read(name), f"{name} of {pack.path}")


def _depth(pack: Pack, name: str) -> UInt16[ndarray, "height width"]:
    return decode_pgm(pack.read(name), f"{name} of {pack.path}")


def _pose(pack: Pack, name: str) -> Float64[ndarray, "4 4"]:
    return pose_from_numbers(_numbers(pack.read(name).split(), f"{name} of {pack.path}"), f"{name} of {pack.path}")


def _calibrations(pack: Pack) -> tuple[Calibration, Calibration]:
    """Of colour and depth, from `_info.txt`: 4x4 matrices, row by row."""
    found = {}
    for line in pack.read("_info.txt").decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        found[name.strip()] = value.split()
    color, depth = (
        _numbers(found.get(f"m_calibration{camera}Intrinsic", []), f"_info.txt of {pack.path}")
        for camera in ("Color", "Depth")
    )
    if min(len(color), len(depth)) < 7:
        raise Rejected("bad_intrinsics", f"_info.txt of {pack.path} lacks m_calibrationColorIntrinsic or ...Depth...")
    return _calibration(color), _calibration(depth)


def _calibration(numbers: list[float]) -> Calibration:
    return Calibration(fx=numbers[0], fy=numbers[5], cx=numbers[2], cy=numbers[6])


def _numbers(words: list[str] | list[bytes], name: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise Rejected("bad_file", f"{name} does not hold plain numbers: {error}") from error
