"""What a process takes of the machine, watched from outside."""

import threading
import time
from dataclasses import dataclass
from types import TracebackType

import psutil

_PERIOD_S = 0.5
_MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Usage:
    """CPU and memory of a process and its children over a stretch of time."""

    cpu_cores: float
    """CPU seconds a second: 1 is one core in full use."""
    memory_begin_mb: float
    memory_peak_mb: float
    memory_end_mb: float


class UsageWatch:
    """Watches a process in a thread; a context that begins and ends it."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._samples: list[tuple[float, float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="usage", daemon=True)

    def __enter__(self) -> "UsageWatch":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def usage(self) -> Usage | None:
        """What was used so far; None where the process ended before it was looked at twice."""
        samples = list(self._samples)
        if len(samples) < 2:
            return None
        times_s, cpu_s, memory_mb = zip(*samples, strict=True)
        return Usage(
            cpu_cores=(cpu_s[-1] - cpu_s[0]) / (times_s[-1] - times_s[0]),
            memory_begin_mb=memory_mb[0],
            memory_peak_mb=max(memory_mb),
            memory_end_mb=memory_mb[-1],
        )

    def _watch(self) -> None:
        while True:
            try:
                self._samples.append(_sample(self._process))
            except psutil.NoSuchProcess:
                return
            if self._stop.wait(_PERIOD_S):
                return


def find_process(program: str, domain: str) -> int | None:
    """The process id of the only program of this name in a DDS domain, None where there is none or several."""
    found = []
    for process in psutil.process_iter():
        try:
            runs = any(word.endswith(f"/{program}") for word in process.cmdline()[:3])
            if runs and process.environ().get("ROS_DOMAIN_ID", "0") == domain:
                found.append(process.pid)
        except psutil.Error:  # it ended meanwhile, or is another user's
            continue
    return found[0] if len(found) == 1 else None


def _sample(process: psutil.Process) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds, resident MB), children included."""
    cpu_s = memory = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            with one.oneshot():
                times = one.cpu_times()
                cpu_s += times.user + times.system
                memory += one.memory_info().rss
        except psutil.NoSuchProcess:
            if one is process:  # a child may end while we look
                raise
    return time.perf_counter(), cpu_s, memory / _MB
