"""Files of a dataset, read with suspicion: what is missing is named with where to get it, damaged ones are refused."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from ovseg3r_core.checks import Rejected

_MAX_JSON_BYTES = 1 << 29  # the largest are ScanNet++'s annotations, tens of megabytes
_MAX_LIST_BYTES = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Official:
    """What a dataset is called, where it is to be had, and how its folder looks."""

    name: str
    page: str
    """Title of the official page, to search for: addresses move."""
    layout: str
    """The files of a scene, from the folder that the user names."""

    def file(self, path: Path, of: str = "") -> Path:
        """The path itself, if a file is there.

        Args:
            of: what the file is for, where its name does not say so.

        Raises:
            Rejected: `missing_file`, with the layout that is expected and where to get the file.
        """
        if not path.is_file():
            raise self.missing(path, of)
        return path

    def missing(self, path: Path, of: str = "") -> Rejected:
        """The error that says that a file or folder is not there."""
        purpose = f" ({of})" if of else ""
        return Rejected(
            "missing_file",
            f"{path} is missing{purpose}. {self.name} is expected as {self.layout}. "
            f'Request or download it at the official page, "{self.page}".',
        )


def read_json(path: Path) -> Any:
    """The content of a JSON file of at most 512 MiB; raises `Rejected` with the path."""
    _check_size(path, _MAX_JSON_BYTES)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Rejected("bad_file", f"{path} is no JSON, or truncated: {error}") from error


def json_list(content: Any, key: str, path: Path) -> list:
    """The list under a key of a JSON object; raises `Rejected` where there is none."""
    values = content.get(key) if isinstance(content, dict) else None
    if not isinstance(values, list):
        raise Rejected("bad_file", f'{path} has no list under "{key}"')
    return values


def integers(values: Any, path: Path, of: str) -> Int64[ndarray, " values"]:
    """A list of integers of a JSON file as an array; raises `Rejected` for anything else."""
    try:
        array = np.asarray(values)
    except (ValueError, OverflowError) as error:  # lists of different lengths
        raise Rejected("bad_file", f"{path}: {of} is no plain list: {error}") from error
    if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
        raise Rejected("bad_file", f"{path}: {of} is {array.dtype} of shape {array.shape}, not a list of integers")
    return array.astype(np.int64)


def finite_numbers(values: Any, count: int, path: Path, of: str) -> ndarray:
    """That many finite numbers of a JSON file, however they are nested; raises `Rejected` for anything else."""
    try:
        array = np.asarray(values, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise Rejected("bad_file", f"{path}: {of} does not hold {count} numbers: {error}") from error
    if len(array) != count or not np.isfinite(array).all():
        raise Rejected("bad_file", f"{path}: {of} holds {len(array)} numbers, or some not finite; {count} are expected")
    return array


def read_list(path: Path) -> list[str]:
    """The lines of a list of scenes, without those that are empty; raises `Rejected` with the path."""
    _check_size(path, _MAX_LIST_BYTES)
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected("bad_file", f"{path} is no list of scenes: {error}") from error


def read_settings(path: Path) -> dict[str, str]:
    """Lines `name = value` of a text file, as ScanNet and 3RScan write them; raises `Rejected` with the path."""
    found = {}
    for line in read_list(path):
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def plain_name(scene: str) -> str:
    """The name of a scene, if it is one name: names come from lists and command lines and become paths."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}", scene):
        raise Rejected("bad_scene", f"{scene!r} is no scene's name: letters, digits and _ . + - are expected")
    return scene


def _check_size(path: Path, limit: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise Rejected("missing_file", f"{path} cannot be read: {error.strerror}") from error
    if size > limit:
        raise Rejected("bad_file", f"{path} has {size} bytes; at most {limit} are read")
