"""Vocabularies: the lists of names, with label ids, that labels are chosen from."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from ovseg3r_core.language.coco import COCO_CLASSES

UNNAMED = "object"
"""The label of what nothing could name."""

STRUCTURE = ("wall", "floor", "ceiling")
"""What a room is made of: labels that come from where an object lies (`mapping/structure.py`), not from a detector."""

MAX_NAMES = 5000
MAX_NAME = 100
_MAX_FILE_BYTES = 1 << 20

Split = Literal["head", "common", "tail", "base", "novel"]


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Names in order, and the id that files and benchmarks use for each.

    Raises:
        ValueError: a name is empty, overlong or there twice (case does not count), or an id is there twice.
    """

    name: str
    names: tuple[str, ...]
    ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.names) <= MAX_NAMES or len(self.names) != len(self.ids):
            raise ValueError(
                f"{self.name} has {len(self.names)} names and {len(self.ids)} ids; give 1 to {MAX_NAMES} of both"
            )
        seen: dict[str, int] = {}
        for name, label_id in zip(self.names, self.ids, strict=True):
            if not name.strip() or len(name) > MAX_NAME:
                raise ValueError(f"{self.name}: name {label_id} has {len(name)} characters; give 1 to {MAX_NAME}")
            if (first := seen.setdefault(name.casefold(), label_id)) != label_id:
                raise ValueError(f"{self.name}: {name!r} is there twice, as {first} and as {label_id}")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError(f"{self.name}: two names share an id")

    def with_names(self, names: Iterable[str]) -> "Vocabulary":
        """The same, and behind it the names it lacks (case does not count), with the ids that follow."""
        known = {name.casefold() for name in self.names}
        new = {name.casefold(): name for name in names if name.casefold() not in known}
        first = max(self.ids) + 1
        ids = (*self.ids, *range(first, first + len(new)))
        return Vocabulary(name=self.name, names=(*self.names, *new.values()), ids=ids)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def id_by_name(self) -> dict[str, int]:
        """Label ids by name."""
        return dict(zip(self.names, self.ids, strict=True))

    @cached_property
    def name_by_id(self) -> dict[int, str]:
        """Names by label id."""
        return dict(zip(self.ids, self.names, strict=True))


def load_vocabulary(source: str | Path | None = None) -> Vocabulary:
    """The vocabulary of a command line: "default" or None, "scannet200", "scannet20", or a text file."""
    if source in (None, "default"):
        return default_vocabulary()
    if source in ("scannet200", "scannet20"):
        return scannet200() if source == "scannet200" else scannet20()
    return read_vocabulary(Path(source))


def read_vocabulary(path: Path) -> Vocabulary:
    """A text file with one name a line; the label ids are the line numbers from 1, empty lines are skipped.

    Raises:
        FileNotFoundError, ValueError: the file is missing, too large, not UTF-8, empty, or repeats a name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no vocabulary file {path}; give a text file with one name a line, or scannet200")
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; a vocabulary has at most {_MAX_FILE_BYTES}")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    named = [(number, " ".join(line.split())) for number, line in enumerate(lines, start=1) if line.strip()]
    return Vocabulary(name=str(path), names=tuple(name for _, name in named), ids=tuple(number for number, _ in named))


@cache
def default_vocabulary() -> Vocabulary:
    """What the default detector can name, the structure of a room, and "object" for all else."""
    names = (*COCO_CLASSES, "wall", "floor", "ceiling", UNNAMED)
    return Vocabulary(name="default", names=names, ids=tuple(range(1, len(names) + 1)))


@cache
def scannet200() -> Vocabulary:
    """The 200 classes of ScanNet200 (Rozenberszki et al., ECCV 2022) with the benchmark's own ids."""
    return _scannet_classes("scannet200", "classes200")


@cache
def scannet20() -> Vocabulary:
    """The 20 classes of the ScanNet benchmark with their NYU40 ids."""
    return _scannet_classes("scannet20", "classes20")


def scannet200_split(split: Split) -> frozenset[str]:
    """The names of one split: head, common and tail by frequency; base and novel of Open3DIS."""
    return frozenset(_scannet()[split])


def _scannet_classes(name: str, group: str) -> Vocabulary:
    ids = _scannet()[group]
    return Vocabulary(name=name, names=tuple(ids), ids=tuple(ids.values()))


@cache
def _scannet() -> dict:
    return json.loads((Path(__file__).parent / "data" / "scannet.json").read_text(encoding="utf-8"))
