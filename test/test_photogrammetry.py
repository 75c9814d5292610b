"""Colour alone: which images are taken, depth by a sweep, scale and level, and the whole way on a small room."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray
from scipy.spatial.transform import Rotation
from speckled import CAMERA, Shots, blank, round_the_room, shoot

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.odometry.doubts import doubts
from ovseg3r_core.photogrammetry import from_color
from ovseg3r_core.photogrammetry.agreement import confirmed
from ovseg3r_core.photogrammetry.dense import DenseConfig, scaled
from ovseg3r_core.photogrammetry.from_color import ColorConfig, color_config, scale_of
from ovseg3r_core.photogrammetry.metric import USUAL_DEPTH_M, Scale, place
from ovseg3r_core.photogrammetry.selection import SelectionConfig, select
from ovseg3r_core.photogrammetry.sparse import SparseModel
from ovseg3r_core.photogrammetry.sweep import PosedImage, sweep
from ovseg3r_core.recovered import enlarge, load_recovered
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.trajectory_file import write_trajectory
from ovseg3r_core.types import ColorFrame, Frame

POSES = round_the_room(8, 0, 28)
FRAMES = [shoot(T, i) for i, T in enumerate(POSES)]
SMALL = ColorConfig(dense=DenseConfig(width_px=160))


@dataclass(frozen=True)
class ColorShots(Shots):
    """Images in memory: no depth, and intrinsics only where they are known."""

    known: bool = True

    @property
    def has_depth(self) -> bool:
        return False

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        for item in super().read_color():
            yield item if self.known or isinstance(item, Rejected) else replace(item, camera=None)


def small_image(frame: Frame) -> PosedImage:
    grey = cv2.resize(cv2.cvtColor(frame.color, cv2.COLOR_RGB2GRAY), (160, 120), interpolation=cv2.INTER_AREA)
    camera = scaled(frame.camera, 160, 120)
    return PosedImage(grey=grey.astype(np.float32) / 255, camera=camera, T_map_camera=frame.T_map_camera)


def run(frames: Sequence[Frame | Rejected], folder: Path, scale: Scale | None = None, known: bool = True):
    recovery = Recovery(folder=folder, identity="it", scale=scale or Scale(), color=SMALL)
    return recover(ColorShots(frames, known=known), recovery, from_color=True)


def true_poses(poses: Sequence[Float64[ndarray, "4 4"]] = POSES) -> dict[int, Float64[ndarray, "4 4"]]:
    return dict(enumerate(poses))


def test_images_are_taken_where_the_view_has_changed(tmp_path: Path):
    still = [replace(FRAMES[1], index=i) for i in range(20, 23)]
    broken = Rejected("bad_file", "damaged")
    items = [FRAMES[0], broken, *still, blank(30), *FRAMES[2:4]]
    taken = select(ColorShots(items), tmp_path, SelectionConfig())
    assert list(taken.stamps_s) == [0, 20, 2, 3] and taken.frames == 8
    assert taken.left_out == {21: "same_view", 22: "same_view", 30: "blank"}
    assert taken.drops == {"bad_file": 1, "same_view": 2, "blank": 1}
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"{i:06d}.png" for i in (0, 2, 3, 20)]


def test_of_a_long_video_fewer_images_are_taken(tmp_path: Path):
    taken = select(ColorShots(FRAMES), tmp_path, SelectionConfig(most=4))
    assert 2 <= len(taken.stamps_s) <= 4 and 0 in taken.stamps_s
    assert len(list(tmp_path.glob("*.png"))) == len(taken.stamps_s)


def test_a_blank_wall_and_a_camera_that_stands_still_are_refused_with_the_reason(tmp_path: Path):
    with pytest.raises(ValueError, match=r"0 of 6 images.*'blank': 6"):
        run([blank(i) for i in range(6)], tmp_path / "blank")
    with pytest.raises(ValueError, match=r"1 of 6 images.*'same_view': 5.*different places"):
        run([replace(FRAMES[0], index=i) for i in range(6)], tmp_path / "still")


def test_a_camera_that_shows_one_thing_after_another_is_refused(tmp_path: Path):
    rng = np.random.default_rng(0)
    noise = [replace(FRAMES[0], index=i, color=rng.integers(0, 255, (240, 320, 3)).astype(np.uint8)) for i in range(5)]
    with pytest.raises(ValueError, match="0 of 5 images fit together"):
        run(noise, tmp_path)


def test_a_sweep_finds_the_depth_of_a_room_and_others_confirm_what_is_right():
    images = [small_image(frame) for frame in FRAMES[:5]]
    true = cv2.resize(FRAMES[2].depth_m, (160, 120), interpolation=cv2.INTER_NEAREST)
    near, far = 0.7 * float(true[true > 0].min()), 1.3 * float(true.max())
    depths = [sweep(image, [o for o in images if o is not image], near, far) for image in images]
    off = np.abs(depths[2] - true)[(depths[2] > 0) & (true > 0)] / true[(depths[2] > 0) & (true > 0)]
    assert np.median(off) < 0.02
    others = [(image, depth) for i, (image, depth) in enumerate(zip(images, depths, strict=True)) if i != 2]
    kept = confirmed(images[2], depths[2], others, 2, 0.02)
    off_kept = np.abs(kept - true)[(kept > 0) & (true > 0)] / true[(kept > 0) & (true > 0)]
    assert np.mean(kept > 0) > 0.4 and np.mean(off_kept > 0.05) < 0.5 * np.mean(off > 0.05)
    assert not confirmed(images[2], depths[2] * 1.3, others, 2, 0.02).any() or np.mean(
        confirmed(images[2], depths[2] * 1.3, others, 2, 0.02) > 0
    ) < 0.1 * np.mean(kept > 0)


def test_depth_is_enlarged_without_new_depths_between_a_thing_and_what_is_behind_it():
    depth = np.full((12, 16), 4.0, np.float32)
    depth[:, 6:9], depth[0] = 1.0, 0.0
    large = enlarge(depth, 64, 48)
    assert large.shape == (48, 64) and set(np.unique(large.round(4))) == {0.0, 1.0, 4.0}
    slope = np.tile(np.linspace(1, 1.2, 16, dtype=np.float32), (12, 1))
    assert np.abs(np.diff(enlarge(slope, 64, 48)[24, 2:-2])).max() < 0.006  # not in steps of one small pixel


def model_of(scale: float, R: Float64[ndarray, "3 3"]) -> SparseModel:
    """What structure from motion would make of the box room: turned, and in a unit of its own."""
    rng = np.random.default_rng(0)
    floor = np.column_stack([rng.uniform(-1, 1.5, (600, 2)), np.zeros(600)])
    table = np.column_stack([rng.uniform(-0.5, 0.2, (300, 2)), np.full(300, 0.5)])
    xyz, poses = np.concatenate([floor, table]), {}
    for index, T in enumerate(POSES):
        moved = np.eye(4)
        moved[:3, :3], moved[:3, 3] = R @ T[:3, :3], scale * R @ T[:3, 3]
        poses[index] = moved
    return SparseModel(
        poses=poses,
        xyz=scale * xyz @ R.T,
        seen={index: np.arange(len(xyz)) for index in poses},
        calibration=Calibration(fx=1.0, fy=1.0, cx=0.0, cy=0.0),
        intrinsics_known=True,
        reprojection_px=0.5,
        focal_told=1.0,
    )


@pytest.mark.parametrize("unit", [0.01, 7.0])
def test_scale_and_level_come_from_what_is_known(unit: float):
    model = model_of(unit, Rotation.from_euler("xyz", [0.4, -0.3, 2.0]).as_matrix())
    height = float(np.median([T[2, 3] for T in POSES]))
    by_height, how = place(model, Scale(camera_height_m=height))
    assert by_height.scale == pytest.approx(1 / unit, rel=0.03) and how == "camera height"
    up = by_height.T_b_a[:3, :3] @ Rotation.from_euler("xyz", [0.4, -0.3, 2.0]).as_matrix() @ [0, 0, 1]
    assert up[2] > np.cos(np.deg2rad(1.0))
    assert np.abs(by_height.pose(model.poses[0])[:3, 3]).max() < 1e-9
    unknown, how = place(model, Scale())
    far = np.concatenate(
        [(unknown.points(model.xyz) - T[:3, 3]) @ T[:3, 2] for T in map(unknown.pose, model.poses.values())]
    )
    assert np.median(far[far > 0]) == pytest.approx(USUAL_DEPTH_M) and how.startswith("unknown")
    given, _ = place(model, Scale(metres_per_unit=3.0))
    assert given.scale == pytest.approx(3 * unknown.scale)
    onto, _ = place(model, Scale(positions={i: T[:3, 3] for i, T in enumerate(POSES)}))
    assert all(np.allclose(onto.pose(model.poses[i]), T, atol=1e-6) for i, T in enumerate(POSES))


def test_a_scale_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="one of"):
        Scale(metres_per_unit=1.0, camera_height_m=1.0)
    with pytest.raises(ValueError, match="positive"):
        Scale(camera_height_m=-1.0)
    model = model_of(1.0, np.eye(3))
    with pytest.raises(ValueError, match="2 images have a given position"):
        place(model, Scale(positions={0: np.zeros(3), 1: np.ones(3)}))
    with pytest.raises(ValueError, match="no recorded poses"):
        scale_of(ColorShots(FRAMES, has_poses=False), positions_from="recorded")


def test_a_trajectory_is_looked_up_by_times_alone_and_refused_at_once(tmp_path: Path, monkeypatch):
    def refuse(_):
        raise AssertionError("images were read")

    monkeypatch.setattr(ColorShots, "read_color", refuse)
    shots = ColorShots(FRAMES)
    write_trajectory(tmp_path / "true.txt", {frame.stamp_s: frame.T_map_camera for frame in FRAMES})
    positions = scale_of(shots, positions_from=str(tmp_path / "true.txt")).positions
    assert positions and all(np.allclose(positions[i], T[:3, 3], atol=1e-6) for i, T in enumerate(POSES))
    write_trajectory(tmp_path / "later.txt", {1e9 + frame.stamp_s: frame.T_map_camera for frame in FRAMES})
    with pytest.raises(ValueError, match=r"0 of 8 frames.*by their time.*poses cover 1000000000\.0"):
        scale_of(shots, positions_from=str(tmp_path / "later.txt"))


@pytest.fixture(scope="module")
def recovered(tmp_path_factory):
    """The small room from its images, its scale by the true positions."""
    folder = tmp_path_factory.mktemp("room")
    return run(FRAMES, folder, Scale(positions={i: T[:3, 3] for i, T in enumerate(POSES)})), folder


def test_images_of_a_room_become_frames_like_those_of_a_depth_camera(recovered):
    found, folder = recovered
    error = trajectory_error(found.poses, true_poses())
    assert error and error.frames == 8 and error.ate_m < 0.02 and error.rpe_rad < 0.01
    assert found.scale_known and not (folder / "unfinished").exists()
    frames = [it for it in found.of(ColorShots(FRAMES)).read() if isinstance(it, Frame)]
    assert [frame.index for frame in frames] == list(range(8)) and frames[0].camera == CAMERA
    off = np.concatenate([np.abs(f.depth_m - t.depth_m)[f.depth_m > 0] for f, t in zip(frames, FRAMES, strict=True)])
    assert np.median(off) < 0.05 and np.mean([np.mean(f.depth_m > 0) for f in frames]) > 0.25
    again = load_recovered(folder)
    assert again.key == found.key and again.calibration == found.calibration
    assert all(np.array_equal(again.poses[i], found.poses[i]) for i in found.poses)


def test_what_was_found_is_not_sought_again_unless_the_scale_is_another(recovered, monkeypatch):
    found, folder = recovered

    def refuse(*_, **__):
        raise AssertionError("it was done again")

    monkeypatch.setattr(from_color, "select", refuse)
    same = Scale(positions={i: T[:3, 3] for i, T in enumerate(POSES)})
    assert run(FRAMES, folder, same).key == found.key
    with pytest.raises(AssertionError, match="done again"):
        run(FRAMES, folder, Scale(metres_per_unit=2.0))


def test_a_run_that_was_cut_goes_on_and_unknown_intrinsics_are_estimated(tmp_path: Path, monkeypatch):
    made = from_color.estimate_depth

    def cut(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(from_color, "estimate_depth", cut)
    with pytest.raises(KeyboardInterrupt):
        run(FRAMES, tmp_path, known=False)
    monkeypatch.setattr(from_color, "estimate_depth", made)
    monkeypatch.setattr(from_color, "structure_from_motion", cut)  # is not asked for again
    found = run(FRAMES, tmp_path, known=False)
    assert not found.scale_known and found.report["scale"].startswith("unknown")
    intrinsics = found.report["intrinsics"]
    assert not intrinsics["known"] and intrinsics["fx"] == pytest.approx(CAMERA.fx, rel=0.1)
    assert len(found.poses) == 8


def test_other_threads_do_not_begin_it_anew():
    assert repr(color_config(1)) == repr(color_config(7)) != repr(SMALL)


def test_what_was_found_is_refused_for_another_recording(recovered):
    found, _ = recovered
    with pytest.raises(ValueError, match="is of 'shots', not of 'other'"):
        found.of(ColorShots(FRAMES, name="other"))
    with pytest.raises(ValueError, match="other times"):
        found.of(ColorShots([replace(frame, stamp_s=frame.stamp_s + 1) for frame in FRAMES]))


def test_wrong_intrinsics_are_noticed(tmp_path: Path):
    wrong = [replace(f, camera=replace(f.camera, fx=1.4 * f.camera.fx, fy=1.4 * f.camera.fy)) for f in FRAMES]
    found = run(wrong, tmp_path)
    intrinsics, scale = doubts(found)
    assert "intrinsics look wrong" in intrinsics and "how long a metre is" in scale
    assert found.report["intrinsics"]["doubtful"] and found.report["intrinsics"]["focal_told_by_images"] < 0.9
    assert all(np.isfinite(T).all() for T in found.poses.values())
