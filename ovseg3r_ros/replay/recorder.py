"""Hears what the node publishes, and asks it something every second, while a bag is played."""

import itertools
import threading
import time
from types import TracebackType
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from nav_msgs.msg import Odometry
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import PointCloud2

from ovseg3r_core.sequences.poses import pose_from_quaternion
from ovseg3r_ros.latched import latched
from ovseg3r_ros.msg import ObjectInstance, ObjectInstanceArray
from ovseg3r_ros.replay.backlog import report_of
from ovseg3r_ros.replay.published import cloud_of, record_of, stamp_ns
from ovseg3r_ros.replay.recording import PublishedObjects, Recording
from ovseg3r_ros.srv import QueryObjects

_ASK_EVERY_S, _ANSWER_WITHIN_S = 1.0, 5.0
_POLL_S = 0.1
_STUCK_AFTER = 4  # answers in a row with one resting state: a node that starts itself passes through it in no time
_NEXT_STEP = {State.PRIMARY_STATE_UNCONFIGURED: "configure", State.PRIMARY_STATE_INACTIVE: "activate"}
_KINDS = ("red", "small", "wooden", "old", "white", "soft", "heavy", "open", "striped", "empty", "folded")
_THINGS = ("chair", "cup", "thing to sit on", "fire extinguisher", "screen", "place to put a book", "lamp")


class Recorder(Node):
    """The subscriptions; what they hear goes into a `Recording`. A context that spins in a thread of its own."""

    def __init__(self, recording: Recording) -> None:
        super().__init__("replay_recorder", enable_rosout=False)
        self._recording = recording
        self.create_subscription(Clock, "/clock", self._take_clock, 10)
        self.create_subscription(ObjectInstanceArray, "instances", self._take_objects, latched())
        self.create_subscription(PointCloud2, "instance_cloud", self._take_cloud, latched())
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 10)
        self.create_subscription(Odometry, "odometry", self._take_odometry, 100)
        self._state = self.create_client(GetState, "perception/get_state")
        self._query = self.create_client(QueryObjects, "query_objects")
        self._texts = itertools.cycle(f"{kind} {thing}" for thing in _THINGS for kind in _KINDS)
        self._states: list[int] = []
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

    def _take_odometry(self, message: Odometry) -> None:
        t, q = message.pose.pose.position, message.pose.pose.orientation
        T_map_frame = pose_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
        self._recording.add_pose(stamp_ns(message.header.stamp), message.child_frame_id, T_map_frame)

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        report = report_of(message)
        if report is not None:
            self._recording.add_report(report)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=1.0)

    def _ask(self) -> None:
        while not self._stop.wait(_ASK_EVERY_S):
            self._ask_for_state()
            self._ask_query()

    def _ask_for_state(self) -> None:
        """Until the node is active: notice where it stays in a state that it should pass through."""
        if State.PRIMARY_STATE_ACTIVE in self._states or not self._state.service_is_ready():
            return
        answer = self._call(self._state, GetState.Request())
        if answer is not None:
            self._states.append(answer[0].current_state.id)
        last = self._states[-_STUCK_AFTER:]
        if len(last) == _STUCK_AFTER and len(set(last)) == 1 and last[0] in _NEXT_STEP:
            self._recording.add_refusal(_NEXT_STEP[last[0]])

    def _ask_query(self) -> None:
        """A text that was never asked before, and how long the answer takes."""
        if not self._query.service_is_ready():
            return
        answer = self._call(self._query, QueryObjects.Request(text=next(self._texts)))
        if answer is not None or not self._stop.is_set():
            self._recording.add_query(None if answer is None else answer[1])

    def _call(self, client: Client, request: object) -> tuple[Any, float] | None:
        """The answer of a service and the seconds it took; None where none comes in time."""
        answered_s: list[float] = []
        done = threading.Event()

        def take(_: object) -> None:
            answered_s.append(time.perf_counter())
            done.set()

        begin_s = time.perf_counter()
        future = client.call_async(request)
        future.add_done_callback(take)
        while not done.wait(_POLL_S) and not self._stop.is_set() and time.perf_counter() < begin_s + _ANSWER_WITHIN_S:
            pass
        if not answered_s:
            client.remove_pending_request(future)
            return None
        return future.result(), answered_s[0] - begin_s
