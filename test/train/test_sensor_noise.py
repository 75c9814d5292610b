"""What a sensor makes of exact depth, clean colours and true poses."""

import numpy as np
import pytest

from ovseg3r_core.types import Camera
from ovseg3r_train.sensor.depth_noise import DepthNoise, DepthNoiseConfig
from ovseg3r_train.sensor.photometry import CLEAN, Photometry, PhotometryConfig
from ovseg3r_train.sensor.pose_drift import PoseDriftConfig, with_drift

CAMERA = Camera(fx=262.5, fy=262.5, cx=159.5, cy=119.5, width=320, height=240)
SHAPE = (240, 320)
GREY = np.full((*SHAPE, 3), 128, dtype=np.uint8)
SHELL = np.zeros(SHAPE, dtype=np.uint16)
NO_LOSS = {"shiny_things": 0.0, "rim": 0.0}


def flat(depth_m: float) -> np.ndarray:
    return np.full(SHAPE, depth_m, dtype=np.float32)


def slanted(angle_deg: float) -> np.ndarray:
    """A plane 2 m ahead that is turned about the vertical axis."""
    x = (np.arange(320, dtype=np.float32) - 159.5) / 262.5
    return np.tile(2 / (1 - x * np.tan(np.deg2rad(angle_deg))), (240, 1)).astype(np.float32)


def measure(depth_m: np.ndarray, seed: int = 0, index: int = 0, color=GREY, instance=SHELL, **settings) -> np.ndarray:
    noise = DepthNoise(DepthNoiseConfig(**{**NO_LOSS, **settings}), seed)
    return noise.apply(depth_m, color, instance, CAMERA, index)


@pytest.mark.parametrize("depth_m", [0.8, 1.5, 3.0])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_axial_noise_on_a_wall_is_that_of_nguyen_times_the_scale(depth_m, scale):
    measured = measure(flat(depth_m), scale=scale)
    expected = (0.0012 + 0.0019 * (depth_m - 0.4) ** 2) * scale
    assert measured[measured > 0].std() == pytest.approx(expected, rel=0.1)
    assert measured[measured > 0].mean() == pytest.approx(depth_m, rel=0.005)


def test_depth_comes_in_steps_of_disparity():
    measured = measure(flat(3.0))
    disparity = 0.075 * 580 / measured[measured > 0]
    np.testing.assert_allclose(disparity * 8, np.round(disparity * 8), atol=1e-3)


def test_neighbours_share_their_noise_but_far_pixels_do_not():
    error = measure(flat(1.0)) - 1.0
    assert np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1] > 0.4
    assert abs(np.corrcoef(error[:, 12:].ravel(), error[:, :-12].ravel())[0, 1]) < 0.1


def test_scale_zero_only_cuts_the_range():
    depth_m = np.linspace(0.1, 12, 320 * 240, dtype=np.float32).reshape(SHAPE)
    measured = measure(depth_m, scale=0.0, nearest_m=0.5, farthest_m=5.0)
    inside = (depth_m >= 0.5) & (depth_m <= 5)
    np.testing.assert_array_equal(measured, np.where(inside, depth_m, 0))


def test_the_same_seed_and_frame_give_the_same_noise_and_another_gives_another():
    first = measure(flat(2.0), seed=1, index=4)
    np.testing.assert_array_equal(first, measure(flat(2.0), seed=1, index=4))
    assert (first != measure(flat(2.0), seed=1, index=5)).mean() > 0.3
    assert (first != measure(flat(2.0), seed=2, index=4)).mean() > 0.3


def test_grazing_surfaces_lose_readings_and_slanted_ones_do_not():
    x = (np.arange(320) - 159.5) / 262.5
    for angle_deg, low, high in ((40.0, 0.0, 0.01), (84.0, 0.2, 1.0)):
        depth_m = slanted(angle_deg)
        to_normal = np.deg2rad(angle_deg) + np.arctan(x)  # ray against the plane's normal
        here = np.tile((np.abs(np.rad2deg(to_normal) - angle_deg) < 1.5), (240, 1)) & (depth_m < 8)
        lost = (measure(depth_m) == 0)[here].mean()
        assert low <= lost <= high, (angle_deg, lost)


def test_black_and_shiny_surfaces_lose_readings_in_part():
    black = measure(flat(1.5), color=np.zeros_like(GREY)) == 0
    assert 0.1 < black.mean() < 0.4
    thing = np.full(SHAPE, 7, dtype=np.uint16)
    shiny = measure(flat(1.5), instance=thing, shiny_things=1.0) == 0
    assert 0.15 < shiny.mean() < 0.45
    assert (measure(flat(1.5), shiny_things=1.0) == 0).mean() < 0.01  # walls never shine


def test_holes_are_blobs_not_single_pixels():
    lost = measure(flat(1.5), color=np.zeros_like(GREY)) == 0
    assert (lost[:, 1:] == lost[:, :-1]).mean() > 0.85


