"""Depth of a camera of its own becomes what the colour camera beside it would measure."""

from dataclasses import replace

import numpy as np
import pytest
import test_rosbag as bags
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import CAMERA, HEIGHT, WIDTH, shots, write_scannet
from scenes import BOX_ROOM, orbit, render
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import back_project, invert, project, transform
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.registration import DepthCamera, register_depth, to_color
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.types import Camera, Frame

DEPTH = Camera(fx=210.0, fy=210.0, cx=159.5, cy=119.5, width=320, height=240)
T_MAP_DEPTH = orbit(8, from_deg=0, to_deg=90)[3]


def beside(x: float = -0.05, y: float = 0.01, turn_deg: float = 2.0) -> np.ndarray:
    """T_color_depth of a camera a few centimetres away that looks a little elsewhere."""
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("xyz", [turn_deg / 2, turn_deg, -turn_deg], degrees=True).as_matrix()
    T[:3, 3] = x, y, 0.004
    return T


def color_camera(scale: float) -> Camera:
    size = {"width": round(320 * scale), "height": round(240 * scale)}
    return Camera(fx=300 * scale, fy=302 * scale, cx=160 * scale, cy=118 * scale, **size)


def same_around(ids: np.ndarray, reach: int) -> np.ndarray:
    """Pixels whose neighbours show the same solid."""
    size = 2 * reach + 1
    return minimum_filter(ids, size) == maximum_filter(ids, size)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 4.0])
def test_registered_depth_is_what_the_colour_camera_would_measure(scale):
    T_color_depth, camera = beside(), color_camera(scale)
    T_map_color = T_MAP_DEPTH @ invert(T_color_depth)
    seen, depth_ids = render(BOX_ROOM, DEPTH, T_MAP_DEPTH)
    true, ids = render(BOX_ROOM, camera, T_map_color)
    found = register_depth(seen.depth_m, DEPTH, camera, T_color_depth)

    points = transform(invert(T_MAP_DEPTH) @ T_map_color, back_project(true.depth_m, camera)).reshape(-1, 3)
    (u, v), z = project(points, DEPTH)[0].T, points[:, 2]
    inside = (u >= 1) & (u <= DEPTH.width - 2) & (v >= 1) & (v <= DEPTH.height - 2)
    row, column = np.round(np.where(inside, v, 0)).astype(int), np.round(np.where(inside, u, 0)).astype(int)
    visible = inside & same_around(depth_ids, 1)[row, column] & (np.abs(seen.depth_m[row, column] - z) < 0.03 * z)
    assert visible.mean() > 0.8
    assert (found.ravel()[visible] > 0).all()  # holes only where something stands before it

    inner = same_around(ids, int(np.ceil(3 * scale))) & (found > 0)
    ball = next(i for i, solid in enumerate(BOX_ROOM) if solid.name == "ball")
    error = np.abs(found - true.depth_m) / true.depth_m
    flat = inner & (ids != ball) & visible.reshape(ids.shape)
    assert flat.mean() > 0.6 and np.median(error[flat]) < 1e-6
    assert (error[flat] > 1e-3).mean() < 0.01  # where two faces of one block meet
    assert error[inner & (ids == ball) & visible.reshape(ids.shape)].max() < 0.01


def test_what_stands_before_hides_what_is_behind():
    far = np.full((240, 320), 3.0, np.float32)
    far[100:140, 150:170] = 1.0
    T = np.eye(4)
    T[0, 3] = 0.1  # the near thing moves 21 pixels, the wall 7
    found = register_depth(far, DEPTH, DEPTH, T)
    assert (found[101:139, 172:190] == 1.0).all()
    shadow = found[101:139, 158:170]
    assert (shadow == 0).all() and np.isin(found[101:139, 192:300], 3.0).all()


def test_noise_tears_no_holes():
    rng = np.random.default_rng(0)
    depth = (2 + rng.normal(0, 0.01, (240, 320))).astype(np.float32)
    found = register_depth(depth, DEPTH, color_camera(2.0), beside(turn_deg=0.0))
    assert (found[40:-40, 40:-40] > 0).all()
    error = found[found > 0] - 2
    assert abs(error.mean()) < 0.005 and error.std() < 0.013


depths = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed))


