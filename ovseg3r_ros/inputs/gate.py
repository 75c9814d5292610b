"""The start-up gate: says in one line what the first frame waits for, until clock, calibration and pose are proven."""

from ovseg3r_core.checks import Rejected

NO_PAIR_YET = "waiting for images"
"""The message of a gate that no pair of images has come to."""
_EPOCH_NS = 600 * 10**9  # clocks of one robot differ by seconds; ten minutes are another epoch
_WAITS_FOR = {
    "bad_clock": "the clock",
    "zero_stamp": "the clock",
    "no_calibration": "the calibration",
    "no_pose": "the pose",
    "not_ready": "the pose",
}


class StartGate:
    """Closed until the first frame has passed every check, and again after `close`.

    The checks themselves go on for every frame; the gate remembers which of them the first frame fails at.
    """

    def __init__(self) -> None:
        self.close()

    def close(self) -> None:
        """Start over, as after a jump of time."""
        self._message = NO_PAIR_YET

    @property
    def message(self) -> str:
        """What is waited for; empty once a frame has passed."""
        return self._message

    def refused(self, why: Rejected) -> None:
        """A frame was held back or dropped; told only while the gate is closed."""
        if self._message:
            self._message = f"waiting for {_WAITS_FOR.get(why.reason, 'a frame that can be used')}: {why}"

    def passed(self) -> None:
        """A frame passed every check: the gate is open."""
        self._message = ""


def check_clock(stamp_ns: int, now_ns: int) -> None:
    """Whether an image was stamped by a clock that agrees with the node's.

    Raises:
        Rejected: `zero_stamp`, or `bad_clock` where the node's time has not begun or the stamp is of another epoch.
    """
    if stamp_ns <= 0:
        raise Rejected("zero_stamp", f"an image is stamped {stamp_ns / 1e9:.3f} s: the driver does not set the time")
    if now_ns <= 0:
        raise Rejected("bad_clock", "the node's time is zero: use_sim_time is set, but nothing publishes /clock")
    if abs(now_ns - stamp_ns) > _EPOCH_NS:
        raise Rejected(
            "bad_clock",
            f"an image is stamped {stamp_ns / 1e9:.3f} s, {abs(now_ns - stamp_ns) / 1e9:.0f} s from the node's time "
            f"{now_ns / 1e9:.3f} s: set the camera's clock, or play a bag with /clock and set use_sim_time",
        )
