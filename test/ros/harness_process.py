"""Programs under test as child processes: their log, their end, and what they use of the machine."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil
from harness_domain import ros_environment


class Died(AssertionError):
    """A program ended before the test wanted it to."""


@dataclass
class Log:
    """The lines a program wrote so far, to either stream."""

    lines: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, line: str) -> None:
        with self.changed:
            self.lines.append(line.rstrip("\n"))
            self.changed.notify_all()

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.lines[-lines:])

    def holding(self, *words: str) -> list[str]:
        """The lines in which all these words occur."""
        return [line for line in list(self.lines) if all(word in line for word in words)]


class Program:
    """A running program; a context that ends it.

    Args:
        command: program and arguments; Python files are run by this interpreter.
        domain: DDS domain of its nodes.
        extra: further environment variables.
    """

    def __init__(self, command: Sequence[str | Path], *, domain: int, extra: dict[str, str] | None = None) -> None:
        words = [str(word) for word in command]
        if words[0].endswith(".py") or _is_python_script(Path(words[0])):
            words = [sys.executable, *words]
        self.name = Path(words[1] if words[0] == sys.executable else words[0]).name
        self.log = Log()
        self.shared_memory: set[Path] = set()
        """Lock files of the DDS shared memory that it used when it was last sent a signal, its own and others'."""
        self._process = subprocess.Popen(
            words,
            env=ros_environment() | {"ROS_DOMAIN_ID": str(domain)} | (extra or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a signal to the terminal's group is not one to the program
        )
        self._reader = threading.Thread(target=self._read, name=f"log of {self.name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def check_alive(self) -> None:
        """Raise `Died` with the end of the log where the program has ended."""
        if not self.alive:
            self._reader.join(5)
            raise Died(f"{self.name} ended with code {self._process.returncode}:\n{self.log.tail()}")

    def wait_for_line(self, *words: str, timeout_s: float = 30.0) -> str:
        """The first line of the log in which all these words occur."""
        deadline = time.monotonic() + timeout_s
        with self.log.changed:
            while not (found := self.log.holding(*words)):
                self.check_alive()
                if time.monotonic() > deadline:
                    raise AssertionError(f"no {words} in the log within {timeout_s} s:\n{self.log.tail()}")
                self.log.changed.wait(0.2)  # wakes up now and then to see that the program is still there
        return found[0]

    def wait(self, timeout_s: float) -> int:
        """The exit code, negative for a signal; fails where the program goes on."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {timeout_s} s:\n{self.log.tail()}") from None
        self._reader.join(5)
        return code

    def signal(self, number: signal.Signals) -> None:
        """Send it, and all that it started, a signal."""
        self.shared_memory |= shared_memory_locks(self.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def terminate(self, timeout_s: float = 5.0) -> int:
        """Ask it to end, as a robot that shuts down does; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        self.signal(signal.SIGKILL)
        self._process.wait(10)
        self._reader.join(5)
        for lock in self.shared_memory:
            remove_segment(lock)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.alive:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self.kill()

    def usage(self) -> "Usage":
        """What it has used so far."""
        return Usage.of(self.pid)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self.log.add(line)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Resources of one process at one moment, from the kernel."""

    at_s: float
    cpu_s: float
    resident_mb: float
    threads: int
    files: int

    @classmethod
    def of(cls, pid: int) -> "Usage":
        process = psutil.Process(pid)
        times = process.cpu_times()
        return cls(
            at_s=time.monotonic(),
            cpu_s=times.user + times.system,
            resident_mb=process.memory_info().rss / 2**20,
            threads=process.num_threads(),
            files=process.num_fds(),
        )

    def cpu_share_since(self, before: "Usage") -> float:
        """Share of one core between two moments."""
        return (self.cpu_s - before.cpu_s) / (self.at_s - before.at_s)


def shared_memory_locks(pid: int) -> set[Path]:
    """The lock files of DDS shared memory that a process holds open; none where it has ended."""
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return set()
    return {Path(link) for link in links if link.startswith("/dev/shm/fastrtps_") and link.endswith("_el")}


def remove_segment(lock: Path) -> None:
    """Remove shared memory that nobody holds: Fast DDS never frees that of a killed process, 70 MB a node."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.with_name(lock.name.removesuffix("_el")).unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    except OSError:  # gone already, or another process's
        pass


def _is_python_script(path: Path) -> bool:
    """Whether a file asks for Python in its first line; this interpreter then runs it, not the first of the path."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        first = file.readline(200)
    return first.startswith(b"#!") and b"python" in first
