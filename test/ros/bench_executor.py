"""What a message costs the executor: `pytest -m benchmark -s test/ros/bench_executor.py` prints the figures."""

import threading
import time

import pytest
import rclpy
from harness_robot import Robot
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rich.console import Console
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from ovseg3r_ros.executor import ServicesAsideExecutor

pytestmark = pytest.mark.benchmark

MESSAGES = 500
PERIOD_S = 0.004
console = Console(width=120)


def cost_ms(robot: Robot, make: type[Executor], *arguments: int) -> float:
    """Processor time a message of the thread that spins, for a node with as many entities as the perception node."""
    context = rclpy.Context()
    context.init(domain_id=robot.domain)
    node = LifecycleNode("listening", context=context)
    heard: list[Empty] = []
    for number in range(8):
        node.create_subscription(Empty, f"other_{number}", heard.append, 10)
    for number in range(11):
        node.create_service(Trigger, f"s_{number}", lambda it, out: out, callback_group=ReentrantCallbackGroup())
    for _ in range(4):
        node.create_timer(100.0, lambda: None)
    topic = f"{make.__name__}/heard"
    node.create_subscription(Empty, topic, heard.append, MESSAGES)
    executor = make(*arguments, context=context)
    executor.add_node(node)
    spent_s: list[float] = []

    def spin() -> None:
        while len(heard) < MESSAGES:
            executor.spin_once(1.0)
            spent_s.append(time.thread_time())

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    publisher = robot.client.node.create_publisher(Empty, topic, MESSAGES)
    robot.client.until(publisher.get_subscription_count, "subscriber")
    for _ in range(MESSAGES):
        publisher.publish(Empty())
        time.sleep(PERIOD_S)
    thread.join(20)
    assert len(heard) == MESSAGES
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
    return (spent_s[-1] - spent_s[0]) / MESSAGES * 1e3


def test_cost_of_a_message(robot: Robot):
    theirs, ours = cost_ms(robot, SingleThreadedExecutor), cost_ms(robot, ServicesAsideExecutor, 4)
    console.print(
        f"a message: {theirs:.2f} ms in SingleThreadedExecutor, {ours:.2f} in ours: {theirs / ours:.1f} times"
    )
