"""A folder of labelled scenes with an index, `scenes.json`, that several processes may add to at once.

The index names every file by its checksum. A scene is listed once its files lie there whole, so what is listed after
a crash is there; what is not listed is made again.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ovseg3r_core.atomic import atomic_write, locked, make_folder
from ovseg3r_core.checks import Rejected
from ovseg3r_train.scene import NO_INSTANCE, LabelledScene, Truth
from ovseg3r_train.scene_files import SUFFIX, clean_path, load_scene, save_scene

INDEX = "scenes.json"
MAX_INDEX_BYTES = 256 << 20  # 100,000 scenes take about 100 MB
_FORMAT, _VERSION = "ovseg3r-scenes", 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,98}")  # a file name on every system, and no way out of the folder


@dataclass(frozen=True, kw_only=True)
class SceneEntry:
    """What the index says of one scene."""

    name: str
    split: str
    """Such as train, val or test."""
    masks: str
    """Where its masks come from, such as perfect, simulated or default."""
    sha256: str
    bytes: int
    """Of the scene's own file; that of its clean vertices is not counted."""
    points: int
    views: int
    lifted: int
    """Lifted masks, of all views."""
    classes: Mapping[str, int]
    """How many instances of each class name it holds on its points; empty where the truth is not known."""
    sensor: str = ""
    """What the sensor is called whose frames were fused; empty for the usual one."""


class SceneSet:
    """The scenes of a folder, or those of one split or one source of masks among them."""

    def __init__(self, folder: Path, *, split: str | None = None, masks: str | None = None) -> None:
        """Read the index.

        Raises:
            FileNotFoundError: there is no index in the folder.
            Rejected: `bad_scene`; the index is damaged, or of a version this release cannot read.
        """
        self.folder = folder
        self._split, self._masks = split, masks
        self._take(_read_index(folder))

    @classmethod
    def create(cls, folder: Path) -> "SceneSet":
        """The set of a folder, which is made where it is missing; what lies there already stays."""
        make_folder(folder)
        with locked(folder):
            if not (folder / INDEX).is_file():
                _write_index(folder, {})
        return cls(folder)

    def only(self, *, split: str | None = None, masks: str | None = None) -> "SceneSet":
        """Those of one split, of one source of masks, or both."""
        return SceneSet(self.folder, split=split or self._split, masks=masks or self._masks)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the scenes, in order of the alphabet."""
        return tuple(entry.name for entry in self.entries)

    def read(self, *, clean: bool = True) -> Iterator[LabelledScene]:
        """Every scene in turn, the next one being loaded meanwhile; raises as `load` does."""
        with ThreadPoolExecutor(1, "scenes") as pool:
            ahead = None
            for name in self.names:
                ready, ahead = ahead, pool.submit(self.load, name, clean=clean)
                if ready is not None:
                    yield ready.result()
            if ahead is not None:
                yield ahead.result()

    def load(self, name: str, *, clean: bool = True) -> LabelledScene:
        """One scene, its checksum compared.

        Raises:
            KeyError: the index lists no such scene.
            FileNotFoundError, Rejected: its file is not there, or is not what was listed.
        """
        return load_scene(self._path(name), clean=clean, sha256=self._by_name[name].sha256)

    def is_whole(self, name: str) -> bool:
        """Whether a scene is listed and its file is what was listed; the file is not unpacked."""
        entry = self._by_name.get(name)
        path = self._path(name)
        if entry is None or not path.is_file() or path.stat().st_size != entry.bytes:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == entry.sha256

    def add(self, scene: LabelledScene, split: str, masks: str = "none", sensor: str = "") -> SceneEntry:
        """Save a scene under its name and list it; one of that name that was there before is replaced.

        Arguments and errors are those of `save`.
        """
        entry = self.save(scene, split, masks, sensor)
        self.enlist([entry])
        return entry

    def save(self, scene: LabelledScene, split: str, masks: str = "none", sensor: str = "") -> SceneEntry:
        """Save a scene under its name without listing it: gives the entry that `enlist` takes.

        Args:
            masks: where its masks come from.
            sensor: what made its frames, where that is not the usual one.

        Raises:
            ValueError: the scene cannot be held by a file, or its name is no name of a file.
        """
        path = self._path(scene.name)
        save_scene(path, scene)
        data = path.read_bytes()
        return SceneEntry(
            name=scene.name,
            split=split,
            masks=masks,
            sha256=hashlib.sha256(data).hexdigest(),
            bytes=len(data),
            points=len(scene.cloud),
            views=len(scene.views),
            lifted=len(scene.lifted),
            classes=_classes(scene.truth) if scene.truth else {},
            sensor=sensor,
        )

    def enlist(self, entries: Iterable[SceneEntry]) -> None:
        """Put scenes into the index that were saved before, perhaps by another machine."""
        with locked(self.folder):
            listed = _read_index(self.folder) | {entry.name: entry for entry in entries}
            _write_index(self.folder, listed)
        self._take(listed)

    def megabytes(self, name: str) -> float:
        """What a scene takes on disk, its clean vertices included, 10^6 bytes."""
        paths = (self._path(name), clean_path(self._path(name)))
        return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6

    def _take(self, entries: Mapping[str, SceneEntry]) -> None:
        self.entries = tuple(
            entry
            for _, entry in sorted(entries.items())
            if self._split in (None, entry.split) and self._masks in (None, entry.masks)
        )
        self._by_name = {entry.name: entry for entry in self.entries}

    def _path(self, name: str) -> Path:
        return self.folder / (check_name(name) + SUFFIX)


def _classes(truth: Truth) -> dict[str, int]:
    present = set(np.unique(truth.instance).tolist()) - {NO_INSTANCE}
    return dict(sorted(Counter(truth.names[id_] for id_ in present).items()))


def check_name(name: str) -> str:
    """A name that a scene's file can have; raises ValueError for any other."""
    if not _NAME.fullmatch(name) or name.endswith(".clean"):
        raise ValueError(f"{name!r:.120} is no name for a scene: give up to 99 letters, digits and _ . + -")
    return name


def _write_index(folder: Path, entries: Mapping[str, SceneEntry]) -> None:
    scenes = {name: asdict(entry) for name, entry in sorted(entries.items())}
    with atomic_write(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({"format": _FORMAT, "version": _VERSION, "scenes": scenes}, indent=1), "utf-8")


def _read_index(folder: Path) -> dict[str, SceneEntry]:
    path = folder / INDEX
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {INDEX}: make scenes with `ovseg3r-train scenes {folder}`")
    if path.stat().st_size > MAX_INDEX_BYTES:
        raise Rejected("bad_scene", f"{path} has {path.stat().st_size} bytes; an index has at most {MAX_INDEX_BYTES}")
    try:
        content = json.loads(path.read_text("utf-8"))
        if (content["format"], content["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"it is {content['format']!r} version {content['version']!r}, not {_FORMAT} {_VERSION}")
        return {check_name(name): _entry(name, entry) for name, entry in content["scenes"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise Rejected("bad_scene", f"{path} is no index of scenes: {error}") from error


def _entry(name: str, content: Any) -> SceneEntry:
    entry = SceneEntry(**content)
    texts = (entry.split, entry.masks, entry.sensor, entry.sha256)
    counts = (entry.bytes, entry.points, entry.views, entry.lifted)
    whole = all(isinstance(text, str) for text in texts) and all(type(count) is int for count in counts)
    if not whole or entry.name != name or not all(type(count) is int for count in entry.classes.values()):
        raise ValueError(f"the entry of {name} is {json.dumps(content)[:300]}")
    return entry