@settings(max_examples=30, deadline=None)
@given(depths, st.floats(0, 1), st.floats(0.2, 20))
def test_a_camera_at_the_same_place_changes_nothing(rng, missing, farthest):
    depth = rng.uniform(0.1, farthest, (24, 32)).astype(np.float32)
    depth[rng.uniform(size=depth.shape) < missing] = 0
    camera = Camera(fx=30.0, fy=31.0, cx=15.2, cy=11.7, width=32, height=24)
    found = register_depth(depth, camera, camera, np.eye(4))
    assert np.array_equal(found > 0, depth > 0)
    np.testing.assert_allclose(found, depth, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_place_gives_finite_depth_and_ends(seed):
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.random(random_state=rng).as_matrix(), rng.uniform(-2, 2, 3)
    found = register_depth(rng.uniform(0, 5, (48, 64)).astype(np.float32), DEPTH, DEPTH, T)
    assert np.isfinite(found).all() and (found >= 0).all()


def test_both_lenses_are_straightened_and_units_heeded():
    depth = np.full((240, 320), 8000, np.uint16)
    calibration = Calibration(fx=DEPTH.fx, fy=DEPTH.fy, cx=DEPTH.cx, cy=DEPTH.cy, distortion=(0.05, 0.0, 0.0, 0.0))
    own = DepthCamera(calibration=calibration, T_color_depth=np.eye(4), size=(320, 240))
    color, found = to_color(np.full((240, 320, 3), 9, np.uint8), depth, calibration, own, depth_unit_m=0.00025)
    assert color.shape == (240, 320, 3) and found[20:-20, 20:-20] == pytest.approx(2.0)
    with pytest.raises(Rejected, match="intrinsics are for 640x480 but depth is 320x240") as why:
        to_color(color, depth, calibration, replace(own, size=(640, 480)))
    assert why.value.reason == "size_mismatch"


OWN = "camera_depth_optical_frame"


def depth_camera_messages(T_color_depth: np.ndarray | None) -> list[tuple[str, int, object]]:
    """The camera of the bags' tests, its depth as a camera of its own gives it: half the size, the wall at 2 m."""
    color = [item for item in bags.camera_messages() if "aligned" not in item[0]]
    messages, stamps = [], [at for topic, at, _ in color if topic == "/camera/color/image_raw"]
    for stamp in stamps:
        message = bags.image(stamp, "16UC1", np.full((HEIGHT // 2, WIDTH // 2), 2000, np.uint16))
        info = bags.info(stamp, fx=CAMERA.fx / 2)
        info.height, info.width = HEIGHT // 2, WIDTH // 2
        info.k = np.array([CAMERA.fx / 2, 0, CAMERA.cx / 2, 0, CAMERA.fy / 2, CAMERA.cy / 2, 0, 0, 1])
        message.header.frame_id = info.header.frame_id = OWN
        messages += [("/camera/depth/image_raw", stamp, message), ("/camera/depth/camera_info", stamp, info)]
    if T_color_depth is not None:
        messages.append(("/tf_static", 0, bags.tf(0, bags.OPTICAL, OWN, T_color_depth)))
    return sorted([*color, *messages], key=lambda item: item[1])


def test_a_bag_with_a_depth_camera_of_its_own_is_registered(tmp_path):
    path = bags.record(tmp_path / "bag", depth_camera_messages(bags.at(0.1)))
    frames = list(open_sequence(path).read())
    assert len(frames) == 3
    for frame in frames:
        assert isinstance(frame, Frame)
        assert frame.color.shape[:2] == frame.depth_m.shape == (HEIGHT, WIDTH)
        shift = round(CAMERA.fx * 0.1 / 2)
        seen = frame.depth_m[2:-2, shift + 2 : -2]
        assert seen == pytest.approx(2.0) and (frame.depth_m[:, : shift - 1] == 0).all()


def test_a_bag_that_does_not_tell_where_its_depth_camera_is_is_refused_with_the_remedy(tmp_path):
    items = list(open_sequence(bags.record(tmp_path / "bag", depth_camera_messages(None))).read())
    assert [item.reason for item in items if isinstance(item, Rejected)] == ["no_extrinsics"] * 3
    assert "publish it on /tf_static, or depth registered to colour" in str(items[0])


def test_an_exported_scan_with_extrinsics_is_registered(tmp_path):
    path = write_scannet(tmp_path / "scan", shots(1))
    (plain,) = open_sequence(path).read()
    T_device_color, T_device_depth = bags.at(0.3), bags.at(0.2)
    for name, T in (("color", T_device_color), ("depth", T_device_depth)):
        np.savetxt(path / "intrinsic" / f"extrinsic_{name}.txt", T)
    (moved,) = open_sequence(path).read()
    assert isinstance(plain, Frame) and isinstance(moved, Frame)
    assert moved.T_map_camera == pytest.approx(plain.T_map_camera @ T_device_color)
    assert moved.color.shape[:2] == moved.depth_m.shape == (HEIGHT, WIDTH)
    assert not np.array_equal(moved.depth_m, plain.depth_m)
    (path / "intrinsic" / "extrinsic_depth.txt").write_text("-inf " * 16)
    with pytest.raises(Rejected, match=r"extrinsic_color\.txt and extrinsic_depth\.txt") as why:
        open_sequence(path)
    assert why.value.reason == "bad_extrinsics"
