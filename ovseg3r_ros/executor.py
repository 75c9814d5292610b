"""An executor that answers services in threads of their own and runs everything else at once, where it waits.

The executor of rclpy with several threads hands over every message, and until another thread has taken it, it asks
for work again and again: that costs milliseconds of processor time a message, and the messages that are overwritten
meanwhile. The callbacks of images and poses are shorter than such a hand-over. And it ends with an error where a
subscription is destroyed in one thread while another waits for it, as when the node is deactivated; this one goes on.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ExternalShutdownException
from rclpy.node import Node
from rclpy.service import Service
from rclpy.task import Task
from rclpy.utilities import timeout_sec_to_nsec

from ovseg3r_ros.wait_list import Ready, WaitList


class ServicesAsideExecutor(Executor):
    """Callbacks of topics and timers run in the thread that spins, one after the other; they must be short.

    Args:
        threads: services that can be answered at a time.
    """

    def __init__(self, threads: int, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="service")
        self._wakers = [self._guard, self._sigint_gc]
        self._list: WaitList | None = None
        self._spinning = Lock()

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run the callbacks that are ready, or give them to a thread; raises what a callback raised here."""
        with self._spinning:
            self._run_pending()
            for ready in self._wait(timeout_sec_to_nsec(timeout_sec)):
                if self._is_shutdown:
                    break
                if not self.can_execute(ready.entity):  # a callback of its group, just begun, excludes it
                    continue
                if isinstance(ready.entity, Service):
                    self._hand_over(ready)
                else:
                    self._run_here(ready)
            if self._is_shutdown:
                self._let_go()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop; services that are being answered end first."""
        stopped = super().shutdown(timeout_sec)
        self._pool.shutdown()
        self._let_go_at_rest()
        return stopped

    def remove_node(self, node: Node) -> None:
        """Forget a node; a thread that spins does so at its next wait."""
        super().remove_node(node)
        self._let_go_at_rest()

    def _wait(self, timeout_ns: int) -> list[Ready]:
        """What is ready once anything is; nothing where the wait was ended for another reason."""
        nodes = self.get_nodes()
        try:
            if self._list is None or not self._list.holds(nodes):
                self._let_go()
                self._list = WaitList(nodes, self._wakers, self.context)
            ready = self._list.wait(timeout_ns, self.can_execute)
        except InvalidHandle:  # something was destroyed in another thread while it was being listed
            self._let_go()
            return []
        except RuntimeError:
            if self.context.ok():
                raise
            return []  # ROS was shut down just before the wait began; `spin` ends at that
        if not self.context.ok() and not self._is_shutdown:
            raise ExternalShutdownException
        return ready

    def _let_go_at_rest(self) -> None:
        """A thread that spins lets go itself: it may be waiting for what would be taken away."""
        if self._spinning.acquire(blocking=False):
            self._let_go()
            self._spinning.release()

    def _let_go(self) -> None:
        if self._list is not None:
            self._list.close()
            self._list = None

    def _run_pending(self) -> None:
        """Go on with what waits for something, and with what was asked for with `create_task`."""
        with self._tasks_lock:
            self._tasks = [it for it in self._tasks if not it[0].done() and not it[0].cancelled()]
            pending = [(task, entity) for task, entity, _ in self._tasks if not task.executing()]
        for task, entity in pending:
            if not isinstance(entity, Service):
                self._run(task)
            elif not entity._executor_event:  # else no thread was free yet to begin with it
                self._pool.submit(task)

    def _run_here(self, ready: Ready) -> None:
        """As the handlers of rclpy do, without waking ourselves up afterwards."""
        entity, group = ready.entity, ready.entity.callback_group
        if not group.beginning_execution(entity):
            return
        task = None
        try:
            begun = ready.take(self, entity)
            if begun is not None:
                task = Task(begun, executor=self)
                self._run(task)
        finally:
            if task is None or task.done():
                group.ending_execution(entity)
            else:  # it waits for something
                task.add_done_callback(lambda _: group.ending_execution(entity))
                with self._tasks_lock:
                    self._tasks.append((task, entity, ready.node))

    def _run(self, task: Task) -> None:
        task()
        error = task.exception()
        if error is None or (isinstance(error, RuntimeError) and not self.context.ok()):
            return  # what asks ROS for anything after it was shut down gets such an error; `spin` ends at that, too
        raise error

    def _hand_over(self, ready: Ready) -> None:
        """Nothing more is taken from the service until a thread has taken this."""
        self._pool.submit(self._make_handler(ready.entity, ready.node, lambda entity: ready.take(self, entity)))
