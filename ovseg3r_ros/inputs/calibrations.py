"""The calibrations of one camera over time: which one is in force when an image was taken.

A driver sends the same CameraInfo with every image, and another one after it was restarted with another resolution.
Only the changes are read and kept; each counts from its stamp on.
"""

from bisect import bisect_right
from dataclasses import dataclass
from threading import Lock

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.bag_messages import header_stamp_ns, read_camera_info
from ovseg3r_core.sequences.calibration import Calibration

_MOST = 16  # changes that are kept: images are seconds old at most
_AFTER_STAMP = 12  # bytes of encapsulation and stamp; equal bytes after them are an equal calibration


@dataclass(frozen=True, kw_only=True)
class CalibrationInForce:
    """A calibration and the image size that it is for."""

    calibration: Calibration
    size: tuple[int, int]
    """Width and height; zeros where the driver left them out."""


class Calibrations:
    """May be filled in one thread and asked in another.

    Args:
        rectified: whether the driver removed the lens distortion, so that the images are those of P and not of K, D.
    """

    def __init__(self, *, rectified: bool) -> None:
        self._rectified = rectified
        self._lock = Lock()
        self._last_bytes = b""
        self._last_problem: Rejected | None = None
        self._changes: list[tuple[int, CalibrationInForce | Rejected]] = []

    def add(self, raw: bytes) -> None:
        """Take a serialised CameraInfo.

        Raises:
            Rejected: `bad_message`, or `bad_intrinsics` for one that then is in force all the same: images are
                refused until a good one comes.
        """
        stamp_ns, content = header_stamp_ns(raw), raw[_AFTER_STAMP:]
        with self._lock:
            if content != self._last_bytes:
                in_force = self._read(raw)
                self._last_bytes = content
                self._last_problem = in_force if isinstance(in_force, Rejected) else None
                self._insert(stamp_ns, in_force)
            if self._last_problem is not None:
                raise _again(self._last_problem)

    def at(self, stamp_ns: int) -> CalibrationInForce:
        """The calibration in force: the last one up to that time, or the first of all.

        Raises:
            Rejected: `no_calibration` where none has come, `bad_intrinsics` where the one in force is unusable.
        """
        with self._lock:
            if not self._changes:
                raise Rejected("no_calibration", "no CameraInfo has come")
            after = bisect_right(self._changes, stamp_ns, key=_stamp)
            _, in_force = self._changes[max(after - 1, 0)]
        if isinstance(in_force, Rejected):
            raise _again(in_force)
        return in_force

    def reset(self) -> None:
        """Let the newest calibration be that of all times: a camera keeps its lens when the clock jumps."""
        with self._lock:
            self._changes = [(0, in_force) for _, in_force in self._changes[-1:]]

    def _insert(self, stamp_ns: int, in_force: CalibrationInForce | Rejected) -> None:
        self._changes = [change for change in self._changes if change[0] != stamp_ns]  # some drivers stamp all with 0
        self._changes.insert(bisect_right(self._changes, stamp_ns, key=_stamp), (stamp_ns, in_force))
        del self._changes[:-_MOST]

    def _read(self, raw: bytes) -> CalibrationInForce | Rejected:
        try:
            calibration, width, height = read_camera_info(raw, rectified=self._rectified)
            if width and height:
                calibration.camera(width, height)
        except Rejected as rejected:
            if rejected.reason == "bad_message":
                raise
            return rejected
        return CalibrationInForce(calibration=calibration, size=(width, height))


def _again(problem: Rejected) -> Rejected:
    return Rejected(problem.reason, str(problem))  # one exception raised many times would grow its traceback


def _stamp(change: tuple[int, CalibrationInForce | Rejected]) -> int:
    return change[0]
