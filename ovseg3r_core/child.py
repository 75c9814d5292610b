"""A module of ours in a process of its own, which answers one question at a time and ends with this process.

What a busy process does in a hundred small steps may wait for Python's lock at each of them. In a child it is one step.
Questions and answers go through a pipe between the two, pickled: neither comes from anywhere else.
"""

import contextlib
import copy
import importlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from typing import Any


class Child:
    """A process in which `MODULE.answers(*arguments)` gives what answers; safe to share between threads.

    Raises:
        ChildProcessError: from `ask`, where the child died twice over one question.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._command = (module, arguments)
        self._lock = threading.Lock()
        self._start()

    @property
    def pid(self) -> int:
        """Of the process that answers now."""
        return self._process.pid

    def ask(self, question: object) -> Any:
        """What the child answers; what it raises is raised here."""
        with self._lock:
            try:
                answer = self._ask(question)
            except (EOFError, OSError):  # somebody killed it, or the machine was out of memory
                self._end()
                self._start()
                try:
                    answer = self._ask(question)
                except (EOFError, OSError):
                    code = self._end()
                    self._start()
                    raise ChildProcessError(f"{self._command[0]} ended with code {code}; see the log") from None
        if isinstance(answer, _Raised):
            raise answer.error
        return answer

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _ask(self, question: object) -> Any:
        self._pipe.send(question)
        return self._pipe.recv()

    def _start(self) -> None:
        module, arguments = self._command
        self._pipe, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-m", __name__, str(theirs.fileno()), module, *arguments]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def _end(self) -> int:
        self._pipe.close()
        self._process.kill()
        return self._process.wait()


@dataclass(frozen=True)
class _Raised:
    """What a child sends in place of an answer."""

    error: Exception

    @classmethod
    def of(cls, error: Exception) -> "_Raised":
        """The error as it is, where it can be sent; else what it says."""
        try:
            copy.copy(error)  # is made as one that was sent is
        except Exception:
            return cls(RuntimeError(repr(error)))
        return cls(error)


def serve(number: str, module: str, *arguments: str) -> None:
    """The child: answers until the parent is gone, however it ended.

    What cannot be loaded is raised for whoever asks first.

    Args:
        number: of the open file that is the pipe.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which may have a last question
    with Connection(int(number)) as pipe, contextlib.suppress(EOFError, ConnectionError):
        try:
            answer: Callable[[Any], object] = importlib.import_module(module).answers(*arguments)
        except Exception as error:
            pipe.recv()
            pipe.send(_Raised.of(error))
            return
        while True:
            question = pipe.recv()
            try:
                reply = answer(question)
            except Exception as error:
                reply = _Raised.of(error)
            pipe.send(reply)


if __name__ == "__main__":
    from ovseg3r_core import child  # what is sent is of classes that the parent knows by this name

    child.serve(*sys.argv[1:])
