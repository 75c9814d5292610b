"""The classes of the ROS messages that a camera and its poses come in, without ROS.

These messages are the same from ROS 2 Foxy to Kilted, so one release's definitions serve all bags.
"""

from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.stores.ros2_jazzy import builtin_interfaces__msg__Time as Time
from rosbags.typesys.stores.ros2_jazzy import geometry_msgs__msg__Pose as Pose
from rosbags.typesys.stores.ros2_jazzy import geometry_msgs__msg__PoseStamped as PoseStamped
from rosbags.typesys.stores.ros2_jazzy import geometry_msgs__msg__Quaternion as Quaternion
from rosbags.typesys.stores.ros2_jazzy import geometry_msgs__msg__Transform as Transform
from rosbags.typesys.stores.ros2_jazzy import geometry_msgs__msg__TransformStamped as TransformStamped
from rosbags.typesys.stores.ros2_jazzy import geometry_msgs__msg__Vector3 as Vector3
from rosbags.typesys.stores.ros2_jazzy import nav_msgs__msg__Odometry as Odometry
from rosbags.typesys.stores.ros2_jazzy import nav_msgs__msg__Path as Path
from rosbags.typesys.stores.ros2_jazzy import sensor_msgs__msg__CameraInfo as CameraInfo
from rosbags.typesys.stores.ros2_jazzy import sensor_msgs__msg__CompressedImage as CompressedImage
from rosbags.typesys.stores.ros2_jazzy import sensor_msgs__msg__Image as Image
from rosbags.typesys.stores.ros2_jazzy import sensor_msgs__msg__RegionOfInterest as RegionOfInterest
from rosbags.typesys.stores.ros2_jazzy import std_msgs__msg__Header as Header
from rosbags.typesys.stores.ros2_jazzy import tf2_msgs__msg__TFMessage as TFMessage

__all__ = [
    "CameraInfo",
    "CompressedImage",
    "Header",
    "Image",
    "Odometry",
    "Path",
    "Pose",
    "PoseStamped",
    "Quaternion",
    "RegionOfInterest",
    "TFMessage",
    "Time",
    "Transform",
    "TransformStamped",
    "Vector3",
    "typestore",
]

typestore = get_typestore(Stores.ROS2_JAZZY)
