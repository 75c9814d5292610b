"""Jobs on the machines of a Ray cluster, by the same function that one machine runs (`make_scenes.run_job`).

Every machine must have this package, and see the recordings and the folder of the set at the same paths. A job writes
the files of its scenes there; the index is written here, by the one who started them: locks and fresh directories are
not what shared folders of several machines are good at.
"""

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ovseg3r_train.make_scenes import J, Make, Outcome, run_job, set_up_process
from ovseg3r_train.scene_set import SceneSet

LOCAL = "local"
_CORES = 2  # a job asks for: what SAM and fusion make good use of
_PATIENCE_S = 10.0


def run_on_ray(
    jobs: Sequence[J], make: Make[J], address: str, *, at_once: int = 0, gpus: float = 0.0
) -> Iterator[Outcome[J]]:
    """Run the jobs and tell of each as it ends, in no particular order; their scenes are listed then.

    Args:
        make: a function of a module that every machine can import.
        address: of the cluster; "auto" for the one that this machine is part of, "local" for processes of this machine.
        at_once: jobs at the same time at most; 0 for as many as there are cores for.
        gpus: how much of a GPU each job asks for; Ray hides the GPUs from jobs that ask for none.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: there is no cluster at the address.
        ValueError: no machine of the cluster has what a job asks for.
    """
    ray = import_ray()
    with _connected(ray, address):
        cores = _cores(ray, address, gpus)
        task = ray.remote(_do).options(num_cpus=cores, num_gpus=gpus, max_retries=1)  # should its machine be lost
        waiting, running = list(reversed(jobs)), dict[Any, J]()
        try:
            while waiting or running:
                while waiting and (not at_once or len(running) < at_once):
                    job = waiting.pop()
                    running[task.remote(job, make, cores, os.getcwd())] = job
                (ended,), _ = ray.wait(list(running), num_returns=1)
                outcome = _outcome(ray, ended, running.pop(ended))
                if outcome.entries:
                    SceneSet(outcome.job.folder).enlist(outcome.entries)
                yield outcome
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def import_ray() -> ModuleType:
    """Ray, told to keep to itself; raises ImportError with the remedy where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent from here unless somebody asks for it
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("--ray needs Ray, which is not installed: pip install 'ovseg3r_ros[ray]'") from error
    return ray


def _do(job: J, make: Make[J], cores: int, folder: str) -> Outcome[J]:
    """What a machine of the cluster does; relative paths mean what they mean to whoever started it."""
    try:
        os.chdir(folder)
    except OSError as error:
        said = f"{os.uname().nodename} does not see {folder}: all machines must share it ({error})"
        return Outcome(job=job, error=said)
    set_up_process(cores)
    return run_job(job, make, lists=False)


@contextmanager
def _connected(ray: ModuleType, address: str) -> Iterator[None]:
    try:
        _knock(address)
        ray.init(
            address=address,
            include_dashboard=False if address == LOCAL else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ConnectionError(f"--ray {address}: there is no Ray cluster that can be joined ({reason})") from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise where nobody listens at HOST:PORT: Ray itself would ask for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "://" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()


def _cores(ray: ModuleType, address: str, gpus: float) -> int:
    """The cores that a job asks for; a machine must have them, or it would wait for ever."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fit = [machine for machine in machines if machine.get("GPU", 0) >= gpus and machine.get("CPU", 0) >= 1]
    if not fit:
        what = f"a core and {gpus:g} GPU" if gpus else "a core"
        raise ValueError(f"--ray {address}: none of {len(machines)} machines has {what} for a job")
    return min(_CORES, int(max(machine["CPU"] for machine in fit)))


def _outcome(ray: ModuleType, ended: Any, job: J) -> Outcome[J]:
    try:
        return ray.get(ended)
    except ray.exceptions.RayError as error:  # its machine was lost, or the job could not be sent there
        reason = str(error).strip().splitlines() or [""]
        return Outcome(job=job, error=f"{type(error).__name__}: {reason[-1]:.300}")
