"""Perception without hardware: it maps a generated room, through which a camera walks forth and back.

The arguments of perception.launch.py are known here too.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PERCEPTION = PathJoinSubstitution([FindPackageShare("ovseg3r_ros"), "launch", "perception.launch.py"])


def generate_launch_description() -> LaunchDescription:
    """Perception, with the viewer in a browser unless something else is asked for, and the camera."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("seed", default_value="7", description="The same seed furnishes the same room."),
            DeclareLaunchArgument("rate_hz", default_value="5.0", description="Frames a second of the camera."),
            DeclareLaunchArgument(
                "viewer",
                default_value="serve",
                description="The Rerun viewer: none, spawn (a window) or serve (a page).",
            ),
            DeclareLaunchArgument("fresh_map", default_value="true", description="Whether to begin with an empty map."),
            DeclareLaunchArgument("background", default_value="true", description="Whether walls are shown too."),
            # First, as it sets the environment that the camera needs too.
            IncludeLaunchDescription(PythonLaunchDescriptionSource(PERCEPTION)),
            Node(
                package="ovseg3r_ros",
                executable="room_camera",
                name="room_camera",
                namespace=LaunchConfiguration("namespace"),
                parameters=[{"seed": LaunchConfiguration("seed"), "rate_hz": LaunchConfiguration("rate_hz")}],
                output="screen",
            ),
        ]
    )
