"""Replica as NICE-SLAM renders it (Zhu et al. 2022): `results/frameNNNNNN.jpg results/depthNNNNNN.png traj.txt`."""

import json
from functools import partial
from pathlib import Path

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import (
    FolderSequence,
    FrameFiles,
    nominal_stamp_s,
    numbered,
    pose_from_numbers,
    suffix_of,
)

NEEDS = (
    "results/frameNNNNNN.jpg, results/depthNNNNNN.png (16-bit), traj.txt (a 4x4 camera-to-world a line), and "
    "cam_params.json there or one folder up (without it: fx fy cx cy = 600 600 599.5 339.5, depth scale 6553.5)"
)
_DEFAULT = Calibration(fx=600.0, fy=600.0, cx=599.5, cy=339.5)
_DEFAULT_SCALE = 6553.5  # depth units a metre


def recognises(path: Path) -> bool:
    """Whether the folder has results and their trajectory."""
    return (path / "results").is_dir() and (path / "traj.txt").is_file()


def open_replica(path: Path, frames: slice) -> FolderSequence:
    """Open one rendered room; the pose of frame N is line N of `traj.txt`, counted from 0."""
    results = path / "results"
    color, depth = numbered(results, r"frame(\d+)\.(?:jpg|png)"), numbered(results, r"depth(\d+)\.png")
    traj = path / "traj.txt"
    lines = tuple(traj.read_text().splitlines())
    files = [
        FrameFiles(
            index=index,
            stamp_s=nominal_stamp_s(number),
            color=color.get(number, results / f"frame{number:06d}{suffix_of(color)}"),
            depth=depth.get(number, results / f"depth{number:06d}.png") if depth else None,
            pose=partial(_pose, traj, lines, number),
        )
        for index, number in enumerate(sorted(color.keys() | depth.keys()))
    ]
    calibration, scale = _camera(path)
    return FolderSequence(
        name=path.resolve().name, files=tuple(files[frames]), calibration=calibration, depth_unit_m=1 / scale
    )


def _pose(traj: Path, lines: tuple[str, ...], number: int) -> Float64[ndarray, "4 4"]:
    if number >= len(lines):
        raise Rejected("no_pose", f"{traj} has {len(lines)} lines, none for frame {number}")
    name = f"{traj}, line {number + 1}"
    try:
        numbers = [float(word) for word in lines[number].split()]
    except ValueError as error:
        raise Rejected("bad_file", f"{name} does not hold plain numbers: {error}") from error
    return pose_from_numbers(numbers, name)


def _camera(path: Path) -> tuple[Calibration, float]:
    """Calibration and depth units a metre, from `cam_params.json` or the defaults of the published renderings."""
    for candidate in (path / "cam_params.json", path.resolve().parent / "cam_params.json"):
        if candidate.exists():
            return _read_params(candidate)
    return _DEFAULT, _DEFAULT_SCALE


def _read_params(path: Path) -> tuple[Calibration, float]:
    try:
        camera = json.loads(path.read_text())["camera"]
        values = {key: float(camera[key]) for key in ("fx", "fy", "cx", "cy", "scale")}
        if not values["scale"] > 0:
            raise ValueError(f"scale is {values['scale']}")
        return Calibration(fx=values["fx"], fy=values["fy"], cx=values["cx"], cy=values["cy"]), values["scale"]
    except (KeyError, TypeError, ValueError) as error:
        detail = f'{path} does not hold {{"camera": {{fx, fy, cx, cy, scale}}}}: {error}'
        raise Rejected("bad_intrinsics", detail) from error
