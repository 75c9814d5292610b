"""A program that the replay starts: its output in a file, its last lines at hand, and its end for certain."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from ovseg3r_ros.parent_death import end_with

_ASKING = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0))
"""What it is asked with, and how long it may then take."""
_KILLED_WITHIN_S = 5.0


class ChildDied(RuntimeError):
    """A program ended before it should; the text holds its last lines."""


class Child:
    """A running program in a session of its own, so that Ctrl-C reaches it through us; a context that ends it.

    Args:
        log: file for its stderr, and for its stdout where that is not read.
        talk: whether its stdin and stdout are pipes of ours.
    """

    def __init__(
        self, name: str, command: Sequence[str], variables: Mapping[str, str], log: Path, *, talk: bool = False
    ) -> None:
        self.name, self.log = name, log
        parent = os.getpid()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env=dict(variables),
                stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talk else output,
                stderr=output,
                start_new_session=True,
                preexec_fn=lambda: end_with(parent),
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    @property
    def output(self) -> IO[bytes]:
        """Its stdout."""
        assert self._process.stdout is not None
        return self._process.stdout

    def check_alive(self) -> None:
        """Raise `ChildDied` where it has ended."""
        if not self.alive:
            raise ChildDied(f"{self.name} ended with {_code(self._process.returncode)}. Its last lines:\n{self.tail()}")

    def tail(self, lines: int = 20) -> str:
        """The end of its log."""
        with self.log.open("rb") as file:
            file.seek(max(self.log.stat().st_size - 20_000, 0))
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:]) or "(it wrote nothing)"

    def stop(self) -> None:
        """End it, with all that it started: first by asking, at last by force."""
        try:
            for number, grace_s in _ASKING:
                if self._signal(number, grace_s):
                    break
        finally:  # also where an interruption ends the patience
            self._signal(signal.SIGKILL, _KILLED_WITHIN_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _signal(self, number: signal.Signals, grace_s: float) -> bool:
        """Send a signal to the whole session; whether the program has ended."""
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return True
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _code(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
