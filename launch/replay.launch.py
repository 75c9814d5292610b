"""A bag through perception, with a verdict: everything ends when the replay does, and a failed one fails the launch.

The arguments of perception.launch.py are known here too.
"""

import shlex

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

PERCEPTION = PathJoinSubstitution([FindPackageShare("ovseg3r_ros"), "launch", "perception.launch.py"])


def generate_launch_description() -> LaunchDescription:
    """Perception with the time of the bag and a map of its own, and the replay."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="The rosbag2: a folder, or one .mcap or .db3 file."),
            DeclareLaunchArgument("out", default_value="metrics.json", description="The metrics, as JSON."),
            DeclareLaunchArgument("rate", default_value="1", description="Speed, or max."),
            DeclareLaunchArgument("ground_truth", default_value="", description="What is truly there."),
            DeclareLaunchArgument(
                "options", default_value="", description='Further options of ovseg3r replay: "--min object_count=5".'
            ),
            DeclareLaunchArgument("poses", default_value="", description="odometry withholds the bag's /tf."),
            DeclareLaunchArgument("use_sim_time", default_value="true", description="Time is that of the bag."),
            DeclareLaunchArgument("fresh_map", default_value="true", description="Whether to begin with an empty map."),
            DeclareLaunchArgument("respawn", default_value="false", description="A node that died fails the replay."),
            OpaqueFunction(function=background_for_truth),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(PERCEPTION)),
            OpaqueFunction(function=replay),
        ]
    )


def background_for_truth(context: LaunchContext) -> None:
    """The truth is compared with the whole map, so that the points of no object matter too."""
    if context.launch_configurations["ground_truth"]:
        context.launch_configurations["background"] = "true"


def replay(context: LaunchContext) -> list[Node]:
    """The replay against the node that runs already."""
    given = context.launch_configurations
    truth = ["--ground-truth", given["ground_truth"]] if given["ground_truth"] else []
    poses = ["--poses", "odometry"] if given["poses"] == "odometry" else []
    options = [*truth, *poses, *shlex.split(given["options"])]
    return [
        Node(
            package="ovseg3r_ros",
            executable="replay",
            namespace=given["namespace"],
            arguments=[given["bag"], "--node", "running", "--out", given["out"], "--rate", given["rate"], *options],
            on_exit=over,
            output="screen",
        )
    ]


def over(event: ProcessExited, context: LaunchContext) -> list[Shutdown]:
    """End everything; what is raised here makes ROS's launch fail, which an exit code alone does not."""
    if event.returncode != 0:
        raise RuntimeError(f"the replay ended with code {event.returncode}")
    return [Shutdown(reason="the replay is over")]
