"""Tells the rest of the robot where the camera is: /tf and `odometry`, when the poses are our own."""

from geometry_msgs.msg import Point, Pose, PoseWithCovariance, Quaternion, Transform, TransformStamped, Vector3
from jaxtyping import Float64
from nav_msgs.msg import Odometry
from numpy import ndarray
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.poses import quaternion_of
from ovseg3r_ros.config import InputConfig
from ovseg3r_ros.inputs.transforms import Transforms
from ovseg3r_ros.outputs.primitives import header_of

_TOLD_EVERY_S = 10.0


class PosePublisher:
    """Publishes the pose of the frame that the camera hangs on: a frame has one parent, so that it is the top one.

    A camera alone has `map -> camera_link`, a robot `map -> base_link`, one with wheel odometry `map -> odom`
    (REP-105); the parameter `pose_frame` names another. Where somebody else tells the camera's place in the map
    already, no transform is published, and the log says so.
    """

    def __init__(self, node: Node, config: InputConfig, transforms: Transforms) -> None:
        self._node, self._transforms = node, transforms
        self._map_frame, self._frame = config.map_frame.lstrip("/"), config.pose_frame.lstrip("/")
        self._published: set[str] = set()
        self._tf = node.create_publisher(TFMessage, "/tf", 100)
        self._odometry = node.create_publisher(Odometry, "odometry", 10)

    def publish(self, camera_frame: str, stamp_ns: int, T_map_camera: Float64[ndarray, "4 4"]) -> None:
        """Publish a pose of the camera."""
        try:
            child = self._frame or self._top_of(camera_frame)
            T_map_child = T_map_camera @ self._transforms.lookup(camera_frame, child, stamp_ns)
        except Rejected as why:
            self._node.get_logger().warning(f"the pose is not published: {why}", throttle_duration_sec=_TOLD_EVERY_S)
            return
        self._published.add(child)
        header = header_of(stamp_ns, self._map_frame)
        x, y, z = map(float, T_map_child[:3, 3])
        qx, qy, qz, qw = map(float, quaternion_of(T_map_child))
        turn = Quaternion(x=qx, y=qy, z=qz, w=qw)
        moved = Transform(translation=Vector3(x=x, y=y, z=z), rotation=turn)
        self._tf.publish(TFMessage(transforms=[TransformStamped(header=header, child_frame_id=child, transform=moved)]))
        pose = PoseWithCovariance(pose=Pose(position=Point(x=x, y=y, z=z), orientation=turn))
        self._odometry.publish(Odometry(header=header, child_frame_id=child, pose=pose))

    def destroy(self) -> None:
        """Fall silent."""
        self._node.destroy_publisher(self._tf)
        self._node.destroy_publisher(self._odometry)

    def _top_of(self, camera_frame: str) -> str:
        """The frame below the map, else the root; raises `Rejected` where others have placed it there."""
        above = self._transforms.ancestors(camera_frame)
        if self._map_frame not in above:
            return above[-1]
        top = above[max(above.index(self._map_frame) - 1, 0)]
        if top not in self._published:
            raise Rejected(
                "placed", f"/tf gives {top!r} in {self._map_frame!r} already: set poses:=tf, or stop who publishes it"
            )
        return top
