"""The command lines of a replay's two programs: the node, and the player of the bag."""

import json
import math
import os
import sys
from pathlib import Path

from ovseg3r_ros.replay.bag_facts import BagFacts
from ovseg3r_ros.replay.config import ReplayConfig
from ovseg3r_ros.replay.environment import find_program

_AT_RATE_MAX: dict[str, object] = {
    "diagnostics_period_s": 0.1,  # the player goes by what the node says, so the node has to say it often
    "queue_depth": 10,  # and no image may be overwritten by the next, since none comes too late
    "odometry_queue": 10,
}


def node_command(config: ReplayConfig, facts: BagFacts, maps: Path, *, with_truth: bool) -> list[str]:
    """How to start the node: empty map, the bag's clock and frame, then whatever the user wants otherwise.

    Args:
        maps: an empty folder.
        with_truth: whether the map will be compared with the truth, for which the points of no object matter too.
    """
    ours: dict[str, object] = {
        "use_sim_time": True,
        "autostart": True,
        "map_frame": facts.map_frame,
        "map_directory": str(maps),
        "load_autosave": False,
        "autosave_period_s": 0.0,
        "cloud_background": with_truth,
    }
    if config.camera:
        ours["cameras"] = [config.camera]
    if config.poses == "odometry":
        ours["poses"] = "odometry"
    if config.playback.rate is None:
        ours |= _AT_RATE_MAX
    words = [*_program(config.node), "--ros-args"]
    for name, value in ours.items():
        words += ["-p", f"{name}:={json.dumps(value)}"]
    if config.parameter_file is not None:
        words += ["--params-file", str(config.parameter_file)]
    for parameter in config.parameters:
        words += ["-p", parameter]
    return words


def player_command(config: ReplayConfig) -> list[str]:
    """How to start the player, which tells how far it is and keeps the clock going at the end."""
    play = config.playback
    words = [sys.executable, "-m", "ovseg3r_ros.nodes.bag_player", str(config.bag), "--events", "--keep-clock"]
    words += ["--rate", "max" if play.rate is None else str(play.rate), "--start", str(play.start_s)]
    words += ["--wait", str(config.ready_within_s)]
    if math.isfinite(play.duration_s):
        words += ["--duration", str(play.duration_s)]
    if config.camera:
        words += ["--camera", config.camera]
    if config.poses == "odometry":
        words += ["--without-tf"]
    return [*words, *config.ros_words]


def _program(node: str) -> list[str]:
    path = Path(node) if "/" in node else find_program(node)
    if not path.is_file():
        raise FileNotFoundError(f"--node {node}: no such program")
    return [str(path)] if os.access(path, os.X_OK) else [sys.executable, str(path)]
