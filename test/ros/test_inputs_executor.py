"""The executor: services that take their time stop neither each other nor the topics."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import rclpy
from harness_client import Client
from harness_robot import Robot
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from ovseg3r_ros.executor import ServicesAsideExecutor

THREADS = 3


class Served:
    """A node with a service that answers only when it is told to."""

    def __init__(self, robot: Robot) -> None:
        self.context = rclpy.Context()
        self.context.init(domain_id=robot.domain)
        self.node = Node("served", context=self.context)
        self.heard, self.asked, self.may_answer = 0, threading.Semaphore(0), threading.Event()
        group = ReentrantCallbackGroup()
        self.node.create_service(Trigger, "/slow", self._slow, callback_group=group)
        self.node.create_service(Trigger, "/quick", self._quick, callback_group=group)
        self.node.create_subscription(Empty, "/topic", self._hear, 10)
        self.executor = ServicesAsideExecutor(THREADS, context=self.context)
        self.executor.add_node(self.node)
        self.failures: list[Exception] = []
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.may_answer.set()
        self.context.try_shutdown()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.executor.shutdown()
        self.node.destroy_node()

    def _spin(self) -> None:
        try:
            with suppress(ExternalShutdownException):
                self.executor.spin()
        except RuntimeError as error:
            self.failures.append(error)

    def _slow(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.asked.release()
        response.success = self.may_answer.wait(20)
        return response

    def _quick(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        return response

    def _hear(self, message: Empty) -> None:
        self.heard += 1
        if self.heard > 3:
            raise RuntimeError("three are enough")


@pytest.fixture
def served(robot: Robot) -> Iterator[Served]:
    served = Served(robot)
    yield served
    served.close()


def test_slow_services_stop_neither_each_other_nor_the_topics(robot: Robot, served: Served):
    publisher = robot.client.node.create_publisher(Empty, "/topic", 10)
    robot.client.until(publisher.get_subscription_count, "subscriber")
    first, second = (robot.client.ask(Trigger, "/slow", Trigger.Request()) for _ in range(2))
    assert all(served.asked.acquire(timeout=20) for _ in range(2))
    publisher.publish(Empty())
    robot.client.until(lambda: served.heard, "message while services are busy")
    assert robot.client.call(Trigger, "/quick", Trigger.Request()).success
    assert not first.done()
    served.may_answer.set()
    assert all(robot.client.answer(answer).success for answer in (first, second))


def test_topics_go_on_while_more_services_are_asked_than_there_are_threads(robot: Robot, served: Served):
    publisher = robot.client.node.create_publisher(Empty, "/topic", 10)
    robot.client.until(publisher.get_subscription_count, "subscriber")
    answers = [robot.client.ask(Trigger, "/slow", Trigger.Request()) for _ in range(THREADS + 2)]
    assert all(served.asked.acquire(timeout=20) for _ in range(THREADS))
    for count in (1, 2, 3):  # the first may come before the request that finds no thread
        publisher.publish(Empty())
        robot.client.until(lambda count=count: served.heard == count, "message while all threads are busy")
    assert not served.asked.acquire(blocking=False)
    served.may_answer.set()
    assert all(robot.client.answer(answer).success for answer in answers)


def test_an_error_of_a_callback_reaches_whoever_spins(robot: Robot, served: Served):
    publisher = robot.client.node.create_publisher(Empty, "/topic", 10)
    robot.client.until(publisher.get_subscription_count, "subscriber")
    for _ in range(4):
        publisher.publish(Empty())
    robot.client.until(lambda: served.failures, "the error")
    assert str(served.failures[0]) == "three are enough"


def test_what_is_made_later_is_heard_and_what_is_destroyed_is_not(robot: Robot, served: Served):
    heard: list[str] = []
    publisher = robot.client.node.create_publisher(Empty, "/later", 10)
    subscription = served.node.create_subscription(Empty, "/later", lambda message: heard.append("later"), 10)
    robot.client.until(publisher.get_subscription_count, "subscriber")
    publisher.publish(Empty())
    robot.client.until(lambda: heard, "message on a topic that was subscribed to while the executor waited")
    served.node.destroy_subscription(subscription)
    robot.client.until(lambda: publisher.get_subscription_count() == 0, "end of the subscription")
    assert robot.client.call(Trigger, "/quick", Trigger.Request()).success


def test_a_timer_that_was_cancelled_is_quiet_until_it_is_reset(robot: Robot, served: Served):
    ticks: list[float] = []
    timer = served.node.create_timer(0.01, lambda: ticks.append(0))
    robot.client.until(lambda: len(ticks) > 2, "ticks")
    timer.cancel()
    time.sleep(0.1)
    before = len(ticks)
    time.sleep(0.2)
    assert len(ticks) == before
    timer.reset()
    robot.client.until(lambda: len(ticks) > before + 2, "ticks again")


def test_a_callback_may_wait_for_the_answer_of_a_service(robot: Robot, served: Served):
    answers, asked = list[bool](), threading.Event()
    client = served.node.create_client(Trigger, "/elsewhere", callback_group=ReentrantCallbackGroup())

    async def ask() -> None:
        if asked.is_set():
            return
        asked.set()
        answers.append((await client.call_async(Trigger.Request())).success)

    def answer(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        return response

    with Client(robot.domain, "elsewhere") as other:
        other.node.create_service(Trigger, "/elsewhere", answer)
        other.listen(Empty, "/anything")  # wakes its executor, which then sees the service
        assert client.wait_for_service(20)
        served.node.create_timer(0.01, ask)
        robot.client.until(lambda: answers, "answer")
    assert answers == [True]


def test_a_callback_is_not_begun_again_while_its_group_is_busy(robot: Robot, served: Served):
    """The group of a service that another thread answers excludes the timer beside it."""
    running, may_end = threading.Event(), threading.Event()
    group = MutuallyExclusiveCallbackGroup()

    def long(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        running.set()
        response.success = may_end.wait(20)
        running.clear()
        return response

    ticks: list[bool] = []
    served.node.create_service(Trigger, "/long", long, callback_group=group)
    served.node.create_timer(0.005, lambda: ticks.append(running.is_set()), callback_group=group)
    answer = robot.client.ask(Trigger, "/long", Trigger.Request())
    assert running.wait(20)
    before = len(ticks)
    time.sleep(0.1)
    assert len(ticks) == before
    may_end.set()
    assert robot.client.answer(answer).success
    robot.client.until(lambda: len(ticks) > before, "tick after the service")
    assert not any(ticks)


def test_a_wait_that_begins_just_after_ros_was_shut_down_ends_quietly(robot: Robot):
    context = rclpy.Context()
    context.init(domain_id=robot.domain)
    executor = ServicesAsideExecutor(THREADS, context=context)
    context.shutdown()
    executor.spin_once(timeout_sec=0.0)
    executor.shutdown()


def test_a_callback_that_asks_ros_just_after_it_was_shut_down_ends_quietly(robot: Robot):
    context = rclpy.Context()
    context.init(domain_id=robot.domain)
    node = rclpy.create_node("late", context=context)
    executor = ServicesAsideExecutor(THREADS, context=context)
    executor.add_node(node)
    asked: list[str] = []

    def ask() -> None:
        asked.append("publishers")
        context.shutdown()
        node.get_publishers_info_by_topic("/topic")

    node.create_timer(0.001, ask)
    while not asked:
        executor.spin_once(timeout_sec=1.0)
    executor.shutdown()
