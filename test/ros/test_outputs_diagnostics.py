"""Diagnostics name the topic that is silent, and tell a part that is lost from a robot that is blind."""

from collections import Counter
from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from outputs_maps import STAMP_NS, there_and_back

from ovseg3r_core.checks import Rejected
from ovseg3r_core.process import ProcessLoad
from ovseg3r_core.rolling import NOTHING, Summary
from ovseg3r_ros.inputs.gate import StartGate
from ovseg3r_ros.inputs.health import CameraHealth, OdometryHealth, StreamHealth
from ovseg3r_ros.outputs.diagnostics import diagnostic_array
from ovseg3r_ros.outputs.judgements import (
    Judgement,
    Level,
    MapHealth,
    PipelineHealth,
    judge_cameras,
    judge_map,
    judge_odometry,
    judge_pipeline,
    judge_poses,
)

STALE_AFTER_S = 5.0
TF = StreamHealth(topic="/tf", received=500, rate_hz=50.0, publishers=1)


def stream(topic: str) -> StreamHealth:
    return StreamHealth(topic=topic, received=300, rate_hz=30.0, silent_for_s=0.03, publishers=1)


def camera(name: str = "front") -> CameraHealth:
    return CameraHealth(
        name=name,
        color=stream(f"/{name}/color/image"),
        depth=stream(f"/{name}/depth/image"),
        camera_info=stream(f"/{name}/color/camera_info"),
        paired=299,
        delivered=290,
        dropped=Counter(no_pose=9),
        waiting=0,
        last_drop="",
        pose_age_s=0.02,
        gate="",
        relocations=0,
    )


def without_depth(camera: CameraHealth, publishers: int = 1) -> CameraHealth:
    return replace(camera, depth=replace(camera.depth, silent_for_s=5.4, publishers=publishers))


PIPELINE = PipelineHealth(
    fused=Summary(count=300, rate_hz=29.8, p50=0.05, p99=0.1),
    looked=Summary(count=10, rate_hz=1.0, p50=0.9, p99=1.4),
    refined=NOTHING,
    published=Summary(count=8, rate_hz=0.8, p50=1.0, p99=1.6),
    counts={"in": 300, "fused": 298},
    drops={"fuse_busy": 2},
    waiting={"fuse": 1, "look": 0, "refine": 0},
    segmenter="none",
    load=ProcessLoad(memory_mb=812.0, cpu_percent=143.5),
)
MAPPED = MapHealth(
    views=40,
    max_views=500,
    retired=0,
    objects=12,
    missing=1,
    removed=2,
    points=81_000,
    revision=9,
    published_ago_s=0.4,
    refused={"bad_object": 0},
)


def array_of(*cameras: CameraHealth) -> DiagnosticArray:
    return diagnostic_array(
        node="perception",
        stamp_ns=STAMP_NS,
        cameras=cameras,
        poses=[TF],
        pipeline=PIPELINE,
        mapped=MAPPED,
        stale_after_s=STALE_AFTER_S,
    )


def test_a_node_that_is_well_says_so_for_every_part():
    array = there_and_back(array_of(camera("front"), camera("rear")))
    assert [(it.name, it.hardware_id, it.level) for it in array.status] == [
        ("perception: camera front", "front", DiagnosticStatus.OK),
        ("perception: camera rear", "rear", DiagnosticStatus.OK),
        ("perception: poses", "perception", DiagnosticStatus.OK),
        ("perception: pipeline", "perception", DiagnosticStatus.OK),
        ("perception: map", "perception", DiagnosticStatus.OK),
    ]
    assert array.header.stamp.sec == STAMP_NS // 10**9


def test_the_numbers_stand_beside_the_sentences():
    front, poses, pipeline, mapped = (
        {it.key: it.value for it in status.values} for status in array_of(camera()).status
    )
    assert front["depth: topic"] == "/front/depth/image"
    assert (front["depth: rate [Hz]"], front["delivered"], front["dropped: no_pose"]) == ("30.000", "290", "9")
    assert poses["front: age of the newest pose [s]"] == "0.020"
    assert (pipeline["fused: age p99 [s]"], pipeline["dropped: fuse_busy"]) == ("0.100", "2")
    assert (pipeline["refined: duration p50 [s]"], pipeline["memory [MB]"]) == ("unknown", "812.000")
    assert (mapped["objects"], mapped["published [s ago]"]) == ("12", "0.400")


def test_a_silent_stream_is_named_with_its_topic():
    (judgement,) = judge_cameras([without_depth(camera())], STALE_AFTER_S)
    assert judgement == Judgement(level=Level.ERROR, message="no depth on /front/depth/image for 5 s")
    (judgement,) = judge_cameras([without_depth(camera(), publishers=0)], STALE_AFTER_S)
    assert judgement.message == "no depth on /front/depth/image for 5 s (nobody publishes it)"


def test_one_camera_of_several_lost_is_a_warning_and_all_lost_an_error():
    front, rear = judge_cameras([without_depth(camera("front")), camera("rear")], STALE_AFTER_S)
    assert (front.level, rear.level) == (Level.WARN, Level.OK)
    both = judge_cameras([without_depth(camera("front")), without_depth(camera("rear"))], STALE_AFTER_S)
    assert [it.level for it in both] == [Level.ERROR, Level.ERROR]


