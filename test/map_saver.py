"""A process that saves maps and comes to harm on the way, for test_map_crashes.py.

It reads orders from its standard input, each carried out by a child that is forked for it, and answers in one line:

    at N FOLDER       save generation 1, die of SIGKILL at the N-th step of it    -> killed | saved
    limit N FOLDER    save generation 1 where no file may grow beyond N bytes     -> the error | saved
    loop FOLDER       save generations 1, 2, 3, ... until somebody kills it       -> its process id, later: killed
"""

import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from maps import make_memory, make_snapshot

from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import save_map


def generation(number: int) -> tuple[MapSnapshot, Memory]:
    """Maps that differ in their points, and by turns in their keyframes."""
    snapshot = make_snapshot(points=50 + number % 7, seed=number)
    return replace(snapshot, views=number), make_memory(views=1 + number % 4)


def die_at(step: int) -> None:
    """Count every call that changes the disk, and half-way through every write, and die at one of them."""
    steps = count()

    def maybe_die() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(call: Callable) -> Callable:
        def with_risk(*arguments, **options):
            maybe_die()
            return call(*arguments, **options)

        return with_risk

    def write_bytes(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            maybe_die()
            file.write(data[: len(data) // 2])
            file.flush()
            maybe_die()
            file.write(data[len(data) // 2 :])

    os.fsync, os.replace, Path.unlink = deadly(os.fsync), deadly(os.replace), deadly(Path.unlink)
    Path.write_bytes = write_bytes
    Path.write_text = lambda path, text: write_bytes(path, text.encode())


def child(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except OSError as error:
        tell(str(error))
        os._exit(1)
    finally:
        os._exit(2)


def tell(answer: str) -> None:
    sys.stdout.write(answer + "\n")
    sys.stdout.flush()


def save_once(folder: Path, prepare: Callable[[], object]) -> None:
    prepare()
    snapshot, memory = generation(1)
    save_map(snapshot, folder, memory)


def save_forever(folder: Path) -> None:
    for number in count(1):
        snapshot, memory = generation(number)
        save_map(snapshot, folder, memory)


def main() -> None:
    for order in sys.stdin:
        what, *number, folder = order.split()
        if what == "loop":
            pid = child(lambda folder=folder: save_forever(Path(folder)))
            tell(str(pid))
        elif what == "at":
            pid = child(lambda n=int(number[0]), folder=folder: save_once(Path(folder), lambda: die_at(n)))
        else:
            limits = (int(number[0]), resource.RLIM_INFINITY)
            pid = child(
                lambda limits=limits, folder=folder: save_once(
                    Path(folder), lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
                )
            )
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != 1:
            tell({0: "saved", -signal.SIGKILL: "killed"}.get(status, f"ended with {status}"))


if __name__ == "__main__":
    main()
