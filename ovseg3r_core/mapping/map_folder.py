"""A folder whose `map.json` names every other file by its checksum: replaced in one step, never changed in place.

The parts of a save are written first, each under a name made of its own hash; one that lies there already is not
written again. Replacing `map.json` is the single step that makes the save valid, so a crash at any moment leaves the
old map or the new one. What nobody names after that is removed. A truncated or flipped byte anywhere is refused.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from safetensors import SafetensorError

from ovseg3r_core.atomic import atomic_write, make_folder

logger = logging.getLogger(__name__)

VERSION = 2
INDEX = "map.json"
MAX_BYTES = {
    "map": 64 << 20,  # 100,000 objects take about 40 MiB
    "cloud": 2 << 30,  # 60 million points
    "view": 64 << 20,  # a hundred times what a keyframe of 640x480 takes
}
Kind = Literal["cloud", "view"]
Content = dict[str, Any]  # what `map.json` says
T = TypeVar("T")

_PART = re.compile(r"(cloud|view)-[0-9a-f]{16}\.safetensors")
_LEFTOVER = re.compile(r"\.(map\.[0-9a-f]{8}\.json|(cloud|view)-[0-9a-f]{16}\.[0-9a-f]{8}\.safetensors)")
# What reading comes to where the content is not what `save_map` wrote, or where a save removed a part meanwhile.
_UNREADABLE = (
    *(KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError),
    *(SafetensorError, FileNotFoundError),
)
_ATTEMPTS = 3  # two saves in the time of one read are rare, three are not believed


class DamagedMap(ValueError):
    """The folder holds no map that can be trusted; nothing of it was loaded."""


class Saving:
    """One save under way: any number of parts, then the index that names them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, str] = {}

    def add(self, kind: Kind, data: bytes) -> str:
        """Write a part, unless it lies there since an earlier save; returns its name."""
        _check_size(f"a {kind} of this map", len(data), MAX_BYTES[kind])
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / f"{kind}-{digest[:16]}.safetensors"
        if not path.is_file() or path.stat().st_size != len(data):
            with atomic_write(path) as temporary:
                temporary.write_bytes(data)
        self._files[path.name] = digest
        return path.name

    def finish(self, content: Content) -> None:
        """Make the new map the one that the folder holds."""
        inner = _text({"version": VERSION, "files": self._files} | content)
        text = f'{{"sha256": "{_digest(inner)}", "map": {inner}}}'
        _check_size(INDEX, len(text), MAX_BYTES["map"])
        with atomic_write(self._folder / INDEX) as temporary:
            temporary.write_text(text)


@contextmanager
def saving(folder: Path) -> Iterator[Saving]:
    """Save into a folder, one writer at a time; whether it succeeds or fails, no file stays that nobody names."""
    make_folder(folder)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel drops it with the process, however that ends
        try:
            yield Saving(folder)
        finally:
            _remove_unnamed(folder)
    finally:
        os.close(lock)


def read_map(folder: Path, read: Callable[[Path, Content], T]) -> T:
    """What `read` makes of the map in a folder, or in its `map/`; read again where a save came between.

    Raises:
        FileNotFoundError: there is no map in the folder.
        DamagedMap: the map is truncated, altered, oversized, or of a version this release cannot read.
    """
    if not (folder / INDEX).is_file() and (folder / "map" / INDEX).is_file():
        folder = folder / "map"
    if not (folder / INDEX).is_file():
        raise FileNotFoundError(f"{folder} holds no {INDEX}: make a map with `ovseg3r segment SEQUENCE --out DIR`")
    content = _read_index(folder)
    for _ in range(_ATTEMPTS):
        try:
            return read(folder, content)
        except _UNREADABLE as error:
            stale, content = content, _read_index(folder)
            if content == stale:
                raise error if isinstance(error, DamagedMap) else DamagedMap(f"{folder}: {error!r}") from error
    raise DamagedMap(f"{folder} was saved {_ATTEMPTS} times while it was read: wait until that ends")


def read_part(folder: Path, content: Content, name: str, kind: Kind) -> bytes:
    """The bytes of a part that the index names, as they were saved."""
    digest = content["files"][name]
    path = folder / Path(name).name  # a name only: the file lies in the map's own folder
    if not path.is_file():  # nor is a device or a pipe one
        raise DamagedMap(f"{path}, which {INDEX} names, is missing")
    data = _read_at_most(path, MAX_BYTES[kind])
    if hashlib.sha256(data).hexdigest() != digest:
        raise DamagedMap(f"{path} was truncated or damaged after it was saved (its checksum differs)")
    return data


def _read_index(folder: Path) -> Content:
    path = folder / INDEX
    try:
        sealed = json.loads(_read_at_most(path, MAX_BYTES["map"]))
        content, digest = sealed["map"], sealed["sha256"]
        whole = _digest(_text(content)) == digest
        version = content["version"]
    except DamagedMap:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedMap(f"{path} is not the JSON of a map: {error!r}") from error
    if not whole:
        raise DamagedMap(f"{path} was altered or damaged after it was saved (its checksum differs)")
    if version not in (1, VERSION):
        raise DamagedMap(f"{path} is of version {version}; this release reads versions 1 and {VERSION}")
    return _migrated(content) if version == 1 else content


def _migrated(content: Content) -> Content:
    """What version 1 said in the words of version 2: it had one file beside the index, and no memory."""
    try:
        cloud = content["cloud"]
        files = {cloud["file"]: cloud["sha256"]}
        return {"encoder": None} | content | {"files": files, "cloud": cloud["file"], "memory": None}
    except (KeyError, TypeError) as error:
        raise DamagedMap(f"{INDEX} of version 1 names no cloud: {error!r}") from error


def _remove_unnamed(folder: Path) -> None:
    try:
        named = set(_read_index(folder)["files"]) if (folder / INDEX).is_file() else set()
        for path in folder.iterdir():
            if (_PART.fullmatch(path.name) and path.name not in named) or _LEFTOVER.fullmatch(path.name):
                path.unlink(missing_ok=True)
    except (OSError, ValueError, KeyError, TypeError) as error:  # what is too much harms nobody
        logger.warning("%s: files that are not needed any more may be left: %s", folder, error)


def _text(content: Content) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False)  # ASCII: as many bytes as characters


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_at_most(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise DamagedMap(f"{path} has {size} bytes; such a file of a map has at most {limit}")
        return file.read(limit)


def _check_size(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise ValueError(f"{what} has {size} bytes, and could not be loaded again: at most {limit} are read")
