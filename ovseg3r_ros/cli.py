"""The command `ovseg3r`: all verbs of the core, and those that need ROS."""

from ovseg3r_core.cli import app, main
from ovseg3r_core.commands.app import add_verb
from ovseg3r_ros.replay.verb import replay

__all__ = ["main"]

add_verb(
    app,
    replay,
    "ovseg3r replay office_bag --out metrics.json",
    "ovseg3r replay office_bag --rate 2 --ground-truth office_truth --out metrics.json",
)
