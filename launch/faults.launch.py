"""The demo with faults: between the camera of the generated room and perception stands the fault injector.

    ros2 launch ovseg3r_ros faults.launch.py color:="off from 5 to 15" viewer:=none

The arguments of perception.launch.py are known here too. Faults may be changed at any time: `ros2 param set
/fault_injector depth "delayed 0.5"`.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PERCEPTION = PathJoinSubstitution([FindPackageShare("ovseg3r_ros"), "launch", "perception.launch.py"])
STREAMS = ("color", "depth", "info", "tf")
HEALTHY = ("color/image", "depth/image", "color/camera_info")


def generate_launch_description() -> LaunchDescription:
    """Perception, the camera, and the injector in between."""
    faults = "ok, off, stuck, garbage, wrong, slow N, delayed SECONDS or intermittent SHARE, from SECONDS to SECONDS."
    return LaunchDescription(
        [
            DeclareLaunchArgument("viewer", default_value="none", description="The viewer: none, spawn or serve."),
            DeclareLaunchArgument("fresh_map", default_value="true", description="Whether to begin with an empty map."),
            *(DeclareLaunchArgument(stream, default_value="ok", description=faults) for stream in STREAMS),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(PERCEPTION)),
            Node(
                package="ovseg3r_ros",
                executable="room_camera",
                name="room_camera",
                namespace=LaunchConfiguration("namespace"),
                remappings=[*((topic, f"healthy/{topic}") for topic in HEALTHY), ("/tf", "healthy/tf")],
                output="screen",
            ),
            Node(
                package="ovseg3r_ros",
                executable="fault_injector",
                name="fault_injector",
                namespace=LaunchConfiguration("namespace"),
                parameters=[{stream: LaunchConfiguration(stream) for stream in STREAMS}],
                output="screen",
            ),
        ]
    )
