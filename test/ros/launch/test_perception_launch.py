"""The launch file brings the node up and takes it down cleanly, where ROS 2 has its own launch.

`launch_test test/ros/launch/test_perception_launch.py` runs it; test_launch_files.py starts the file without launch.
"""

import unittest

import launch
import launch_testing.actions
import launch_testing.asserts
import launch_testing.markers
import pytest
import rclpy
from launch.actions import IncludeLaunchDescription
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

from ovseg3r_ros.srv import QueryObjects

START_S = 60.0


@pytest.mark.launch_test
@launch_testing.markers.keep_alive
def generate_test_description() -> launch.LaunchDescription:
    """The real launch file; the map of whoever runs the test stays out of it."""
    file = PathJoinSubstitution([FindPackageShare("ovseg3r_ros"), "launch", "perception.launch.py"])
    include = IncludeLaunchDescription(file, launch_arguments=[("fresh_map", "true"), ("respawn", "false")])
    return launch.LaunchDescription([include, launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While it runs."""

    def test_a_question_is_answered_before_anything_is_mapped(self) -> None:
        rclpy.init()
        self.addCleanup(rclpy.try_shutdown)
        node = rclpy.create_node("test_client")
        client = node.create_client(QueryObjects, "query_objects")
        self.assertTrue(client.wait_for_service(START_S), "query_objects did not come up")
        for _ in range(2):  # the first answer can be lost while the service discovers its asker
            future = client.call_async(QueryObjects.Request(text="cup"))
            rclpy.spin_until_future_complete(node, future, timeout_sec=10)
            if future.done():
                break
        self.assertTrue(future.done(), "no answer within 10 s, twice")
        self.assertEqual((future.result().success, future.result().verdict), (True, "blind"))
        node.destroy_node()


@launch_testing.post_shutdown_test()
class TestStopped(unittest.TestCase):
    """After it was told to end."""

    def test_everything_ended_without_an_error(self, proc_info: launch_testing.ProcInfoHandler) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
