"""The surface of a map: fused frame by frame, and made anew of the kept keyframes where their poses were corrected.

Whoever changes it, or asks it for what changes, holds `lock`; where the lock of the map is held too, this one was taken
first. Reading it copies what was touched under the lock, and works on that without.
"""

from collections.abc import Sequence
from threading import Lock

from ovseg3r_core.mapping.life import Departure
from ovseg3r_core.reconstruction.growing_surface import GrowingSurface
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.types import Frame, SceneCloud
from ovseg3r_core.views import View

_WORTH_READING = 1 / 3  # of the frames of a block: a surface that is seen on and on is read again ever more rarely


class MapSurface:
    """A volume, the surface as it was last read, and the keyframes that it lacks since poses were corrected."""

    def __init__(self, config: TsdfConfig) -> None:
        """Set the memory budget aside."""
        self.lock, self._reading = Lock(), Lock()
        self.clear(config)

    def clear(self, config: TsdfConfig) -> None:
        """Forget everything, and take other settings."""
        self.volume, self._grown = TsdfVolume(config), GrowingSurface()
        self._awaited: list[View] = []
        self._stand_for = 0  # frames that the awaited ones are all that is left of

    def read(self, *, all_of_it: bool = True) -> SceneCloud:
        """The surface met so far; takes the lock for a moment.

        Args:
            all_of_it: else blocks of space that took in few frames since they were read stay as they were read.
        """
        with self._reading:
            with self.lock:
                volume, grown = self.volume, self._grown
                reading = volume.read_again(0.0 if all_of_it else _WORTH_READING)
            try:
                return grown.take(reading)
            except BaseException:
                with self.lock:
                    volume.read_all_next()
                raise

    def fuse(self, frame: Frame) -> None:
        """Fuse a frame; raises `Rejected` as `TsdfVolume.integrate` does."""
        self.volume.integrate(frame)

    def fuse_kept(self, view: int, frame: Frame, departures: Sequence[Departure], cloud: SceneCloud) -> None:
        """Fuse a kept keyframe, without what had left by then; raises as `fuse`."""
        self.forget(departures, cloud, before_view=view)
        self.volume.integrate(frame)

    def forget(self, left: Sequence[Departure], cloud: SceneCloud, *, before_view: int) -> None:
        """Forget the surface of what left its place before this view came."""
        for departure in left:
            if departure.before_view == before_view:
                self.volume.forget(departure.place.xyz, cloud.xyz)

    def begin_anew(self, views: Sequence[View]) -> None:
        """Forget all frames; those of some keyframes are to be fused again, and stand for all of them."""
        self._stand_for = max(self._stand_for, self.volume.frames)
        self._awaited = list(views)
        self.volume.clear()

    def await_again(self, view: View) -> None:
        """One more keyframe is to be fused again: what was fused of it went with the surface of before."""
        self._awaited.append(view)

    def next_awaited(self) -> View | None:
        """The next keyframe to fuse again, in their order, as things left their places between two of them."""
        return self._awaited.pop(0) if self._awaited else None

    def end_anew(self, departures: Sequence[Departure], cloud: SceneCloud, *, views: int, kept: int) -> None:
        """All awaited keyframes are fused: each counts for the frames round it, which are gone.

        Args:
            views: how many there ever were.
            kept: how many of them are kept.
        """
        if self._stand_for and kept:
            self.forget(departures, cloud, before_view=views)
            self.volume.weigh(max(self._stand_for / kept, 1.0))
            self._stand_for = 0
