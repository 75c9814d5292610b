"""A name for what a recording is made of: it differs as soon as a file was added, taken away or changed."""

import hashlib
from pathlib import Path


def identity(path: Path, format: str, frames: slice) -> str:
    """A digest of where the recording lies, of its files' names, sizes and times, and of which frames are read."""
    digest = hashlib.sha256(f"{path.resolve()} {format} {frames}".encode())
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        facts = file.stat()
        digest.update(f"{file.relative_to(path.parent)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()
