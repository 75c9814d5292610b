"""The files of a rosbag2, whole or damaged, as one stream of raw messages.

A recorder that lost power leaves no `metadata.yaml`, and an MCAP without its index. Such bags are read as far as they
go, and `Bag.damage` says what was wrong.
"""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from rosbags.rosbag2 import Reader

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.cut_mcap import CutMcap

STORAGE_SUFFIXES = (".mcap", ".db3")

logger = logging.getLogger(__name__)


class _WholeStorage:
    """A bag folder or one of its files that the bag library can open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with Reader(path) as reader:
            self.topics = {item.topic: item.msgtype for item in reader.connections if item.msgcount > 0}

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        with Reader(self._path) as reader:
            wanted = [item for item in reader.connections if item.topic in topics]
            for item, recorded_ns, data in reader.messages(wanted) if wanted else ():
                yield item.topic, recorded_ns, data


class Bag:
    """A rosbag2: a folder, or a single `.mcap` or `.db3` file.

    Raises:
        ValueError: nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: Rejected | None = None
        """What kept the bag from being read to its end, as far as it is known by now."""
        self._storages = self._open()
        self.topics = {topic: kind for storage in self._storages for topic, kind in storage.topics.items()}
        """Message type of each topic that has messages."""
        if not self._storages:
            raise ValueError(f"{path} cannot be read as a rosbag2: {self.damage or 'it holds no .mcap or .db3 file'}")

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """(topic, serialised message) in the order of recording; ends early where the bag is damaged."""
        return ((topic, data) for topic, _, data in self.recorded(topics))

    def recorded(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """(topic, time of recording in ns, serialised message), as `messages` gives them."""
        for storage in self._storages:
            try:
                yield from storage.messages(topics)
            except Exception as error:  # the library raises whatever its decoders raise on damaged bytes
                self._note(self.path, error)

    def topics_of(self, kind: str) -> list[str]:
        """The topics with messages of that type, sorted."""
        return sorted(topic for topic, message_type in self.topics.items() if message_type == kind)

    def first(self, topic: str) -> bytes:
        """The first message of a topic; nothing where damage hides it."""
        return next((data for _, data in self.messages({topic})), b"")

    def _open(self) -> list[_WholeStorage | CutMcap]:
        if self.path.is_file():
            return self._open_files([self.path])
        if (self.path / "metadata.yaml").exists():
            try:
                return [_WholeStorage(self.path)]
            except Exception as error:
                self._note(self.path, error)
        else:
            logger.warning("%s has no metadata.yaml: the recording was not closed; reading what is there", self.path)
        return self._open_files(_storage_files(self.path))

    def _open_files(self, files: list[Path]) -> list[_WholeStorage | CutMcap]:
        storages: list[_WholeStorage | CutMcap] = []
        for file in files:
            try:
                storages.append(_WholeStorage(file))
            except Exception as error:
                self._note(file, error)
                if file.suffix == ".mcap":
                    storages += self._open_cut(file)
        return storages

    def _open_cut(self, file: Path) -> list[_WholeStorage | CutMcap]:
        try:
            return [CutMcap(file)]
        except (ValueError, OSError) as error:
            self._note(file, error)
            return []

    def _note(self, path: Path, problem: Exception) -> None:
        text, before = f"{path}: {problem}", f"{self.damage}; " if self.damage else ""
        if text not in before:  # a bag is read twice, and fails twice in the same way
            self.damage = Rejected("bad_bag", before + text)


def _storage_files(folder: Path) -> list[Path]:
    """The storage files of a bag in the order they were begun: rosbag2 numbers them without leading zeros."""
    files = [file for file in folder.iterdir() if file.suffix in STORAGE_SUFFIXES]
    return sorted(files, key=lambda file: (len(file.name), file.name))
