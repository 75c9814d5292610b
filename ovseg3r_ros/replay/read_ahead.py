"""Reading in a thread of its own, a bounded number of items ahead."""

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ReadAhead(Generic[Item]):
    """Items read in a thread, a bounded number ahead of the one who takes them; a context that ends the thread."""

    def __init__(self, items: Iterable[Item], ahead: int = 32) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(maxsize=ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        self._thread.start()
        return self._taken()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():  # it may wait for a place in the queue
            with contextlib.suppress(queue.Empty):
                self._queue.get(timeout=0.05)

    def _taken(self) -> Iterator[Item]:
        while not isinstance(item := self._queue.get(), BaseException):
            if item is None:
                return
            yield item[0]
        raise item

    def _read(self) -> None:
        try:
            for item in self._items:
                self._queue.put((item,))
                if self._stop.is_set():
                    return
            self._queue.put(None)
        except Exception as error:  # raised again in the thread that takes
            self._queue.put(error)
