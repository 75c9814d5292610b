"""`ovseg3r-launch FILE [name:=value ...]`: what `ros2 launch ovseg3r_ros FILE` does, without ROS's launch."""

import argparse
import importlib.util
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ovseg3r_ros.launch_lite.context import LaunchError, find_share
from ovseg3r_ros.launch_lite.runner import run
from ovseg3r_ros.launch_lite.stand_in import Argument, arguments_of, processes_of

_PACKAGE = "ovseg3r_ros"
_REFUSED = 2  # argparse's code for a wrong command line

logger = logging.getLogger("launch")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; exits with 0, the code of a process that failed, or 2 where nothing could be started."""
    parser = _parser()
    given = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="[%(levelname)s] [launch]: %(message)s")
    try:
        path = find_launch_file(given.file, os.environ)
        if given.show_args:
            sys.stdout.write("".join(map(_described, arguments_of(path))))
            sys.exit(0)
        if _has_genuine_launch():
            logger.info("ROS's own launch is installed: `ros2 launch %s %s` does the same", _PACKAGE, path.name)
        processes = processes_of(path, dict(map(_split, given.arguments)))
    except LaunchError as error:
        parser.exit(_REFUSED, f"{parser.prog}: {error}\n")
    sys.exit(run(processes))


def find_launch_file(name: str, environment: Mapping[str, str]) -> Path:
    """A launch file by its path, or by its name among those of the package."""
    if Path(name).is_file():
        return Path(name)
    folder = find_share(_PACKAGE, environment) / "launch"
    if not (folder / name).is_file():
        there = ", ".join(sorted(path.name for path in folder.glob("*.launch.py"))) or "none"
        raise LaunchError(f"there is no launch file {name}, neither here nor in {folder}, which has {there}")
    return folder / name


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ovseg3r-launch",
        description="Start a launch file of this package where ROS's own launch is not installed.",
        epilog="Example: ovseg3r-launch perception.launch.py camera:=realsense preset:=robot_cpu",
    )
    parser.add_argument("file", metavar="FILE", help="a path, or the name of a launch file of this package")
    parser.add_argument("arguments", metavar="name:=value", nargs="*", help="arguments of the launch file")
    parser.add_argument("-s", "--show-args", action="store_true", help="list the arguments of the launch file")
    return parser


def _split(argument: str) -> tuple[str, str]:
    name, assigned, value = argument.partition(":=")
    if not name or not assigned:
        raise LaunchError(f"{argument!r} is no argument: write name:=value")
    return name, value


def _described(argument: Argument) -> str:
    value = "must be given" if argument.default is None else f"default: {argument.default!r}"
    choices = f"; one of {', '.join(argument.choices)}" if argument.choices else ""
    return f"{argument.name}\n    {argument.description}\n    ({value}{choices})\n"


def _has_genuine_launch() -> bool:
    spec = importlib.util.find_spec("launch")
    return spec is not None and spec.origin is not None  # a mere folder of that name has no origin
