"""The verb as an executable, for launch files: `replay BAG --out METRICS.json --node running --ros-args ...`."""

import logging
import sys
from collections.abc import Sequence

import typer
from rich.markup import escape

from ovseg3r_ros.replay import verb

_OWN_NAME = ("__node:=", "__name:=")


def split_arguments(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """(our own arguments, those of ROS for the nodes of a replay), from a command line that launch may have extended.

    The name that launch gives is left out: the player and the recorder are two nodes, and have names of their own.
    """
    ours, ros, inside = [], [], False
    for word in words:
        if word == "--ros-args" or (inside and word == "--"):
            inside = word == "--ros-args"
        elif inside and word.startswith(_OWN_NAME):
            ros.pop()  # the -r before it
        else:
            (ros if inside else ours).append(word)
    return ours, tuple(ros)


def main() -> None:
    """Run the verb."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(verb.replay)
    words, ros_words = split_arguments(sys.argv[1:])
    try:
        app(args=words, obj=ros_words, prog_name="replay")
    except (OSError, ValueError, ImportError) as error:
        verb.err.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(verb.ERROR)
