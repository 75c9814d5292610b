"""What a replay measures and decides, without ROS: times, counts, pass marks, the bag's time."""

import struct
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import count

import pytest

from ovseg3r_core.evaluation.trajectory_error import TrajectoryError
from ovseg3r_core.sequences.bag_storage import Bag
from ovseg3r_core.types import Box, ObjectRecord
from ovseg3r_ros.replay.bag_time import BagTime
from ovseg3r_ros.replay.config import parse_poses
from ovseg3r_ros.replay.metrics import Frames, OdometryMetrics, Spread
from ovseg3r_ros.replay.node_report import NodeReport, read_report
from ovseg3r_ros.replay.play_clock import PlayClock
from ovseg3r_ros.replay.playback import PlaybackConfig, clock_shift_ns, parse_rate
from ovseg3r_ros.replay.read_ahead import ReadAhead
from ovseg3r_ros.replay.recording import PublishedObjects, Recording
from ovseg3r_ros.replay.thresholds import number_paths, parse_thresholds

# Times


def test_bag_time_is_interpolated_between_readings_and_unknown_outside():
    time = BagTime()
    for bag_ns, wall_s in ((100, 1.0), (200, 2.0)):
        time.add(bag_ns, wall_s)
    assert time.wall_s(150) == pytest.approx(1.5)
    assert time.wall_s(100) == 1.0
    assert time.wall_s(99) is None and time.wall_s(201) is None


def test_a_clock_that_stands_is_left_from_its_last_reading():
    time = BagTime()
    for bag_ns, wall_s in ((100, 1.0), (100, 2.0), (100, 5.0), (200, 6.0)):
        time.add(bag_ns, wall_s)
    assert time.wall_s(100) == 1.0
    assert time.wall_s(150) == pytest.approx(5.5)


def test_a_clock_that_jumps_back_starts_anew():
    time = BagTime()
    for bag_ns, wall_s in ((100, 1.0), (200, 2.0), (100, 3.0), (200, 4.0)):
        time.add(bag_ns, wall_s)
    assert time.wall_s(150) == pytest.approx(3.5)


def test_the_play_clock_runs_at_its_speed_and_can_be_held():
    wall = count(0.0, 1.0)  # each look at the clock of the wall is a second later
    clock = PlayClock(10**9, 2.0, lambda: next(wall))
    assert clock.now_ns() == 10**9  # it begins held
    clock.run()
    assert clock.now_ns() == 3 * 10**9
    assert clock.wait_s(9 * 10**9) == pytest.approx(2.0)
    clock.hold()
    held = clock.now_ns()
    assert clock.now_ns() == held
    clock.jump(0)
    assert clock.now_ns() == 0


def test_publication_age_counts_each_newest_keyframe_once():
    recording = Recording(None)
    recording.add_clock(0, 10.0)
    recording.add_clock(10**9, 11.0)
    for stamp_ns, wall_s in ((0, 10.0), (5 * 10**8, 12.0), (5 * 10**8, 13.0), (7 * 10**8, 13.5)):
        recording.add_objects(PublishedObjects(stamp_ns=stamp_ns, map_frame="map", objects=()), wall_s)
    assert recording.publication_age_s == pytest.approx([1.5, 2.8])
    assert recording.maps == 4


def test_the_first_object_and_flips_are_noticed():
    recording = Recording(None)
    for wall_s, labels in ((1.0, []), (2.0, ["chair"]), (3.0, ["bed"])):
        objects = tuple(record(label) for label in labels)
        recording.add_objects(PublishedObjects(stamp_ns=1, map_frame="map", objects=objects), wall_s)
    assert recording.first_object_s == 2.0
    assert recording.flips.total == 1


