"""An MCAP whose recorder died before it wrote the index, read record by record as far as it goes (mcap.dev/spec)."""

import logging
import struct
from collections.abc import Collection, Iterator
from io import BufferedIOBase, BytesIO
from pathlib import Path

from rosbags.rosbag2.storage_mcap import decompress

_MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 3, 4, 5, 6
_RECORD = struct.Struct("<BQ")
_MESSAGE_HEADER = struct.Struct("<HIQQ")
_CHUNK_HEADER = struct.Struct("<QQQI")

logger = logging.getLogger(__name__)


class CutMcap:
    """The whole records of a damaged MCAP file; a chunk that does not decompress is logged and skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ValueError(f"{path} does not begin as an MCAP file does")
        self._types: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}
        self.topics: dict[str, str] = {}
        """Message type of each topic that has a message left."""
        for kind, topic, _, _ in self._scan():
            self.topics[topic] = kind

    def messages(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        """(topic, time of recording in ns, serialised message) in the order of recording."""
        return (item[1:] for item in self._scan() if item[1] in topics)

    def _scan(self) -> Iterator[tuple[str, str, int, bytes]]:
        """(type, topic, time of recording, message) up to the first record that makes no sense."""
        with self._path.open("rb") as file:
            file.seek(len(_MAGIC))
            try:
                yield from self._messages(file, self._path.stat().st_size)
            except (struct.error, UnicodeDecodeError, RecursionError) as error:
                logger.warning("%s is damaged before byte %d, the rest is left: %s", self._path, file.tell(), error)

    def _messages(self, file: BufferedIOBase, size: int) -> Iterator[tuple[str, str, int, bytes]]:
        for opcode, data in _records(file, size):
            if opcode == _CHUNK:
                inner = self._open_chunk(data)
                yield from self._messages(BytesIO(inner), len(inner))
            elif opcode == _SCHEMA:
                self._types[struct.unpack_from("<H", data)[0]] = _text(data, 2)[0]
            elif opcode == _CHANNEL:
                channel, schema = struct.unpack_from("<HH", data)
                self._channels[channel] = (_text(data, 4)[0], self._types.get(schema, ""))
            elif opcode == _MESSAGE:
                channel, _, recorded_ns, _ = _MESSAGE_HEADER.unpack_from(data)
                if channel in self._channels:
                    topic, kind = self._channels[channel]
                    yield kind, topic, recorded_ns, data[_MESSAGE_HEADER.size :]

    def _open_chunk(self, data: bytes) -> bytes:
        _, _, size, crc = _CHUNK_HEADER.unpack_from(data)
        compression, at = _text(data, _CHUNK_HEADER.size)
        try:
            return decompress(data[at + 8 :], compression, size, crc)
        except Exception as error:  # whatever the decompressors raise on damaged bytes
            logger.warning("%s: a chunk of %d bytes is damaged and skipped: %s", self._path, len(data), error)
            return b""


def _records(file: BufferedIOBase, size: int) -> Iterator[tuple[int, bytes]]:
    """(opcode, content) of each record that is there in full."""
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        opcode, length = _RECORD.unpack(head)
        if length > size - file.tell():
            return
        yield opcode, file.read(length)


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A length-prefixed string and the place after it."""
    (length,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + length].decode(), at + 4 + length
