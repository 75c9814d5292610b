"""Cameras that nothing holds against the others: found by the points that images share, and left out of the map."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray
from speckled import CAMERA, Shots, round_the_room, shoot

from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.photogrammetry import from_color
from ovseg3r_core.photogrammetry.from_color import ColorConfig
from ovseg3r_core.photogrammetry.groups import groups_of, held_together
from ovseg3r_core.photogrammetry.metric import Scale
from ovseg3r_core.photogrammetry.sparse import SparseModel
from ovseg3r_core.sequences.calibration import Calibration

POSES = round_the_room(8, 0, 28)
STRAYS, OFF_M = (3, 5, 6), np.array([12.0, 0, 0])  # not next to each other: no time tells them


def model_of(seen: Mapping[int, range | list[int]], poses: list[Float64[ndarray, "4 4"]] = POSES) -> SparseModel:
    """Cameras that see these points, which lie about the middle of the room."""
    points = 1 + max(max(it) for it in seen.values())
    return SparseModel(
        poses={index: poses[index] for index in seen},
        xyz=np.random.default_rng(0).uniform(-0.5, 0.5, (points, 3)),
        seen={index: np.array(it, np.int64) for index, it in seen.items()},
        calibration=Calibration(fx=CAMERA.fx, fy=CAMERA.fy, cx=CAMERA.cx, cy=CAMERA.cy),
        intrinsics_known=True,
        reprojection_px=0.5,
        focal_told=1.0,
    )


def with_strays(shared: int) -> SparseModel:
    """Of eight cameras three lie 12 m off with points of their own; so many of these the others see as well."""
    poses = [pose.copy() for pose in POSES]
    for index in STRAYS:
        poses[index][:3, 3] += OFF_M
    main, own = range(0, 60), range(60 - shared, 100)
    return model_of({index: own if index in STRAYS else main for index in range(8)}, poses)


def test_cameras_that_agree_among_themselves_alone_are_left_out_with_their_points():
    model = with_strays(shared=2)
    held, apart = held_together(model, points=5, fewest=3)
    assert apart == STRAYS and list(held.poses) == list(held.seen) == [0, 1, 2, 4, 7]
    assert len(held.xyz) == 60
    assert all(np.array_equal(held.xyz[held.seen[i]], model.xyz[model.seen[i]]) for i in held.poses)


def test_cameras_that_share_points_enough_stay_as_they_are():
    model = with_strays(shared=5)
    assert held_together(model, points=5, fewest=3) == (model, ())


def test_a_group_is_held_by_the_points_of_all_its_cameras_whatever_their_order():
    main, left, right = range(0, 20), [0, 1, 2, *range(20, 30)], [3, 4, *range(20, 30)]  # three and two shared points
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        all_seen = {0: main, 1: main, 2: left, 3: right}
        seen = {index: all_seen[index] for index in order}
        assert len(groups_of(model_of(seen), 5)) == 1
        alone = {index: it for index, it in seen.items() if index != 3}
        assert held_together(model_of(alone), points=5, fewest=2)[1] == (2,)


def test_a_chain_of_images_that_each_share_points_with_the_next_is_one_group():
    chain = {index: range(10 * index, 10 * index + 16) for index in range(8)}
    assert held_together(model_of(chain), points=5, fewest=3)[1] == ()


def test_images_that_hardly_share_points_are_refused():
    with pytest.raises(ValueError, match="1 of 4 images hold one another by 5 shared points"):
        held_together(model_of({index: range(10 * index, 10 * index + 12) for index in range(4)}), points=5, fewest=3)


def test_a_recording_leaves_them_out_and_says_why(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(from_color, "structure_from_motion", lambda *_: with_strays(shared=2))
    monkeypatch.setattr(
        from_color,
        "estimate_depth",
        lambda model, *_: {index: np.ones((12, 16), np.float32) for index in model.poses if index != 7},
    )
    positions = {index: pose[:3, 3] for index, pose in enumerate(POSES)}
    recovery = Recovery(folder=tmp_path, identity="it", scale=Scale(positions=positions), color=ColorConfig())
    shots = Shots([shoot(pose, index) for index, pose in enumerate(POSES)])
    found = recover(shots, recovery, from_color=True)
    assert sorted(found.poses) == [0, 1, 2, 4]
    assert found.left_out == dict.fromkeys(STRAYS, "unconnected")
    assert found.report["drops"] == {"unconnected": 3, "lost": 1} and found.report["sparse_points"] == 60
    with pytest.raises(ValueError, match=r"frame 5 .* has no pose: unconnected"):
        found.pose(5, 0.5)