def record(label: str) -> ObjectRecord:
    box = Box(centre=(0.0, 0.0, 0.0), size=(1.0, 1.0, 1.0), yaw=0.0)
    return ObjectRecord(
        id=1,
        label=label,
        score=0.9,
        centre=(0.0, 0.0, 0.0),
        box=box,
        points=9,
        observations=3,
        first_seen=0.0,
        last_seen=1.0,
        state="present",
    )


def test_spread_gives_the_percentiles_or_nothing():
    assert Spread.of([]) is None
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(p50=2.0, p99=pytest.approx(2.98), max=3.0, count=3)


# What the node says


CAMERA = {
    "color: topic": "/front/color/image",
    "color: received": "100",
    "color: missed": "4",
    "color: dropped: no_depth": "3",
    "color: waiting": "1",
    "delivered": "90",
    "waiting for a pose": "2",
    "dropped: no_pose": "4",
}
PIPELINE = {
    "count: in": "90",
    "count: fused": "80",
    "count: keyframes": "20",
    "count: looked": "15",
    "dropped: fuse_busy": "8",
    "dropped: look_busy": "3",
    "waiting: fuse": "1",
    "waiting: look": "1",
    "fused: age p50 [s]": "0.050",
    "fused: age p99 [s]": "0.200",
}


def report(camera: dict[str, str] = CAMERA, pipeline: dict[str, str] = PIPELINE) -> NodeReport:
    found = read_report([("perception: camera front", camera), ("perception: pipeline", pipeline)])
    assert found is not None
    return found


def test_diagnostics_are_read_back_into_numbers():
    found = report()
    assert found.counts == {"in": 90, "fused": 80, "keyframes": 20, "looked": 15}
    assert found.dropped == {"fuse_busy": 8, "look_busy": 3}
    assert found.fused_age_s == (0.05, 0.2)
    camera = found.camera("front/color/image")
    assert camera is not None and camera.dropped == {"no_depth": 3, "no_pose": 4}
    assert (camera.received, camera.missed, camera.waiting, camera.in_work) == (100, 4, 3, 3)


def test_other_nodes_diagnostics_are_left_alone():
    assert read_report([("battery: cell", {"voltage": "12"})]) is None


def test_frames_add_up_while_some_are_in_work():
    frames = Frames.of(report(), "front/color/image", 110)
    assert frames is not None
    assert (frames.published, frames.missed, frames.missed_by_its_count, frames.received) == (110, 10, 4, 100)
    assert frames.dropped == {"no_depth": 3, "no_pose": 4, "fuse_busy": 8, "look_busy": 3}
    assert (frames.unfinished, frames.unexplained) == (7, 0)  # 3 before the map; 1 + 1 wait and 1 + 1 are in hand
    assert frames.dropped_share == pytest.approx(30 / 110)
    assert frames.keyframes_dropped_share == pytest.approx(0.25)
    assert not report().is_done("front/color/image")


def test_a_frame_that_vanished_is_unexplained():
    vanished = report(pipeline=PIPELINE | {"count: fused": "75"})
    frames = Frames.of(vanished, "front/color/image", 110)
    assert frames is not None and frames.unexplained == 5


def test_a_node_that_says_nothing_has_no_frames():
    assert Frames.of(None, "color/image", 10) is None
    assert Frames.of(NodeReport(counts=Counter({"in": 3})), "color/image", 10) is None


# Pass marks


