"""Properties of the transforms, the projection, the voxels and the boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ovseg3r_core.geometry import (
    back_project,
    back_project_pixels,
    fit_box,
    invert,
    pose_distance,
    project,
    rotation_angle,
    transform,
    voxel_centres,
    voxel_keys,
)
from ovseg3r_core.types import Box, Camera

CAMERA = Camera(fx=100.0, fy=100.0, cx=50.0, cy=40.0, width=100, height=80)

angles = st.floats(-3.0, 3.0)
metres = st.floats(-50.0, 50.0)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def poses(draw) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("xyz", [draw(angles), draw(angles), draw(angles)]).as_matrix()
    T[:3, 3] = [draw(metres), draw(metres), draw(metres)]
    return T


@st.composite
def cameras(draw) -> Camera:
    width, height = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    return Camera(
        fx=draw(st.floats(20, 900)),
        fy=draw(st.floats(20, 900)),
        cx=draw(st.floats(-0.4, 1.4)) * width,
        cy=draw(st.floats(-0.4, 1.4)) * height,
        width=width,
        height=height,
    )


def turned(yaw: float) -> np.ndarray:
    return Rotation.from_euler("z", yaw).as_matrix()


@given(poses())
def test_invert_undoes_the_transform(T):
    np.testing.assert_allclose(invert(T) @ T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(invert(invert(T)), T, atol=1e-12)


@given(poses(), seeds)
def test_points_come_back_through_the_inverse_and_keep_their_distances(T, seed):
    xyz = np.random.default_rng(seed).uniform(-10, 10, (7, 3))
    moved = transform(T, xyz)
    np.testing.assert_allclose(transform(invert(T), moved), xyz, atol=1e-10)
    np.testing.assert_allclose(
        np.linalg.norm(moved - moved[0], axis=1), np.linalg.norm(xyz - xyz[0], axis=1), atol=1e-9
    )


@given(poses(), poses())
def test_transforms_chain_by_their_names(T_a_b, T_b_c):
    xyz_c = np.array([[0.3, -0.2, 1.0]])
    np.testing.assert_allclose(transform(T_a_b @ T_b_c, xyz_c), transform(T_a_b, transform(T_b_c, xyz_c)), atol=1e-9)


def test_transform_keeps_dtype_and_shape():
    xyz = np.zeros((2, 5, 3), dtype=np.float32)
    moved = transform(np.eye(4), xyz)
    assert moved.dtype == np.float32 and moved.shape == xyz.shape


@given(cameras(), seeds)
def test_projecting_what_was_back_projected_gives_each_pixel_and_its_depth(camera, seed):
    depth_m = np.random.default_rng(seed).uniform(0.1, 10, (camera.height, camera.width)).astype(np.float32)
    uv, z = project(back_project(depth_m, camera).reshape(-1, 3), camera)
    v, u = np.mgrid[: camera.height, : camera.width]
    np.testing.assert_allclose(uv, np.stack([u, v], axis=-1).reshape(-1, 2), atol=2e-3)
    np.testing.assert_array_equal(z, depth_m.ravel())


def test_camera_axes_are_right_down_forward():
    uv, _ = project(np.array([[0.0, 0, 2], [0.1, 0, 2], [0, 0.1, 2]]), CAMERA)
    np.testing.assert_allclose(uv, [[50, 40], [55, 40], [50, 45]])


@given(st.floats(-10, 1e-7), metres, metres)
def test_points_behind_the_camera_are_at_no_pixel(z, x, y):
    uv, depth = project(np.array([[x, y, z]]), CAMERA)
    assert np.isnan(uv).all() and depth[0] == z


def test_pixels_without_a_reading_give_the_origin():
    assert not back_project(np.zeros((80, 100), dtype=np.float32), CAMERA).any()


def test_some_pixels_give_the_points_that_the_whole_image_gives():
    depth_m = np.random.default_rng(0).uniform(0.5, 4.0, (80, 100)).astype(np.float32)
    row, column = np.array([0, 17, 79]), np.array([99, 4, 50])
    uv = np.stack([column, row], axis=1).astype(np.float64)
    some = back_project_pixels(uv, depth_m[row, column].astype(np.float64), CAMERA)
    assert np.allclose(some, back_project(depth_m, CAMERA)[row, column], atol=1e-5)


@given(st.floats(0, np.pi), poses(), poses())
def test_poses_are_apart_by_what_lies_between_them(angle, T, other):
    between = np.eye(4)
    between[:3, :3] = Rotation.from_rotvec([0, angle, 0]).as_matrix()
    between[:3, 3] = other[:3, 3]
    apart_m, turned = pose_distance(T, T @ between)
    assert apart_m == pytest.approx(np.linalg.norm(other[:3, 3]), abs=1e-6)
    assert turned == pytest.approx(angle, abs=1e-6)


@given(st.floats(0, np.pi), poses())
def test_rotation_angle_is_that_of_the_axis_and_angle(angle, T):
    axis = T[:3, :3] @ [0, 0, 1]
    assert rotation_angle(Rotation.from_rotvec(angle * axis).as_matrix()) == pytest.approx(angle, abs=1e-6)


@given(seeds, st.floats(0.005, 0.5), st.floats(0.1, 500))
def test_a_voxels_centre_is_within_half_a_voxel_of_its_points(seed, voxel_m, extent_m):
    xyz = np.random.default_rng(seed).uniform(-extent_m, extent_m, (50, 3))
    keys = voxel_keys(xyz, voxel_m)
    centres = voxel_centres(keys, voxel_m)
    assert np.abs(centres - xyz).max() <= voxel_m / 2 + 1e-6 * extent_m
    same_key = keys[:, None] == keys
    same_voxel = (np.floor(xyz / voxel_m)[:, None] == np.floor(xyz / voxel_m)).all(axis=-1)
    np.testing.assert_array_equal(same_key, same_voxel)


@given(seeds)
def test_voxel_centres_lie_in_their_own_voxel(seed):
    keys = voxel_keys(np.random.default_rng(seed).uniform(-20, 20, (50, 3)), 0.02)
    np.testing.assert_array_equal(voxel_keys(voxel_centres(keys, 0.02), 0.02), keys)


def test_points_too_far_out_to_number_are_refused_with_the_limit():
    assert len(voxel_keys(np.zeros((0, 3)), 0.02)) == 0
    voxel_keys(np.array([[20_000.0, 0, -20_000]]), 0.02)
    with pytest.raises(ValueError, match=r"21000 m out; 0\.02 m voxels number up to 20972 m"):
        voxel_keys(np.array([[0.0, -21_000.0, 0]]), 0.02)


def inside(box: Box, xyz: np.ndarray, slack_m: float = 1e-3) -> np.ndarray:
    local = (xyz - box.centre) @ turned(box.yaw)
    return (np.abs(local) <= np.array(box.size) / 2 + slack_m).all(axis=1)


@given(seeds, st.integers(3, 60))
def test_an_untrimmed_box_contains_its_points(seed, count):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(size=(count, 3)) @ np.diag(rng.uniform(0.05, 3, 3)) + rng.uniform(-5, 5, 3)
    box = fit_box(xyz, trim=0.0)
    assert inside(box, xyz).all()
    assert box.size[0] >= box.size[1] - 1e-4 and -np.pi / 2 < box.yaw <= np.pi / 2


@given(seeds, st.floats(-3.1, 3.1), st.floats(1.3, 4), st.floats(-5, 5))
def test_a_box_turns_with_its_points(seed, yaw, stretch, x):
    """Corners of a box that is longer than wide, and points inside."""
    rng = np.random.default_rng(seed)
    size = np.array([0.5 * stretch, 0.5, 0.3])
    corners = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) / 2
    xyz = np.concatenate([corners, rng.uniform(-0.5, 0.5, (40, 3))]) * size
    centre = np.array([x, -1.0, 0.7])
    box = fit_box(xyz @ turned(yaw).T + centre, trim=0.0)
    np.testing.assert_allclose(box.size, size, atol=2e-3)
    np.testing.assert_allclose(box.centre, centre, atol=2e-3)
    assert abs(np.sin(box.yaw - yaw)) < 0.01  # a box has no front: yaw counts modulo half a turn


def test_a_few_stray_points_do_not_stretch_a_trimmed_box():
    xyz = np.random.default_rng(0).uniform(-0.5, 0.5, (1000, 3)) * [2, 1, 1]
    xyz[:2, 2] = 40.0
    assert fit_box(xyz, trim=0.0).size[2] > 40
    assert fit_box(xyz).size[2] < 1.1


@pytest.mark.parametrize("count", [1, 2, 5])
def test_boxes_of_degenerate_clouds_are_finite(count):
    xyz = np.linspace(0, 1, count)[:, None] * [1.0, 2.0, 0.0]
    box = fit_box(xyz, trim=0.0)
    assert np.isfinite([*box.centre, *box.size, box.yaw]).all()
    assert inside(box, xyz).all()
