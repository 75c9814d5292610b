"""A DDS domain for one test, and the environment in which processes of that test find each other and nobody else."""

import fcntl
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
_DOMAINS = range(51, 102)  # people use the lower ones by hand; above 101 the ports collide with those of outgoing calls
_OURS = ("ROS_", "RMW_", "RCUTILS_", "FASTDDS_", "FASTRTPS_", "AMENT_", "_ROS_WHEELS_")


@contextmanager
def reserved_domain() -> Iterator[int]:
    """A domain id that no other test of this machine uses, until the context ends or the process dies."""
    start = os.getpid() % len(_DOMAINS)  # sessions that start together do not all try the same ids first
    for domain in (*_DOMAINS[start:], *_DOMAINS[:start]):
        path = Path(tempfile.gettempdir()) / f"ovseg3r_test_domain_{domain}.lock"
        try:
            lock = path.open("a")
        except PermissionError:  # another user's
            continue
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError(f"all DDS domains from {_DOMAINS[0]} to {_DOMAINS[-1]} are in use by other tests")


def ros_environment() -> dict[str, str]:
    """What a node of a test sees of the environment: this machine only, our DDS profile, nothing of the user's own.

    A sourced ROS 2 stays as it is. With the wheels the guard of their start-up hook is removed: a child that inherited
    it would keep the library path of whichever Python set it.
    """
    sourced = "ROS_DISTRO" in os.environ
    keep = ("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION", "RMW_IMPLEMENTATION", "AMENT_PREFIX_PATH")
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(_OURS) or (sourced and name in keep)
    }
    ours = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(CHECKOUT / "config" / "fastdds_shm.xml"),
        "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads of one process starve the other processes of the test
        "OMP_NUM_THREADS": "2",
        "RCUTILS_COLORIZED_OUTPUT": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
    humble = {"ROS_LOCALHOST_ONLY": "1"} if os.environ.get("ROS_DISTRO") == "humble" else {}  # knows no discovery range
    return clean | ours | humble | ({} if sourced else {"AMENT_PREFIX_PATH": sys.prefix})


def enter_ros_environment() -> None:
    """Give this process the environment of `ros_environment`; comes before the first DDS participant."""
    wanted = ros_environment()
    for name in [name for name in os.environ if name.startswith(_OURS) and name not in wanted]:
        if not name.startswith("_ROS_WHEELS_"):  # this process is started already, and needs no second start
            del os.environ[name]
    os.environ.update(wanted)
