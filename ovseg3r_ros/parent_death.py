"""Programs that end with whoever started them, however that one ends."""

import ctypes
import os
import signal

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_libc = ctypes.CDLL(None, use_errno=True)


def end_with(parent: int) -> None:
    """In a child, before it becomes the program: be ended by the kernel when the process `parent` dies."""
    _libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)  # it has died already
