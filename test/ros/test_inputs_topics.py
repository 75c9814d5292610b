"""Topics, quality of service, poses and time over real DDS: what the inputs make of a robot as it is."""

import array
import time

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import PoseStamped
from harness_camera import ScriptedCamera, Shot, SimClock, walk
from harness_messages import camera_info_message, time_of, transform_message
from harness_robot import Robot
from inputs_rig import BEST_EFFORT, RELIABLE, InputsRig
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.poses import quaternion_of
from ovseg3r_ros.faults import garbage, off, ok
from ovseg3r_ros.inputs.time_jumps import TimeJumps

COLOR, DEPTH, INFO = "/color/image", "/depth/image", "/color/camera_info"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_frames_arrive_with_the_pose_of_their_time(robot: Robot):
    camera = robot.camera()
    with InputsRig(robot.client) as rig, camera.run(15):
        rig.until_delivered(5)
        _, stamp_ns, load = rig.delivered[0]
        frame = load()
        assert frame.stamp_s == pytest.approx(stamp_ns / 1e9)
        assert any(np.allclose(frame.T_map_camera, shot.T_map_camera, atol=1e-6) for shot in walk())
        assert rig.health.gate == ""
        assert (rig.health.color.topic, rig.health.depth.topic, rig.health.camera_info.topic) == (COLOR, DEPTH, INFO)


