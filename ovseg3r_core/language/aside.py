"""The default text encoder in a process of its own, for questions that are asked while this process is busy.

Encoding one text is a hundred small steps. In a process whose other threads map a scene, each step may wait for
Python's lock, and a text that takes ten milliseconds takes a hundred. Aside, it is one step.
"""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core import models
from ovseg3r_core.language.encoder import EmbeddingMemory
from ovseg3r_core.language.minilm import MiniLm

_CHANNELS = 384
_LENGTH = struct.Struct("<I")


class MiniLmAside:
    """`MiniLm` in a child process, which ends with this one; safe to share between threads.

    Raises:
        MissingModel, DamagedModel: the cache lacks the model.
        ChildProcessError: the child died twice over one request.
    """

    name = MiniLm.name

    def __init__(self) -> None:
        models.find(self.name)  # tells here what is missing, and not in the child
        self._memory = EmbeddingMemory(self._encode, channels=_CHANNELS)
        self._lock = threading.Lock()
        self._child = _start()

    def embed(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        """One unit row a text, 384 channels."""
        return self._memory.embed(texts)

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._child.kill()
            self._child.communicate()

    def _encode(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        with self._lock:
            try:
                return self._ask(texts)
            except OSError:  # somebody killed it, or the machine was out of memory
                self._child.kill()
                self._child.communicate()
                self._child = _start()
                return self._ask(texts)

    def _ask(self, texts: Sequence[str]) -> Float32[ndarray, "texts channels"]:
        to_child, from_child = self._child.stdin, self._child.stdout
        assert to_child is not None and from_child is not None
        _write(to_child, json.dumps(list(texts)).encode())
        answer = _read(from_child)
        if answer is None:
            raise ChildProcessError(f"the text encoder ended with code {self._child.wait()}; see the log")
        return np.frombuffer(answer, np.float32).reshape(len(texts), _CHANNELS).copy()


def _start() -> "subprocess.Popen[bytes]":
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # products this small gain nothing from threads
    return subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes | None:
    """The next message; None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def main() -> None:
    """The child: answers until the parent closes the pipe, as it does however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may have a last question
    encoder = MiniLm()
    while (request := _read(sys.stdin.buffer)) is not None:
        _write(sys.stdout.buffer, encoder.embed(json.loads(request)).tobytes())


if __name__ == "__main__":
    main()
