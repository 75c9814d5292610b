"""The settings of the node itself; those of the method are `PerceptionConfig` and `LiveConfig` of the core.

All are ROS parameters of the node under the names they have here.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from ovseg3r_core.config import Within, check_ranges


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """What comes in: topics, how images are paired, and when a pose is believed."""

    cameras: tuple[str, ...] = ()
    """Names of the cameras, whose topics are then NAME/color/image and so on; empty for one with color/image."""
    transport: Literal["auto", "raw", "compressed"] = "auto"
    """Which image topics to read; auto takes the raw ones where someone publishes them."""
    reliability: Literal["auto", "reliable", "best_effort"] = "auto"
    """QoS of the image subscriptions; auto is reliable where every publisher is."""
    queue_depth: Annotated[int, Within(1, 100)] = 1
    """Messages that DDS keeps for us a topic; what waits longer is out of date."""
    pair_slop_s: Annotated[float, Within(0.0, 0.5)] = 0.02
    """Colour and depth belong together when their stamps differ by no more."""
    pair_queue: Annotated[int, Within(1, 100)] = 10
    """Images of each kind that wait for their partner."""
    poses: Literal["tf", "odometry", "odometry_topic", "pose_topic"] = "tf"
    """Where poses come from: /tf; our own odometry on colour and depth, which publishes them; nav_msgs/Odometry on
    `odometry`; or geometry_msgs/PoseStamped on `pose`."""
    pose_frame: str = ""
    """With poses odometry: the frame whose pose is published; empty for the top of what the camera hangs on in /tf."""
    odometry_queue: Annotated[int, Within(1, 100)] = 2
    """With poses odometry: frames that wait to be placed; the oldest makes room."""
    odometry_keyframes: Annotated[int, Within(30, 10_000)] = 300
    """With poses odometry: keyframes that frames are compared with, 2 MB each; of more, the most alike make room."""
    map_frame: str = "map"
    """The frame that objects are given in; it must not jump: map, or odom for a robot that only has that."""
    camera_in_body: tuple[float, ...] = ()
    """x y z qx qy qz qw of the camera's optical frame in the body whose pose is given; empty to take it from /tf."""
    pose_wait_s: Annotated[float, Within(0.0, 5.0)] = 0.5
    """How long an image waits for the pose of its time."""
    pose_max_gap_s: Annotated[float, Within(0.01, 10.0)] = 0.5
    """Longest time between two poses that is interpolated."""
    max_speed_mps: Annotated[float, Within(0.1, 100.0)] = 5.0
    """A camera that moves faster from one frame to the next has been relocated, not moved."""
    max_turn_radps: Annotated[float, Within(0.1, 100.0)] = 12.0
    """The same for turning."""
    proving_frames: Annotated[int, Within(1, 100)] = 3
    """Frames in a row with a believable pose before anything is mapped, at the start and after a jump."""
    correction_min_m: Annotated[float, Within(0.0, 10.0)] = 0.02
    """The map is moved once a keyframe on `keyframe_poses` moved by more than this since the map was last moved."""
    correction_min_rad: Annotated[float, Within(0.0, 3.2)] = 0.0175
    """The same for turning: one degree."""
    stale_after_s: Annotated[float, Within(0.1, 60.0)] = 5.0
    """A stream is reported as silent after this time without a message."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if len(set(self.cameras)) != len(self.cameras) or not all(name.isidentifier() for name in self.cameras):
            raise ValueError(f"cameras is {list(self.cameras)}; give different names of letters, digits and _")
        if self.camera_in_body and len(self.camera_in_body) != 7:
            raise ValueError(f"camera_in_body has {len(self.camera_in_body)} numbers; give x y z qx qy qz qw")


@dataclass(frozen=True, kw_only=True)
class OutputConfig:
    """What goes out."""

    queries: tuple[str, ...] = ()
    """The standing texts; `set_queries` changes them."""
    cloud_colors: Literal["instance", "camera"] = "instance"
    """Colour of the points in `instance_cloud`: one an object, or as the camera saw them."""
    cloud_background: bool = False
    """Whether `instance_cloud` also holds the points of no object, with instance -1."""
    min_interval_s: Annotated[float, Within(0.0, 60.0)] = 0.5
    """Shortest time between two publications of the map."""
    diagnostics_period_s: Annotated[float, Within(0.1, 60.0)] = 1.0
    """Time between two diagnostics."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """What the node is made of and where it keeps its maps."""

    autostart: bool = False
    """Whether the node configures and activates itself; the launch files set it."""
    voxel_size_m: Annotated[float, Within(0.002, 0.2)] = 0.02
    """Resolution of the map; the defaults of all other lengths follow it. 0.02 is for rooms, 0.005 for a bin."""
    masks: str = "default"
    """Source of 2D masks, as in `ovseg3r segment --masks`."""
    vocabulary: str = "default"
    """Words that labels are taken from: default, scannet200, scannet20 or a text file; `set_vocabulary` changes it."""
    segmenter: str = "default"
    """Weights of the learned 3D segmenter: default for those of the package, none, or a checkpoint of your own, which
    may be named while the node runs: the next look at all views uses it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the networks run."""
    map_directory: str = ""
    """Folder of the saved maps; empty for the user's data folder."""
    autosave_period_s: Annotated[float, Within(0.0, 3600.0)] = 30.0
    """Time between two saves of the map named autosave; 0 for never."""
    load_autosave: bool = True
    """Whether the map of the last run is taken up again at the start."""
    map_id: str = ""
    """Name of the map that poses are given in, such as that of the SLAM system's database; a saved map of another one
    is not loaded, unless `saved_in_map` says where it lies."""
    saved_in_map: tuple[float, ...] = ()
    """x y z qx qy qz qw: where the origin of saved maps with another `map_id` lies in this one; may be set before
    `load_map` is called."""
    on_time_jump: Literal["keep", "reset"] = "keep"
    """What happens to the map when the clock jumps back, as it does when a bag starts over."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if self.saved_in_map and len(self.saved_in_map) != 7:
            raise ValueError(f"saved_in_map has {len(self.saved_in_map)} numbers; give x y z qx qy qz qw")
        if self.saved_in_map and not self.map_id:
            raise ValueError("saved_in_map needs map_id, which tells the maps that lie there from those that do not")
