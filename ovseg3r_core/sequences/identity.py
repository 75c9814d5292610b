"""A name for what a recording is made of: it differs as soon as a file was added, taken away or changed."""

import hashlib
from pathlib import Path

from ovseg3r_core.sequences.image_folder import CALIBRATION


def identity(path: Path, format: str, frames: slice) -> str:
    """A digest of where the recording lies, of its files' names, sizes and times, and of which frames are read."""
    digest = hashlib.sha256(f"{path.resolve()} {format} {frames}".encode())
    beside = sorted(path.parent.glob(CALIBRATION))  # of a video; a bag has its own
    for file in sorted(path.rglob("*")) if path.is_dir() else [path, *beside]:
        facts = file.stat()
        digest.update(f"{file.relative_to(path.parent)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
