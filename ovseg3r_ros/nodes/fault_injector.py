"""The node `fault_injector`: stands between a camera and the perception node, and spoils what passes.

It hears `healthy/color/image`, `healthy/depth/image`, `healthy/color/camera_info` and `healthy/tf`, and sends on under
the names that the perception node hears. A fault is a parameter, one a stream, and may be set at any time:

    ros2 run ovseg3r_ros fault_injector --ros-args -p color:="off from 5 to 15"
    ros2 param set /fault_injector depth "delayed 0.5"

What cannot be injected is refused with the reason.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import rclpy
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from ovseg3r_ros.faults import Delayed, Fault, FaultSpec, ok, read_fault

STREAMS: dict[str, tuple[type, str, str, int]] = {
    "color": (Image, "healthy/color/image", "color/image", 5),
    "depth": (Image, "healthy/depth/image", "depth/image", 5),
    "info": (CameraInfo, "healthy/color/camera_info", "color/camera_info", 5),
    "tf": (TFMessage, "healthy/tf", "/tf", 100),
}
"""Message type, what is heard, what is sent, and how many messages may wait."""
_RELEASE_S = 0.01


class _Line:
    """One stream: what comes in, with the fault of the moment."""

    def __init__(self, send: Callable[[Image | CameraInfo | TFMessage], None]) -> None:
        self._send, self._lock = send, threading.Lock()
        self.ask(FaultSpec())

    def ask(self, spec: FaultSpec) -> None:
        """Have this fault from now on; what a delay before it held back is lost."""
        with self._lock:
            self._spec, self._fault, self._since_s = spec, spec.make(), time.monotonic()

    def take(self, message: Image | CameraInfo | TFMessage) -> None:
        """A message has come."""
        now_s = time.monotonic()
        with self._lock:
            for sent in self._now(now_s)(message, now_s):
                self._send(sent)

    def release(self) -> None:
        """Send what is due of what is delayed."""
        with self._lock:
            if isinstance(self._fault, Delayed):
                for sent in self._fault.due(time.monotonic()):
                    self._send(sent)

    def _now(self, now_s: float) -> Fault:
        acts = self._spec.from_s <= now_s - self._since_s < self._spec.to_s
        return self._fault if acts else ok


class FaultInjector(Node):
    """The streams, and the parameters that spoil them."""

    def __init__(self) -> None:
        super().__init__("fault_injector")
        self._lines: dict[str, _Line] = {}
        for stream, (kind, heard, sent, depth) in STREAMS.items():
            line = _Line(self.create_publisher(kind, sent, QoSProfile(depth=depth)).publish)
            self.create_subscription(kind, heard, line.take, QoSProfile(depth=depth))
            self._lines[stream] = line
        for stream, line in self._lines.items():
            words = ParameterDescriptor(description="ok, off, stuck, garbage, wrong, slow N, delayed S, intermittent P")
            line.ask(read_fault(str(self.declare_parameter(stream, "ok", words).value)))
        self.add_on_set_parameters_callback(self._change)
        self.create_timer(_RELEASE_S, self._release)

    def _change(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        try:
            asked = {it.name: read_fault(str(it.value)) for it in parameters if it.name in self._lines}
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for stream, spec in asked.items():
            self._lines[stream].ask(spec)
            self.get_logger().info(f"{stream}: {spec.word} {spec.amount:g}, from {spec.from_s:g} to {spec.to_s:g} s")
        return SetParametersResult(successful=True)

    def _release(self) -> None:
        for line in self._lines.values():
            line.release()


def main() -> None:
    """The executable."""
    rclpy.init()
    try:
        node = FaultInjector()
    except ValueError as error:
        get_logger("fault_injector").fatal(str(error))
        raise SystemExit(2) from None
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        executor.spin()
