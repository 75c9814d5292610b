"""What all sources of poses have in common."""

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_ros.inputs.frame_loader import ImagePair
from ovseg3r_ros.inputs.health import OdometryHealth, StreamHealth


class PoseNotYet(Rejected):
    """There is no pose of that time, but it can still come: it is worth waiting for.

    Args:
        is_sure: whether the answer will come, one way or the other, so that no time limits the wait.
    """

    def __init__(self, detail: str, *, is_sure: bool = False) -> None:
        super().__init__("no_pose", detail)
        self.is_sure = is_sure


class Listeners:
    """Whom to tell that poses have come."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], None], ...] = ()  # replaced, never changed: others may be walking it

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call that whenever poses have come, in the thread that they come in."""
        self._listeners = (*self._listeners, listener)

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """No longer call that."""
        self._listeners = tuple(other for other in self._listeners if other != listener)

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


class PoseSource(Protocol):
    """Where a camera was at a time; may be asked in any thread."""

    def T_map_camera(self, camera_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """The pose of an optical frame at a time.

        Raises:
            PoseNotYet: the time is newer than what is known.
            Rejected: `no_pose` where the time is too old or in a gap, so that its pose never comes.
        """
        ...

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """`T_target_source` by the robot's transforms: where one of its parts is to another; raises as above."""
        ...

    def observe(self, camera_frame: str, images: ImagePair) -> None:
        """Look at a pair of images whose pose will be asked for, where poses come from them; never waits."""
        ...

    def newest_ns(self, camera_frame: str) -> int | None:
        """The time up to which the poses of a frame are known; None where nothing is, or nothing moves."""
        ...

    def add_listener(self, listener: Callable[[], None]) -> None:
        """Call that whenever poses have come, in the thread that they come in."""
        ...

    def remove_listener(self, listener: Callable[[], None]) -> None:
        """No longer call that."""
        ...

    def reset(self) -> None:
        """Forget all that moves, as after a jump of time."""
        ...

    def begin_anew(self) -> None:
        """The map was emptied: whoever chose its origin chooses another one."""
        ...

    def health(self) -> tuple[StreamHealth, ...]:
        """The state of each topic that poses come from."""
        ...

    def odometry_health(self) -> OdometryHealth | None:
        """The state of the odometry; None where poses come from elsewhere."""
        ...

    def destroy(self) -> None:
        """Stop listening to the topics."""
        ...
