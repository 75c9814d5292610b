"""The tools of these tests do what they say: otherwise a test that passes would say nothing."""

import time
from contextlib import ExitStack
from pathlib import Path

import harness_client
import numpy as np
import pytest
from harness_camera import SimClock
from harness_domain import reserved_domain
from harness_faults import altered, halved
from harness_perception import ACTIVE, DEACTIVATE, INACTIVE, values_of
from harness_process import Died
from harness_robot import Robot
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from ovseg3r_ros.faults import Delayed, garbage, intermittent, off, slow, stuck

TINY = Path(__file__).with_name("tiny_node.py")


def test_two_tests_never_share_a_domain():
    with ExitStack() as stack:
        domains = [stack.enter_context(reserved_domain()) for _ in range(5)]
        assert len(set(domains)) == 5
        assert all(1 <= domain <= 101 for domain in domains)


def test_robots_do_not_hear_each_other(robot: Robot):
    with Robot() as other:
        images, foreign = robot.client.listen(Image, "/color/image"), other.client.listen(Image, "/color/image")
        camera = robot.camera()
        camera.wait_until_heard("color")
        camera.shoot()
        images.wait_for("image")
        assert other.client.node.count_publishers("/color/image") == 0
        assert not foreign.messages


def test_a_node_is_driven_through_its_lifecycle_and_ends_when_asked(robot: Robot):
    program = robot.start_node(TINY, {"limit": 7})
    node = robot.talk_to(program, "tiny")
    node.bring_up()
    assert node.state() == ACTIVE
    program.wait_for_line("configured")
    request = GetParameters.Request(names=["limit"])
    assert robot.client.call(GetParameters, "/tiny/get_parameters", request).values[0].integer_value == 7
    assert not node.set_parameter("limit", 10).successful
    assert node.change(DEACTIVATE)
    assert node.state() == INACTIVE
    node.forget()
    assert program.terminate() == 0


def test_a_wait_ends_when_the_program_dies(robot: Robot):
    program = robot.start_node(TINY, {})
    node = robot.talk_to(program, "tiny")
    node.bring_up()
    program.kill()
    start = time.monotonic()
    with pytest.raises(Died, match="configured"):
        node.wait_for_status("anything", lambda status: True, timeout_s=30)
    assert time.monotonic() - start < 5


def test_what_reads_is_asked_again_where_the_answer_was_lost(robot: Robot, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(harness_client, "_ASK_AGAIN_S", 0.3)
    asked, lost = [], []

    def answer(request: object, response: GetParameters.Response) -> GetParameters.Response:
        asked.append(request)
        response.values = [ParameterValue(integer_value=len(asked))]
        return response

    with harness_client.Client(robot.client.domain, "forgetful") as server:
        service = server.node.create_service(GetParameters, "/forgetful", answer)
        send = service.send_response
        monkeypatch.setattr(service, "send_response", lambda *it: send(*it) if lost else lost.append(it))
        server.listen(Image, "/anything")  # wakes the executor, so that it sees the service
        answered = robot.client.call(GetParameters, "/forgetful", GetParameters.Request())
    assert answered.values[0].integer_value == 2 and len(lost) == 1


def test_a_wait_names_what_did_not_come(robot: Robot):
    images = robot.client.listen(Image, "/color/image")
    with pytest.raises(AssertionError, match="green image on /color/image; 0 messages came"):
        images.wait_for("green image", timeout_s=0.1)


def test_the_camera_reaches_a_node_and_counts_what_it_sent(robot: Robot):
    node = robot.talk_to(robot.start_node(TINY, {}), "tiny")
    node.bring_up()
    camera = robot.camera()
    camera.wait_until_heard("color")
    camera.shoot(5)
    status = node.wait_for_status("5 images", lambda it: values_of(it)["images"] == "5", name="tiny", fresh=False)
    assert values_of(status)["width"] == "160"
    assert camera.sent["color"] == 5
    with camera.run(rate_hz=50):
        node.wait_for_status("20 images", lambda it: int(values_of(it)["images"]) >= 20, name="tiny")


def test_simulated_time_goes_on_with_the_shots_and_jumps(robot: Robot):
    clock = robot.client.listen(Clock, "/clock")
    images = robot.client.listen(Image, "/color/image")
    sim = SimClock(robot.client, period_s=0.5, start_s=100.0)
    camera = robot.camera(clock=sim)
    camera.wait_until_heard("color")
    camera.shoot(2)
    sim.jump(-10)
    camera.shoot()
    images.wait_for("third image", lambda it: len(images.messages) == 3)
    stamps = [it.header.stamp.sec + it.header.stamp.nanosec / 1e9 for it in images.messages]
    assert stamps == [100.5, 101.0, 91.5]
    assert clock.messages[-1].clock.sec == 91


def test_faults_do_what_their_words_say(robot: Robot):
    images = robot.client.listen(Image, "/color/image")
    camera = robot.camera()
    camera.wait_until_heard("color")

    def shoot(fault: object, frames: int) -> list[Image]:
        before, sent = len(images.messages), camera.sent["color"]
        camera.fault(fault, "color")
        camera.shoot(frames)
        came = camera.sent["color"] - sent
        images.wait_for("images", lambda it: len(images.messages) == before + came, after=before - 1 if came else 0)
        return images.messages[before:]

    good = shoot(altered(), 2)
    assert not np.array_equal(good[0].data, good[1].data)
    assert len(shoot(off, 3)) == 0
    hung = shoot(stuck(), 3)
    assert all(it.data == hung[0].data for it in hung)
    assert len({it.header.stamp.nanosec for it in hung}) == 3
    assert len(shoot(slow(3), 9)) == 3
    assert 10 < len(shoot(intermittent(0.5), 40)) < 30
    assert len(shoot(Delayed(60.0), 3)) == 0
    assert shoot(garbage(), 1)[0].data != good[0].data
    assert shoot(altered(encoding="yuv422"), 1)[0].encoding == "yuv422"
    small = shoot(halved, 1)[0]
    assert (small.width, small.height, small.step, len(small.data)) == (80, 60, 240, 14400)
