"""A recording mapped with poses that are not its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.prefetch import or_reason
from ovseg3r_core.sequences.sequence import Recording
from ovseg3r_core.types import Frame, RgbdFrame


@dataclass(frozen=True, kw_only=True)
class PosedRecording:
    """A recording with other poses than its own: from here on nobody can tell."""

    recording: Recording
    pose: Callable[[int, float], Float64[ndarray, "4 4"]]
    """T_map_camera of a frame by its index and stamp, seconds; raises `Rejected` where it is not known."""

    @property
    def name(self) -> str:
        """The recording's."""
        return self.recording.name

    def __len__(self) -> int:
        return len(self.recording)

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order."""
        return map(or_reason(self._posed), self.recording.read_unposed())

    def _posed(self, frame: RgbdFrame) -> Frame:
        return frame.posed(self.pose(frame.index, frame.stamp_s))
