"""The tracker beside a running robot: level from the first frame, lost and found, and with memory that has an end."""

from dataclasses import replace

import numpy as np
import pytest
from speckled import blank, round_the_room, shoot

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import pose_distance
from ovseg3r_core.odometry import live
from ovseg3r_core.odometry.live import LiveTracker, most_redundant, up_of

POSES = round_the_room(40)
FRAMES = [shoot(T, i) for i, T in enumerate(POSES)]


def placed(tracker: LiveTracker, first: int, last: int) -> list[np.ndarray]:
    return [tracker.track(FRAMES[i]) for i in range(first, last)]


def test_the_map_is_level_from_the_first_frame():
    T_map_camera = LiveTracker(100).track(FRAMES[0])
    up = T_map_camera[:3, :3] @ POSES[0][:3, :3].T @ [0, 0, 1]
    assert up[2] > np.cos(np.deg2rad(2)) and np.allclose(T_map_camera[:3, 3], 0)


def test_without_a_floor_the_top_of_the_image_is_up():
    wall = np.tile([0.0, 0.0, -1.0], (500, 1))
    assert np.array_equal(up_of(wall), [0, -1, 0])
    tilted = np.array([0.0, -np.cos(0.7), -np.sin(0.7)])
    assert up_of(np.vstack([wall, np.tile(tilted, (200, 1))])) == pytest.approx(tilted)


def test_a_camera_that_lost_its_place_is_found_where_it_was():
    tracker = LiveTracker(100)
    before = placed(tracker, 0, 8)
    tracker.lose()
    with pytest.raises(Rejected) as why:
        tracker.track(replace(blank(8), depth_m=np.full((240, 320), 1.5, np.float32)))
    assert why.value.reason == "lost"
    metres, radians = pose_distance(before[5], tracker.track(FRAMES[5]))
    assert metres < 0.02 and radians < 0.02


def test_a_new_beginning_forgets_where_the_map_was():
    tracker = LiveTracker(100)
    placed(tracker, 0, 6)
    tracker.begin_anew()
    assert tracker.keyframes == 0
    assert np.allclose(tracker.track(FRAMES[20])[:3, 3], 0) and tracker.keyframes == 1


def test_keyframes_have_an_end_and_tracking_goes_on(monkeypatch):
    monkeypatch.setattr(live, "_NEWEST", 3)
    tracker, endless = LiveTracker(5), LiveTracker(100)
    short, long = placed(tracker, 0, 30), placed(endless, 0, 30)
    assert tracker.keyframes <= 5 < endless.keyframes
    metres, radians = pose_distance(short[-1], long[-1])
    assert metres < 0.03 and radians < 0.03


def test_of_two_that_are_closest_the_later_goes():
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, 0, 3] = 0.0, 1.0, 2.0, 1.1
    assert most_redundant(poses) == 3
