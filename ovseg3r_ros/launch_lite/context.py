"""What a launch file is evaluated in, and what comes out of it: the processes to start."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ovseg3r_ros.prefixes import prefixes


class LaunchError(Exception):
    """A launch file or its arguments cannot be used; the text says what to do."""


@dataclass(frozen=True, kw_only=True)
class ProcessExited:
    """What a callable `on_exit` is told, under the names of `launch.events.process.ProcessExited`."""

    process_name: str
    returncode: int


@dataclass(frozen=True, kw_only=True)
class Process:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    respawn: bool = False
    respawn_delay_s: float = 0.0
    interrupt_grace_s: float = 5.0
    """Time to end after SIGINT, before SIGTERM."""
    terminate_grace_s: float = 5.0
    """Time to end after SIGTERM, before SIGKILL."""
    ends_launch: Callable[[ProcessExited], str] = field(default=lambda event: "")
    """Told of its end; a text that is not empty ends everything else too, and says why."""


@dataclass(kw_only=True)
class LaunchContext:
    """The state that the entities of a launch file read and change, one after the other."""

    launch_configurations: dict[str, str]
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    processes: list[Process] = field(default_factory=list)


def find_share(package: str, environment: Mapping[str, str]) -> Path:
    """The share folder of an installed package, in the overlays of ROS or beside this Python."""
    return _find(Path("share") / package, environment, f"no package {package!r}")


def find_executable(package: str, name: str, environment: Mapping[str, str]) -> Path:
    """A program of an installed package."""
    path = _find(Path("lib") / package / name, environment, f"no executable {name!r} of package {package!r}")
    if not os.access(path, os.X_OK):
        raise LaunchError(f"{path} is not executable: chmod +x it, or install the package anew")
    return path


def _find(relative: Path, environment: Mapping[str, str], missing: str) -> Path:
    folders = prefixes(environment)
    for folder in folders:
        if (folder / relative).exists():
            return folder / relative
    raise LaunchError(f"{missing}: {relative} is in none of {', '.join(map(str, folders))}; install it there")
