"""7-Scenes (Shotton et al. 2013) and folders like it: `NNNNNN.color.* NNNNNN.depth.png NNNNNN.pose.txt`.

Intrinsics are those of `camera-intrinsics.txt` (3x3) beside the frames or one folder up. 7-Scenes itself has none:
its depth camera's published 585 585 320 240 is taken, which also serves its unregistered colour.
"""

from functools import partial
from pathlib import Path

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import (
    FolderSequence,
    FrameFiles,
    nominal_stamp_s,
    numbered,
    read_calibration,
    read_pose,
    suffix_of,
)

NEEDS = (
    "NNNNNN.color.jpg|png, NNNNNN.depth.png (16-bit mm), NNNNNN.pose.txt (4x4) if there are poses, "
    "camera-intrinsics.txt (3x3) and, where the lens distorts, camera-distortion.txt (k1 k2 p1 p2 [k3]); "
    "7-Scenes' own names begin with frame-, "
    "may lie in seq-NN/ folders and need no intrinsics"
)
_SEVEN_SCENES = Calibration(fx=585.0, fy=585.0, cx=320.0, cy=240.0)
_COLOR, _DEPTH = r"(?:frame-)?(\d+)\.color\.(?:jpg|png)", r"(?:frame-)?(\d+)\.depth\.png"


def recognises(path: Path) -> bool:
    """Whether frames lie in the folder or in its `seq-NN` folders."""
    return any(numbered(folder, _COLOR) for folder in _folders(path))


def open_7scenes(path: Path, frames: slice) -> FolderSequence:
    """Open one sequence, or all `seq-NN` of a scene one after another (they share the map frame)."""
    files: list[FrameFiles] = []
    for folder in _folders(path):
        files += _files(folder, first_index=len(files))
    return FolderSequence(name=path.resolve().name, files=tuple(files[frames]), calibration=_calibration(path))


def _folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.glob("seq-*") if folder.is_dir()) or [path]


def _files(folder: Path, *, first_index: int) -> list[FrameFiles]:
    color, depth = numbered(folder, _COLOR), numbered(folder, _DEPTH)
    posed = next(folder.glob("*.pose.txt"), None) is not None
    files = []
    for index, number in enumerate(sorted(color.keys() | depth.keys()), start=first_index):
        stem = (color.get(number) or depth[number]).name.split(".")[0]
        files.append(
            FrameFiles(
                index=index,
                stamp_s=nominal_stamp_s(index),
                color=color.get(number, folder / f"{stem}.color{suffix_of(color)}"),
                depth=depth.get(number, folder / f"{stem}.depth.png") if depth else None,
                pose=partial(read_pose, folder / f"{stem}.pose.txt") if posed else None,
            )
        )
    return files


def _calibration(path: Path) -> Calibration:
    for folder in (path, path.resolve().parent):
        if (folder / "camera-intrinsics.txt").exists():
            return read_calibration(folder / "camera-intrinsics.txt", folder / "camera-distortion.txt")
    if all(numbered(folder, r"frame-(\d+)\.color\.png") for folder in _folders(path)):
        return _SEVEN_SCENES
    raise Rejected("missing_file", f"{path / 'camera-intrinsics.txt'} is missing: give the 3x3 intrinsic matrix")
