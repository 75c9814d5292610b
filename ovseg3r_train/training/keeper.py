"""What the first process of a training does beside learning: it tells, validates and saves."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ovseg3r_core.segmenter.segmenter import Segmenter
from ovseg3r_train.learning.losses import Losses
from ovseg3r_train.training.history import History
from ovseg3r_train.training.state import save_state

Look = Callable[[Segmenter], Mapping[str, float]]
"""What validation says of a segmenter, under names such as `val/ap50`."""

_TELL_EVERY = 50


class Keeper:
    """Keeps the history, the picture and the state of a training in its folder.

    Args:
        step: where the training goes on.
        mean: what is validated.
        state: gives all that the training needs to go on.
    """

    def __init__(
        self,
        folder: Path,
        step: int,
        mean: Segmenter,
        state: Callable[[], Mapping[str, Any]],
        *,
        look: Look,
        validate_every: int,
        save_every_s: float,
    ) -> None:
        self._folder, self._mean, self._state, self._look = folder, mean, state, look
        self._validate_every, self._save_every_s = validate_every, save_every_s
        self._history = History(folder, step)
        self._told_step, self._told_s, self._saved_s = step, time.monotonic(), time.monotonic()

    def after(self, step: int, losses: Losses, *, last: bool, stopped: bool) -> None:
        """What is due after a step.

        Args:
            last: of the whole training.
            stopped: the training ends here for now.
        """
        if step % _TELL_EVERY == 0:
            self._history.tell(step, _numbers(losses) | {"speed/steps_a_second": self._speed(step)})
        if last or stopped or time.monotonic() - self._saved_s > self._save_every_s:
            save_state(self._folder, self._state())
            self._saved_s = time.monotonic()
        if step % self._validate_every == 0 or last or stopped:
            self._history.tell(step, self._look(self._mean))
            self._history.draw()

    def close(self) -> None:
        """The last picture."""
        self._history.draw()
        self._history.close()

    def _speed(self, step: int) -> float:
        """Steps a second since it was told last."""
        now = time.monotonic()
        speed = (step - self._told_step) / max(now - self._told_s, 1e-9)
        self._told_step, self._told_s = step, now
        return speed


def _numbers(losses: Losses) -> dict[str, float]:
    parts = ("name", "bce", "dice", "centre", "size", "semantic", "total")
    return {f"loss/{part}": float(getattr(losses, part).detach()) for part in parts}
