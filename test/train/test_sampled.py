"""Scenes from sampled surfaces: even samples, depth as a ray caster has it, the core's incidence, and whole scenes."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from ovseg3r_core.geometry import invert, transform
from ovseg3r_core.reconstruction.incidence import IncidenceConfig, see_points
from ovseg3r_core.synthetic.mesh import Part, plain, quad
from ovseg3r_core.synthetic.perfect_masks import PerfectMasks
from ovseg3r_core.synthetic.trajectory import look_at
from ovseg3r_core.types import Camera, Frame
from ovseg3r_train.sampled.bench import box
from ovseg3r_train.sampled.fusion import FusionConfig
from ovseg3r_train.sampled.incidence import see_all
from ovseg3r_train.sampled.sampled_scene import SampledConfig, sampled_scene
from ovseg3r_train.sampled.surface_samples import SurfaceSamples, sample_parts
from ovseg3r_train.sampled.zbuffer import DeviceSamples, draw, smaller_camera

CAMERA = Camera(fx=160.0, fy=160.0, cx=79.5, cy=59.5, width=160, height=120)
NAMES = {1: "crate", 2: "cabinet"}


def wall(y: float, half_m: float = 2.0, color: tuple[int, int, int] = (200, 180, 160)) -> Part:
    """An upright square that faces -y."""
    corners = [(-half_m, y, -half_m), (half_m, y, -half_m), (half_m, y, half_m), (-half_m, y, half_m)]
    return quad(np.array(corners, dtype=np.float32), plain(color), 1.0)


def floats(values: Sequence[Sequence[float]] | Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=np.float32)


@pytest.fixture(scope="module")
def corner() -> SurfaceSamples:
    """A wall, a floor and two boxes before it."""
    floor = np.array([(-2, -2, -0.8), (2, -2, -0.8), (2, 2, -0.8), (-2, 2, -0.8)], dtype=np.float32)
    parts = [(0, wall(2.0)), (0, quad(floor, plain((120, 100, 80)), 1.0))]
    parts += [(1, side) for side in box(floats([-0.7, 0.8, -0.8]), floats([-0.2, 1.3, -0.2]), (200, 30, 30))]
    parts += [(2, side) for side in box(floats([0.2, 1.0, -0.8]), floats([0.9, 1.6, 0.3]), (30, 30, 200))]
    return sample_parts(parts, 0.015)


@pytest.fixture(scope="module")
def poses() -> list[np.ndarray]:
    """An arc before the boxes."""
    return [
        look_at(np.array([x, -1.0 - 0.1 * x, 0.3]), np.array([0.05 * x, 1.2, -0.3])) for x in np.linspace(-0.9, 0.9, 8)
    ]


def test_samples_cover_a_surface_evenly_and_the_same_way_for_a_seed():
    samples = sample_parts([(3, wall(0.0, 0.5))], 0.01, seed=4)
    assert len(samples) == pytest.approx(10_000, rel=0.01)
    cells = np.floor((samples.xyz[:, [0, 2]] + 0.5) / 0.05).astype(int).clip(0, 19)
    counts = np.bincount(cells[:, 0] * 20 + cells[:, 1], minlength=400)
    assert counts.min() > 18 and counts.max() < 32  # random points would have 10 to 40 of the 25
    assert (samples.instance == 3).all() and np.abs(samples.normal[:, 1]).min() > 0.999
    np.testing.assert_array_equal(samples.xyz, sample_parts([(3, wall(0.0, 0.5))], 0.01, seed=4).xyz)


def test_transparent_texels_get_no_sample():
    texture = np.zeros((2, 2, 4), dtype=np.uint8)
    texture[:, :1] = (10, 20, 30, 255)  # the left half is paint
    half = quad(floats([(0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1)]), np.repeat(texture, 64, 0).repeat(64, 1), 1.0)
    samples = sample_parts([(1, half)], 0.02)
    assert len(samples) == pytest.approx(1250, rel=0.05)
    assert samples.xyz[:, 0].max() < 0.52
    assert (samples.color == (10, 20, 30)).all(axis=1).mean() > 0.9


def test_a_slanted_wall_has_the_depth_of_its_plane_and_hardly_a_hole(poses):
    samples = DeviceSamples.of(sample_parts([(0, wall(2.0, 6.0))], 0.015), "cpu")
    views = draw(samples, poses, CAMERA)
    assert (views.depth_m > 0).float().mean() > 0.9995
    ray = np.stack(np.meshgrid(np.arange(160) - 79.5, np.arange(120) - 59.5), axis=-1) / 160
    ray = np.concatenate([ray, np.ones((120, 160, 1))], axis=-1) @ poses[0][:3, :3].T
    expected = (2.0 - poses[0][1, 3]) / ray[..., 1]
    drawn = views.depth_m[0].numpy()
    np.testing.assert_allclose(drawn[drawn > 0], expected[drawn > 0], rtol=1e-4)


def test_the_nearest_surface_is_seen(corner, poses):
    views = draw(DeviceSamples.of(corner, "cpu"), poses[4:5], CAMERA)
    for id, centre in ((1, (-0.45, 0.8, -0.5)), (2, (0.55, 1.0, -0.2)), (0, (0.0, 2.0, 0.2))):
        x, y, z = transform(invert(poses[4]), np.array([centre]))[0]
        row, column = round(y / z * 160 + 59.5), round(x / z * 160 + 79.5)
        assert views.instance[0, row, column] == id
        assert views.depth_m[0, row, column] == pytest.approx(z, abs=0.02)


def test_drawing_many_views_at_once_is_drawing_each(corner, poses):
    samples = DeviceSamples.of(corner, "cpu")
    every = draw(samples, poses[:3], CAMERA)
    for view, pose in enumerate(poses[:3]):
        assert torch.equal(draw(samples, [pose], CAMERA).sample[0], every.sample[view])


def test_smaller_cameras_look_through_the_same_window():
    small = smaller_camera(CAMERA, 4)
    assert (small.width, small.height) == (40, 30)
    assert (small.cx + 0.5) / small.fx == pytest.approx((CAMERA.cx + 0.5) / CAMERA.fx)
    with pytest.raises(ValueError, match="160x120 has no whole pixels 7 times"):
        smaller_camera(CAMERA, 7)


def test_incidence_is_that_of_the_core(corner, poses):
    views = draw(DeviceSamples.of(corner, "cpu"), poses, CAMERA)
    noise = torch.randn(views.depth_m.shape, generator=torch.Generator().manual_seed(0)) * 0.03
    depth_m = torch.where(views.depth_m > 0, views.depth_m + noise, 0.0)
    config = IncidenceConfig(tolerance_m=0.02)
    xyz = corner.xyz[::5]
    pairs = see_all(torch.as_tensor(xyz), depth_m, np.stack(poses), CAMERA, config)
    for view, pose in enumerate(poses):
        frame = Frame(
            index=view,
            stamp_s=0.0,
            color=np.zeros((120, 160, 3), dtype=np.uint8),
            depth_m=depth_m[view].numpy(),
            camera=CAMERA,
            T_map_camera=pose,
        )
        core, ours = see_points(xyz, frame, config), pairs.incidence().view(view)
        both = np.intersect1d(core.points, ours.points)
        # The two round sums of floats differently: a few points lie on the border of two pixels.
        assert len(both) >= 0.9995 * max(len(core.points), len(ours.points)) > 0
        same = core.pixels[np.isin(core.points, both)] == ours.pixels[np.isin(ours.points, both)]
        assert same.all(axis=1).mean() > 0.9995


def test_a_scene_has_the_points_truth_and_masks_of_what_was_seen(corner, poses):
    scene = sampled_scene(corner, poses, CAMERA, NAMES, config=SampledConfig(shrink=2))
    assert scene.truth is not None and scene.clean is not None
    assert scene.truth.names == NAMES and len(scene.views) == len(poses)
    xyz, instance = scene.cloud.xyz, scene.truth.instance
    inside = np.all((xyz > (0.25, 0.0, -0.7)) & (xyz < (0.85, 1.05, 0.25)), axis=1)  # the front of the cabinet
    assert inside.sum() > 500 and (instance[inside] == 2).all()
    assert (instance[xyz[:, 1] > 1.9] == -1).all()  # the wall
    assert np.abs(xyz[inside, 1] - 1.0).mean() < 0.005  # noise of eight views averaged out
    assert (scene.cloud.normal[inside] @ (0, -1, 0) > 0.5).mean() > 0.9  # towards the cameras
    assert {mask.label for mask in scene.lifted} == {"crate", "cabinet"}
    right = [np.mean(instance[mask.points] == (1 if mask.label == "crate" else 2)) for mask in scene.lifted]
    assert min(right) > 0.97 and len(right) == 16


def test_a_seed_decides_a_scene(corner, poses):
    one, two, other = (sampled_scene(corner, poses[:4], CAMERA, NAMES, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.cloud.xyz, two.cloud.xyz)
    np.testing.assert_array_equal(one.seen.points, two.seen.points)
    assert len(one.cloud) != len(other.cloud) or not np.array_equal(one.cloud.xyz, other.cloud.xyz)


def test_a_proposer_of_true_masks_lifts_what_the_device_lifts(corner, poses):
    config = SampledConfig(shrink=2)
    proposed = sampled_scene(corner, poses[:4], CAMERA, NAMES, masks=PerfectMasks, config=config)
    direct = sampled_scene(corner, poses[:4], CAMERA, NAMES, config=config)
    assert [(m.view, m.label) for m in proposed.lifted] == [(m.view, m.label) for m in direct.lifted]
    for one, two in zip(proposed.lifted, direct.lifted, strict=True):
        common = len(np.intersect1d(one.points, two.points))
        assert common > 0.85 * max(len(one.points), len(two.points))


def test_drifting_poses_move_the_cloud_and_not_its_truth(corner, poses):
    moved = [pose.copy() for pose in poses]
    for pose in moved:
        pose[2, 3] += 0.3
    scene = sampled_scene(corner, poses, CAMERA, NAMES, believed=moved)
    front = np.all(np.abs(scene.cloud.xyz - (0.55, 1.0, 0.1)) < (0.2, 0.02, 0.2), axis=1)
    assert scene.truth is not None and (scene.truth.instance[front] == 2).mean() > 0.99
    assert scene.cloud.xyz[:, 2].min() == pytest.approx(-0.5, abs=0.05)


def test_what_two_views_see_is_missing_among_many(corner, poses):
    away = [look_at(np.array([0.0, -1.0, 0.3]), np.array([0.0, 1.2, 1.4]))] * 5  # over the boxes, at the wall
    config = SampledConfig(fusion=FusionConfig(min_weight_share=0.4))
    scene = sampled_scene(corner, [poses[0], poses[7], *away], CAMERA, NAMES, config=config)
    assert len(scene.cloud) and (scene.cloud.xyz[:, 2] > 0.3).mean() > 0.98
    assert scene.lifted == ()


def test_views_without_depth_are_refused(corner):
    looking_away = look_at(np.array([0.0, -1.0, 0.3]), np.array([0.0, -3.0, 0.3]))
    with pytest.raises(ValueError, match=r"no reading from 0.2 to 5.0 m in 1 views"):
        sampled_scene(corner, [looking_away], CAMERA, NAMES)


def test_nothing_of_open3d_or_trimesh_is_needed():
    blocked = "import sys; sys.modules.update({'open3d': None, 'trimesh': None}); "
    modules = "bench", "sampled_scene", "model_library"
    imports = "; ".join(f"import ovseg3r_train.sampled.{module}" for module in modules)
    subprocess.run([sys.executable, "-c", blocked + imports], check=True)
