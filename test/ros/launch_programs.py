"""What the launch tests share: small programs to be launched, launch files made of them, an installed package."""

import sys
from collections.abc import Sequence
from pathlib import Path

from harness_domain import CHECKOUT

OVSEG3R_LAUNCH = (sys.executable, "-c", "from ovseg3r_ros.launch_lite import main; main()")

HEAD = """\
from launch import LaunchDescription
from launch.actions import *
from launch.conditions import IfCondition, UnlessCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare
def generate_launch_description():
    return LaunchDescription([{entities}])
"""

PROGRAM = """\
import os, signal, sys, time
from pathlib import Path
log = Path(sys.argv[1]).open("a", buffering=1)
def told(number, frame):
    log.write(signal.Signals(number).name + "\\n")
    if signal.Signals(number).name not in sys.argv[2:]:
        sys.exit(0)
signal.signal(signal.SIGINT, told)
signal.signal(signal.SIGTERM, told)
log.write(f"pid {os.getpid()}\\n")
while True:
    signal.pause()
"""
"""Writes its pid and every signal that it gets into a file; the signals named behind that file do not end it."""


def write_launch_file(folder: Path, *entities: str, name: str = "test.launch.py") -> Path:
    """A launch file with these entities, as Python."""
    path = folder / name
    path.write_text(HEAD.format(entities=", ".join(entities)))
    return path


def command(*words: str) -> str:
    """Words of a command as Python."""
    return f"cmd=[{', '.join(map(repr, words))}]"


def waits(folder: Path, name: str, *, deaf_to: Sequence[str] = (), options: str = "") -> str:
    """A process that tells in `folder/name` what it gets, as Python of a launch file."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    words = command(sys.executable, str(program), str(folder / name), *deaf_to)
    return f"ExecuteProcess({words}, {options})"


def told(folder: Path, name: str) -> list[str]:
    """What such a process has written so far."""
    path = folder / name
    return path.read_text().splitlines() if path.exists() else []


def install(prefix: Path, **executables: Path) -> Path:
    """The package as an installation lays it out, of links into the checkout; some executables may be others."""
    share, programs = prefix / "share" / "ovseg3r_ros", prefix / "lib" / "ovseg3r_ros"
    share.mkdir(parents=True)
    programs.mkdir(parents=True)
    for folder in ("launch", "config"):
        (share / folder).symlink_to(CHECKOUT / folder)
    for script in (CHECKOUT / "scripts").iterdir():
        (programs / script.name).symlink_to(executables.get(script.name, script))
    return prefix
