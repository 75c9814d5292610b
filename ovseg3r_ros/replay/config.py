"""What a replay is told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ovseg3r_ros.replay.playback import PlaybackConfig

RUNNING = "running"

ReplayPoses = Literal["recorded", "odometry"]


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """One replay."""

    bag: Path
    playback: PlaybackConfig = field(default_factory=PlaybackConfig)
    poses: ReplayPoses = "recorded"
    """The bag's own on /tf, or withheld and found by the node's odometry."""
    camera: str = ""
    """Name of the camera in the node's parameter `cameras`; empty for the only one."""
    node: str = "perception"
    """The program to start: one of this package, or a path; `running` where somebody else starts the node."""
    parameters: tuple[str, ...] = ()
    """Of the node, NAME:=VALUE each."""
    parameter_file: Path | None = None
    ros_arguments: tuple[str, ...] = ()
    """For the player and the recorder: remappings and a namespace."""
    node_log: Path
    """File for what the node writes."""
    ready_within_s: float = 180.0
    """How long the node may take to start and to load its networks."""

    @property
    def ros_words(self) -> tuple[str, ...]:
        """The arguments of ROS as a command line has them."""
        return ("--ros-args", *self.ros_arguments) if self.ros_arguments else ()


def parse_poses(text: str) -> ReplayPoses:
    """Whose poses a replay is with; raises ValueError for anything else."""
    for known in get_args(ReplayPoses):
        if text == known:
            return known
    raise ValueError(f"--poses {text}: give recorded or odometry")
