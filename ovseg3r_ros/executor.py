"""An executor that answers services in threads of their own and runs everything else at once, where it waits.

The executor of rclpy with several threads hands over every message, and until another thread has taken it, it asks
for work again and again: that costs milliseconds of processor time a message, and the messages that are overwritten
meanwhile. The callbacks of images and poses are shorter than such a hand-over. And it ends with an error where a
subscription is destroyed in one thread while another waits for it, as when the node is deactivated; this one goes on.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, ShutdownException, TimeoutException
from rclpy.service import Service
from rclpy.task import Task

_TAKEN_WITHIN_S = 0.01  # while all threads are busy, other callbacks go on at this pace


class ServicesAsideExecutor(Executor):
    """Callbacks of topics and timers run in the thread that spins, one after the other; they must be short.

    Args:
        threads: services that can be answered at a time.
    """

    def __init__(self, threads: int, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="service")

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Run the next callback that is ready, or give it to a thread; raises what a callback raised here."""
        try:  # a condition that is another at each call would begin anew, and never get past a task that waits
            task, entity, _ = self.wait_for_ready_callbacks(timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        except InvalidHandle:  # something was destroyed in another thread while it was being waited for
            return
        except RuntimeError:
            if self.context.ok():
                raise
            return  # ROS was shut down just before the wait began; `spin` ends at that
        if isinstance(entity, Service):
            self._hand_over(task)
            return
        task()
        error = task.exception()
        if error is None or (isinstance(error, RuntimeError) and not self.context.ok()):
            return  # what asks ROS for anything after it was shut down gets such an error; `spin` ends at that, too
        raise error

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Stop; services that are being answered end first."""
        stopped = super().shutdown(timeout_sec)
        self._pool.shutdown()
        return stopped

    def _hand_over(self, task: Task) -> None:
        taken = Event()

        def run() -> None:
            taken.set()
            task()

        self._pool.submit(run)
        taken.wait(_TAKEN_WITHIN_S)  # until then the task counts as work that waits for us
