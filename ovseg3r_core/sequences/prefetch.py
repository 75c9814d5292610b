"""Decoding ahead of the reader: a few items at a time, in order, in threads (image decoders release the GIL)."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ovseg3r_core.checks import Rejected
from ovseg3r_core.types import ColorFrame, RgbdFrame

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def prefetch(
    load: Callable[[Item], Loaded], items: Iterable[Item], ahead: int = 4, workers: int = 2
) -> Iterator[Loaded]:
    """Yield `load(item)` of each item in order, with up to `ahead` more under way.

    `items` itself is walked in the caller's thread. An exception of `load` is raised at its item's turn.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="prefetch") as pool:
        pending: deque[Future[Loaded]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(load, item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # the caller stopped early: what has not begun need not be done
            for future in pending:
                future.cancel()


def without_depth(frames: Iterable[RgbdFrame | Rejected]) -> Iterator[ColorFrame | Rejected]:
    """The images of frames alone."""
    return map(or_reason(RgbdFrame.without_depth), frames)


def or_reason(load: Callable[[Item], Loaded]) -> Callable[[Item | Rejected], Loaded | Rejected]:
    """The same, but what cannot be loaded comes back as the reason why, and what was rejected before stays so."""

    def tried(item: Item | Rejected) -> Loaded | Rejected:
        if isinstance(item, Rejected):
            return item
        try:
            return load(item)
        except Rejected as rejected:
            return rejected

    return tried
