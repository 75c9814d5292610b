"""Hears what the node publishes, and asks it something every second, while a bag is played."""

import itertools
import threading
import time
from types import TracebackType

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State, TransitionEvent
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

from ovseg3r_ros.msg import ObjectInstance, ObjectInstanceArray
from ovseg3r_ros.replay.backlog import report_of
from ovseg3r_ros.replay.published import cloud_of, record_of, stamp_ns
from ovseg3r_ros.replay.recording import PublishedObjects, Recording
from ovseg3r_ros.srv import QueryObjects

_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_ASK_EVERY_S, _ANSWER_WITHIN_S = 1.0, 5.0
_FAILED_STEPS = {
    (State.TRANSITION_STATE_CONFIGURING, State.PRIMARY_STATE_UNCONFIGURED): "configure",
    (State.TRANSITION_STATE_ACTIVATING, State.PRIMARY_STATE_INACTIVE): "activate",
}
_KINDS = ("red", "small", "wooden", "old", "white", "soft", "heavy", "open", "striped", "empty", "folded")
_THINGS = ("chair", "cup", "thing to sit on", "fire extinguisher", "screen", "place to put a book", "lamp")


class Recorder(Node):
    """The subscriptions; what they hear goes into a `Recording`. A context that spins in a thread of its own."""

    def __init__(self, recording: Recording) -> None:
        super().__init__("replay_recorder", enable_rosout=False)
        self._recording = recording
        self.create_subscription(Clock, "/clock", self._take_clock, 10)
        self.create_subscription(ObjectInstanceArray, "instances", self._take_objects, _LATCHED)
        self.create_subscription(PointCloud2, "instance_cloud", self._take_cloud, _LATCHED)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)
        self.create_subscription(TransitionEvent, "perception/transition_event", self._take_transition, 10)
        self._service = self.create_client(QueryObjects, "query_objects")
        self._texts = itertools.cycle(f"{kind} {thing}" for thing in _THINGS for kind in _KINDS)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._spin, self._ask)]

    def __enter__(self) -> "Recorder":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._executor.wake()
        for thread in self._threads:
            thread.join()
        self._executor.shutdown()
        self.destroy_node()

    def _take_clock(self, message: Clock) -> None:
        self._recording.add_clock(stamp_ns(message.clock), time.perf_counter())

    def _take_objects(self, message: ObjectInstanceArray) -> None:
        now_s = time.perf_counter()
        instances: list[ObjectInstance] = list(message.instances)
        published = PublishedObjects(
            stamp_ns=stamp_ns(message.header.stamp),
            map_frame=message.header.frame_id,
            objects=tuple(map(record_of, instances)),
        )
        self._recording.add_objects(published, now_s)

    def _take_cloud(self, message: PointCloud2) -> None:
        self._recording.add_cloud(cloud_of(message))

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        report = report_of(message)
        if report is not None:
            self._recording.add_report(report)

    def _take_transition(self, message: TransitionEvent) -> None:
        step = _FAILED_STEPS.get((message.start_state.id, message.goal_state.id))
        if step is not None:
            self._recording.add_refusal(step)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=1.0)

    def _ask(self) -> None:
        """A new text every second, once the service is there; how long each answer takes."""
        while not self._stop.wait(_ASK_EVERY_S):
            if self._service.service_is_ready():
                seconds = self._time_of_answer(next(self._texts))
                if seconds is not None or not self._stop.is_set():
                    self._recording.add_query(seconds)

    def _time_of_answer(self, text: str) -> float | None:
        answered_s: list[float] = []
        done = threading.Event()

        def take(_: object) -> None:
            answered_s.append(time.perf_counter())
            done.set()

        begin_s = time.perf_counter()
        future = self._service.call_async(QueryObjects.Request(text=text))
        future.add_done_callback(take)
        end_s = begin_s + _ANSWER_WITHIN_S
        while not done.wait(0.1) and not self._stop.is_set() and time.perf_counter() < end_s:
            pass
        if answered_s:
            return answered_s[0] - begin_s
        self._service.remove_pending_request(future)
        return None