def test_camera_info_is_missed_only_when_none_ever_came():
    once = replace(camera(), camera_info=replace(camera().camera_info, received=1, silent_for_s=900.0))
    never = replace(once, camera_info=replace(once.camera_info, received=0))
    assert judge_cameras([once], STALE_AFTER_S)[0].level == Level.OK
    assert judge_cameras([never], STALE_AFTER_S)[0].message == "no camera info on /front/color/camera_info for 900 s"


def test_a_closed_gate_says_what_it_waits_for():
    waiting = replace(camera(), gate="waiting for the clock: the node's time is zero")
    assert judge_cameras([waiting], STALE_AFTER_S) == (
        Judgement(level=Level.WARN, message="waiting for the clock: the node's time is zero"),
    )


def test_images_that_never_pair_are_told_apart_from_images_that_do_not_come():
    (judgement,) = judge_cameras([replace(camera(), paired=0, gate="waiting for images")], STALE_AFTER_S)
    assert judgement.level == Level.WARN
    assert "/front/color/image and /front/depth/image never have the same stamp" in judgement.message


def test_depth_without_a_transform_is_an_error_that_names_both():
    gate = StartGate()
    gate.refused(Rejected("no_pose", "no transform from camera_optical to map"))
    judgement = judge_poses([replace(camera(), gate=gate.message, pose_age_s=None)], [TF], STALE_AFTER_S)
    assert judgement.level == Level.ERROR
    assert judgement.message == (
        "depth is published on /front/depth/image but nobody gives its pose: "
        "waiting for the pose: no transform from camera_optical to map"
    )


def test_poses_that_stop_are_named_with_their_topic():
    lost = replace(camera("rear"), pose_age_s=7.2)
    one = judge_poses([camera("front"), lost], [TF], STALE_AFTER_S)
    assert one.level == Level.WARN
    assert "/rear/depth/image but the newest pose of its camera on /tf is 7 s old" in one.message
    assert judge_poses([lost], [TF], STALE_AFTER_S).level == Level.ERROR


def test_poses_of_a_camera_that_is_silent_are_not_asked_for():
    silent = replace(without_depth(camera()), pose_age_s=60.0)
    assert judge_poses([silent], [TF], STALE_AFTER_S).level == Level.STALE


def test_odometry_that_is_lost_is_a_warning_then_an_error_and_names_the_remedy():
    took = Summary(count=9, rate_hz=9.0, p50=0.1, p99=0.2)
    well = OdometryHealth(placed=7, keyframes=2, lost_for_s=None, why="", took_s=took, waiting=0)
    assert judge_odometry(well, [camera()], STALE_AFTER_S) == Judgement(
        level=Level.OK, message="odometry places 9.0 frames a second, in 0.10 s each"
    )
    lost = replace(well, lost_for_s=0.5, why="fits none of 2 keyframes")
    judgement = judge_odometry(lost, [camera()], STALE_AFTER_S)
    assert judgement.level == Level.WARN and "lost for 0.5 s" in judgement.message and "reset_map" in judgement.message
    assert judge_odometry(replace(lost, lost_for_s=STALE_AFTER_S), [camera()], STALE_AFTER_S).level == Level.ERROR
    assert judge_odometry(replace(well, placed=0), [camera()], STALE_AFTER_S).level == Level.STALE
    silent = without_depth(camera())
    assert judge_odometry(lost, [silent], STALE_AFTER_S).level == Level.STALE


def test_a_camera_that_never_moves_needs_no_new_poses():
    assert judge_poses([replace(camera(), pose_age_s=None)], [], STALE_AFTER_S) == Judgement(
        level=Level.OK, message="nothing moves"
    )


@pytest.mark.parametrize(
    ("change", "level", "told"),
    [
        ({"fused": NOTHING}, Level.STALE, "no frame was fused lately"),
        ({"fused": replace(PIPELINE.fused, p99=2.5)}, Level.WARN, "up to 2.5 s old"),
        ({"drops": {"internal_error": 3}}, Level.WARN, "3 items failed"),
        ({}, Level.OK, "29.8 frames a second"),
    ],
)
def test_the_pipeline_is_judged_by_what_leaves_it(change: dict, level: Level, told: str):
    judgement = judge_pipeline(replace(PIPELINE, **change))
    assert judgement.level == level
    assert told in judgement.message


@pytest.mark.parametrize(
    ("change", "level", "told"),
    [
        ({"views": 0}, Level.STALE, "nothing has been mapped yet"),
        ({"views": 600, "retired": 100}, Level.OK, "12 objects from 600 keyframes, of which 500 are kept"),
        ({"refused": {"bad_object": 2}}, Level.WARN, "'bad_object': 2"),
        ({}, Level.OK, "12 objects from 40 keyframes"),
    ],
)
def test_the_map_is_judged_by_whether_it_can_grow(change: dict, level: Level, told: str):
    judgement = judge_map(replace(MAPPED, **change))
    assert judgement.level == level
    assert told in judgement.message


def test_levels_are_those_of_the_message():
    levels = [DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE]
    assert [bytes([level]) for level in Level] == levels
