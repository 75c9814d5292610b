"""What all sources of poses have in common."""

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_ros.inputs.health import StreamHealth


class PoseNotYet(Rejected):
    """There is no pose of that time, but it can still come: it is worth waiting for."""

    def __init__(self, detail: str) -> None:
        super().__init__("no_pose", detail)


class PoseSource(Protocol):
    """Where a camera was at a time; may be asked in any thread."""

    def T_map_camera(self, camera_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """The pose of an optical frame at a time.

        Raises:
            PoseNotYet: the time is newer than what is known.
            Rejected: `no_pose` where the time is too old or in a gap, so that its pose never comes.
        """
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

    def health(self) -> tuple[StreamHealth, ...]:
        """The state of each topic that poses come from."""
        ...

    def destroy(self) -> None:
        """Stop listening to the topics."""
        ...
