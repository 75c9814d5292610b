"""From the bytes of images to posed frames: what is delivered, what is dropped, and why."""

import numpy as np
import pytest
from harness_messages import time_of
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs_bench import MS, START_MS, Bench, color_bytes, info_bytes, proven
from std_msgs.msg import Header

from ovseg3r_core.checks import Rejected


def test_a_frame_is_delivered_with_its_pose_and_decoded_on_demand():
    bench = Bench(name="front", proving_frames=3)
    bench.info()
    bench.shoot(0, 33, 66, 99)
    assert bench.stamps == [66, 99]
    assert [sensor for sensor, _, _ in bench.delivered] == ["front", "front"]
    frame = bench.load()
    assert (frame.sensor, frame.index, frame.stamp_s) == ("front", 1, (START_MS + 99) / 1000)
    assert frame.color.shape == (6, 8, 3)
    assert np.unique(frame.depth_m) == pytest.approx(1.5)
    assert frame.T_map_camera[0, 3] == pytest.approx(0.099)
    assert bench.health.dropped == {"not_ready": 2}


actions = st.one_of(
    st.tuples(st.sampled_from(["color", "depth"]), st.integers(-1100, 3000)),
    st.tuples(st.just("shoot"), st.integers(0, 3000)),
    st.tuples(st.sampled_from(["info", "poses", "clock", "jump"]), st.integers(0, 3000)),
    st.sampled_from([("garbage", 0), ("zero", 0), ("reset", 0), ("wait", 0)]),
)


@settings(max_examples=150)
@given(st.lists(actions, max_size=60))
def test_received_is_delivered_and_dropped_and_waiting_whatever_happens(script: list[tuple[str, int]]):
    bench = Bench(proving_frames=2, pair_queue=3)
    for action, number in script:
        if action in ("color", "depth"):
            getattr(bench, action)(number)
        elif action == "shoot":
            bench.shoot(number)
        elif action == "info":
            bench.info(number)
        elif action == "poses":
            bench.poses.from_ms, bench.poses.to_ms = START_MS + number - 1000, START_MS + number
        elif action == "clock":
            bench.now_ms = number * 1000
        elif action == "jump":
            bench.poses.offset_m = float(number)
        elif action == "garbage":
            bench.pipeline.take_image("color", b"\0\1\2\3", compressed=False)
        elif action == "zero":
            bench.pipeline.take_image("depth", color_bytes(0), compressed=False)
        elif action == "reset":
            bench.pipeline.reset()
        else:
            bench.now_ms += 400
            bench.pipeline.advance()
        health = bench.health  # asserts the equation
        assert health.delivered == len(bench.delivered)
    bench.pipeline.close()
    assert bench.health.waiting == bench.health.color.waiting == bench.health.depth.waiting == 0


def test_nothing_passes_before_a_calibration():
    bench = Bench(proving_frames=1)
    bench.shoot(0)
    assert bench.health.gate == "waiting for the calibration: no CameraInfo has come"
    assert bench.health.dropped == {"no_calibration": 1}
    bench.info()
    bench.shoot(33)
    assert bench.stamps == [33]
    assert bench.health.gate == ""


def test_nothing_passes_before_the_clock_has_begun():
    bench = Bench(proving_frames=1)
    bench.info()
    bench.now_ms = 0
    bench.shoot(0)
    assert bench.health.gate.startswith("waiting for the clock: the node's time is zero: use_sim_time is set")
    assert bench.health.color.dropped == bench.health.depth.dropped == {"bad_clock": 1}


def test_stamps_of_another_epoch_are_refused_and_poison_nothing():
    bench = proven()
    bench.color(10**7)
    assert "s from the node's time" in bench.health.last_drop
    bench.shoot(33)
    assert bench.stamps == [0, 33]


