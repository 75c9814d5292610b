"""Which recordings a user means, and what their scenes are called."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.sequences.bag_storage import STORAGE_SUFFIXES
from ovseg3r_core.sequences.sequence import FORMATS

_MAX_TITLE = 48  # the name of a scene has up to 99 characters, with the masks and the part of the recording in it


def find_recordings(paths: Iterable[Path], format: str = "auto") -> list[Path]:
    """The recordings that lie at some paths: each is one, or a folder of them.

    Args:
        format: of all of them; with "auto" the files tell, and what is no recording in a folder is passed over.

    Raises:
        FileNotFoundError: there is nothing at a path.
        ValueError: a path is no recording and holds none.
    """
    return [recording for path in paths for recording in _at(path, format)]


def titles_of(recordings: Sequence[Path]) -> dict[str, Path]:
    """What the scenes of each recording are called: its own name, with its folder's where two have the same.

    Raises:
        ValueError: two recordings cannot be told apart even so, or one is named twice.
    """
    resolved = [recording.resolve() for recording in recordings]
    common = Counter(_title(path) for path in resolved)
    titles: dict[str, Path] = {}
    for path in resolved:
        title = _title(path) if common[_title(path)] == 1 else _file_name(f"{path.parent.name}_{_stem(path)}")
        if title in titles:
            raise ValueError(f"{titles[title]} and {path} would both be called {title}: give one of them another name")
        titles[title] = path
    return titles


def claim(folder: Path, titles: Mapping[str, Path]) -> None:
    """Note in the folder of a set whose masks and scenes go under which title.

    Raises:
        ValueError: a title belongs to another recording there; nothing is noted then.
    """
    notes = {title: folder / title / "recording.json" for title in titles}
    for title, note in notes.items():
        known = json.loads(note.read_text("utf-8"))["recording"] if note.is_file() else None
        if known not in (None, str(titles[title])):
            raise ValueError(
                f"{note.parent} holds the masks of {known}, not of {titles[title]}: give another --out; "
                f"or, where the recording was only moved, write its new place into {note.name}"
            )
    for title, note in notes.items():
        if not note.is_file():
            make_folder(note.parent)
            with atomic_write(note) as temporary:
                temporary.write_text(json.dumps({"recording": str(titles[title])}) + "\n", "utf-8")


def _at(path: Path, format: str) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if _is_recording(path, format):
        return [path]
    found = [inside for inside in _visible(path) if _is_recording(inside, format)]
    if not found:
        known = ", ".join(kind.name for kind in FORMATS)
        raise ValueError(
            f"{path} is no recording and holds none; README.md says what each of the formats ({known}) needs"
        )
    return found


def _is_recording(path: Path, format: str) -> bool:
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        bags = [file for file in path.iterdir() if file.suffix in STORAGE_SUFFIXES]
        if len(bags) > 1:  # a bag in several files has its list of them; without it they are bags of their own
            return False
    kinds = [kind for kind in FORMATS if format in ("auto", kind.name)]
    if not kinds:
        raise ValueError(f"--format {format!r}: give auto or one of {', '.join(kind.name for kind in FORMATS)}")
    return any(kind.recognises(path) for kind in kinds)


def _visible(path: Path) -> list[Path]:
    return sorted(inside for inside in path.iterdir() if inside.name[0] != ".") if path.is_dir() else []


def _title(path: Path) -> str:
    return _file_name(_stem(path))


def _stem(path: Path) -> str:
    return path.stem if path.is_file() else path.name


def _file_name(text: str) -> str:
    """A text as the beginning of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "_", text).lstrip("_.+-")[:_MAX_TITLE] or "recording"
