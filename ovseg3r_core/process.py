"""What this process costs the machine."""

import os
import threading
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, kw_only=True)
class ProcessLoad:
    """Memory now, and processor time since it was last read."""

    memory_mb: float
    """Resident, 10^6 bytes."""
    cpu_percent: float
    """Of one core: 200 is two cores."""


class ProcessMeter:
    """Reads the load of this process; safe to share between threads."""

    def __init__(self) -> None:
        self._process, self._lock = psutil.Process(os.getpid()), threading.Lock()
        self._process.cpu_percent()  # the first reading has nothing to compare with, and is 0

    def read(self) -> ProcessLoad:
        """The load since the last reading; readings less than 0.1 s apart are coarse."""
        with self._lock:
            memory_mb, cpu_percent = self._process.memory_info().rss / 1e6, self._process.cpu_percent()
        return ProcessLoad(memory_mb=memory_mb, cpu_percent=cpu_percent)
