"""An object's life on an analytic room with exact masks: it vanishes, moves, comes back, and outlives the node."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from maps import NoLikeness
from scenes import BOX_ROOM, AnalyticScene, Ball, Solid, box_room, orbit

import ovseg3r_core.perception as perception_module
from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping import operator
from ovseg3r_core.mapping.evidence import EvidenceConfig, Verdict, Watched
from ovseg3r_core.mapping.life import LifeConfig, LifeEvent, appeared
from ovseg3r_core.mapping.lives import drop_points
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import load_both, load_map, save_map
from ovseg3r_core.outputs import objects_json
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.pose_correction import PoseCorrection
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig
from ovseg3r_core.types import Frame, Mask, ObjectRecord

BALL = next(solid for solid in BOX_ROOM if isinstance(solid, Ball))
ELSEWHERE = replace(BALL, centre=(0.4, 0.75, 0.2))
ROOM = config_of(online=True, voxel_size_m=0.03)
CONFIG = replace(
    ROOM,
    tsdf=replace(ROOM.tsdf, memory_budget_mb=48.0),
    keyframes=KeyframeConfig(translation_m=0.6, rotation_rad=1.0),
    life=LifeConfig(missing_after=2, removed_after=4),
)
CRUMBS = 10  # of some 150 points
NUDGE = np.zeros((4, 4))
NUDGE[0, 3] = 0.001  # metres
LOOKS = CONFIG.life.removed_after


def with_ball(*balls: Ball) -> tuple[Solid, ...]:
    """The room with these balls in place of its own."""
    return tuple(solid for solid in BOX_ROOM if not isinstance(solid, Ball)) + balls


def shots(solids: tuple[Solid, ...], frames: int) -> AnalyticScene:
    return box_room(width=160, height=120, solids=solids, poses=orbit(frames, radius_m=2.1))


BEFORE = shots(BOX_ROOM, 6)
WITHOUT = shots(with_ball(), LOOKS + 2)
MOVED = shots(with_ball(ELSEWHERE), LOOKS + 2)


State = tuple[MapSnapshot, Memory]


class Robot:
    """Walks through one room after the other, two frames a second, with the true masks."""

    def __init__(self, mapped: State | None = None) -> None:
        """A robot that has a map of the room, or begins to make it."""
        self.room, self.frames = BEFORE, 0
        self.perception = Perception(self, same_name, CONFIG)
        self.events: list[LifeEvent] = []
        self.named: dict[str, int] = {}
        """How many masks of a thing have a name, and a poor score, from now on; all of them where it is not here."""
        if mapped is None:
            self.walk(BEFORE)
            self.perception.refine()
        else:
            self.frames = len(BEFORE.frames)
            self.perception.resume(*mapped)

    def propose(self, frame: Frame, explained: np.ndarray) -> list[Mask]:
        return [self.as_seen(mask) for mask in self.room.masks(frame.index)]

    def as_seen(self, mask: Mask) -> Mask:
        if mask.label is None or mask.label not in self.named:
            return mask
        self.named[mask.label] -= 1
        return replace(mask, label=mask.label if self.named[mask.label] >= 0 else None, score=0.2)

    def walk(self, room: AnalyticScene, frames: int | None = None) -> list[LifeEvent]:
        """What became of objects on this walk."""
        self.room, first = room, len(self.events)
        for frame in room.frames[:frames]:
            self.frames += 1
            self.perception.integrate(replace(frame, stamp_s=0.5 * self.frames))
            self.events += self.perception.take_events()
        return self.events[first:]

    def look_again(self) -> list[LifeEvent]:
        """All views together."""
        self.perception.refine()
        return list(self.perception.take_events())

    def reload(self, folder: Path) -> None:
        """End, and start again the day after, from the files."""
        snapshot, memory = self.perception.state()
        save_map(snapshot, folder, memory)
        self.frames += 2 * 86400
        self.perception = Perception(self, same_name, CONFIG)
        self.perception.resume(*load_both(folder))

    def record(self, label: str) -> ObjectRecord:
        snapshot = self.perception.snapshot()
        (found,) = [it for it in (*snapshot.objects, *snapshot.removed) if it.label == label]
        return found

    def near(self, ball: Ball) -> int:
        """Points of the cloud that lie on the upper half of a ball; a few may have belonged to nothing, and stay."""
        xyz = self.perception.snapshot().cloud.xyz
        return int(np.count_nonzero((ball.distance(xyz) < 0.03) & (xyz[:, 2] > ball.radius)))


def kinds(events: list[LifeEvent]) -> list[tuple[str, str]]:
    return [(event.kind, event.record.label) for event in events]


@pytest.fixture(scope="module")
def mapped() -> State:
    return Robot().perception.state()


@pytest.fixture(scope="module")
def removed() -> Robot:
    robot = Robot()
    robot.walk(WITHOUT)
    return robot


@pytest.fixture
def robot(mapped: State) -> Robot:
    return Robot(mapped)


def test_what_stays_gives_no_event(robot: Robot):
    assert robot.walk(shots(BOX_ROOM, LOOKS + 2)) == [] and robot.look_again() == []
    snapshot = robot.perception.snapshot()
    assert {record.state for record in snapshot.objects} == {"present"} and snapshot.removed == ()
    assert max(record.last_seen for record in snapshot.objects) == 0.5 * robot.frames  # met, though not masked anew


@pytest.mark.parametrize("max_slip_m", [LifeConfig().evidence.max_slip_m, 10.0], ids=["as it is", "unless it is asked"])
def test_drifted_poses_take_nothing_away(robot: Robot, max_slip_m: float):
    life, drift = CONFIG.life, np.eye(4)
    evidence = replace(life.evidence, max_slip_m=max_slip_m)
    robot.perception.configure(replace(CONFIG, life=replace(life, evidence=evidence)))
    drift[:3, 3] = 0.2, 0.2, 0.0
    room = shots(BOX_ROOM, LOOKS + 2)
    slipped = [replace(frame, T_map_camera=drift @ frame.T_map_camera) for frame in room.frames]
    told = kinds(robot.walk(replace(room, frames=slipped)))
    assert (("removed", "ball") in told) == (max_slip_m == 10.0)
    assert max_slip_m == 10.0 or not {kind for kind, _ in told} & {"missing", "removed"}


def test_what_lost_its_surface_is_listed_only_once_it_is_missing(robot: Robot):
    objects, ball = robot.perception.objects, robot.record("ball")
    drop_points(objects, ball.id)
    objects.edit(objects.edits)
    assert ball.id in objects.objects and objects.lives[ball.id].against == 1
    assert ball.id not in {record.id for record in robot.perception.snapshot().objects}
    objects.lives[ball.id] = replace(objects.lives[ball.id], missing=True)
    assert robot.record("ball").state == "missing"


def test_a_thing_that_vanishes_is_missing_and_then_removed(removed: Robot):
    assert kinds(removed.events) == [("missing", "ball"), ("removed", "ball")]
    missing, gone = removed.events
    assert missing.record.state == "missing" and gone.record.state == "removed"
    assert gone.stamp_s - missing.stamp_s == 0.5 * (LOOKS - CONFIG.life.missing_after)
    assert np.linalg.norm(np.subtract(gone.record.centre, BALL.centre)) < 0.2
    assert gone.record.last_seen <= 3.0 < missing.stamp_s


def test_what_was_removed_is_listed_with_its_last_place_and_owns_nothing(removed: Robot):
    snapshot = removed.perception.snapshot()
    (ball,) = snapshot.removed
    assert ball.state == "removed" and ball.id not in {record.id for record in snapshot.objects}
    assert not (snapshot.owner == ball.id).any() and removed.near(BALL) <= CRUMBS
    namer = Namer(Vocabulary(name="own", names=("ball", "table", "cup", "cabinet"), ids=(1, 2, 3, 4)), NoLikeness())
    content = objects_json(snapshot, namer)
    states = {it["label"]: it["state"] for it in (*content["objects"], *content["removed"])}
    assert states["ball"] == "removed" and states["table"] == "present"
    assert [it["label"] for it in content["removed"]] == ["ball"]


def test_a_look_at_all_views_does_not_bring_it_back(removed: Robot):
    before = removed.perception.snapshot()
    assert removed.look_again() == []
    after = removed.perception.snapshot()
    assert after.removed == before.removed
    assert {it.label for it in after.objects} <= {"table", "cabinet", "cup"}


def test_nor_does_a_saved_map(removed: Robot, tmp_path: Path):
    snapshot, memory = removed.perception.state()
    save_map(snapshot, tmp_path, memory)
    loaded = load_both(tmp_path)
    assert loaded[0].removed == snapshot.removed == load_map(tmp_path).removed
    again = Robot(loaded)
    assert again.look_again() == []
    assert again.perception.snapshot().removed == snapshot.removed and again.near(BALL) <= CRUMBS


def test_the_day_after(robot: Robot, tmp_path: Path):
    """The main use: a map is loaded, and the robot drives through what has become of the room."""
    ball = robot.record("ball").id
    robot.reload(tmp_path)
    events = robot.walk(MOVED) + robot.look_again()
    assert kinds(events) == [("missing", "ball"), ("removed", "ball"), ("moved", "ball")]
    moved = events[-1]
    assert moved.record.id == ball and moved.record.state == "present"
    assert np.linalg.norm(np.subtract(moved.previous_place, BALL.centre)) < 0.2
    assert np.linalg.norm(np.subtract(moved.record.centre, ELSEWHERE.centre)) < 0.2
    record = robot.record("ball")
    assert (record.id, record.state) == (ball, "present") and record.first_seen == 0.5
    assert robot.near(BALL) <= CRUMBS < robot.near(ELSEWHERE)
    robot.reload(tmp_path)
    assert robot.look_again() == [] and robot.record("ball").id == ball
    assert robot.near(BALL) <= CRUMBS < robot.near(ELSEWHERE)


def test_a_doubt_is_saved_too(robot: Robot, tmp_path: Path):
    robot.walk(WITHOUT, CONFIG.life.missing_after)
    assert robot.record("ball").state == "missing"
    robot.reload(tmp_path)
    assert robot.record("ball").state == "missing"
    assert kinds(robot.walk(WITHOUT, LOOKS)) == [("removed", "ball")]


def test_what_was_only_missing_is_seen_again(robot: Robot):
    ball = robot.record("ball").id
    robot.walk(WITHOUT, CONFIG.life.missing_after + 1)
    events = robot.walk(BEFORE) + robot.look_again()
    assert [event.kind for event in events][:1] == ["seen again"] and robot.record("ball").id == ball
    assert robot.record("ball").state == "present" and robot.near(BALL) > 0


def test_what_comes_back_to_its_old_place_is_itself(robot: Robot):
    ball = robot.record("ball")
    robot.walk(WITHOUT)
    events = robot.walk(shots(BOX_ROOM, 6)) + robot.look_again()
    assert kinds(events) == [("seen again", "ball")]
    assert robot.record("ball").id == ball.id and robot.perception.snapshot().removed == ()


@pytest.mark.parametrize("views, moved", [(1, True), (0, False)])
def test_where_a_thing_is_missed_one_view_that_names_another_like_it_is_enough(robot: Robot, views: int, moved: bool):
    ball = robot.record("ball").id
    robot.named = {"ball": views}
    events = robot.walk(MOVED) + robot.look_again()
    assert (("moved", "ball") in kinds(events)) == moved
    assert (ball in {it.id for it in robot.perception.snapshot().objects}) == moved


def test_two_like_things_elsewhere_are_new_ones(robot: Robot):
    """Which of them it would be, nobody can tell."""
    other = replace(BALL, centre=(-0.2, 0.8, 0.2))
    ball = robot.record("ball").id
    robot.walk(shots(with_ball(ELSEWHERE, other), LOOKS + 2))
    assert robot.look_again() == []
    snapshot = robot.perception.snapshot()
    assert [it.id for it in snapshot.removed] == [ball]
    assert [it.label for it in snapshot.objects].count("ball") == 2


def test_a_thing_of_another_size_is_another_thing(robot: Robot):
    large = Ball(name="ball", color=BALL.color, centre=(0.5, 0.8, 0.4), radius=0.4)
    robot.walk(shots(with_ball(large), LOOKS + 2))
    assert robot.look_again() == [] and len(robot.perception.snapshot().removed) == 1


def test_the_id_of_what_turned_out_to_be_one_that_moved_leads_to_it(robot: Robot):
    ball, known = robot.record("ball").id, robot.perception.objects.next_id
    robot.walk(MOVED)
    robot.look_again()
    redirects = robot.perception.objects.edits.redirects
    assert set(redirects.values()) == {ball} and min(redirects) >= known


def test_an_operators_name_goes_with_the_thing(robot: Robot):
    ball = robot.record("ball").id
    robot.perception.edit(operator.relabel(ball, "Anna's ball"))
    events = robot.walk(MOVED) + robot.look_again()
    assert kinds(events) == [("missing", "Anna's ball"), ("removed", "Anna's ball"), ("moved", "Anna's ball")]
    assert robot.record("Anna's ball").id == ball


def test_what_an_operator_deleted_is_neither_missing_nor_back(robot: Robot):
    robot.perception.edit(operator.delete(robot.record("ball").id))
    assert robot.walk(WITHOUT) == [] and robot.look_again() == []
    snapshot = robot.perception.snapshot()
    assert not [it for it in (*snapshot.objects, *snapshot.removed) if it.label == "ball"]


def test_what_was_removed_can_be_relabelled_and_deleted_and_no_more(robot: Robot):
    robot.walk(WITHOUT)
    ball, table = robot.record("ball").id, robot.record("table").id
    for edit in (operator.merge(table, [ball]), operator.split(ball, [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)])):
        with pytest.raises(Rejected, match="was removed"):
            robot.perception.edit(edit)
    robot.perception.edit(operator.relabel(ball, "globe"))
    assert robot.record("globe").state == "removed"
    robot.perception.edit(operator.delete(ball))
    assert robot.perception.snapshot().removed == ()


def test_a_map_of_before_lives_loads(robot: Robot, tmp_path: Path):
    """What older releases wrote says nothing of lives."""
    snapshot, memory = robot.perception.state()
    save_map(snapshot, tmp_path, memory)
    index = tmp_path / "map.json"
    text = json.loads(index.read_text())
    del text["map"]["removed"], text["map"]["memory"]["lives"]
    from ovseg3r_core.mapping.map_folder import _digest, _text  # pyright: ignore[reportPrivateUsage]

    inner = _text(text["map"])
    index.write_text(f'{{"sha256": "{_digest(inner)}", "map": {inner}}}')
    loaded = load_both(tmp_path)
    assert loaded[0].removed == () and not loaded[1].lives.doubted
    robot.perception.resume(*loaded)
    assert kinds(robot.walk(WITHOUT)) == [("missing", "ball"), ("removed", "ball")]


def test_appeared_is_told_once_and_not_of_what_one_mask_shows(robot: Robot):
    objects = robot.perception.snapshot().objects
    once = replace(objects[0], id=99, observations=1)
    told = appeared(set(), (*objects, once), 1.0)
    assert {event.record.id for event in told} == {it.id for it in objects}
    assert appeared({it.id for it in objects}, (*objects, once), 1.0) == ()


def test_what_a_frame_said_of_the_map_before_its_poses_were_corrected_is_not_believed(robot: Robot, monkeypatch):
    """A thing that is seen through often enough is gone; here the map moves each time before that is written down."""
    ball, asked = robot.record("ball"), list[dict[int, Verdict]]()

    def seen_through(watched: Watched, frame: Frame, config: EvidenceConfig) -> dict[int, Verdict]:
        asked.append({ball.id: "gone"})
        if moving:
            robot.perception.correct(PoseCorrection(stamps_s=np.array([0.0]), T_map_before=np.eye(4)[None] + NUDGE))
        return asked[-1]

    monkeypatch.setattr(perception_module, "verdicts", seen_through)
    monkeypatch.setattr(robot.perception, "_looked_beside", lambda *_: False)
    moving = True
    assert robot.walk(BEFORE) == [] and len(asked) > LOOKS
    moving = False
    assert ("missing", "ball") in kinds(robot.walk(BEFORE))
