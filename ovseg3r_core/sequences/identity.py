"""A name for what a recording is made of: it differs as soon as a file was added, taken away or changed."""

import hashlib
from pathlib import Path

from ovseg3r_core.sequences.image_folder import CALIBRATION


def identity(path: Path, format: str, frames: slice, out: Path | None = None) -> str:
    """A digest of where the recording lies, of its files' names, sizes and times, and of which frames are read.

    Args:
        out: a folder that is written into; what lies there is no part of the recording, even inside its folder.
    """
    digest = hashlib.sha256(f"{path.resolve()} {format} {frames}".encode())
    beside = sorted(path.parent.glob(CALIBRATION))  # of a video; a bag has its own
    for file in _files(path, out) if path.is_dir() else [path, *beside]:
        facts = file.stat()
        digest.update(f"{file.relative_to(path.parent)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _files(folder: Path, out: Path | None) -> list[Path]:
    """Everything in a folder but what is written there; folders do not count, whose times change by what is put in."""
    written = out.resolve() if out is not None else None
    inside = written is not None and folder.resolve() in written.parents
    files = (file for file in folder.rglob("*") if not file.is_dir())
    return sorted(file for file in files if not (inside and written in file.resolve().parents))
