"""Loops that numba compiles: cached on disk where that is possible, and run on several threads.

numba's own threads (`prange`) are not used: its pools either abort in a forked child or when two threads call them at
once, and a robot does the latter. Compiled loops hold no Python lock, so that plain threads do as well.
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numba
import numpy as np
from numba.core.compiler import Compiler

Loop: TypeAlias = Callable[..., Any]

_MIN_CHUNK = 4096  # a thread costs what a few hundred items take
_MAX_THREADS = 8
_CHUNKS_A_THREAD = 4


def compiled(loop: Loop) -> Loop:
    """Compile a function at its first call.

    Give it `@no_type_check` as well: the tests' shape checks wrap functions in what numba cannot compile. What one
    compiled function calls of another file is not looked at when the cache is checked: keep them in one file.
    """
    return _compiled(loop)


def compiled_sums(loop: Loop) -> Loop:
    """The same for sums of products into arrays that share no memory with the others given.

    A product and its sum may be rounded once for both, and sums be taken in another order, always the same.
    """
    return _compiled(loop, fastmath={"contract", "reassoc", "nsz"}, pipeline_class=_Apart)


class _Apart(Compiler):
    """numba's compiler, told that arrays do not overlap: then it need not look before it works on eight at once, which
    halves the time of short loops."""

    def define_pipelines(self) -> Any:
        """Called once for each function."""
        self.state.flags.noalias = True
        return super().define_pipelines()


def _compiled(loop: Loop, **options: Any) -> Loop:
    try:
        return numba.njit(nogil=True, cache=True, **options)(loop)
    except RuntimeError:  # a read-only installation and no cache folder either: compiled again in each process
        return numba.njit(nogil=True, **options)(loop)


def in_chunks(loop: Loop, count: int, *arguments: object, smallest: int = _MIN_CHUNK) -> None:
    """Call `loop(start, stop, *arguments)` for pieces of `range(count)`, on the cores that this process may use.

    Args:
        smallest: pieces that are not worth a thread have fewer items.
    """
    threads = min(len(os.sched_getaffinity(0)), _MAX_THREADS, count // smallest)
    if threads < 2:
        loop(0, count, *arguments)
        return
    bounds = np.linspace(0, count, threads * _CHUNKS_A_THREAD + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads, "loops") as pool:
        pieces = [pool.submit(loop, start, stop, *arguments) for start, stop in itertools.pairwise(bounds)]
    for piece in pieces:
        piece.result()
