"""What one look saw as a surface and another sees through has moved; edges, gaps and small errors have not."""

import numpy as np
import pytest
from speckled import CAMERA, round_the_room, shoot

from ovseg3r_core.geometry import invert
from ovseg3r_core.odometry.moving import Look, Moving, look_of, seen_through, what_moves
from ovseg3r_core.types import Frame

HERE = np.eye(4)
POSES = dict(enumerate(round_the_room(6, 0, 50)))
FRAMES = [shoot(T, index) for index, T in POSES.items()]


def wall(box: tuple[slice, slice] | None = None, box_m: float = 1.0) -> Look:
    """A wall 3 m away, and what stands before it."""
    depth_m = np.full((CAMERA.height, CAMERA.width), 3.0, np.float32)
    if box is not None:
        depth_m[box] = box_m
    frame = Frame(
        index=0, stamp_s=0.0, color=np.zeros((*depth_m.shape, 3), np.uint8), depth_m=depth_m, camera=CAMERA,
        T_map_camera=HERE,
    )  # fmt: skip
    return look_of(0, 0.0, frame)


BOX = (slice(80, 160), slice(100, 200))  # pixels


def looks(frames: list[Frame]) -> list[Look]:
    return [look_of(frame.index, frame.stamp_s, frame) for frame in frames]


def with_box(frame: Frame) -> Frame:
    depth_m = frame.depth_m.copy()
    depth_m[BOX] = 0.7
    return Frame(**{**vars(frame), "depth_m": depth_m})


def test_what_has_gone_is_seen_through_and_what_has_come_hides():
    share = 80 * 100 / (CAMERA.width * CAMERA.height)
    assert seen_through(wall(BOX), wall(), HERE) == pytest.approx(share, rel=0.1)
    assert seen_through(wall(), wall(BOX), HERE) == 0


def test_noise_small_pieces_and_gaps_are_nothing_that_moves():
    assert seen_through(wall(BOX, 2.9), wall(), HERE) == 0
    assert seen_through(wall((slice(80, 84), slice(100, 104))), wall(), HERE) < 0.001
    assert seen_through(wall(BOX), wall(BOX, 0.0), HERE) == 0


def test_a_pose_that_is_a_little_off_sees_through_nothing():
    off = HERE.copy()
    off[0, 3] = 0.02
    assert seen_through(wall(BOX), wall(BOX), off) == 0


def test_a_room_that_stands_still_does_not_contradict_itself():
    assert what_moves(looks(FRAMES), POSES) == Moving(looks=6, changed=0)
    assert not what_moves(looks(FRAMES), POSES).report()["doubtful"]


def test_a_box_in_some_looks_is_told():
    some = [with_box(frame) if frame.index in (2, 3) else frame for frame in FRAMES]
    moving = what_moves(looks(some), POSES)
    assert moving.changed >= 4 and moving.report()["doubtful"]


def test_looks_without_a_pose_are_left_out_and_wrong_poses_contradict():
    assert what_moves(looks(FRAMES), {0: POSES[0]}).looks == 1
    turned = {index: T @ invert(POSES[0]) @ POSES[index % 2 * 5] for index, T in POSES.items()}
    assert what_moves(looks(FRAMES), turned).changed > 0


def test_a_few_looks_in_a_long_recording_are_not_said():
    assert not Moving(looks=100, changed=4).report()["doubtful"] and Moving(looks=100, changed=5).report()["doubtful"]
    assert not Moving(looks=4, changed=2).report()["doubtful"]