def test_a_near_thing_keeps_the_light_off_the_wall_to_its_left():
    depth_m = flat(3.0)
    depth_m[60:180, 150:220] = 1.0
    lost = measure(depth_m, lost_edges=0.0, bridged_edges=0.0, lateral_px=0.0) == 0
    width_px = 0.075 * 580 / 640 * 320 * (1 / 1.0 - 1 / 3.0)
    assert lost[100:140, 150 - int(width_px) + 3 : 147].mean() > 0.9
    assert lost[100:140, 224:].mean() < 0.01
    assert lost[100:140, : 150 - int(width_px) - 4].mean() < 0.01
    assert (measure(depth_m, lost_edges=0.0, shadows=False) == 0).mean() < 0.01


def test_edges_get_ragged_and_some_pixels_lie_between_both_sides():
    depth_m = flat(2.0)
    depth_m[:, 160:] = 1.0
    measured = measure(depth_m, shadows=False, lost_edges=0.0)
    between = (measured > 1.1) & (measured < 1.9)
    assert between.any()
    assert not between[:, :155].any()
    assert not between[:, 165:].any()
    first_near = np.argmax(measured < 1.1, axis=1)
    assert len(np.unique(first_near)) > 2


def test_the_rim_has_no_depth():
    measured = measure(flat(2.0), rim=0.05)
    assert (measured[:, :16] == 0).all()
    assert (measured[-16:] == 0).all()
    assert (measured[20:-20, 20:-20] > 0).mean() > 0.99


def test_clean_photometry_changes_nothing():
    color = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Photometry(CLEAN, [100.0], seed=0).apply(color, 0), color)


def test_colours_stray_differently_by_seed_and_the_same_for_the_same():
    shown = [Photometry(PhotometryConfig(), [120.0] * 3, seed).apply(GREY, 1) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(shown[0], shown[1])
    means = [image.mean(axis=(0, 1)) for image in shown]
    assert np.abs(means[0] - means[2]).max() > 1


def test_noise_is_as_strong_as_asked():
    quiet = PhotometryConfig(
        tint=0.0, gain=0.0, exposure=0.0, balance_drift=0.0, vignetting=0.0, blur_px=0.0, noise=4.0
    )
    shown = Photometry(quiet, [128.0], seed=0).apply(GREY, 0)
    assert 2.5 < shown[:, :, 1].std() < 5.5
    assert shown.mean() == pytest.approx(128, abs=1)


def test_exposure_brightens_dark_frames_but_only_after_a_while():
    config = PhotometryConfig(tint=0.0, gain=0.0, balance_drift=0.0, vignetting=0.0, blur_px=0.0, noise=0.0)
    camera = Photometry(config, [130.0] * 5 + [60.0] * 20, seed=0)
    dark = np.full((*SHAPE, 3), 60, dtype=np.uint8)
    at_once, later = camera.apply(dark, 5).mean(), camera.apply(dark, 24).mean()
    assert 60 < at_once < later - 5


def test_corners_are_darker_under_vignetting():
    config = PhotometryConfig(tint=0.0, gain=0.0, exposure=0.0, balance_drift=0.0, blur_px=0.0, noise=0.0)
    shown = Photometry(config, [128.0], seed=0).apply(GREY, 0)
    assert shown[0, 0, 0] < 120 < shown[120, 160, 0]


def straight(frames: int) -> list[np.ndarray]:
    poses = [np.eye(4) for _ in range(frames)]
    for x, pose in enumerate(poses):
        pose[0, 3] = 0.1 * x
    return poses


@pytest.mark.parametrize("centimetres", [1, 3, 5])
def test_pose_errors_have_the_rms_asked_for_and_the_first_is_exact(centimetres):
    wanted_m = centimetres / 100
    true = straight(80)
    believed = with_drift(true, PoseDriftConfig(drift_m=wanted_m, drift_rad=0.01), seed=0)
    error = np.array(believed)[:, :3, 3] - np.array(true)[:, :3, 3]
    np.testing.assert_array_equal(believed[0], true[0])
    assert np.sqrt((error**2).sum(axis=1).mean()) == pytest.approx(wanted_m)
    angles = [np.arccos(np.clip((np.trace(pose[:3, :3]) - 1) / 2, -1, 1)) for pose in believed]
    assert np.sqrt(np.mean(np.square(angles))) == pytest.approx(0.01, rel=1e-3)


def test_drift_is_smooth_and_jitter_is_not():
    true = np.array(straight(80))[:, :3, 3]
    steps = {}
    for kind in ("drift_m", "jitter_m"):
        believed = np.array(with_drift(straight(80), PoseDriftConfig(**{kind: 0.03}), seed=0))[:, :3, 3]
        steps[kind] = np.linalg.norm(np.diff(believed - true, axis=0), axis=1).mean()
    assert steps["drift_m"] < 0.006 < 0.03 < steps["jitter_m"]


def test_no_pose_error_is_no_change():
    np.testing.assert_array_equal(with_drift(straight(5), PoseDriftConfig(), seed=3), straight(5))