def test_nothing_passes_before_a_pose_and_the_gate_says_why():
    bench = Bench(proving_frames=1)
    bench.info()
    bench.poses.from_ms = START_MS + 20
    bench.shoot(0)
    assert bench.health.gate == f"waiting for the pose: older than {START_MS + 20} ms"
    bench.poses.to_ms = START_MS + 20
    bench.shoot(33)
    assert bench.health.gate == f"waiting for the pose: newer than {START_MS + 20} ms"
    assert bench.health.waiting == 1


def test_frames_wait_for_late_poses_and_leave_in_order():
    bench = proven()
    bench.poses.to_ms = START_MS
    bench.shoot(33, 66, 99)
    assert bench.stamps == [0]
    bench.poses.to_ms = START_MS + 70
    bench.pipeline.advance()
    assert bench.stamps == [0, 33, 66]
    assert bench.health.waiting == 1


def test_frames_wait_no_longer_than_they_are_told():
    bench = proven(pose_wait_s=0.2)
    bench.poses.to_ms = START_MS
    bench.shoot(33)
    bench.now_ms += 199
    bench.pipeline.advance()
    assert bench.health.waiting == 1
    bench.now_ms += 1
    bench.pipeline.advance()
    assert bench.health.dropped == {"no_pose": 1}
    assert "waited 0.20 s" in bench.health.last_drop


def test_a_relocation_holds_frames_back_until_it_is_proven():
    bench = Bench(proving_frames=3)
    bench.info()
    bench.shoot(0, 33, 66)
    bench.poses.offset_m = 2.0
    bench.shoot(99, 132, 165, 198)
    assert bench.stamps == [66, 165, 198]
    assert bench.health.dropped == {"not_ready": 2, "pose_jump": 2}
    assert bench.health.relocations == 1


def test_time_that_jumps_back_is_told_once_and_everything_starts_over():
    bench = proven()
    bench.shoot(5000)
    bench.color(5033)
    bench.now_ms -= 5000
    bench.shoot(100, 133, 166)
    assert bench.jumps == [("the time of camera's color images", pytest.approx(-4.9))]
    assert bench.stamps == [0, 5000, 133, 166]  # one image is no proof of a jump, it was late
    assert bench.health.color.dropped == {"late": 1, "time_jump": 1}


def test_a_new_resolution_is_taken_from_its_stamp_on():
    bench = proven()
    bench.shoot(33)
    bench.shoot(66, scale=2)
    bench.info(66, scale=2)  # after the image, as it often comes
    old, new = bench.load(1), bench.load(2)
    assert (old.camera.width, old.camera.fx, new.camera.width, new.camera.fx) == (8, 10.0, 16, 20.0)


def test_images_and_calibration_of_different_sizes_are_refused():
    bench = proven()
    bench.shoot(33, scale=2)
    with pytest.raises(Rejected, match=r"camera, frame 1 at 1000\.033 s: .*intrinsics are for 8x6") as refusal:
        bench.load()
    assert refusal.value.reason == "size_mismatch"


def test_an_unusable_calibration_refuses_frames_until_a_good_one_comes():
    bench = proven()
    bench.info(33, k=np.zeros(9), p=np.zeros(12))
    bench.info(66, k=np.zeros(9), p=np.zeros(12))
    bench.shoot(66)
    with pytest.raises(Rejected, match="focal lengths must be positive"):
        bench.load()
    bench.info(99)
    bench.shoot(99)
    bench.load()
    assert bench.health.camera_info.dropped == {"bad_intrinsics": 2}


def test_of_equal_calibrations_only_the_first_is_read():
    bench = proven()
    for stamp in range(33, 9000, 33):
        bench.info(stamp)
    assert len(bench.pipeline._calibrations._changes) == 1  # the memory of a day is that of a second


OWN = "camera_depth_optical_frame"


def shoot_own_depth(bench: Bench, at_ms: int) -> None:
    """A frame whose depth comes from a camera of its own, of twice the size."""
    bench.color(at_ms)
    bench.depth(at_ms, scale=2, header=Header(stamp=time_of((START_MS + at_ms) * MS), frame_id=OWN))


