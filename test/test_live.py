"""Three workers beside a running robot, on an analytic room with exact masks."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scenes import AnalyticScene, box_room

from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.live import Arrival, LiveConfig, LiveMap, LivePerception
from ovseg3r_core.mapping import operator
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.reconstruction.tsdf import TsdfConfig
from ovseg3r_core.types import Frame, Mask

FRAMES = 8


class Exact:
    """The true masks; waits at a gate where there is one."""

    def __init__(self, room: AnalyticScene) -> None:
        self.room = room
        self.gate = threading.Event()
        self.gate.set()

    def propose(self, frame: Frame, explained: np.ndarray) -> list[Mask]:
        assert self.gate.wait(30)
        return self.room.masks(frame.index, True)


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=FRAMES, width=320, height=240)


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


def arrival(frame: Frame) -> Arrival:
    return Arrival(sensor="camera", stamp_ns=round(frame.stamp_s * 1e9), load=lambda: frame)


class Running:
    """A live perception of the room, and the maps that it told of."""

    def __init__(self, room: AnalyticScene, config: LiveConfig | None = None) -> None:
        self.room, self.proposer = room, Exact(room)
        self.maps: list[LiveMap] = []
        perception = Perception(self.proposer, same_name, config_of(online=True))
        config = config or LiveConfig(frame_queue=100, keyframe_queue=100, settle_s=0.1)
        self.live = LivePerception(perception, config, self.maps.append, now_s=lambda: 0.0)

    def feed(self, frames: list[Frame]) -> None:
        for frame in frames:
            self.live.submit(arrival(frame))

    def __enter__(self) -> "Running":
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.proposer.gate.set()
        self.live.stop()

    def labels(self) -> list[str]:
        return sorted(record.label for record in self.live.latest.snapshot.objects)


@pytest.fixture
def running(room):
    with Running(room) as it:
        yield it


@pytest.fixture
def mapped(running):
    running.feed(running.room.frames)
    wait_until(lambda: not running.live.busy)
    return running


def id_of(mapped: Running, label: str) -> int:
    (record,) = [it for it in mapped.live.latest.snapshot.objects if it.label == label]
    return record.id


def again(mapped: Running) -> None:
    """The whole room is seen once more, and all views are looked at together."""
    mapped.live.perception.keyframes.clear()
    mapped.feed(mapped.room.frames)
    wait_until(lambda: not mapped.live.busy)
    mapped.live.perception.refine()
    mapped.live._publish()


def test_the_live_map_is_the_offline_map(room, mapped):
    offline = Perception(Exact(room), same_name, config_of(online=True))
    for frame in room.frames:
        offline.integrate(frame)
    offline.refine()
    live, true = mapped.live.latest.snapshot, offline.snapshot()
    assert sorted(r.label for r in live.objects) == sorted(r.label for r in true.objects)
    assert {r.label: r.points for r in live.objects} == {r.label: r.points for r in true.objects}


def test_everything_that_came_in_is_fused_or_counted(room):
    with Running(room, LiveConfig(frame_queue=2, keyframe_queue=1, settle_s=0.1)) as running:
        running.proposer.gate.clear()
        running.feed([*room.frames * 3])
        bad = Arrival(sensor="camera", stamp_ns=0, load=lambda: (_ for _ in ()).throw(Rejected("no_pose", "none")))
        running.live.submit(bad)
        running.proposer.gate.set()
        wait_until(lambda: not running.live.busy)
        counts, drops = running.live.counts, running.live.drops
        assert counts["in"] == 3 * FRAMES + 1 == counts["fused"] + drops["fuse_busy"] + drops["no_pose"]
        assert counts["keyframes"] == counts["looked"] + drops["look_busy"]


def test_a_slow_network_holds_back_neither_fusion_nor_readers(room):
    with Running(room) as running:
        running.proposer.gate.clear()
        running.feed(room.frames)
        wait_until(lambda: running.live.counts["fused"] == FRAMES)
        assert running.live.counts["looked"] == 0
        assert running.live.latest.snapshot.objects == ()


def test_an_error_in_one_frame_is_counted_and_the_next_goes_on(running, caplog):
    def broken() -> Frame:
        raise RuntimeError("a bug")

    running.live.submit(Arrival(sensor="camera", stamp_ns=0, load=broken))
    running.feed(running.room.frames[:1])
    wait_until(lambda: running.live.counts["looked"] == 1)
    assert running.live.drops["internal_error"] == 1
    assert "a bug" in caplog.text


def test_cameras_do_not_push_each_other_out(room):
    running = Running(room, LiveConfig(frame_queue=1))
    for sensor in ("front", "rear"):
        running.live.submit(Arrival(sensor=sensor, stamp_ns=0, load=lambda: room.frames[0]))
    assert running.live.waiting["fuse"] == 2
    assert not running.live.drops
    running.live.stop()
    assert running.live.drops == {"stopped": 2}


def test_a_reset_drops_the_keyframe_in_hand(running):
    running.proposer.gate.clear()
    running.feed(running.room.frames[:1])
    wait_until(lambda: running.live.counts["keyframes"] == 1)
    running.live.reset()
    running.proposer.gate.set()
    wait_until(lambda: not running.live.busy)
    assert running.live.drops["map_reset"] == 1
    assert running.live.latest.snapshot.views == 0


def test_a_new_origin_leaves_out_what_was_placed_in_the_old_map(room, running):
    begun, go_on = threading.Event(), threading.Event()
    frame = room.frames[0]

    def load() -> Frame:
        begun.set()
        assert go_on.wait(10)
        return frame

    running.live.submit(replace(arrival(frame), load=load))
    assert begun.wait(10)  # its pose was found in the old map
    running.live.reset(new_origin=True)
    go_on.set()
    wait_until(lambda: not running.live.busy)
    assert running.live.drops["reset"] == 1 and running.live.counts["fused"] == 0
    running.live.submit(arrival(frame))
    wait_until(lambda: running.live.counts["fused"] == 1)


def test_a_new_name_stays_whatever_the_detector_says(mapped):
    id_ = id_of(mapped, "cup")
    assert mapped.live.edit(operator.relabel(id_, "grandma's  mug")) == (id_,)
    assert id_of(mapped, "grandma's mug") == id_
    again(mapped)
    assert id_of(mapped, "grandma's mug") == id_
    mapped.live.edit(operator.relabel(id_, ""))
    assert id_of(mapped, "cup") == id_


def test_a_deleted_thing_does_not_come_back(mapped):
    before = mapped.labels()
    id_ = id_of(mapped, "ball")
    mapped.live.edit(operator.delete(id_))
    again(mapped)
    assert mapped.labels() == [label for label in before if label != "ball"]
    with pytest.raises(Rejected, match=f"object {id_} was deleted"):
        mapped.live.edit(operator.relabel(id_, "ball"))


def test_merged_things_stay_one_and_the_old_id_leads_to_it(mapped):
    table, cup = id_of(mapped, "table"), id_of(mapped, "cup")
    points = {record.id: record.points for record in mapped.live.latest.snapshot.objects}
    mapped.live.edit(operator.merge(table, [cup]))
    assert "cup" not in mapped.labels()
    again(mapped)
    assert "cup" not in mapped.labels()
    merged = {record.id: record.points for record in mapped.live.latest.snapshot.objects}
    assert merged[table] == pytest.approx(points[table] + points[cup], rel=0.1)
    assert mapped.live.edit(operator.relabel(cup, "set table")) == (table,)


def test_a_split_thing_stays_split(mapped):
    cabinet = next(r for r in mapped.live.latest.snapshot.objects if r.label == "cabinet")
    x, y, z = cabinet.box.centre
    low, high = (x, y, z - cabinet.box.size[2] / 4), (x, y, z + cabinet.box.size[2] / 4)
    ids = mapped.live.edit(operator.split(cabinet.id, [low, high]))
    assert ids[0] == cabinet.id
    again(mapped)
    parts = {r.id: r for r in mapped.live.latest.snapshot.objects if r.id in ids}
    assert set(parts) == set(ids)
    assert parts[ids[0]].box.centre[2] < z < parts[ids[1]].box.centre[2]
    assert {part.label for part in parts.values()} == {"cabinet"}


def test_impossible_edits_are_refused_and_change_nothing(mapped):
    before, id_ = mapped.live.latest.snapshot.objects, id_of(mapped, "cup")
    for operation, why in (
        (operator.relabel(9999, "x"), "no object 9999"),
        (operator.relabel(id_, "a\0b"), "printable"),
        (operator.merge(id_, []), "other objects"),
        (operator.merge(id_, [id_]), "other objects"),
        (operator.split(id_, [(0.0, 0.0, 0.0)]), "2 to 32"),
        (operator.split(id_, [(0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0)]), "finite"),
        (operator.split(id_, [(0.0, 0.0, 0.0), (50.0, 0.0, 0.0)]), "would have 0 of"),
    ):
        with pytest.raises(Rejected, match=why):
            mapped.live.edit(operation)
    assert mapped.live.perception.snapshot().objects == before


def test_a_resumed_map_goes_on_with_the_same_ids_and_edits(room, mapped):
    mapped.live.edit(operator.delete(id_of(mapped, "ball")))
    mapped.live.edit(operator.relabel(id_of(mapped, "cup"), "mug of mine"))
    before = {record.id: record.label for record in mapped.live.latest.snapshot.objects}
    with Running(room) as second:
        second.live.resume(*mapped.live.perception.state())
        assert {record.id: record.label for record in second.live.latest.snapshot.objects} == before
        again(second)
        assert {record.id: record.label for record in second.live.latest.snapshot.objects} == before
        assert second.live.perception.objects.next_id >= mapped.live.perception.objects.next_id


def test_a_keyframe_that_is_refused_today_costs_its_surface_and_not_the_map(room, mapped):
    state = mapped.live.perception.state()
    config = config_of(online=True)
    shortsighted = Perception(Exact(room), same_name, replace(config, tsdf=TsdfConfig(depth_max_m=0.3)))
    shortsighted.resume(*state)
    assert shortsighted.drops == {"empty_depth": len(state[1].views)}
    assert shortsighted.snapshot().objects == state[0].objects
