"""Something that is done every so often in a thread of its own, for as long as it is wanted."""

import logging
import threading
from collections.abc import Callable

from ovseg3r_core.stage import step_back

logger = logging.getLogger(__name__)


class Repeater:
    """Calls `work` every `period_s` seconds; an error is logged, and the next call comes all the same."""

    def __init__(self, name: str, period_s: float, work: Callable[[], None], *, niceness: int = 0) -> None:
        self._name, self._period_s, self._work, self._niceness = name, period_s, work, niceness
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Call no more; a call that is under way is waited for."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        step_back(self._niceness)
        while not self._stop.wait(self._period_s):
            try:
                self._work()
            except Exception:
                logger.exception("%s: going on", self._name)
