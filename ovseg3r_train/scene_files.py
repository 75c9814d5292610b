"""A labelled scene as one safetensors file, about 1 MB a room; docs/scene-files.md says what is in it.

Points are rounded to 0.2 mm and normals to a degree. The pixels of the incidence are not stored: a point is seen at
the pixel that it projects to, which rounding moves by one pixel at most. Everything else comes back as it was.
The clean vertices lie in a file of their own beside it: who trains does not read them.
"""

import hashlib
import os
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import SafetensorError

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.checks import Rejected
from ovseg3r_train.packing import MAX_FILE_BYTES
from ovseg3r_train.scene import LabelledScene
from ovseg3r_train.scene_content import PIXEL_TOLERANCE, pack_clean, pack_scene, unpack_clean, unpack_scene

SUFFIX, CLEAN_SUFFIX = ".safetensors", ".clean.safetensors"

_UNREADABLE = (
    *(KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError),
    *(SafetensorError, zlib.error),
)
T = TypeVar("T")


def save_scene(path: Path, scene: LabelledScene) -> None:
    """Write a scene, and its clean vertices beside it; what was written is read back and compared first.

    Args:
        path: ends in `.safetensors`.

    Raises:
        ValueError: the scene is one that a file cannot hold; the text says what of it. Nothing is written then.
    """
    if path.suffix != SUFFIX or path.name.endswith(CLEAN_SUFFIX):
        raise ValueError(f"{path}: the file of a scene is called NAME{SUFFIX}")
    clean = pack_clean(scene.clean) if scene.clean else None
    data = pack_scene(scene, clean)
    _compare(scene, unpack_scene(data)[0])
    for where, content in ((clean_path(path), clean), (path, data)):
        if content is None:
            where.unlink(missing_ok=True)
            continue
        with atomic_write(where) as temporary:
            temporary.write_bytes(content)


def load_scene(path: Path, *, clean: bool = True, sha256: str | None = None) -> LabelledScene:
    """Read a scene.

    Args:
        clean: with its clean vertices, where it has any.
        sha256: what the file must have.

    Raises:
        FileNotFoundError: the file, or that of the clean vertices, is not there.
        Rejected: `bad_scene`; the file is damaged, too large, or says what cannot be. Nothing of it is returned.
    """
    scene, beside = _reading(path, unpack_scene, sha256)
    if beside is None or not clean:
        return scene
    vertices = _reading(clean_path(path), unpack_clean, beside)
    return replace(scene, clean=vertices)


def clean_path(path: Path) -> Path:
    """Where the clean vertices of a scene lie."""
    return path.with_name(path.name.removesuffix(SUFFIX) + CLEAN_SUFFIX)


def _reading(path: Path, unpack: Callable[[bytes], T], sha256: str | None) -> T:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MAX_FILE_BYTES:
            raise Rejected("bad_scene", f"{path} has {size} bytes; the file of a scene has at most {MAX_FILE_BYTES}")
        data = file.read(MAX_FILE_BYTES)
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise Rejected(
            "bad_scene", f"{path} was truncated, damaged or replaced after it was listed (its checksum differs)"
        )
    try:
        return unpack(data)
    except _UNREADABLE as error:
        said = str(error) if type(error) is ValueError or isinstance(error, Rejected) else repr(error)
        raise Rejected("bad_scene", f"{path} is no scene that can be used: {said:.500}") from error


def _compare(scene: LabelledScene, again: LabelledScene) -> None:
    """Refuse to write what would come back as something else."""
    seen = scene.seen
    view = np.repeat(np.arange(len(seen)), np.diff(seen.offsets))
    order = np.lexsort((seen.points, view))
    if len(order) and (off := int(np.abs(seen.pixels[order] - again.seen.pixels).max())) > PIXEL_TOLERANCE:
        raise ValueError(f"{scene.name}: a point is seen {off} pixels away from where it projects to")
    for mask, other in zip(scene.lifted, again.lifted, strict=True):
        if not (np.array_equal(mask.points, other.points) and np.array_equal(mask.rim, other.rim)):
            raise ValueError(
                f"{scene.name}: mask {mask.mask} of view {mask.view} has points that its view does not see"
            )