def test_depth_of_a_camera_of_its_own_is_registered_when_both_are_known():
    bench = Bench(proving_frames=1)
    bench.info()
    bench.depth_info_comes = True
    shoot_own_depth(bench, 0)
    assert bench.health.gate.startswith(f"waiting for the calibration: depth is in frame '{OWN}', and its CameraInfo")
    bench.pipeline.take_depth_info(info_bytes(START_MS, scale=2))
    shoot_own_depth(bench, 33)
    assert bench.health.dropped == {"no_calibration": 1, "no_extrinsics": 1}
    assert "publish it on /tf_static, or depth registered to colour" in bench.health.last_drop
    bench.poses.T_color_depth = np.eye(4)
    bench.poses.T_color_depth[0, 3] = 0.3  # two pixels at 1.5 m
    shoot_own_depth(bench, 66)
    frame = bench.load()
    assert frame.depth_m.shape == frame.color.shape[:2] == (6, 8)
    assert frame.depth_m[:, 3:] == pytest.approx(1.5) and (frame.depth_m[:, :1] == 0).all()


def test_depth_in_another_frame_without_a_calibration_is_taken_as_registered():
    bench = Bench(proving_frames=1)
    bench.info()
    bench.color(0)
    bench.depth(0, header=Header(stamp=time_of(START_MS * MS), frame_id=OWN))
    assert bench.load().depth_m == pytest.approx(1.5)


def test_rectified_images_have_the_intrinsics_of_p_and_no_distortion():
    P = np.array([[20.0, 0, 5, 0], [0, 20, 3, 0], [0, 0, 1, 0]]).ravel()
    plain, rectified = (Bench(rectified=rectified, proving_frames=1) for rectified in (False, True))
    for bench in (plain, rectified):
        bench.info(0, p=P, d=[0.1, 0.0, 0.0, 0.0, 0.0])
        bench.shoot(0)
    assert (plain.load().camera.fx, rectified.load().camera.fx) == (10.0, 20.0)


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("color", {"encoding": "yuv422"}, "bad_encoding"),
        ("depth", {"encoding": "32FC2"}, "bad_encoding"),
        ("color", {"step": 10}, "bad_image"),
        ("depth", {"height": 600}, "bad_image"),
        ("color", {"width": 0}, "bad_image"),
        ("depth", {"encoding": "rgb8", "step": 24}, "bad_image"),
        ("color", {"encoding": "mono16", "step": 24}, "bad_color"),
    ],
)
def test_a_bad_image_is_refused_when_it_is_loaded(kind: str, changes: dict[str, object], reason: str):
    bench = proven()
    bench.color(33, **(changes if kind == "color" else {}))
    bench.depth(33, **(changes if kind == "depth" else {}))
    with pytest.raises(Rejected) as refusal:
        bench.load()
    assert refusal.value.reason == reason


@pytest.mark.parametrize("length", [0, 3, 11, 15, 20])
def test_bytes_that_are_no_message_are_counted(length: int):
    bench = proven()
    bench.pipeline.take_image("color", color_bytes(START_MS + 33)[:length], compressed=False)
    bench.pipeline.take_info(info_bytes(START_MS + 33)[:length])
    assert bench.health.color.dropped == bench.health.camera_info.dropped == {"bad_message": 1}


def test_after_closing_nothing_is_delivered():
    bench = proven()
    bench.color(33)
    bench.pipeline.close()
    bench.depth(33)
    bench.shoot(66)
    assert bench.stamps == [0]
    assert bench.health.color.dropped == {"stopped": 1}


def test_health_tells_the_age_of_the_newest_pose():
    bench = proven()
    bench.poses.to_ms = START_MS - 250
    assert bench.health.pose_age_s == pytest.approx(0.25)
