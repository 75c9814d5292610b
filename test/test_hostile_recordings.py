"""What both kinds of input without poses make of recordings that go wrong: a verdict each, and never a crash."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hostile import blurred, crossed_by_a_person, facing_a_wall, renumbered, repeated, with_focal_length
from speckled import Shots, round_the_room, shoot

from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.focal import believed, doubtful
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.odometry.doubts import doubts, doubts_of_images
from ovseg3r_core.photogrammetry.dense import DenseConfig
from ovseg3r_core.photogrammetry.from_color import ColorConfig
from ovseg3r_core.recovered import Recovered
from ovseg3r_core.types import Frame

FRAMES = renumbered([shoot(T) for T in round_the_room(9, 0, 32)])
BOTH = pytest.mark.parametrize("from_color", [False, True], ids=["with depth", "colour alone"])


def found_of(frames: Sequence[Frame], folder: Path, from_color: bool) -> Recovered:
    color = ColorConfig(dense=DenseConfig(width_px=160))
    found = recover(Shots(frames), Recovery(folder=folder, identity="", color=color), from_color=from_color)
    assert all(np.isfinite(pose).all() for pose in found.poses.values())
    return found


def ate_m(found: Recovered, frames: Sequence[Frame]) -> float:
    true = {frame.index: frame.T_map_camera for frame in frames}
    error = trajectory_error(found.poses, true, scaled=not found.scale_known)
    assert error is not None
    return error.ate_m


@BOTH
def test_five_frames_are_enough_where_they_see_the_same(tmp_path: Path, from_color: bool):
    found = found_of(FRAMES[:5], tmp_path, from_color)
    assert len(found.poses) == 5 and ate_m(found, FRAMES[:5]) < 0.02
    assert doubts_of_images(found.report) == ()


@BOTH
def test_blur_of_a_third_of_the_motion_is_borne(tmp_path: Path, from_color: bool):
    found = found_of(blurred(shoot, FRAMES, 0.3), tmp_path, from_color)
    assert len(found.poses) >= 7 and ate_m(found, FRAMES) < 0.05


@BOTH
def test_images_that_are_smeared_are_told(tmp_path: Path, from_color: bool):
    faster = renumbered([shoot(T) for T in round_the_room(9, 0, 45)])
    sharp, smeared = (
        found_of(it, tmp_path / str(i), from_color) for i, it in enumerate((faster, blurred(shoot, faster, 1)))
    )
    assert not any("blurs" in doubt for doubt in doubts(sharp)) and any("blurs" in doubt for doubt in doubts(smeared))
    assert smeared.report["motion_blur"]["edges_wider"] > 2 * sharp.report["motion_blur"]["edges_wider"]


@BOTH
def test_a_person_who_walks_through_does_not_take_the_camera_along(tmp_path: Path, from_color: bool):
    crossed, share = crossed_by_a_person(FRAMES, (0.5, -0.8), (0.9, 0.9))
    assert share > 0.1
    found = found_of(crossed, tmp_path, from_color)
    assert len(found.poses) == 9 and ate_m(found, FRAMES) < 0.05
    assert any("moves" in doubt for doubt in doubts(found)) or from_color


def test_frames_that_repeat_are_left_out_by_colour_alone_and_placed_with_depth(tmp_path: Path):
    frames = repeated(FRAMES, 3)
    alone, with_depth = (found_of(frames, tmp_path / str(kind), kind) for kind in (True, False))
    assert len(alone.poses) == 9 and alone.report["drops"] == {"same_view": 18}
    assert len(with_depth.poses) == 27 and ate_m(with_depth, frames) < 0.02


def test_a_wall_on_the_way_costs_the_frames_that_see_nothing_else(tmp_path: Path):
    frames = [facing_a_wall(frame) if frame.index in (4, 5) else frame for frame in FRAMES]
    alone, with_depth = (found_of(frames, tmp_path / str(kind), kind) for kind in (True, False))
    assert alone.report["drops"] == {"blank": 2} and with_depth.report["drops"] == {"lost": 2}
    assert sorted(alone.poses) == sorted(with_depth.poses) == [0, 1, 2, 3, 6, 7, 8]


@BOTH
@pytest.mark.parametrize("times", [1.4, 0.7])
def test_a_focal_length_that_is_wrong_is_told(tmp_path: Path, times: float, from_color: bool):
    found = found_of(with_focal_length(FRAMES, times), tmp_path, from_color)
    assert (found.report["intrinsics"]["focal_told_by_images"] < 1) == (times > 1)
    (doubt,) = doubts_of_images(found.report)  # and not that things move: the room bends
    assert "intrinsics look wrong" in doubt


def test_a_focal_length_is_doubted_only_where_the_images_gain_by_another():
    assert doubtful(believed(0.8, off_px=1.0, off_told_px=0.9))
    assert believed(0.8, off_px=1.0, off_told_px=0.99) == 1.0  # few images fit any
    assert not doubtful(believed(0.95, off_px=1.0, off_told_px=0.9))
