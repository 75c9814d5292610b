"""Poses from colour and depth alone: what frames are compared by, tracking, being lost, loops, and the level."""

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from scenes import BOX_ROOM, look_at
from scipy.spatial.transform import Rotation
from speckled import Shots, blank, round_the_room, shoot

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.geometry import invert, pose_distance
from ovseg3r_core.odometry.diary import Diary
from ovseg3r_core.odometry.estimate import estimate_poses
from ovseg3r_core.odometry.features import features_of, see
from ovseg3r_core.odometry.loops import close_loops
from ovseg3r_core.odometry.shape import fit, shape_of
from ovseg3r_core.odometry.tracker import Decision, Tracker, familiar_places
from ovseg3r_core.recovered import Recovered
from ovseg3r_core.types import Frame

POSES = round_the_room(40)
FRAMES = [shoot(T, i) for i, T in enumerate(POSES)]


def turned(T: np.ndarray, degrees: float) -> np.ndarray:
    """The same place, the camera turned about its own vertical."""
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    return T @ turn


def test_a_shape_finds_its_place_from_a_guess_nearby():
    a, b = shape_of(FRAMES[0]), shape_of(FRAMES[2])
    assert a and b
    found = fit(a, b, np.eye(4))
    metres, radians = pose_distance(invert(POSES[0]) @ POSES[2], found.T_a_b)
    assert metres < 0.01 and radians < 0.01
    assert found.overlap > 0.8 and found.firmness > 0.1


def test_a_lone_wall_holds_nothing_and_a_blind_camera_has_no_shape():
    wall = shape_of(blank(0))
    assert wall and fit(wall, wall, np.eye(4)).firmness < 0.01
    assert shape_of(replace(blank(0), depth_m=np.zeros((240, 320), np.float32))) is None


def test_looks_find_a_place_after_a_turn_that_shape_cannot_follow():
    other = shoot(turned(POSES[0], 25.0))
    seen = see(features_of(FRAMES[0]), features_of(other))
    assert seen and seen.matches >= 30
    metres, radians = pose_distance(invert(POSES[0]) @ turned(POSES[0], 25.0), seen.T_a_b)
    assert metres < 0.03 and radians < 0.01


def test_looks_say_nothing_of_a_blank_wall_or_another_room():
    room, empty = features_of(FRAMES[0]), features_of(blank(0))
    assert len(empty.uv) == 0 and see(room, empty) is None and see(empty, room) is None
    rng = np.random.default_rng(0)
    noise = features_of(replace(FRAMES[0], color=rng.integers(0, 255, (240, 320, 3)).astype(np.uint8)))
    assert see(room, noise) is None


def test_a_walk_is_followed_and_the_same_frames_give_the_same_poses():
    first, again = (estimate_poses(Shots(FRAMES)) for _ in range(2))
    error = trajectory_error(first.poses, dict(enumerate(POSES)))
    assert error and error.frames == 40 and error.ate_m < 0.02 and error.rpe_rad < 0.01
    assert 1 < first.keyframes < 20 and not first.drops
    assert all(np.array_equal(first.poses[i], again.poses[i]) for i in first.poses)


class Cut(Exception):
    """A run was killed."""


