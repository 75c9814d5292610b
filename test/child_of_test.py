"""What `test_child.py` runs in another process: it multiplies."""

import os
from collections.abc import Callable

from ovseg3r_core.checks import Rejected


class Stubborn(Exception):
    """An error that cannot be sent: it is read back with other arguments than it takes."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__("stubborn")


def answers(factor: str) -> Callable[[object], object]:
    times = int(factor)

    def answer(question: object) -> object:
        if question is None:
            raise Rejected("no_number", "there is nothing to multiply")
        if question == "die":
            os._exit(7)
        if question == "stubborn":
            raise Stubborn(1, 2)
        assert isinstance(question, int)
        return times * question

    return answer
