"""Where poses come from: the transform tree, our own odometry, or a topic with the poses of one body."""

from collections import Counter
from collections.abc import Callable
from threading import Lock

from geometry_msgs.msg import PoseStamped
from jaxtyping import Float64
from nav_msgs.msg import Odometry
from numpy import ndarray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from ovseg3r_core.checks import Rejected
from ovseg3r_core.odometry.live import LiveTracker
from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.inputs.body_poses import BodyPoses
from ovseg3r_ros.inputs.frame_loader import ImagePair
from ovseg3r_ros.inputs.health import StreamHealth
from ovseg3r_ros.inputs.image_poses import ImagePoses
from ovseg3r_ros.inputs.pose_messages import BodyPose, read_odometry, read_pose_stamped
from ovseg3r_ros.inputs.pose_source import Listeners, PoseNotYet, PoseSource
from ovseg3r_ros.inputs.subscriptions import AutoSubscription, Candidate
from ovseg3r_ros.inputs.transforms import Transforms

_DEPTH = 100  # odometry at 200 Hz and a moment without the processor


def open_poses(
    node: Node, config: InputConfig, callback_group: CallbackGroup, tracker: LiveTracker | None = None
) -> PoseSource:
    """The source of poses that is configured; its topics are read in a mutually exclusive callback group.

    Args:
        tracker: of our own odometry, which begins a new map without one.

    Raises:
        ValueError: `camera_in_body` or `pose_frame` is given for a source or for cameras that it does not fit.
    """
    if config.camera_in_body and config.poses not in ("odometry_topic", "pose_topic"):
        raise ValueError(
            f"camera_in_body is set, but poses {config.poses} takes the camera's place from /tf: leave it empty"
        )
    if config.camera_in_body and len(config.cameras) > 1:
        raise ValueError(
            f"camera_in_body gives one place, but there are {len(config.cameras)} cameras: leave it empty, "
            "and publish the place of each on /tf_static"
        )
    if config.poses in ("odometry", "pose_topic") and len(config.cameras) > 1:
        raise ValueError(f"poses {config.poses} is for one camera, but cameras is {list(config.cameras)}: use tf")
    if config.pose_frame and config.poses != "odometry":
        raise ValueError(
            f"pose_frame is {config.pose_frame!r}, but poses {config.poses} publishes none: leave it empty"
        )
    if config.poses == "odometry":
        return ImagePoses(node, config, callback_group, tracker or LiveTracker(config.odometry_keyframes))
    kinds = {
        "tf": TfPoses,
        "odometry_topic": OdometryPoses,
        "pose_topic": PoseStampedPoses,
    }
    return kinds[config.poses](node, config, callback_group)


class _TopicPoses(Listeners):
    """Poses that somebody else publishes: images tell nothing here, and the map's origin is not ours."""

    def observe(self, camera_frame: str, images: ImagePair) -> None:
        """See `PoseSource`."""

    def begin_anew(self) -> None:
        """See `PoseSource`."""

    def odometry_health(self) -> None:
        """See `PoseSource`."""


class TfPoses(_TopicPoses):
    """The camera's frame in the map by /tf and /tf_static."""

    def __init__(self, node: Node, config: InputConfig, callback_group: CallbackGroup) -> None:
        super().__init__()
        self._map_frame = config.map_frame
        self._transforms = Transforms(
            node, max_gap_s=config.pose_max_gap_s, on_change=self._tell, callback_group=callback_group
        )

    def T_map_camera(self, camera_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """See `PoseSource`; where nothing connects the frames, the reason names the remedies."""
        try:
            return self._transforms.lookup(self._map_frame, camera_frame, stamp_ns)
        except PoseNotYet as why:
            if self._transforms.connects(self._map_frame, camera_frame):
                raise
            raise PoseNotYet(
                f"{why}: localise the robot, or set poses:=odometry to find poses from the images"
            ) from why

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """See `PoseSource`."""
        return self._transforms.lookup(target, source, stamp_ns)

    def newest_ns(self, camera_frame: str) -> int | None:
        """See `PoseSource`."""
        return self._transforms.newest_ns(self._map_frame, camera_frame)

    def reset(self) -> None:
        """See `PoseSource`."""
        self._transforms.reset()

    def health(self) -> tuple[StreamHealth, ...]:
        """Of /tf and /tf_static."""
        return self._transforms.health()

    def destroy(self) -> None:
        """See `PoseSource`."""
        self._transforms.destroy()


class _BodyPoseSource(_TopicPoses):
    """The poses of a body from one topic; the transform tree is asked for what they leave open."""

    def __init__(
        self,
        node: Node,
        config: InputConfig,
        callback_group: CallbackGroup,
        *,
        topic: str,
        kind: type,
        read: Callable[[bytes], BodyPose],
    ) -> None:
        super().__init__()
        self._read, self._lock = read, Lock()
        self._refused: Counter[str] = Counter()
        self._transforms = Transforms(
            node, max_gap_s=config.pose_max_gap_s, on_change=self._tell, callback_group=callback_group
        )
        resolved = node.resolve_topic_name(topic)
        self._poses = BodyPoses(
            topic=resolved,
            map_frame=config.map_frame,
            camera_in_body=config.camera_in_body,
            max_gap_s=config.pose_max_gap_s,
            lookup=self._transforms.lookup,
        )
        self._subscription = AutoSubscription(
            node,
            (Candidate(topic=resolved, kind=kind),),
            self._take,
            reliability="auto",
            depth=_DEPTH,
            callback_group=callback_group,
        )

    def T_map_camera(self, camera_frame: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """See `PoseSource`."""
        return self._poses.T_map_camera(camera_frame, stamp_ns)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Float64[ndarray, "4 4"]:
        """See `PoseSource`."""
        return self._transforms.lookup(target, source, stamp_ns)

    def newest_ns(self, camera_frame: str) -> int | None:
        """See `PoseSource`; that of the body."""
        return self._poses.newest_ns()

    def reset(self) -> None:
        """See `PoseSource`."""
        self._poses.reset()
        self._transforms.reset()

    def health(self) -> tuple[StreamHealth, ...]:
        """Of the body's topic, /tf and /tf_static."""
        with self._lock:
            refused = +self._refused
        return self._subscription.health(refused), *self._transforms.health()

    def destroy(self) -> None:
        """See `PoseSource`."""
        self._subscription.destroy()
        self._transforms.destroy()

    def _take(self, raw: bytes, _: Candidate) -> None:
        try:
            self._poses.insert(self._read(raw))
        except Rejected as why:
            with self._lock:
                self._refused[why.reason] += 1
            return
        self._tell()


class OdometryPoses(_BodyPoseSource):
    """nav_msgs/Odometry on `odometry`: the child frame's pose in `header.frame_id`."""

    def __init__(self, node: Node, config: InputConfig, callback_group: CallbackGroup) -> None:
        super().__init__(node, config, callback_group, topic="odometry", kind=Odometry, read=read_odometry)


class PoseStampedPoses(_BodyPoseSource):
    """geometry_msgs/PoseStamped on `pose`: that of the camera's optical frame, or of a body by `camera_in_body`."""

    def __init__(self, node: Node, config: InputConfig, callback_group: CallbackGroup) -> None:
        super().__init__(node, config, callback_group, topic="pose", kind=PoseStamped, read=read_pose_stamped)