def test_a_number_is_named_by_the_end_of_its_path():
    marks = parse_thresholds("min", ["ap50=0.3, named.ap50=0.2", ""]) + parse_thresholds("max", ["query_s.p99=0.05"])
    assert [mark.path for mark in marks] == ["truth.ap50", "truth.named.ap50", "latency.query_s.p99"]
    assert [mark.needs_truth for mark in marks] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ap50", "give NAME=VALUE"),
        ("ap50=high", "give NAME=VALUE"),
        ("apples=3", "no number 'apples'; they have"),
        ("p99=3", "may be .* or .*: say which"),
    ],
)
def test_pass_marks_that_mean_nothing_are_refused(text: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        parse_thresholds("max", [text])


def test_pass_marks_say_what_they_miss():
    metrics = {"truth": {"ap50": 0.25, "duplicates": 2}, "latency": {"query_s": None}}
    at_least, at_most, unmeasured = (
        *parse_thresholds("min", ["ap50=0.3"]),
        *parse_thresholds("max", ["duplicates=2", "query_s.p99=1"]),
    )
    assert at_least.failure(metrics) == "truth.ap50 is 0.25, min 0.3"
    assert at_most.failure(metrics) is None
    assert unmeasured.failure(metrics) == "latency.query_s.p99 was not measured (--max 1)"


def test_every_figure_of_the_contract_can_have_a_pass_mark():
    wanted = {"frames.unexplained", "truth.ap50", "truth.duplicates", "identity.id_switches", "node.memory_peak_mb"}
    assert wanted <= set(number_paths())


# Playing


def test_lost_frames_and_the_error_of_the_way_are_figures():
    error = TrajectoryError(frames=5, ate_m=0.02, rpe_m=0.01, rpe_rad=0.003)
    odometry = OdometryMetrics.of(9, {"lost": 2, "empty_depth": 1, "fuse_busy": 4}, 5, error)
    assert (odometry.placed, odometry.lost, odometry.compared, odometry.ate_m) == (9, 3, 5, 0.02)
    assert OdometryMetrics.of(0, {}, 0, None).ate_m is None
    assert parse_thresholds("max", ["ate_m=0.05", "odometry.lost=3"])[0].path == "odometry.ate_m"
    assert parse_poses("odometry") == "odometry"
    with pytest.raises(ValueError, match="--poses tf: give recorded or odometry"):
        parse_poses("tf")


def test_rates_are_numbers_or_max():
    assert (parse_rate("0.5"), parse_rate("4"), parse_rate("max")) == (0.5, 4.0, None)
    for text in ("fast", "0", "-1", "nan", "inf"):
        with pytest.raises(ValueError, match=r"give 0.01 to 100, or max"):
            parse_rate(text)
    with pytest.raises(ValueError, match=r"duration 0.0 s"):
        PlaybackConfig(duration_s=0.0)


class StampedBag(Bag):
    """A bag of one topic, whose messages are stamped and recorded at given times."""

    def __init__(self, *messages: tuple[bytes, int]) -> None:
        self._messages = messages

    def recorded(self, topics: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
        return (("color", at_ns, data) for data, at_ns in self._messages)


def stamped(sec: int) -> bytes:
    return struct.pack("<BBHiI", 0, 1, 0, sec, 0)


def test_the_clock_follows_the_stamps_where_they_are_of_another_clock():
    now_ns = 1_700_000_000 * 10**9
    assert clock_shift_ns(StampedBag((stamped(1_700_000_000), now_ns + 3 * 10**8)), "color") == 0
    assert clock_shift_ns(StampedBag((stamped(42), now_ns)), "color") == 42 * 10**9 - now_ns
    assert clock_shift_ns(StampedBag((b"cut", now_ns), (stamped(42), now_ns)), "color") == 42 * 10**9 - now_ns
    assert clock_shift_ns(StampedBag(), "color") == 0


def test_reading_ahead_keeps_order_and_is_bounded():
    read = []

    def items():
        for number in range(100):
            read.append(number)
            yield number

    with ReadAhead(items(), ahead=5) as taken:
        assert next(taken) == 0
        assert [next(taken) for _ in range(10)] == list(range(1, 11))
        assert len(read) <= 11 + 5 + 2
    assert len(read) < 100  # who leaves early reads no further


def test_an_error_of_the_reader_reaches_the_one_who_takes():
    def items():
        yield 1
        raise ValueError("the disk is gone")

    with ReadAhead(items()) as taken:
        assert next(taken) == 1
        with pytest.raises(ValueError, match="the disk is gone"):
            next(taken)
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
