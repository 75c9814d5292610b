"""Starts perception, brings it up, and starts it again when it dies; `--show-args` lists what can be said."""

from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.events.process import ProcessExited
from launch.substitutions import EnvironmentVariable, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from ovseg3r_ros.camera_topics import camera_file, read_remappings

CONFIG = PathJoinSubstitution([FindPackageShare("ovseg3r_ros"), "config"])
SHARED_MEMORY = "FASTRTPS_DEFAULT_PROFILES_FILE"
REFUSED = 2  # exit code of the node when it cannot have a parameter
POSES = ["tf", "odometry", "odometry_topic", "pose_topic"]
SHOWN = ("instances", "instance_cloud", "markers", "detections", "color/image")


def generate_launch_description() -> LaunchDescription:
    """The arguments, then the nodes that follow from them."""
    return LaunchDescription(
        [
            argument("camera", "none", "Topics of the camera: none, realsense, orbbec, oak, or a YAML file."),
            argument("preset", "none", "Budgets and rates.", ["none", "robot_cpu", "gpu", "small_scene"]),
            argument("params", "", "A parameters file of your own; it comes after the preset."),
            argument("namespace", "", "Namespace of all nodes and topics."),
            argument("poses", "", "Where poses come from: tf, or odometry from the images.", ["", *POSES]),
            argument("map_frame", "", "The frame that objects are given in, in place of map."),
            argument("map_directory", "", "Folder of the saved maps, in place of the user's data folder."),
            argument("queries", "", 'Standing texts, as a YAML list: "[fire extinguisher, red chair]".'),
            argument("fresh_map", "false", "Whether to begin with an empty map, and to save none.", ["true", "false"]),
            argument("background", "false", "Whether instance_cloud holds walls and floors too.", ["true", "false"]),
            argument("use_sim_time", "false", "Whether time is that of /clock.", ["true", "false"]),
            argument("log_level", "info", "Level of the log.", ["debug", "info", "warn", "error", "fatal"]),
            argument("autostart", "true", "Whether the node is configured and activated.", ["true", "false"]),
            argument("respawn", "true", "Whether a node that died is started again.", ["true", "false"]),
            argument("rviz", "false", "Whether RViz is started.", ["true", "false"]),
            argument("viewer", "none", "The Rerun viewer: in a window or in a browser.", ["none", "spawn", "serve"]),
            # Half of all best-effort images are lost on the default transport. A profile of the user's own stays.
            default_environment(SHARED_MEMORY, PathJoinSubstitution([CONFIG, "fastdds_shm.xml"])),
            default_environment("OMP_WAIT_POLICY", "PASSIVE"),  # idle threads that spin starve the other nodes
            OpaqueFunction(function=nodes),
        ]
    )


def argument(name: str, default: str, description: str, choices: list[str] | None = None) -> DeclareLaunchArgument:
    """A launch argument."""
    return DeclareLaunchArgument(name, default_value=default, description=description, choices=choices)


def default_environment(name: str, value: PathJoinSubstitution | str) -> SetEnvironmentVariable:
    """An environment variable, unless it is set already."""
    return SetEnvironmentVariable(name, EnvironmentVariable(name, default_value=value))


def nodes(context: LaunchContext) -> list[Node]:
    """Perception, and what shows its map."""
    given = context.launch_configurations
    config = Path(CONFIG.perform(context))
    topics = read_remappings(camera_file(given["camera"], config / "cameras")) if given["camera"] != "none" else []
    return [perception(given, config, topics), *viewer(given, topics), *rviz(given, config, topics)]


def perception(given: dict[str, str], config: Path, topics: list[tuple[str, str]]) -> Node:
    """The node itself."""
    files = [str(config / f"{given['preset']}.yaml")] if given["preset"] != "none" else []
    files += [given["params"]] if given["params"] else []
    return Node(
        package="ovseg3r_ros",
        executable="perception",
        name="perception",
        namespace=given["namespace"],
        parameters=[*files, own_parameters(given)],
        remappings=topics,
        ros_arguments=["--log-level", f"{logger_name(given['namespace'])}:={given['log_level']}"],
        respawn=given["respawn"] == "true",
        respawn_delay=2.0,
        on_exit=give_up,
        sigterm_timeout="15",  # time to save the map
        output="screen",
    )


def own_parameters(given: dict[str, str]) -> dict[str, object]:
    """What the arguments say; what they leave open is left to the files."""
    own: dict[str, object] = {name: given[name] == "true" for name in ("use_sim_time", "autostart")}
    own |= {name: given[name] for name in ("poses", "map_frame", "map_directory") if given[name]}
    if given["queries"]:
        own["queries"] = texts(given["queries"])
    if given["fresh_map"] == "true":
        own |= {"load_autosave": False, "autosave_period_s": 0.0}
    if given["background"] == "true":
        own["cloud_background"] = True
    return own


def logger_name(namespace: str) -> str:
    """What ROS calls the node's log."""
    return ".".join([*namespace.strip("/").split("/"), "perception"]).lstrip(".")


def give_up(event: ProcessExited, context: LaunchContext) -> None:
    """Parameters that were refused would be refused again; any other end is worth a new start."""
    if event.returncode == REFUSED:
        raise RuntimeError("perception cannot start with these parameters")


def viewer(given: dict[str, str], topics: list[tuple[str, str]]) -> list[Node]:
    """The Rerun viewer, where it is asked for."""
    if given["viewer"] == "none":
        return []
    own = {"mode": given["viewer"], "use_sim_time": given["use_sim_time"] == "true"}
    if given["map_frame"]:
        own["map_frame"] = given["map_frame"]
    return [
        Node(
            package="ovseg3r_ros",
            executable="viewer",
            name="viewer",
            namespace=given["namespace"],
            parameters=[own],
            remappings=topics,
            output="screen",
        )
    ]


def rviz(given: dict[str, str], config: Path, topics: list[tuple[str, str]]) -> list[Node]:
    """RViz, where it is asked for. Its file names topics from the root: here they are led to where ours are."""
    if given["rviz"] != "true":
        return []
    shown = {**{name: name for name in SHOWN}, **dict(topics)}
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz2",
            namespace=given["namespace"],
            arguments=["-d", str(config / "perception.rviz")],
            parameters=[{"use_sim_time": given["use_sim_time"] == "true"}],
            remappings=[(f"/{name}", topic) for name, topic in shown.items()],
            output="log",
        )
    ]


def texts(queries: str) -> list[str]:
    """The standing texts of a YAML list, or one text."""
    found = yaml.safe_load(queries)
    found = found if isinstance(found, list) else [queries]
    if not all(isinstance(text, str) for text in found):
        raise ValueError(f'queries is {queries!r}; give a YAML list of texts: "[fire extinguisher, red chair]"')
    return found
