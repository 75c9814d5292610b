"""ScanNet++ (Yeshwanth et al., ICCV 2023), as its toolkit's scene class lays it out."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import nominal_stamp_s, numbered, pose_from_numbers
from ovseg3r_core.sequences.images import read_color, read_depth
from ovseg3r_train.datasets.assemble import Annotated3d, ReadConfig, assemble, truth_of
from ovseg3r_train.datasets.files import Official, finite_numbers, plain_name, read_json, read_list
from ovseg3r_train.datasets.frames import Shot, ShotSequence, scaled
from ovseg3r_train.datasets.mesh import read_mesh
from ovseg3r_train.datasets.names import truth_name
from ovseg3r_train.datasets.segments import owners, read_groups, read_segments, smallest_last
from ovseg3r_train.scene import LabelledScene, Truth

OFFICIAL = Official(
    name="ScanNet++",
    page="ScanNet++: A High-Fidelity Dataset of 3D Indoor Scenes",
    layout=(
        "data/<scene>/scans/mesh_aligned_0.05.ply, segments.json and segments_anno.json; for views "
        "data/<scene>/iphone/pose_intrinsic_imu.json with rgb/frame_NNNNNN.jpg and depth/frame_NNNNNN.png, which the "
        "toolkit's prepare_iphone_data extracts; beside data/ the lists splits/nvs_sem_train.txt and nvs_sem_val.txt"
    ),
)
_COLOR_SIZE = (1920, 1440)  # of the iPhone's video, which its intrinsics are for


def list_scannetpp(folder: Path, split: Literal["train", "val"] | None = None) -> list[str]:
    """The scenes of an official split with semantics, or all that are there; raises `Rejected` where it is missing."""
    if split is not None:
        return read_list(OFFICIAL.file(folder / "splits" / f"nvs_sem_{split}.txt", "the official split"))
    scenes = sorted(mesh.parent.parent.name for mesh in folder.glob("data/*/scans/mesh_aligned_0.05.ply"))
    if not scenes:
        raise OFFICIAL.missing(folder / "data" / "<scene>" / "scans" / "mesh_aligned_0.05.ply")
    return scenes


def read_scannetpp(
    folder: Path, scene: str, *, proposer: MaskProposer | None = None, config: ReadConfig | None = None
) -> LabelledScene:
    """One scene on the vertices of its laser scan's mesh; where annotations overlap the smallest has the vertex.

    Ids of instances are the `objectId` of the annotation. The views are the iPhone's; the DSLR takes no depth.

    Raises:
        Rejected: a file is missing or damaged; the text names it.
    """
    config, here = config or ReadConfig(), folder / "data" / plain_name(scene)
    mesh = read_mesh(OFFICIAL.file(here / "scans" / "mesh_aligned_0.05.ply"))
    found = Annotated3d(
        official=OFFICIAL, name=scene, cloud=mesh.cloud(np.eye(4)), truth=_truth(here / "scans", len(mesh.xyz))
    )
    return assemble(found, _frames(here / "iphone", scene, config), proposer, config)


def _truth(scans: Path, points: int) -> Truth:
    segments = read_segments(OFFICIAL.file(scans / "segments.json"), points)
    groups = smallest_last(segments, read_groups(OFFICIAL.file(scans / "segments_anno.json")))
    ids = np.array([*(group.id for group in groups), -1], np.int64)
    return truth_of(ids[owners(segments, groups)], {group.id: truth_name(group.label) for group in groups})


def _frames(iphone: Path, scene: str, config: ReadConfig) -> ShotSequence | None:
    """The iPhone's frames; None where its images were not extracted."""
    color, depth = numbered(iphone / "rgb", r"frame_(\d+)\.jpg"), numbered(iphone / "depth", r"frame_(\d+)\.png")
    if not color or not depth or not config.frame_step:
        return None
    poses = OFFICIAL.file(iphone / "pose_intrinsic_imu.json")
    known = read_json(poses)
    if not isinstance(known, dict):
        raise Rejected("bad_file", f"{poses} holds no frames by name")
    numbers = sorted(color.keys() & depth.keys())[config.frames]
    shots = (_shot(number, color[number], depth[number], known.get(f"frame_{number:06d}"), poses) for number in numbers)
    return ShotSequence(name=scene, shots=tuple(shots))


def _shot(number: int, color: Path, depth: Path, known: Any, poses: Path) -> Shot:
    fields: Mapping[str, Any] = known if isinstance(known, dict) else {}
    name = f"{poses}, frame_{number:06d}"

    def calibration(width: int, height: int) -> Calibration:
        K = finite_numbers(fields.get("intrinsic"), 9, poses, f"intrinsic of frame_{number:06d}").reshape(3, 3)
        full = Calibration(fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]))
        return scaled(full, width / _COLOR_SIZE[0], height / _COLOR_SIZE[1])

    return Shot(
        index=number,
        stamp_s=nominal_stamp_s(number),
        name=f"{color} with {depth}",
        color=partial(read_color, color),
        depth=partial(read_depth, depth),
        pose=partial(_pose, fields.get("aligned_pose"), name),
        color_calibration=calibration,
        depth_calibration=calibration,
    )


def _pose(rows: Any, name: str) -> Float64[ndarray, "4 4"]:
    """Camera (x right, y down, z forward) to the mesh."""
    if rows is None:
        raise Rejected("no_pose", f"{name} has no aligned_pose")
    numbers = _numbers(rows)
    return pose_from_numbers(numbers, name)


def _numbers(rows: Any) -> list[float]:
    """All numbers of nested lists; what is none becomes NaN, for the check of the pose to refuse."""
    try:
        return np.asarray(rows, dtype=np.float64).ravel().tolist()
    except (TypeError, ValueError):
        return [math.nan] * 16
