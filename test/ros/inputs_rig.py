"""The inputs of a node over real DDS, without the node: a context of their own, and whatever they deliver kept."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

import rclpy
from harness_client import Client
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

from ovseg3r_core.types import Frame
from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.executor import ServicesAsideExecutor
from ovseg3r_ros.inputs.cameras import Cameras
from ovseg3r_ros.inputs.health import CameraHealth


class InputsRig:
    """A context; listens in the client's domain while it is open.

    Args:
        client: waits, and publishes what the inputs hear.
        remap: rules of the command line, such as color/image:=/driver/rgb.
        parameters: of the node, such as use_sim_time.
        settings: of `InputConfig`.
    """

    def __init__(
        self,
        client: Client,
        *,
        remap: Sequence[str] = (),
        parameters: dict[str, object] | None = None,
        **settings: object,
    ) -> None:
        self.client = client
        self.delivered: list[tuple[str, int, Callable[[], Frame]]] = []
        self.jumps: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self._context = rclpy.Context()
        self._context.init(domain_id=client.domain)
        arguments = ["--ros-args", *(word for rule in remap for word in ("-r", rule))]
        self.node = Node(
            "inputs",
            context=self._context,
            cli_args=arguments,
            parameter_overrides=[Parameter(name, value=value) for name, value in (parameters or {}).items()],
        )
        self._config = InputConfig(**settings)  # type: ignore[arg-type]
        self.cameras = self._listen()
        self._executor = ServicesAsideExecutor(2, context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    @property
    def health(self) -> CameraHealth:
        """Of the first camera; nothing may be unexplained, ever."""
        health = self.cameras.health()[0]
        assert (health.unexplained("color"), health.unexplained("depth")) == (0, 0), health
        return health

    def restart(self) -> None:
        """Listen anew, as the lifecycle does."""
        self.cameras.destroy()
        self.cameras = self._listen()

    def until(self, found: Callable[[CameraHealth], object], what: str, timeout_s: float = 20.0) -> None:
        """Wait for a state of the first camera."""
        self.client.until(
            lambda: bool(found(self.health)), lambda: f"{what}: {self.cameras.health()[0]}", timeout_s=timeout_s
        )

    def until_delivered(self, count: int) -> None:
        """Wait until so many frames have come in all."""
        self.until(lambda health: health.delivered >= count, f"{count} frames")

    def heard_by(self, topic: str) -> list[ReliabilityPolicy]:
        """The reliability of our subscriptions of a topic."""
        infos = self.client.node.get_subscriptions_info_by_topic(topic)
        return [info.qos_profile.reliability for info in infos if info.node_name == "inputs"]

    def until_heard(self, topic: str, reliability: ReliabilityPolicy) -> None:
        """Wait until a topic is subscribed once, with that reliability."""
        self.client.until(lambda: self.heard_by(topic) == [reliability], f"{reliability} subscription of {topic}")

    def until_settled(self, *others: str) -> None:
        """Wait until the images, and other topics, are heard as reliable publishers offer them."""
        for topic in ("/color/image", "/depth/image", "/color/camera_info", *others):
            self.until_heard(topic, ReliabilityPolicy.RELIABLE)

    def __enter__(self) -> "InputsRig":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.hold.set()
        self.cameras.destroy()
        self._context.try_shutdown()
        self._thread.join(10)
        self._executor.shutdown(timeout_sec=5)
        self.node.destroy_node()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def _listen(self) -> Cameras:
        return Cameras(self.node, self._config, self._deliver, self.jumps.append)

    def _deliver(self, sensor: str, stamp_ns: int, load: Callable[[], Frame]) -> None:
        self.hold.wait(10)
        self.delivered.append((sensor, stamp_ns, load))


RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
