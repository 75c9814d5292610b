"""Counts the messages of a topic that were sent and never handed to us."""

from typing import Protocol


class LostEvent(Protocol):
    """What the middleware says of lost messages."""

    total_count_change: int


class Missed:
    """Counts the holes in the publisher's numbering of its messages, where the middleware hands it on.

    That sees also the messages that newer ones overwrote in our queue, of which DDS reports nothing. The numbers
    are each publisher's own, so that they are only followed while there is one; elsewhere what the middleware
    reports as lost is all that can be known.
    """

    def __init__(self) -> None:
        self._holes = self._reported = 0
        self._publishers: tuple[bytes, ...] = ()
        self._last: int | None = None

    @property
    def count(self) -> int:
        """The messages missed so far."""
        return max(self._holes, self._reported)

    def follow(self, publishers: tuple[bytes, ...]) -> None:
        """These publish the topic from now on."""
        if publishers != self._publishers:
            self._publishers, self._last = publishers, None

    def saw(self, number: int | None) -> None:
        """A message came, with the number that its publisher gave it."""
        if number is None or len(self._publishers) != 1:
            return
        if self._last is not None and number > self._last:
            self._holes += number - self._last - 1
        self._last = number

    def reported(self, event: LostEvent) -> None:
        """The middleware reported losses."""
        self._reported += event.total_count_change
