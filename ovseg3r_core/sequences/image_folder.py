"""A plain folder of images, in the order of their names: colour alone, of one camera."""

import re
from pathlib import Path

from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import FolderSequence, FrameFiles, nominal_stamp_s, read_calibration

NEEDS = (
    "a folder of .jpg or .png images of one camera, taken in the order of their names (numbers count as numbers); "
    "camera-intrinsics.txt (3x3) and camera-distortion.txt where they are known"
)
CALIBRATION = "camera-*.txt"
"""What tells the intrinsics of a video beside it, or of images in their folder."""
_SUFFIXES = {".jpg", ".jpeg", ".png"}


def recognises(path: Path) -> bool:
    """Whether images lie in the folder itself."""
    return path.is_dir() and any(_is_image(file) for file in path.iterdir())


def open_images(path: Path, frames: slice) -> FolderSequence:
    """Open a folder; times are made up, thirty images a second."""
    images = sorted((file for file in path.iterdir() if _is_image(file)), key=lambda file: natural(file.name))
    files = [
        FrameFiles(index=index, stamp_s=nominal_stamp_s(index), color=file, depth=None, pose=None)
        for index, file in enumerate(images)
    ]
    return FolderSequence(name=path.resolve().name, files=tuple(files[frames]), calibration=calibration_in(path))


def calibration_in(folder: Path) -> Calibration | None:
    """What `camera-intrinsics.txt` and `camera-distortion.txt` of a folder say; None where the first is not there."""
    intrinsics = folder / "camera-intrinsics.txt"
    return read_calibration(intrinsics, folder / "camera-distortion.txt") if intrinsics.exists() else None


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")


def natural(name: str) -> list[tuple[int, str]]:
    """A key by which image10 comes after image9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
