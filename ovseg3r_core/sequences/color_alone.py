"""What every recording of colour alone answers to who asks for depth or poses."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.types import Frame, RgbdFrame


class ColorAlone(ABC):
    """A recording without depth, and without poses in metres."""

    has_poses = False
    has_depth = False

    @property
    @abstractmethod
    def name(self) -> str:
        """What the recording is called."""

    @abstractmethod
    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index, of all frames; no image is read."""

    def __len__(self) -> int:
        return len(self.read_stamps())

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        """None."""
        return {}

    def read(self) -> Iterator[Frame | Rejected]:
        """Nothing but reasons: there are neither depth nor poses."""
        return self._reasons()

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        """Nothing but reasons: there is no depth."""
        return self._reasons()

    def _reasons(self) -> Iterator[Rejected]:
        for index in self.read_stamps():
            yield Rejected("no_depth", f"{self.name}, frame {index}: a recording of colour alone")
