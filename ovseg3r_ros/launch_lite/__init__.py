"""A small stand-in for ROS's `launch`, which pip does not have: it runs the very same launch files.

A launch file imports `launch` and `launch_ros`. While it is evaluated, modules of those names stand in for them that
know the part of the genuine API that launch files like ours use; a class beyond that is refused by name. What comes
out is a list of processes, which are then started, watched, respawned and ended together.
"""

from ovseg3r_ros.launch_lite.command_line import main

__all__ = ["main"]
