"""A camera's way through a home."""

from itertools import pairwise

import numpy as np
import pytest
from walked_plans import CELL_M, two_rooms

from ovseg3r_train.homes.floor_plan import FloorPlan
from ovseg3r_train.sensor.paths import WalkableFloor
from ovseg3r_train.sensor.stops import rims
from ovseg3r_train.sensor.walks import WalkConfig, walk

STYLES = ("human", "robot")


def cells(plan: FloorPlan, poses: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    xy = np.array([pose[:2, 3] for pose in poses])
    column, row = np.rint((xy - plan.origin_m) / plan.cell_m).astype(int).T
    return row, column


def turns_deg(poses: list[np.ndarray]) -> np.ndarray:
    traces = np.array([np.trace(a[:3, :3].T @ b[:3, :3]) for a, b in pairwise(poses)])
    return np.rad2deg(np.arccos(np.clip((traces - 1) / 2, -1, 1)))


@pytest.mark.parametrize("style", STYLES)
def test_a_walk_has_the_frames_asked_for_and_enters_every_room(style):
    plan = two_rooms()
    poses = walk(plan, WalkConfig(style=style, frames=80), seed=1)
    row, column = cells(plan, poses)
    assert len(poses) == 80
    assert (np.bincount(plan.room[row, column], minlength=2) >= 15).all()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_camera_keeps_its_distance_from_walls_and_furniture(style, seed):
    plan = two_rooms()
    poses = walk(plan, WalkConfig(style=style, frames=100), seed)
    row, column = cells(plan, poses)
    blocked = np.argwhere(~plan.free)
    away = np.sqrt(((np.stack([row, column], axis=1)[:, None] - blocked) ** 2).sum(axis=2)).min(axis=1) * CELL_M
    assert away.min() >= 0.25 - CELL_M


@pytest.mark.parametrize("style", STYLES)
def test_most_of_what_stands_in_the_rooms_is_in_the_picture_several_times(style):
    plan = two_rooms()
    poses = walk(plan, WalkConfig(style=style, frames=60), seed=0)
    surfaces = rims(plan)
    seen = np.zeros(len(surfaces.xy), dtype=int)
    for pose, room in zip(poses, plan.room[cells(plan, poses)], strict=True):
        to = surfaces.xy - pose[:2, 3]
        away = np.linalg.norm(to, axis=1)
        ahead = to @ pose[:2, 2] / np.linalg.norm(pose[:2, 2]) > np.cos(0.5) * away
        seen += (surfaces.room == room) & ahead & (away < 4.5) & (-(to * surfaces.facing).sum(axis=1) > 0.2 * away)
    assert (seen >= 1).mean() > 0.95
    assert (seen >= 2).mean() > 0.85


def test_a_person_sways_and_nods_where_a_robot_stays_level_and_low():
    human, robot = (np.array(walk(two_rooms(), WalkConfig(style=style), seed=3)) for style in STYLES)
    assert 1.3 <= human[:, 2, 3].min() < human[:, 2, 3].max() <= 1.75
    assert np.ptp(human[:, 2, 2]) > 0.15  # the gaze goes up and down
    assert np.abs(human[:, 2, 0]).max() > 0.005  # the horizon tilts
    assert 0.4 <= robot[0, 2, 3] <= 1.1
    np.testing.assert_allclose(robot[:, 2, 3], robot[0, 2, 3])
    np.testing.assert_allclose(robot[:, 2, 0], 0, atol=1e-12)


@pytest.mark.parametrize("style", STYLES)
def test_walks_are_smooth(style):
    poses = walk(two_rooms(), WalkConfig(style=style, frames=600), seed=0)
    steps = np.linalg.norm(np.diff([pose[:3, 3] for pose in poses], axis=0), axis=1)
    assert steps.max() < 0.25
    assert turns_deg(poses).max() < (16 if style == "human" else 40)  # a robot turns fast where it only sees a wall


def test_same_seed_same_walk_other_seed_another():
    first, again, other = (walk(two_rooms(), WalkConfig(frames=20), seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_poses_are_rigid_and_stay_under_the_ceiling():
    plan = two_rooms()
    low = FloorPlan(origin_m=plan.origin_m, cell_m=plan.cell_m, free=plan.free, room=plan.room, height_m=1.8)
    for pose in walk(low, WalkConfig(frames=40), seed=0):
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
        assert pose[2, 3] <= 1.5


def test_a_narrow_doorway_is_passed_with_less_distance():
    floor = WalkableFloor(two_rooms(door_m=0.45), 0.25)
    assert floor.rooms == {0, 1}
    assert floor.radius_m < 0.25


def test_a_closed_room_is_left_out_and_named(caplog):
    poses = walk(two_rooms(door_m=0.0), WalkConfig(frames=30), seed=0)
    assert len(poses) == 30
    assert "no way into room" in caplog.text


def test_a_home_without_free_floor_is_refused_with_a_remedy():
    plan = two_rooms()
    full = FloorPlan(
        origin_m=plan.origin_m, cell_m=plan.cell_m, free=np.zeros_like(plan.free), room=plan.room, height_m=2.5
    )
    with pytest.raises(ValueError, match=r"no floor is free.*radius_m"):
        walk(full, WalkConfig(), seed=0)
