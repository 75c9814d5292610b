"""All inputs of the node: the poses, every camera with its own health, and the watch on the clock."""

from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from ovseg3r_core.odometry.live import LiveTracker
from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.inputs.camera_input import CameraInput
from ovseg3r_ros.inputs.camera_pipeline import Deliver
from ovseg3r_ros.inputs.health import CameraHealth, OdometryHealth, StreamHealth
from ovseg3r_ros.inputs.poses import open_poses
from ovseg3r_ros.inputs.time_jumps import TimeJumps

_ONLY_CAMERA = ""


class Cameras:
    """Reads every camera that is configured.

    Args:
        deliver: takes (sensor, stamp in ns, load) of each frame.
        on_time_jump: is told in words that time went back, after the inputs forgot what they knew of it.
        tracker: of our own odometry, where that is what poses come from.

    Raises:
        ValueError: the settings contradict each other.
    """

    def __init__(
        self,
        node: Node,
        config: InputConfig,
        deliver: Deliver,
        on_time_jump: Callable[[str], None],
        tracker: LiveTracker | None = None,
    ) -> None:
        self._poses = open_poses(node, config, MutuallyExclusiveCallbackGroup(), tracker)
        self._jumps = TimeJumps(node, on_time_jump)
        self._cameras = tuple(
            CameraInput(node, name, config, self._poses, deliver, self._jumps.jumped, MutuallyExclusiveCallbackGroup())
            for name in config.cameras or (_ONLY_CAMERA,)
        )
        self._jumps.watch(self._poses, *self._cameras)

    def health(self) -> tuple[CameraHealth, ...]:
        """Of each camera."""
        return tuple(camera.health() for camera in self._cameras)

    def pose_health(self) -> tuple[StreamHealth, ...]:
        """Of each topic that poses come from."""
        return self._poses.health()

    def odometry_health(self) -> OdometryHealth | None:
        """Of our own odometry; None where poses come from elsewhere."""
        return self._poses.odometry_health()

    def begin_anew(self) -> None:
        """The map is being emptied: where poses are our own, another origin is chosen, and what waits is dropped."""
        if self._poses.odometry_health() is not None:
            self._poses.begin_anew()
            for camera in self._cameras:
                camera.reset("reset")

    def destroy(self) -> None:
        """Stop reading; nothing is delivered any more when this returns."""
        self._jumps.destroy()
        for camera in self._cameras:
            camera.destroy()
        self._poses.destroy()
