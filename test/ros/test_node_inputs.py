"""Everything that can be wrong with what comes in, and that the node says so, counts it, and goes on.

The words for faults are those of PX4's failure injection; what is asked of each is in the docstrings.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from harness_camera import THINGS, ScriptedCamera, SimClock, Stream, walk
from harness_faults import altered, cut, halved, poisoned_depth
from harness_perception import Perception, ids_of
from harness_robot import Robot, map_scene

from ovseg3r_ros.faults import Delayed, Fault, garbage, intermittent, off, ok, slow, stuck
from ovseg3r_ros.msg import ObjectInstanceArray

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
STALE_AFTER_S = 1.0
FAULTY_SHOTS = 15
FAULTS: dict[tuple[Stream, str], Fault] = {
    ("color", "stuck"): stuck(),
    ("color", "garbage"): garbage(),
    ("color", "slow"): slow(3),
    ("depth", "slow"): slow(3),
    ("depth", "delayed"): Delayed(0.3),
    ("tf", "delayed"): Delayed(0.25),
    ("depth", "intermittent"): intermittent(0.3),
    ("tf", "intermittent"): intermittent(0.3),
}


@pytest.fixture(scope="module")
def awake(shared_robot: Robot, tmp_path_factory: pytest.TempPathFactory) -> Perception:
    maps = str(tmp_path_factory.mktemp("maps"))
    return shared_robot.perception({"stale_after_s": STALE_AFTER_S, "map_directory": maps})


@pytest.fixture(scope="module")
def known_ids(awake: Perception, shared_robot: Robot) -> dict[str, int]:
    """The ids of the things in a map that the node has made and saved."""
    with ScriptedCamera(shared_robot.client) as camera:
        objects = map_scene(awake, camera)
    assert awake.save_map("known").success
    return ids_of(objects)


@pytest.fixture
def node(awake: Perception, known_ids: dict[str, int]) -> Perception:
    """A node that knows the room."""
    assert awake.load_map("known").success
    return awake


@pytest.fixture
def fresh(awake: Perception) -> Perception:
    """A node that has just come up: no map, nothing proven."""
    awake.cycle()
    return awake


@pytest.fixture
def camera(awake: Perception, shared_robot: Robot) -> Iterator[ScriptedCamera]:
    """A healthy camera that the node listens to, not running yet."""
    with ScriptedCamera(shared_robot.client) as camera:
        camera.wait_until_heard()
        yield camera


@pytest.mark.parametrize(
    ("missing", "says"), [("tf", "pose"), ("info", "calibration")], ids=["no pose", "no calibration"]
)
def test_nothing_is_mapped_before_pose_and_calibration_are_there(
    fresh: Perception, camera: ScriptedCamera, missing: Stream, says: str
):
    camera.fault(off, missing)
    with camera.run():
        status = fresh.wait_for_camera("word of what it waits for", lambda it: f"waiting for the {says}" in it.message)
        assert status.level != OK
        fresh.wait_for_drops({"tf": "no_pose", "info": "no_calibration"}[missing], 5)
        assert fresh.list_objects().total == 0
        assert fresh.query("cup").verdict == "blind"
        camera.fault(ok)
        fresh.wait_for_objects(THINGS)
        fresh.wait_for_camera("all well", lambda it: it.level == OK)


def test_nothing_is_mapped_before_the_clock_runs(fresh: Perception, camera: ScriptedCamera):
    assert fresh.set_parameter("use_sim_time", True).successful
    try:
        with camera.run():
            fresh.wait_for_camera("word of the clock", lambda it: "waiting for the clock" in it.message)
            fresh.wait_for_drops("bad_clock", 5)
            assert fresh.query("cup").verdict == "blind"
    finally:
        assert fresh.set_parameter("use_sim_time", False).successful


def test_a_gap_in_the_poses_is_counted_and_not_bridged(
    node: Perception, camera: ScriptedCamera, known_ids: dict[str, int]
):
    with camera.run():
        node.wait_for_more_keyframes(3)
        camera.fault(off, "tf")
        node.wait_for_drops("no_pose", 10)
        camera.fault(ok)
        node.wait_for_more_keyframes(5)
    node.wait_until_settled()
    assert ids_of(node.objects()) == known_ids


@pytest.mark.parametrize(
    ("stream", "fault", "reason"),
    [
        ("color", altered(encoding="yuv422"), "bad_encoding"),
        ("color", altered(encoding="8UC3;DROP"), "bad_encoding"),
        ("depth", altered(encoding="32FC2"), "bad_encoding"),
        ("color", altered(step=10), "bad_image"),
        ("color", altered(step=2**32 - 1), "bad_image"),
        ("color", altered(height=2**32 - 1, width=2**32 - 1), "bad_image"),
        ("color", altered(width=0, height=0), "bad_image"),
        ("depth", cut(0.5), "bad_image"),
        ("color", cut(0.0), "bad_image"),
        ("depth", halved, "size_mismatch"),
        ("depth", altered(encoding="rgb8"), "bad_image"),
        ("tf", garbage(), "no_pose"),
        ("info", garbage(), "bad_intrinsics"),
        ("info", altered(k=np.zeros(9), p=np.zeros(12)), "bad_intrinsics"),
        ("info", altered(distortion_model="fish_eye_lens", d=[0.1]), "bad_intrinsics"),
    ],
    ids=[
        "unknown colour", "hostile encoding", "two-channel depth", "short step", "huge step", "huge size", "no size",
        "half the data", "no data", "small depth", "colour as depth",
        "NaN poses", "NaN intrinsics", "zero intrinsics", "unknown lens",
    ],
)  # fmt: skip
def test_bad_messages_are_counted_under_their_reason_and_good_ones_go_on(
    awake: Perception, camera: ScriptedCamera, stream: Stream, fault: Fault, reason: str
):
    camera.fault(fault, stream)
    with camera.run():
        awake.wait_for_drops(reason, 2)
        camera.fault(ok)
        awake.wait_for_more_keyframes(1)


@pytest.mark.parametrize("stream", ["color", "depth"])
def test_a_silent_stream_is_named_and_comes_back(
    node: Perception, camera: ScriptedCamera, known_ids: dict[str, int], stream: Stream
):
    with camera.run():
        node.wait_for_camera("all well", lambda it: it.level == OK)
        camera.fault(off, stream)
        topic = f"/{stream}/image"
        status = node.wait_for_camera("the topic's name", lambda it: topic in it.message and it.level != OK)
        assert " s" in status.message  # says for how long
        camera.fault(ok)
        node.wait_for_camera("all well again", lambda it: it.level == OK, timeout_s=5)
        node.wait_for_more_keyframes(3)
    node.wait_until_settled()
    assert ids_of(node.objects()) == known_ids


def test_faulty_streams_neither_stop_the_node_nor_invent_objects(
    node: Perception, camera: ScriptedCamera, known_ids: dict[str, int]
):
    with camera.run():
        for (stream, word), fault in FAULTS.items():
            camera.fault(fault, stream)
            until_sent = camera.shots_taken + FAULTY_SHOTS
            node.client.until(lambda until=until_sent: camera.shots_taken >= until, "frames with the fault")
            camera.fault(ok)
            node.wait_for_more_keyframes(1)
            assert set(node.objects()) == set(THINGS), f"{stream} {word}"
    node.wait_until_settled()
    assert ids_of(node.objects()) == known_ids


def observations(instances: ObjectInstanceArray) -> int:
    return sum(item.observations for item in instances.instances)


def fewer_observations(than: int) -> Callable[[ObjectInstanceArray], bool]:
    return lambda instances: observations(instances) < than


@pytest.mark.parametrize("policy", ["keep", "reset"])
def test_a_bag_that_starts_over_keeps_or_resets_the_map(robot: Robot, policy: str):
    node = robot.perception({"on_time_jump": policy, "use_sim_time": True})
    clock = SimClock(robot.client)
    camera = robot.camera(clock=clock)
    first = ids_of(map_scene(node, camera))
    with camera.run():
        for _ in range(3):
            before = len(node.instances.messages)
            seen = observations(node.instances.messages[-1])
            clock.jump(-5.0)
            if policy == "reset":  # the empty map may be filled again before it is published
                node.instances.wait_for("a map that starts over", fewer_observations(seen), after=before)
            node.wait_for_more_keyframes(5)
        after = ids_of(node.wait_for_objects(THINGS))
    if policy == "keep":
        assert after == first


def test_a_restarted_driver_with_another_resolution_is_adopted(
    node: Perception, camera: ScriptedCamera, known_ids: dict[str, int]
):
    camera.show(walk(width=200, height=150))
    with camera.run():
        node.wait_for_more_keyframes(5)
    node.wait_until_settled()
    assert ids_of(node.objects()) == known_ids


def test_depth_full_of_garbage_numbers_maps_no_such_numbers(fresh: Perception, camera: ScriptedCamera):
    """NaN, infinities, negative and absurd distances: the area is ignored and no such number comes out again."""
    camera.fault(poisoned_depth, "depth")
    with camera.run():
        objects = fresh.wait_for_objects(THINGS)
    for item in objects.values():
        box = item.bbox
        numbers = (box.center.position.x, box.center.position.z, box.size.x, box.size.y, box.size.z, item.confidence)
        assert np.isfinite(numbers).all()
        assert max(box.size.x, box.size.y, box.size.z) < 1.5


def test_of_two_cameras_the_other_goes_on_when_one_is_lost(robot: Robot):
    node = robot.perception({"cameras": ["front", "rear"], "stale_after_s": STALE_AFTER_S})
    front = robot.camera(walk(from_deg=0, to_deg=45), name="front")
    rear = robot.camera(walk(from_deg=90, to_deg=45), name="rear")
    front.wait_until_heard()
    rear.wait_until_heard()
    with front.run(5), rear.run(5):
        node.wait_for_objects(THINGS)
        node.wait_for_camera("front well", lambda it: it.level == OK, name="front")
        node.wait_for_camera("rear well", lambda it: it.level == OK, name="rear")
        rear.fault(off)
        status = node.wait_for_camera("rear named", lambda it: "/rear/" in it.message, name="rear")
        assert status.level == WARN
        node.wait_for_more_keyframes(5)
        node.wait_for_camera("front still well", lambda it: it.level == OK, name="front")
        rear.fault(ok)
        node.wait_for_camera("rear well again", lambda it: it.level == OK, name="rear", timeout_s=5)
