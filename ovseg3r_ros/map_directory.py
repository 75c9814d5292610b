"""The maps that services may save and load: by name, inside one directory, never anywhere else."""

import errno
import os
import re
from itertools import count
from pathlib import Path

import platformdirs

from ovseg3r_core.checks import Rejected
from ovseg3r_core.mapping.map_folder import INDEX, DamagedMap
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import load_both, save_map

AUTOSAVE = "autosave"
"""The map that is saved now and then, and taken up again at the next start; an empty name means it too."""
MAX_NAME = 64

_NAME = re.compile(rf"[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,{MAX_NAME - 1}}}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def default_root() -> Path:
    """Where maps are kept when nobody says where: a folder of the user's data."""
    return platformdirs.user_data_path("ovseg3r") / "maps"


class MapDirectory:
    """Saves and loads maps by name.

    Every refusal is a `Rejected` whose text is the answer of a service: `bad_name`, `no_map`, `damaged_map`,
    `not_saved` or `not_loaded`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()

    def folder(self, name: str) -> Path:
        """The folder of a map, which need not exist; raises `Rejected("bad_name")` for what lies elsewhere."""
        name = name or AUTOSAVE
        if not _NAME.fullmatch(name) or ".." in name:
            raise Rejected(
                "bad_name",
                f"{name[: 2 * MAX_NAME]!r} cannot name a map: use 1 to {MAX_NAME} letters, digits, _ - and ., "
                "no . at the start and no two in a row",
            )
        folder = self.root / name
        self._confine(folder)
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise Rejected("bad_name", f"{folder} is no folder, so no map: choose another name")
        return folder

    def save(self, name: str, snapshot: MapSnapshot, memory: Memory) -> Path:
        """Save a map whole or not at all; returns its folder.

        Raises:
            Rejected: `bad_name`, or `not_saved` with the reason; an older map of that name is still there.
        """
        folder = self.folder(name)
        try:
            save_map(snapshot, folder, memory)
        except OSError as error:
            remedy = "free some space there" if error.errno in _FULL else "make it writable"
            raise Rejected("not_saved", f"{folder} was not saved: {error}: {remedy}, or set map_directory") from error
        except ValueError as error:
            raise Rejected("not_saved", f"{folder} was not saved: {error}") from error
        return folder

    def load(self, name: str) -> tuple[MapSnapshot, Memory]:
        """A map and what mapping needs to go on from it.

        Raises:
            Rejected: `bad_name`, `no_map`, `damaged_map` or `not_loaded`; nothing was loaded.
        """
        folder = self.folder(name)
        try:
            return load_both(folder)
        except FileNotFoundError as error:
            saved = ", ".join(self.names()) or "none"
            raise Rejected("no_map", f"no map named {folder.name} in {self.root}; there is: {saved}") from error
        except DamagedMap as error:
            raise Rejected("damaged_map", f"{error}") from error
        except OSError as error:
            raise Rejected("not_loaded", f"{folder} cannot be read: {error}: make it readable") from error

    def set_aside(self, name: str) -> Path:
        """Keep a map that cannot be taken up from being overwritten: it is renamed, to NAME.1 or the next that is free.

        Raises:
            Rejected: `bad_name`, or `not_saved` with the reason.
        """
        folder = self.folder(name)
        kept = next(path for n in count(1) if not os.path.lexists(path := folder.with_name(f"{folder.name}.{n}")))
        try:
            return folder.rename(kept)
        except OSError as error:
            raise Rejected("not_saved", f"{folder} cannot be renamed to {kept.name}: {error}") from error

    def names(self) -> list[str]:
        """The maps that can be asked for, in the order of the alphabet."""
        return sorted(path.name for path in self.root.glob("*") if self._holds_map(path))

    def _holds_map(self, path: Path) -> bool:
        try:
            folder = self.folder(path.name)
        except Rejected:
            return False
        return any(os.path.isfile(path) for path in (folder / INDEX, folder / "map" / INDEX))

    def _confine(self, folder: Path) -> None:
        """Follow the links on the way to every file that would be read; none may lead out of the directory."""
        root = self.root.resolve()
        for path in (folder, folder / INDEX, folder / "map", folder / "map" / INDEX):
            try:
                inside = path.resolve().is_relative_to(root)
            except (OSError, RuntimeError):  # links in a circle: the error depends on the release of Python
                inside = False
            if not inside:
                raise Rejected("bad_name", f"{path} leads out of {self.root}, where maps are kept: choose another name")
