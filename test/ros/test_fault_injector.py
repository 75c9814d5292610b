"""The fault injector: what its words do to each stream, for how long, and what it refuses."""

import math
import time

import numpy as np
import pytest
from harness_camera import ScriptedCamera
from harness_domain import CHECKOUT
from harness_messages import camera_info_message, image_message, time_of, transform_message
from harness_robot import Robot
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from ovseg3r_core.types import Camera
from ovseg3r_ros.faults import WORDS, Delayed, FaultSpec, read_fault, stuck, wrong

INJECTOR = CHECKOUT / "scripts" / "fault_injector"
CAMERA = Camera(fx=10.0, fy=11.0, cx=2.0, cy=1.0, width=4, height=2)


def header(stamp_s: int = 1) -> Header:
    return Header(stamp=time_of(stamp_s * 10**9), frame_id="camera")


def image(value: int = 0, stamp_s: int = 1) -> Image:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) + np.uint8(value)
    return image_message(header(stamp_s), "rgb8", pixels)


def transform(x: float, stamp_s: int = 1) -> TFMessage:
    pose = np.eye(4)
    pose[0, 3] = x
    return transform_message(header(stamp_s), "camera", pose)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("ok", FaultSpec()),
        ("off from 5 to 15.5", FaultSpec(word="off", from_s=5.0, to_s=15.5)),
        ("delayed 0.25", FaultSpec(word="delayed", amount=0.25)),
        ("slow 3 from 0 to 2", FaultSpec(word="slow", amount=3.0, to_s=2.0)),
        ("intermittent 0.3", FaultSpec(word="intermittent", amount=0.3)),
    ],
)
def test_a_fault_is_a_word_an_amount_and_a_time(text: str, spec: FaultSpec):
    assert read_fault(text) == spec


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("melted", "'melted' cannot be injected; there are ok, off"),
        ("", "is no fault"),
        ("delayed", "needs seconds, 0.01 to 60, and got None"),
        ("delayed 1000", "needs seconds"),
        ("intermittent 1.5", "the share that is lost"),
        ("slow 1", "a message in so many, 2 to 1000"),
        ("off 3", "knows no more or less"),
        ("off from 5 to 2", "no span of time"),
        ("off from nan to inf", "no span of time"),
        ("off from x to y", "no span of time"),
    ],
)
def test_what_cannot_be_injected_is_refused_with_the_reason(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        read_fault(text)


def test_every_word_acts_on_every_kind_of_message():
    amounts = {"slow": " 2", "delayed": " 0.01", "intermittent": " 0.5"}
    for word in WORDS:
        for message in (image(), camera_info_message(header(), CAMERA), transform(1.0)):
            fault = read_fault(word + amounts.get(word, "")).make()
            assert all(type(sent) is type(message) for sent in fault(message, 0.0) + fault(message, 9.0))


def test_a_stuck_stream_has_old_content_and_new_stamps():
    fault = stuck()
    fault(image(0, stamp_s=1), 0.0)
    (again,) = fault(image(9, stamp_s=2), 1.0)
    assert (bytes(again.data), again.header.stamp.sec) == (bytes(image(0).data), 2)
    fault = stuck()
    fault(transform(1.0, stamp_s=1), 0.0)
    (again,) = fault(transform(2.0, stamp_s=2), 1.0)
    assert (again.transforms[0].transform.translation.x, again.transforms[0].header.stamp.sec) == (1.0, 2)


def test_what_is_wrong_is_well_formed():
    (upside_down,) = wrong(image(), 0.0)
    assert bytes(upside_down.data) == bytes(image().data)[12:] + bytes(image().data)[:12]
    (info,) = wrong(camera_info_message(header(), CAMERA), 0.0)
    assert (info.k[0], info.k[4], info.k[2]) == (20.0, 22.0, 2.0)
    before = transform(1.0)
    (aside,) = wrong(before, 0.0)
    assert (aside.transforms[0].transform.translation.x, before.transforms[0].transform.translation.x) == (1.5, 1.0)


def test_what_is_delayed_leaves_in_order_when_it_is_due():
    fault = Delayed(1.0)
    messages = [image(value) for value in range(3)]
    assert [fault(message, now) for message, now in zip(messages, (0.0, 0.5, 0.9), strict=True)] == [[], [], []]
    assert fault.due(1.6) == messages[:2]
    assert fault.due(2.0) == messages[2:]


@pytest.fixture
def camera(robot: Robot) -> ScriptedCamera:
    """A camera before an injector that passes everything."""
    robot.start_node(INJECTOR, {})
    camera = robot.camera(name="healthy", tf_topic="/healthy/tf")
    camera.wait_until_heard()
    return camera


def ask(robot: Robot, stream: str, fault: str) -> SetParametersResult:
    request = SetParameters.Request(parameters=[Parameter(stream, value=fault).to_parameter_msg()])
    return robot.client.call(SetParameters, "/fault_injector/set_parameters", request).results[0]


def test_faults_come_and_go_while_it_runs_and_those_that_cannot_be_are_refused(robot: Robot, camera: ScriptedCamera):
    kinds = {"/color/image": Image, "/depth/image": Image, "/color/camera_info": CameraInfo, "/tf": TFMessage}
    heard = {name: robot.client.listen(kind, name) for name, kind in kinds.items()}
    with camera.run(20):
        for topic in heard.values():
            topic.wait_for("what passes")
        refused = ask(robot, "color", "melted")
        assert not refused.successful and "cannot be injected" in refused.reason
        assert ask(robot, "color", "off").successful
        time.sleep(0.3)  # what is on its way arrives
        silent, others = len(heard["/color/image"].messages), len(heard["/depth/image"].messages)
        heard["/depth/image"].wait_for("depth", after=others + 5)
        assert len(heard["/color/image"].messages) == silent
        assert ask(robot, "color", "ok").successful
        heard["/color/image"].wait_for("colour again", after=silent)
        assert ask(robot, "info", "garbage").successful
        heard["/color/camera_info"].wait_for("NaN", lambda info: math.isnan(info.k[0]))


def test_a_start_with_a_fault_that_cannot_be_ends_with_the_reason(robot: Robot):
    program = robot.start_node(INJECTOR, {"depth": "melted"})
    program.wait_for_line("'melted' cannot be injected")
    assert program.wait(10.0) == 2
