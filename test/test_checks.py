"""What the border lets through is clean, and what it refuses is refused with values and a reason."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import DEPTH_LIMIT_M, Rejected, check_camera, check_color, check_depth, check_frame, check_pose
from ovseg3r_core.types import Camera

CAMERA = Camera(fx=50.0, fy=50.0, cx=3.5, cy=2.5, width=8, height=6)
COLOR = np.full((6, 8, 3), 90, dtype=np.uint8)
DEPTH = np.full((6, 8), 1500, dtype=np.uint16)


def reason_of(check, *arguments, **named) -> str:
    with pytest.raises(Rejected) as error:
        check(*arguments, **named)
    assert str(error.value)
    return error.value.reason


def frame(**changes):
    parts = {
        "index": 3, "stamp_s": 1.5, "color": COLOR, "depth": DEPTH, "camera": CAMERA, "T_map_camera": np.eye(4),
    }  # fmt: skip
    return check_frame(**(parts | changes))


def test_a_good_frame_passes_unchanged():
    good = frame()
    assert (good.index, good.stamp_s, good.camera) == (3, 1.5, CAMERA)
    np.testing.assert_array_equal(good.color, COLOR)
    np.testing.assert_allclose(good.depth_m, 1.5)
    np.testing.assert_array_equal(good.T_map_camera, np.eye(4))


@given(arrays(np.float64, (4, 5), elements=st.floats(width=64, allow_nan=True, allow_infinity=True)))
def test_no_depth_whatever_gets_through_that_is_not_a_distance(depth):
    depth_m = check_depth(depth)
    assert depth_m.dtype == np.float32
    assert np.isfinite(depth_m).all() and (depth_m >= 0).all() and (depth_m <= DEPTH_LIMIT_M).all()
    kept = depth_m > 0
    np.testing.assert_allclose(depth_m[kept], depth[kept], rtol=1e-6, atol=1e-40)
    np.testing.assert_array_equal(check_depth(depth_m), depth_m)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 1e30, 1e300, 100.1])
def test_a_bad_reading_becomes_no_reading_and_the_others_stay(value):
    depth = np.full((6, 8), 2.0)
    depth[1, 2] = value
    depth_m = frame(depth=depth).depth_m
    assert depth_m[1, 2] == 0 and (depth_m > 0).sum() == 47


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0, 1e30])
def test_a_frame_without_any_reading_is_refused(value):
    assert reason_of(frame, depth=np.full((6, 8), value, dtype=np.float32)) == "empty_depth"


def test_integer_depth_is_scaled_by_its_unit():
    np.testing.assert_allclose(check_depth(np.array([[5000, 0]], dtype=np.uint16), 1 / 5000), [[1.0, 0.0]])


@pytest.mark.parametrize(
    "depth",
    [
        np.zeros((6, 8, 1), dtype=np.uint16),
        np.zeros((0, 8), dtype=np.float32),
        np.zeros((6, 8), dtype=np.uint8),
        np.zeros((6, 8), dtype=np.int64),
        np.zeros((6, 8), dtype=bool),
    ],
)
def test_arrays_that_are_no_depth_image_are_refused(depth):
    assert reason_of(check_depth, depth) == "bad_depth"


def test_colour_and_depth_of_different_sizes_are_refused_with_both_sizes():
    with pytest.raises(Rejected, match=r"depth is 4x3 but colour is 8x6.*registered") as error:
        frame(depth=np.full((3, 4), 1000, dtype=np.uint16))
    assert error.value.reason == "size_mismatch"
    with pytest.raises(Rejected, match="intrinsics are for 8x6 but the images are 4x3"):
        frame(depth=np.full((3, 4), 1000, dtype=np.uint16), color=COLOR[:3, :4])


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3), (6, 8, 4)])
def test_grey_and_alpha_become_rgb(shape):
    rgb = check_color(np.full(shape, 7, dtype=np.uint8))
    assert rgb.shape == (6, 8, 3) and rgb.flags.c_contiguous and (rgb == 7).all()


@pytest.mark.parametrize(
    "color",
    [np.zeros((6, 8, 3)), np.zeros((6, 8, 2), np.uint8), np.zeros(9, np.uint8), np.zeros((0, 8, 3), np.uint8)],
)
def test_arrays_that_are_no_colour_image_are_refused(color):
    assert reason_of(check_color, color) == "bad_color"


@pytest.mark.parametrize("name", ["fx", "fy"])
@pytest.mark.parametrize("value", [0.0, -500.0, np.nan, np.inf])
def test_a_focal_length_that_is_zero_or_worse_is_refused(name, value):
    values = {"fx": 50.0, "fy": 50.0, "cx": 4.0, "cy": 3.0, "width": 8, "height": 6, name: value}
    assert reason_of(check_camera, Camera(**values)) == "bad_intrinsics"
    assert reason_of(frame, camera=Camera(**values)) == "bad_intrinsics"


@pytest.mark.parametrize(("name", "value"), [("cx", 17.0), ("cy", -7.0), ("cx", np.nan), ("width", 0), ("height", -1)])
def test_intrinsics_of_another_image_are_refused(name, value):
    values = {"fx": 50.0, "fy": 50.0, "cx": 4.0, "cy": 3.0, "width": 8, "height": 6, name: value}
    assert reason_of(check_camera, Camera(**values)) == "bad_intrinsics"


@given(st.tuples(*[st.floats(-3, 3)] * 3), st.tuples(*[st.floats(-9000, 9000)] * 3), st.integers(0, 1000))
def test_a_printed_pose_comes_back_exactly_orthonormal(euler, position, seed):
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_euler("xyz", euler).as_matrix(), position
    printed = T.copy()
    printed[:3, :3] += np.random.default_rng(seed).uniform(-5e-5, 5e-5, (3, 3))  # four digits
    clean = check_pose(printed)
    np.testing.assert_allclose(clean[:3, :3] @ clean[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(clean[:3, :3]) > 0
    np.testing.assert_allclose(clean, T, atol=2e-4)


def changed(row: int, column: int, value: float) -> np.ndarray:
    T = np.eye(4)
    T[row, column] = value
    return T


@pytest.mark.parametrize(
    "T",
    [
        np.diag([1.01, 1.01, 1.01, 1.0]),  # scaled
        changed(0, 1, 0.1),  # sheared
        np.diag([1.0, 1.0, -1.0, 1.0]),  # mirrored
        changed(3, 0, 0.5),
        changed(3, 3, 0.0),
        changed(0, 3, np.nan),
        changed(2, 2, -np.inf),
        changed(1, 3, 2e4),  # 20 km out
        np.zeros((4, 4)),
        np.eye(3),
        np.full((4, 4), -np.inf),  # how ScanNet writes "tracking lost"
    ],
)
def test_a_pose_that_is_no_rigid_transform_is_refused(T):
    assert reason_of(check_pose, T) == "bad_pose"
    assert reason_of(frame, T_map_camera=T) == "bad_pose"


@pytest.mark.parametrize("stamp", [np.nan, np.inf, -np.inf])
def test_a_stamp_that_is_no_time_is_refused(stamp):
    assert reason_of(frame, stamp_s=stamp) == "bad_stamp"
