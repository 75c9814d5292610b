"""Which frames are asked what of the map they see through, and what they are asked about."""

import numpy as np

from ovseg3r_core.mapping.life import LifeConfig
from ovseg3r_core.mapping.lives import watched_of, watched_things
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.types import Frame

_GROWN = 1.1  # of a map: what stands for all that is no object is chosen anew


class Watch:
    """What of a map is watched; frames are asked now and then, as near ones repeat each other's errors."""

    def __init__(self, objects: ObjectMap, config: LifeConfig) -> None:
        self.now = objects, watched_of(objects, config)
        """What is watched, and the map that it is of: both at once, so that nobody who reads them needs a lock."""
        self._of_points = 0
        self._asked_s: dict[str, float] = {}
        self._resting = False

    def is_due(self, frame: Frame, every_s: float) -> bool:
        """Whether this frame is to be asked: the last one of its sensor that was is `every_s` past, or to come."""
        if self._resting:
            return False
        since_s = frame.stamp_s - self._asked_s.get(frame.sensor, -np.inf)
        if 0 <= since_s < every_s:  # less than 0 where the clock jumped back
            return False
        self._asked_s[frame.sensor] = frame.stamp_s
        return True

    def rest(self) -> None:
        """Ask no frame until `renew`: what is watched has moved."""
        self._resting = True

    def renew(self, objects: ObjectMap, config: LifeConfig, *, little_changed: bool = False) -> None:
        """Watch the objects where they are now.

        Args:
            little_changed: what is about the objects is watched as before, until the map has grown by a tenth.
        """
        if little_changed and not self._resting and len(objects.cloud) < _GROWN * self._of_points:
            _, watched = self.now
            self.now = objects, watched.with_things(watched_things(objects))
        else:
            self.now = objects, watched_of(objects, config)
            self._of_points = len(objects.cloud)
        self._resting = False
