"""ScanNet as its SensReader exports it (Dai et al. 2017): `color/ depth/ pose/ intrinsic/`."""

from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.folder import (
    FolderSequence,
    FrameFiles,
    nominal_stamp_s,
    numbered,
    read_calibration,
    read_numbers,
    read_pose,
    suffix_of,
)
from ovseg3r_core.sequences.registration import Extrinsics, read_extrinsics

NEEDS = (
    "color/N.jpg, depth/N.png (16-bit mm), pose/N.txt (4x4) if there are poses, intrinsic/intrinsic_color.txt and "
    "intrinsic_depth.txt"
)


def recognises(path: Path) -> bool:
    """Whether the folder has a ScanNet export's parts; poses and depth may be missing."""
    color, depth, pose, intrinsic = ((path / part).is_dir() for part in ("color", "depth", "pose", "intrinsic"))
    return color and (intrinsic or (depth and pose))


def open_scannet(path: Path, frames: slice) -> FolderSequence:
    """Open an exported scan.

    ScanNet's colour (1296x968) and depth (640x480) differ in size. The export declares them registered, with the
    optical centres (nearly) one, so colour is resampled to the depth camera's grid, which keeps depth as measured.
    Where its `extrinsic_*.txt` are not the identity, depth is registered to colour instead.
    Frames whose tracking was lost have poses of -inf and come out as `Rejected("bad_pose")`.
    """
    posed = (path / "pose").is_dir()
    color, depth = numbered(path / "color", r"(\d+)\.(?:jpg|png)"), numbered(path / "depth", r"(\d+)\.png")
    files = [
        FrameFiles(
            index=index,
            stamp_s=nominal_stamp_s(number),
            color=color.get(number, path / "color" / f"{number}{suffix_of(color)}"),
            depth=depth.get(number, path / "depth" / f"{number}.png") if depth else None,
            pose=partial(read_pose, path / "pose" / f"{number}.txt") if posed else None,
        )
        for index, number in enumerate(sorted(color.keys() | depth.keys()))
    ]
    of_color, of_depth = (path / "intrinsic" / f"intrinsic_{camera}.txt" for camera in ("color", "depth"))
    placed = [path / "intrinsic" / f"extrinsic_{camera}.txt" for camera in ("color", "depth")]
    return FolderSequence(
        name=path.resolve().name,
        files=tuple(files[frames]),
        calibration=read_calibration(of_color if of_color.exists() or not of_depth.exists() else of_depth),
        depth_calibration=read_calibration(of_depth) if of_color.exists() and of_depth.exists() else None,
        extrinsics=_extrinsics(*placed) if all(file.exists() for file in placed) else None,
    )


def _extrinsics(of_color: Path, of_depth: Path) -> Extrinsics | None:
    return read_extrinsics(_matrix(of_color), _matrix(of_depth), f"{of_color} and {of_depth.name}")


def _matrix(path: Path) -> Float64[ndarray, "4 4"]:
    numbers = read_numbers(path)
    if len(numbers) != 16:
        raise Rejected("bad_extrinsics", f"{path} holds {len(numbers)} numbers; give a 4x4 matrix")
    return np.array(numbers).reshape(4, 4)
