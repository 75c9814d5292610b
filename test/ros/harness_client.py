"""The test's own node: hears topics, calls services, and waits for conditions with a deadline instead of sleeping."""

import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

import rclpy
from harness_process import Program
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from ovseg3r_ros.srv import GetObject, ListObjects, QueryObjects

LATCHED = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
VOLATILE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
_REPLIES = QoSProfile(depth=1000)  # the default keeps 10: of more answers at once the oldest would be lost
PATIENCE = float(os.environ.get("OVSEG3R_PATIENCE", "1"))  # how much longer than usual a busy machine is waited for
_SLICE_S = 0.2  # how soon a waiting test notices that the program it waits for has died

# Fast DDS drops an answer where the service has not discovered the asker's reader 0.1 s after it was ready to answer
# (rmw_fastrtps issue 842), and the asker cannot know. What only reads is asked again; before a first change the
# service gets as long again to discover the asker.
_READING = (GetState, GetParameters, DescribeParameters, ListParameters, QueryObjects, ListObjects, GetObject)
_ASK_AGAIN_S = 5.0
_DISCOVER_S = 0.1

Message = TypeVar("Message")
Value = TypeVar("Value")


class Topic(Generic[Message]):
    """All messages of a topic since the subscription, oldest first."""

    def __init__(self, client: "Client", name: str) -> None:
        self.name, self.messages = name, list[Message]()
        self.tell: Callable[[Message], None] | None = None
        """Is called with each message as it comes."""
        self._client = client

    def wait_for(
        self,
        what: str,
        fits: Callable[[Message], bool] = lambda message: True,
        *,
        after: int = 0,
        timeout_s: float = 20.0,
    ) -> Message:
        """The first message from number `after` on that fits."""

        def find() -> Message | None:
            return next((message for message in self.messages[after:] if fits(message)), None)

        def describe() -> str:
            last = str(self.messages[-1])[:1500] if self.messages else "none"
            return f"{what} on {self.name}; {len(self.messages)} messages came, the last: {last}"

        return self._client.until(find, describe, timeout_s=timeout_s)


class Client:
    """A node of the test in a context of its own, spun by a thread of its own."""

    def __init__(self, domain: int, name: str = "test_client") -> None:
        self.domain = domain
        self.context = rclpy.Context()
        self.context.init(domain_id=domain)
        self.node = Node(name, context=self.context, enable_rosout=False)
        self.programs: list[Program] = []
        """While the client waits for anything, all of these must live."""
        self._changed = threading.Condition()
        self._clients: dict[str, object] = {}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._end = rclpy.Future()
        self._thread = threading.Thread(
            target=self._executor.spin_until_future_complete, args=(self._end,), name=f"spin of {name}", daemon=True
        )
        self._thread.start()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._end.set_result(None)
        self._executor.wake()
        self._thread.join(10)
        self._executor.shutdown(timeout_sec=5)
        self.node.destroy_node()
        self.context.try_shutdown()

    def listen(self, kind: type[Message], name: str, qos: QoSProfile = VOLATILE) -> Topic[Message]:
        """Subscribe and keep everything that comes."""
        topic = Topic[Message](self, name)

        def keep(message: Message) -> None:
            if topic.tell is not None:
                topic.tell(message)
            with self._changed:
                topic.messages.append(message)
                self._changed.notify_all()

        self.node.create_subscription(kind, name, keep, qos)
        self._executor.wake()
        return topic

    def until(
        self, find: Callable[[], Value | None], what: str | Callable[[], str], *, timeout_s: float = 20.0
    ) -> Value:
        """What `find` gives as soon as it gives something true; it is asked when anything comes in, and now and then.

        Raises:
            AssertionError: it gave nothing in time; the text says `what` was waited for.
            Died: one of `programs` ended.
        """
        deadline = time.monotonic() + timeout_s * PATIENCE
        with self._changed:
            while not (value := find()):
                for program in self.programs:
                    program.check_alive()
                if time.monotonic() > deadline:
                    raise AssertionError(
                        f"no {what if isinstance(what, str) else what()} within {timeout_s * PATIENCE:g} s"
                    )
                self._changed.wait(min(_SLICE_S, timeout_s))
        return value

    def call(self, kind: type, name: str, request: object, *, timeout_s: float = 20.0) -> object:
        """The answer of a service; waits until the service is there. What only reads is asked again in between."""
        deadline = time.monotonic() + timeout_s * PATIENCE
        futures = [self.ask(kind, name, request, timeout_s=timeout_s)]
        asked = time.monotonic()

        def answered() -> rclpy.Future | None:
            nonlocal asked
            if kind in _READING and time.monotonic() - asked > _ASK_AGAIN_S:
                futures.append(self.ask(kind, name, request))
                asked = time.monotonic()
            return next((future for future in futures if future.done()), None)

        left_s = (deadline - time.monotonic()) / PATIENCE
        return self.until(answered, f"answer of {name}", timeout_s=left_s).result()

    def ask(self, kind: type, name: str, request: object, *, timeout_s: float = 20.0) -> rclpy.Future:
        """Send a request without waiting for the answer."""
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(kind, name, qos_profile=_REPLIES)
            self.until(client.service_is_ready, f"service {name}", timeout_s=timeout_s)
            if kind not in _READING:
                time.sleep(_DISCOVER_S)
        self.until(client.service_is_ready, f"service {name}", timeout_s=timeout_s)
        future = client.call_async(request)
        future.add_done_callback(lambda future: self._notify())
        return future

    def answer(self, future: rclpy.Future, what: str = "answer", *, timeout_s: float = 20.0) -> object:
        self.until(future.done, f"answer of {what}", timeout_s=timeout_s)
        return future.result()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()
