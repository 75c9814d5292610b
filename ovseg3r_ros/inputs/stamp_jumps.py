"""Tells a clock that jumped from a message with a stray stamp, by the stamps of one stream alone."""

_JUMP_NS = 10**9


class StampJumps:
    """Watches one stream for stamps that go back by more than a second, as they do when a bag starts over.

    One odd stamp proves nothing, whether it lies behind or ahead: a jump is believed when the next stamp follows it.
    """

    def __init__(self) -> None:
        self._newest_ns: int | None = None
        self._odd_ns: int | None = None

    def back_by_s(self, stamp_ns: int) -> float:
        """How far time went back with this message, seconds; 0 where it did not."""
        newest_ns, odd_ns = self._newest_ns, self._odd_ns
        if newest_ns is None or abs(stamp_ns - newest_ns) <= _JUMP_NS:
            self._newest_ns, self._odd_ns = max(stamp_ns, newest_ns or stamp_ns), None
            return 0.0
        follows = odd_ns is not None and (odd_ns > newest_ns) == (stamp_ns > newest_ns) and stamp_ns >= odd_ns
        if not follows:
            self._odd_ns = stamp_ns
            return 0.0
        self._newest_ns, self._odd_ns = stamp_ns, None
        return max(newest_ns - stamp_ns, 0) / 1e9

    def reset(self) -> None:
        """Forget all stamps."""
        self._newest_ns = self._odd_ns = None
