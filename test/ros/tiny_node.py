"""A lifecycle node that counts images and says so on /diagnostics: what the harness is tested against."""

import contextlib

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import IntegerRange, ParameterDescriptor
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image


class TinyNode(LifecycleNode):
    def __init__(self) -> None:
        super().__init__("tiny")
        limits = ParameterDescriptor(integer_range=[IntegerRange(from_value=1, to_value=9, step=1)])
        self.declare_parameter("limit", 5, limits)
        self.images = 0

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._subscription = self.create_subscription(Image, "color/image", self._count, 10)
        self.get_logger().info("configured")
        return TransitionCallbackReturn.SUCCESS

    def _count(self, image: Image) -> None:
        self.images += 1
        values = [KeyValue(key="images", value=str(self.images)), KeyValue(key="width", value=str(image.width))]
        self._publisher.publish(DiagnosticArray(status=[DiagnosticStatus(name="tiny: images", values=values)]))


def main() -> None:
    rclpy.init()
    node = TinyNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        executor.spin()


if __name__ == "__main__":
    main()
