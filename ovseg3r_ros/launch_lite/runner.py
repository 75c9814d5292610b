"""Runs the processes of a launch: starts them, respawns them, and ends them together.

No process outlives the launch: each has a process group of its own, whose leftovers are killed when its first process
has ended, and the kernel ends it where the launch itself is killed.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Sequence

from ovseg3r_ros.launch_lite.context import Process, ProcessExited
from ovseg3r_ros.parent_death import end_with

logger = logging.getLogger("launch")

_CANNOT_START = 127  # as a shell says it
_ENDED_AS_ASKED = (0, -signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT, 128 + signal.SIGTERM)


def run(processes: Sequence[Process]) -> int:
    """Run processes until all have ended; SIGINT, SIGTERM and SIGHUP end them.

    Returns:
        0, or the exit code of the first process that failed: 128 and the signal's number where a signal ended it.
    """
    return asyncio.run(Launch().run(processes))


class Launch:
    """The processes of one launch."""

    def __init__(self) -> None:
        self._ending = asyncio.Event()
        self._failures: list[int] = []

    async def run(self, processes: Sequence[Process]) -> int:
        """See `run`."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, f"got {number.name}")
        await asyncio.gather(*(self._keep_running(process) for process in processes))
        return self._failures[0] if self._failures else 0

    def _end(self, reason: str) -> None:
        if not self._ending.is_set():
            logger.info("ending: %s", reason)
        self._ending.set()

    async def _keep_running(self, process: Process) -> None:
        while not self._ending.is_set():
            code = await self._run_once(process)
            if not self._ending.is_set():
                self._look_at_end(process, code)
            if not process.respawn or self._ending.is_set():
                return
            logger.info("%s starts again in %g s", process.name, process.respawn_delay_s)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ending.wait(), process.respawn_delay_s)

    async def _run_once(self, process: Process) -> int:
        """Its exit code, negative for a signal."""
        launcher = os.getpid()
        try:
            child = await asyncio.create_subprocess_exec(
                *process.command,
                env=dict(process.environment),
                start_new_session=True,  # Ctrl-C in the terminal is for the launch, which passes it on
                preexec_fn=lambda: end_with(launcher),
            )
        except OSError as error:
            logger.error("%s does not start: %s", process.name, error)
            self._failures.append(_CANNOT_START)
            self._end(f"{process.name} is missing")
            return _CANNOT_START
        logger.info("%s started with pid %d", process.name, child.pid)
        try:
            return await self._watch(process, child)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # what it had started itself

    async def _watch(self, process: Process, child: asyncio.subprocess.Process) -> int:
        """Wait for its end, or bring it about once the launch ends."""
        ended, ending = asyncio.ensure_future(child.wait()), asyncio.ensure_future(self._ending.wait())
        await asyncio.wait((ended, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not ended.done():
            await self._stop(process, child, ended)
        return await ended

    async def _stop(self, process: Process, child: asyncio.subprocess.Process, ended: "asyncio.Future[int]") -> None:
        steps = (
            (signal.SIGINT, process.interrupt_grace_s),
            (signal.SIGTERM, process.terminate_grace_s),
            (signal.SIGKILL, None),
        )
        for number, grace_s in steps:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)
            await asyncio.wait((ended,), timeout=grace_s)
            if ended.done():
                break
            logger.warning("%s goes on %g s after %s", process.name, grace_s, number.name)
        if ended.result() not in _ENDED_AS_ASKED:
            self._tell_death(process, ended.result(), fails=True)

    def _look_at_end(self, process: Process, code: int) -> None:
        """A process has ended of its own accord."""
        if code == 0:
            logger.info("%s has ended", process.name)
        try:
            reason = process.ends_launch(ProcessExited(process_name=process.name, returncode=code))
        except Exception as error:  # what an on_exit of a launch file raises fails the launch, as it does in launch
            reason = str(error)
            self._failures.append(_as_exit_code(code) or 1)
        if code != 0:
            self._tell_death(process, code, fails=bool(reason) or not process.respawn)
        if reason:
            self._end(reason)

    def _tell_death(self, process: Process, code: int, *, fails: bool) -> None:
        logger.error("%s has died with code %d", process.name, code)
        if fails:
            self._failures.append(_as_exit_code(code))


def _as_exit_code(code: int) -> int:
    return code if code >= 0 else 128 - code