@pytest.mark.parametrize("offered", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_auto_asks_for_what_the_publisher_offers(robot: Robot, offered: ReliabilityPolicy):
    camera = robot.camera(reliability=offered)
    with InputsRig(robot.client) as rig, camera.run():
        for topic in (COLOR, DEPTH, INFO):
            rig.until_heard(topic, offered)
        rig.until_delivered(3)


def test_auto_follows_when_a_best_effort_publisher_joins(robot: Robot):
    camera = robot.camera()
    with InputsRig(robot.client) as rig, camera.run():
        rig.until_heard(COLOR, ReliabilityPolicy.RELIABLE)
        other = robot.client.node.create_publisher(Image, COLOR, BEST_EFFORT)
        rig.until_heard(COLOR, ReliabilityPolicy.BEST_EFFORT)
        robot.client.node.destroy_publisher(other)
        rig.until_heard(COLOR, ReliabilityPolicy.RELIABLE)
        rig.until_delivered(len(rig.delivered) + 3)


def test_the_standard_parameters_override_the_quality_of_service(robot: Robot):
    camera = robot.camera()
    name = f"qos_overrides.{COLOR}.subscription.reliability"
    with InputsRig(robot.client, parameters={name: "best_effort"}) as rig, camera.run():
        rig.until_heard(COLOR, ReliabilityPolicy.BEST_EFFORT)
        rig.until_heard(DEPTH, ReliabilityPolicy.RELIABLE)
        rig.restart()
        rig.until_delivered(3)
        assert rig.heard_by(COLOR) == [ReliabilityPolicy.BEST_EFFORT]
        assert rig.node.get_parameter(f"qos_overrides.{DEPTH}.subscription.reliability").value == "auto"
        assert rig.node.get_parameter("qos_overrides./tf_static.subscription.durability").value == "transient_local"


def test_a_wrong_override_is_refused_with_its_name(robot: Robot):
    name = f"qos_overrides.{COLOR}.subscription.reliability"
    with pytest.raises(ValueError, match=r"color/image.*reliability is 'maybe'"):
        InputsRig(robot.client, parameters={name: "maybe"})


class CompressedCamera(ScriptedCamera):
    """Publishes its images as image_transport's plugins do."""

    def __init__(self, robot: Robot, base: str = "") -> None:
        super().__init__(robot.client)
        create, destroy = robot.client.node.create_publisher, robot.client.node.destroy_publisher
        for stream, topic in (("color", f"{base}{COLOR}/compressed"), ("depth", f"{base}{DEPTH}/compressedDepth")):
            destroy(self.publishers[stream])
            self.publishers[stream] = create(CompressedImage, topic, RELIABLE)

    def _messages(self, shot: Shot, stamp_ns: int) -> dict:
        header = Header(stamp=time_of(stamp_ns), frame_id=self.frame_id)
        color, depth = CompressedImage(header=header), CompressedImage(header=header)
        color.format, color.data = "rgb8; jpeg compressed bgr8", png_bytes(shot.color[:, :, ::-1], ".jpg")
        depth.format, depth.data = "16UC1; compressedDepth png", array.array("B", bytes(12)) + png_bytes(shot.depth_mm)
        return {**super()._messages(shot, stamp_ns), "color": color, "depth": depth}


def png_bytes(pixels: np.ndarray, kind: str = ".png") -> array.array:
    return array.array("B", cv2.imencode(kind, np.ascontiguousarray(pixels))[1].tobytes())


def test_compressed_images_are_read_where_nobody_publishes_raw_ones(robot: Robot):
    camera = CompressedCamera(robot)
    with camera, InputsRig(robot.client) as rig, camera.run():
        rig.until_delivered(2)
        frame = rig.delivered[-1][2]()
        assert any(np.abs(frame.depth_m * 1000 - shot.depth_mm).max() < 1 for shot in walk())
        assert rig.health.depth.topic == f"{DEPTH}/compressedDepth"


def test_the_other_transport_is_taken_when_the_first_falls_away(robot: Robot):
    camera, raw = CompressedCamera(robot), robot.camera()
    raw.fault(off, "tf", "info")
    with camera, InputsRig(robot.client) as rig, camera.run():
        with raw.run():
            rig.until(lambda health: health.color.topic == COLOR and health.paired, "raw images")
        raw.close()
        rig.until(lambda health: health.color.topic == f"{COLOR}/compressed", "compressed images")
        rig.until_delivered(len(rig.delivered) + 3)


def test_transports_follow_the_remapped_name(robot: Robot):
    camera = CompressedCamera(robot, base="/driver")
    rules = [f"color/image:=/driver{COLOR}", f"depth/image:=/driver{DEPTH}"]
    with camera, InputsRig(robot.client, remap=rules) as rig, camera.run():
        rig.until_delivered(2)
        assert rig.health.color.topic == f"/driver{COLOR}/compressed"


def test_raw_reads_no_compressed_images(robot: Robot):
    camera = CompressedCamera(robot)
    with camera, InputsRig(robot.client, transport="raw") as rig, camera.run():
        rig.until(lambda health: health.camera_info.received >= 5, "calibrations")
        assert (rig.health.color.topic, rig.health.color.received) == (COLOR, 0)
        assert rig.health.gate == (
            f"waiting for images: nothing has come on {COLOR} (0 publishers), {DEPTH} (0 publishers)"
        )


def test_frames_in_a_gap_of_the_poses_are_dropped_and_not_guessed(robot: Robot):
    camera = robot.camera()
    with InputsRig(robot.client, pose_wait_s=0.2, pose_max_gap_s=0.3) as rig, camera.run(20):
        rig.until_delivered(3)
        camera.fault(off, "tf")
        rig.until(lambda health: health.dropped["no_pose"] >= 10, "frames without pose")
        count = len(rig.delivered)
        camera.fault(ok)
        rig.until_delivered(count + 3)


def test_frames_wait_for_poses_that_come_late(robot: Robot):
    camera = robot.camera()
    camera.fault(off, "tf")
    with InputsRig(robot.client, pose_wait_s=5.0, proving_frames=1, queue_depth=10) as rig:
        rig.until_settled()
        camera.wait_until_heard()
        stamps = [camera.shoot() for _ in range(3)]
        rig.until(lambda health: health.waiting == 3, "frames that wait")
        assert rig.health.gate.startswith("waiting for the pose: no transform connects 'camera_optical_frame' to 'map'")
        assert rig.health.gate.endswith("set poses:=odometry to find poses from the images")
        for stamp_ns, shot in zip(stamps, walk(), strict=False):
            header = Header(stamp=time_of(stamp_ns), frame_id="map")
            camera.publishers["tf"].publish(transform_message(header, camera.frame_id, shot.T_map_camera))
        rig.until_delivered(3)
        assert [stamp for _, stamp, _ in rig.delivered] == stamps


def test_transforms_that_are_none_are_counted(robot: Robot):
    camera = robot.camera()
    camera.fault(garbage(), "tf")
    with InputsRig(robot.client) as rig, camera.run():
        robot.client.until(lambda: rig.cameras.pose_health()[0].dropped["bad_tf"] >= 3, "refused transforms")
        assert not rig.delivered


@pytest.mark.parametrize("offered", [RELIABLE, BEST_EFFORT], ids=["reliable", "best effort"])
def test_odometry_and_the_static_place_of_the_camera_make_a_pose(robot: Robot, offered: QoSProfile):
    camera = robot.camera()
    camera.fault(off, "tf")
    odometry = robot.client.node.create_publisher(Odometry, "/odometry", offered)
    static = robot.client.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    T_base_camera = np.eye(4)
    T_base_camera[2, 3] = 0.4
    static.publish(transform_message(Header(frame_id="base_link"), camera.frame_id, T_base_camera))
    with InputsRig(robot.client, poses="odometry_topic", map_frame="odom", proving_frames=1) as rig:
        rig.until_settled()
        camera.wait_until_heard("color", "depth", "info")
        rig.until_heard("/odometry", offered.reliability)
        robot.client.until(odometry.get_subscription_count, "subscriber of odometry")
        stamp_ns = camera.shoot()
        message = Odometry(header=Header(stamp=time_of(stamp_ns), frame_id="odom"), child_frame_id="base_link")
        message.pose.pose.orientation.w = 1.0
        message.pose.pose.position.x = 3.0
        odometry.publish(message)
        rig.until_delivered(1)
        np.testing.assert_allclose(rig.delivered[0][2]().T_map_camera[:3, 3], (3.0, 0.0, 0.4), atol=1e-6)


def test_a_stamped_pose_is_that_of_the_camera(robot: Robot):
    camera = robot.camera()
    camera.fault(off, "tf")
    poses = robot.client.node.create_publisher(PoseStamped, "/pose", RELIABLE)
    with InputsRig(robot.client, poses="pose_topic", proving_frames=1) as rig:
        rig.until_settled()
        camera.wait_until_heard("color", "depth", "info")
        rig.until_heard("/pose", ReliabilityPolicy.RELIABLE)
        robot.client.until(poses.get_subscription_count, "subscriber of pose")
        stamp_ns, T = camera.shoot(), walk()[0].T_map_camera
        message = PoseStamped(header=Header(stamp=time_of(stamp_ns), frame_id="map"))
        p, q = message.pose.position, message.pose.orientation
        p.x, p.y, p.z = map(float, T[:3, 3])
        q.x, q.y, q.z, q.w = map(float, quaternion_of(T))
        poses.publish(message)
        rig.until_delivered(1)
        np.testing.assert_allclose(rig.delivered[0][2]().T_map_camera, T, atol=1e-6)


def test_a_camera_place_that_fits_no_source_is_refused(robot: Robot):
    identity = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    for settings in (
        {"camera_in_body": identity},
        {"camera_in_body": identity, "poses": "odometry_topic", "cameras": ("front", "rear")},
        {"poses": "pose_topic", "cameras": ("front", "rear")},
    ):
        with pytest.raises(ValueError, match="camera"):
            InputsRig(robot.client, **settings)


def test_a_clock_that_jumps_back_is_told_once_and_mapping_goes_on(robot: Robot):
    clock = SimClock(robot.client)
    camera = robot.camera(clock=clock)
    with InputsRig(robot.client, parameters={"use_sim_time": True}) as rig, camera.run(15):
        rig.until_delivered(3)
        assert not rig.jumps  # that time begins is no jump
        for loop in range(1, 4):
            clock.jump(-50.0)
            robot.client.until(lambda loop=loop: len(rig.jumps) >= loop, "word of the jump")
            rig.until_delivered(len(rig.delivered) + 3)
            assert len(rig.jumps) == loop


def test_a_second_jump_is_told_however_soon_and_whoever_noticed_the_first(robot: Robot):
    told: list[str] = []
    with InputsRig(robot.client) as rig:
        jumps = TimeJumps(rig.node, told.append)
        for source in ("clock", "color", "depth"):
            jumps.jumped(source, -50.0)
        assert told == ["clock jumped by -50.000 s"]
        jumps.jumped("clock", -40.0)
        jumps.jumped("color", -40.0)
        assert told[1:] == ["clock jumped by -40.000 s"]
        jumps.destroy()


def test_stamps_that_jump_back_are_noticed_without_a_clock(robot: Robot):
    class Loop:
        back_ns = 0

        def stamp_ns(self) -> int:
            return time.time_ns() - self.back_ns

    camera = robot.camera(clock=Loop())
    with InputsRig(robot.client) as rig, camera.run(15):
        rig.until_delivered(3)
        Loop.back_ns = 60 * 10**9
        robot.client.until(lambda: rig.jumps, "word of the jump")
        assert "images jumped by -" in rig.jumps[0]
        rig.until_delivered(len(rig.delivered) + 3)
        assert len(rig.jumps) == 1


def test_nothing_is_mapped_before_simulated_time_has_begun(robot: Robot):
    camera = robot.camera()
    with InputsRig(robot.client, parameters={"use_sim_time": True}) as rig, camera.run():
        rig.until(lambda health: health.color.dropped["bad_clock"] >= 3, "images without a clock")
        assert rig.health.gate.startswith("waiting for the clock: the node's time is zero")


def test_a_driver_that_restarts_with_another_resolution_is_adopted(robot: Robot):
    first = robot.camera()
    with InputsRig(robot.client) as rig:
        with first.run(15):
            rig.until_delivered(3)
        first.close()
        with ScriptedCamera(robot.client, walk(width=200, height=150)) as second, second.run(15):
            rig.until(lambda health: rig.delivered[-1][2]().camera.width == 200, "frames of the new size")


def test_a_calibration_that_was_sent_once_is_heard_by_late_joiners(robot: Robot):
    camera = robot.camera()
    latched = robot.client.node.create_publisher(CameraInfo, INFO, LATCHED)
    latched.publish(camera_info_message(Header(frame_id=camera.frame_id), walk()[0].camera))
    robot.client.node.destroy_publisher(camera.publishers["info"])
    camera.publishers["info"] = latched
    camera.fault(off, "info")
    with InputsRig(robot.client) as rig, camera.run():
        rig.until_delivered(3)
        rig.delivered[-1][2]()


def test_images_of_the_wrong_size_are_refused_with_a_reason(robot: Robot):
    camera, small = robot.camera(), walk(width=80, height=60)
    with InputsRig(robot.client, proving_frames=1) as rig:
        camera.fault(lambda message, now_s: [_with_pixels(message, small[0].depth_mm)], "depth")
        rig.until_settled()
        camera.wait_until_heard()
        camera.shoot()
        rig.until_delivered(1)
        with pytest.raises(Rejected, match="depth is 80x60 but colour is 160x120"):
            rig.delivered[0][2]()


def _with_pixels(message: Image, pixels: np.ndarray) -> Image:
    message.height, message.width = pixels.shape
    message.step, message.data = pixels.nbytes // pixels.shape[0], array.array("B", pixels.tobytes())
    return message


def test_messages_that_newer_ones_overwrote_are_counted_as_missed(robot: Robot):
    camera = robot.camera()
    with InputsRig(robot.client, proving_frames=1) as rig:
        rig.until_settled()
        camera.wait_until_heard()
        camera.shoot()
        rig.until_delivered(1)
        before = rig.health.color.received
        rig.hold.clear()  # the camera's callback is busy now
        camera.shoot(20)
        rig.hold.set()
        rig.until(lambda health: health.color.received + health.color.missed - before >= 20, "all twenty images")
        camera.shoot()
        rig.until(lambda health: health.color.received + health.color.missed == camera.sent["color"], "every image")
        assert rig.health.color.missed > 0


def test_images_that_never_match_are_told_with_their_topics(robot: Robot):
    camera = robot.camera()
    camera.fault(_a_minute_ago, "depth")
    with InputsRig(robot.client, pair_slop_s=0.005, pair_queue=3) as rig, camera.run():
        rig.until(lambda health: health.depth.dropped["no_color"] >= 3, "depth images without partner")
        assert rig.health.gate == f"waiting for images: no stamps of {COLOR} and {DEPTH} within 0.005 s of each other"


def _a_minute_ago(message: Image, now_s: float) -> list[Image]:
    stamp = message.header.stamp
    message.header = Header(stamp=Time(sec=stamp.sec - 60, nanosec=stamp.nanosec), frame_id=message.header.frame_id)
    return [message]


def test_each_camera_has_its_own_topics_and_health(robot: Robot):
    front, rear = robot.camera(name="front"), robot.camera(name="rear")
    with InputsRig(robot.client, cameras=("front", "rear")) as rig, front.run():
        rig.until_delivered(3)
        of_front, of_rear = rig.cameras.health()
        assert (of_front.name, of_front.color.topic, of_rear.color.received) == ("front", "/front/color/image", 0)
        assert "/rear/color/image (1 publishers)" in of_rear.gate
        with rear.run():
            robot.client.until(lambda: any(sensor == "rear" for sensor, _, _ in rig.delivered), "frames of rear")


def test_inputs_that_were_destroyed_leave_nothing_behind(robot: Robot):
    camera = robot.camera()
    with InputsRig(robot.client) as rig, camera.run():
        rig.until_delivered(3)
        for _ in range(50):  # in another thread than the one that spins
            rig.restart()
        rig.until_delivered(3)
        assert len(list(rig.node.subscriptions)) == 6
        rig.cameras.destroy()
        count = len(rig.delivered)
        robot.client.until(lambda: camera.publishers["color"].get_subscription_count() == 0, "the end of listening")
        assert len(rig.delivered) == count
        assert len(list(rig.node.timers)) == 0