def test_a_run_that_was_cut_goes_on_and_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Lost on the way, too: the camera looks at a wall for a while."""
    items = [*FRAMES[:14], *(blank(i) for i in range(14, 18)), *FRAMES[18:30]]
    whole = estimate_poses(Shots(items))
    done = count(1)

    def cut_after_20() -> None:
        if next(done) > 20:
            raise Cut

    with pytest.raises(Cut), Diary(tmp_path, "room") as diary:
        estimate_poses(Shots(items), on_frame=cut_after_20, diary=diary)
    with (tmp_path / "odometry.jsonl").open("ab") as file:
        file.write(b"[20, [1.0, 0.0,")  # it was killed while it wrote
    tracked = list[int]()
    track = Tracker.track
    monkeypatch.setattr(Tracker, "track", lambda self, frame: (tracked.append(frame.index), track(self, frame))[1])
    with Diary(tmp_path, "room") as diary:
        found = estimate_poses(Shots(items), diary=diary)
    assert tracked == list(range(20, 30))
    assert found.poses.keys() == whole.poses.keys() and found.drops == whole.drops
    assert whole.drops["lost"] == 4
    assert all(np.array_equal(found.poses[i], whole.poses[i]) for i in whole.poses)


def test_what_was_decided_of_other_inputs_or_frames_is_not_taken(tmp_path: Path):
    with Diary(tmp_path, "room") as diary:
        estimate_poses(Shots(FRAMES[:6]), diary=diary)
    with Diary(tmp_path, "another room") as diary:
        assert diary.earlier(0) is None
        diary.add(Decision(index=0, reason="no_shape"))
        diary.add(Decision(index=1, reason="no_shape"))
    with Diary(tmp_path, "another room") as diary:
        assert diary.earlier(0) is not None
        assert diary.earlier(5) is None and diary.earlier(1) is None
        diary.add(Decision(index=5, T_map_camera=np.eye(4), keyframe=0, is_keyframe=True))
    with Diary(tmp_path, "another room") as diary:
        kept = [diary.earlier(i) for i in (0, 5)]
        assert kept[1] is not None and kept[1].is_keyframe and np.array_equal(kept[1].T_map_camera, np.eye(4))
        diary.add(Decision(index=6, T_map_camera=np.eye(4), keyframe=7))
    with Diary(tmp_path, "another room") as diary:
        assert [diary.earlier(i) is not None for i in (0, 5, 6)] == [True, True, False], "there is no keyframe 7"
        diary.forget()
    assert not list(tmp_path.iterdir())


def test_up_is_z_whatever_the_first_frame_looked_at():
    down = [look_at((2.2, 0.0, 1.3), (0.6, 0.0, 0.0)), *POSES]
    found = estimate_poses(Shots([shoot(T, i) for i, T in enumerate(down[:12])]))
    tilts = [np.arccos((found.poses[i][:3, :3] @ down[i][:3, :3].T)[2, 2]) for i in found.poses]
    assert len(tilts) == 12 and np.degrees(max(tilts)) < 2.0


def test_a_lost_camera_gets_no_pose_and_is_found_when_it_comes_back():
    # The blank wall fits nothing; where the camera comes back it is thirty frames away from where it was lost.
    items = [*FRAMES[:10], *[blank(i) for i in range(10, 15)], *[shoot(POSES[i - 13], i) for i in range(15, 20)]]
    tracker = Tracker()
    states = []
    for frame in items:
        try:
            tracker.track(frame)
            states.append("ok")
        except Rejected as why:
            states.append(why.reason)
    assert states == ["ok"] * 10 + ["lost"] * 5 + ["ok"] * 5 and not tracker.lost
    found = estimate_poses(Shots(items))
    assert found.drops == {"lost": 5} and found.frames == 20
    metres, _ = pose_distance(found.poses[15], found.poses[2])
    assert metres < 0.02
    recovered = Recovered(key="", recording="shots", poses=found.poses, stamps_s=found.stamps_s)
    posed = list(recovered.of(Shots(items)).read())
    assert [isinstance(it, Frame) for it in posed] == [True] * 10 + [False] * 5 + [True] * 5
    assert isinstance(posed[10], Rejected) and posed[10].reason == "lost"


@pytest.mark.parametrize("keyframes", [1, 19, 20, 21, 60, 61, 1000])
def test_a_lost_camera_tries_every_keyframe_in_time_and_few_at_a_time(keyframes: int):
    turns = [familiar_places(keyframes, turn) for turn in range(25)]
    assert set().union(*turns) == set(range(keyframes))
    assert all(len(set(turn)) == len(turn) <= 60 and turn[0] == keyframes - 1 for turn in turns)


def test_nothing_to_track_by_is_an_error_and_bad_frames_are_counted():
    dark = [replace(blank(i), depth_m=np.zeros((240, 320), np.float32)) for i in range(3)]
    with pytest.raises(ValueError, match="no frame can be tracked"):
        estimate_poses(Shots(dark))
    found = estimate_poses(Shots([Rejected("bad_color", "torn"), *FRAMES[:3], dark[0]]))
    assert found.drops == {"bad_color": 1, "no_shape": 1} and len(found.poses) == 3


def test_a_loop_brings_drifted_keyframes_back():
    poses = round_the_room(13, 0, 90) + round_the_room(13, 90, 0)
    tracker = Tracker()
    for i, T in enumerate(poses):
        tracker.track(shoot(T, i))
    true = [poses[key.index] for key in tracker.keyframes]
    drift = np.eye(4)
    drift[:3, :3] = Rotation.from_euler("z", 0.6, degrees=True).as_matrix()
    drift[0, 3] = 0.01
    drifted, so_far = [], np.eye(4)
    for key in tracker.keyframes:
        drifted.append(replace(key, T_map_camera=so_far @ key.T_map_camera))
        so_far = drift @ so_far
    closed, loops = close_loops(drifted)
    before, after = (
        trajectory_error(dict(enumerate(found)), dict(enumerate(true)))
        for found in ([key.T_map_camera for key in drifted], closed)
    )
    assert before and after and loops > 0
    assert after.ate_m < 0.5 * before.ate_m
    assert np.array_equal(closed[0], drifted[0].T_map_camera)


def test_errors_are_those_of_the_definition():
    true = {i: T for i, T in enumerate(POSES[:5])}
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = Rotation.from_euler("xyz", [0.3, -0.2, 1.0]).as_matrix(), (3.0, -1.0, 2.0)
    same = trajectory_error({i: moved @ T for i, T in true.items()}, true)
    assert same and same.ate_m < 1e-9 and same.rpe_m < 1e-9 and same.rpe_rad < 1e-6
    slip = np.eye(4)
    slip[2, 3] = 0.1  # one step 10 cm too long: every later pose is off by it
    wrong = trajectory_error({i: T @ slip if i == 4 else T for i, T in true.items()}, true)
    assert wrong and wrong.rpe_m == pytest.approx(0.1 / 2) and wrong.frames == 5
    assert trajectory_error({0: np.eye(4)}, true) is None


def test_furniture_that_is_not_there_any_more_does_not_lead_astray():
    emptier = tuple(solid for solid in BOX_ROOM if solid.name != "ball")
    frames = [shoot(T, i, BOX_ROOM if i < 6 else emptier) for i, T in enumerate(POSES[:12])]
    found = estimate_poses(Shots(frames))
    error = trajectory_error(found.poses, dict(enumerate(POSES)))
    assert error and error.frames == 12 and error.ate_m < 0.02


def test_a_camera_that_stands_still_stays_where_it_is():
    found = estimate_poses(Shots([replace(FRAMES[3], index=i, stamp_s=i / 30) for i in range(8)]))
    assert found.keyframes == 1 and len(found.poses) == 8
    assert max(pose_distance(found.poses[0], T)[0] for T in found.poses.values()) < 0.001


def test_in_the_dark_shape_alone_will_do():
    dark = [replace(frame, color=np.zeros_like(frame.color)) for frame in FRAMES[:12]]
    error = trajectory_error(estimate_poses(Shots(dark)).poses, dict(enumerate(POSES)))
    assert error and error.frames == 12 and error.ate_m < 0.02


def test_a_blank_wall_alone_is_lost_at_once():
    found = estimate_poses(Shots([blank(i) for i in range(6)]))
    assert len(found.poses) == 1 and found.drops == {"lost": 5}


def test_wrong_intrinsics_give_finite_poses_or_none():
    wrong = [replace(f, camera=replace(f.camera, fx=1.5 * f.camera.fx, fy=1.5 * f.camera.fy)) for f in FRAMES[:12]]
    found = estimate_poses(Shots(wrong))
    assert len(found.poses) + sum(found.drops.values()) == 12
    assert all(np.isfinite(T).all() for T in found.poses.values())
