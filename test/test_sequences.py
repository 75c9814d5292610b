"""Folder formats: each reads back what was written, names what is bad, and goes on."""

import logging
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import (
    CAMERA,
    HEIGHT,
    WIDTH,
    Shot,
    shots,
    write_7scenes,
    write_image,
    write_matrix,
    write_posed_folder,
    write_replica,
    write_scannet,
    write_tum,
)

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.association import associate
from ovseg3r_core.sequences.calibration import Calibration, undistort
from ovseg3r_core.sequences.poses import Trajectory, interpolate
from ovseg3r_core.sequences.prefetch import prefetch
from ovseg3r_core.sequences.sequence import FORMATS, open_sequence
from ovseg3r_core.types import Frame

WRITERS = {
    "7scenes": write_posed_folder,
    "scannet": write_scannet,
    "replica": write_replica,
    "tum": write_tum,
}


def read_all(path: Path, **options) -> list[Frame | Rejected]:
    sequence = open_sequence(path, **options)
    items = list(sequence.read())
    assert len(items) == len(sequence)
    return items


def frames_of(items: list[Frame | Rejected]) -> list[Frame]:
    assert not [str(item) for item in items if isinstance(item, Rejected)]
    return [item for item in items if isinstance(item, Frame)]


def assert_same(frame: Frame, shot: Shot) -> None:
    np.testing.assert_array_equal(frame.color, shot.color)
    np.testing.assert_allclose(frame.depth_m, shot.depth_mm / 1000, atol=1e-6)
    np.testing.assert_allclose(frame.T_map_camera, shot.pose, atol=1e-9)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("format", ["auto", "named"])
def test_each_format_reads_back_what_was_written(tmp_path, name, format):
    made = shots()
    path = WRITERS[name](tmp_path / "room", made)
    frames = frames_of(read_all(path, format=name if format == "named" else "auto"))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    for frame, shot in zip(frames, made, strict=True):
        assert_same(frame, shot)
        assert frame.camera == CAMERA
    stamps = [frame.stamp_s for frame in frames]
    assert stamps == sorted(stamps) and stamps[0] > 0
    assert open_sequence(path).name == "room"


def test_a_sequence_can_be_read_twice_and_left_early(tmp_path):
    sequence = open_sequence(write_posed_folder(tmp_path / "room", shots(12)))
    first = next(sequence.read())
    assert [item.index for item in sequence.read() if isinstance(item, Frame)] == list(range(12))
    assert isinstance(first, Frame) and first.index == 0


def test_frames_are_chosen_by_their_place_and_keep_their_index(tmp_path):
    path = write_scannet(tmp_path / "room", shots(6))
    assert [frame.index for frame in frames_of(read_all(path, frames=slice(1, None, 2)))] == [1, 3, 5]
    assert [frame.index for frame in frames_of(read_all(path, frames=slice(-2, None)))] == [4, 5]
    with pytest.raises(ValueError, match="step is -1"):
        open_sequence(path, frames=slice(None, None, -1))
    with pytest.raises(ValueError, match=r"no frame is left.*100:"):
        open_sequence(path, frames=slice(100, None))


def test_an_unknown_format_lists_the_formats_and_what_each_needs(tmp_path):
    (tmp_path / "notes.txt").write_text("no frames here")
    for call in ({}, {"format": "kitti"}):
        with pytest.raises(ValueError) as error:
            open_sequence(tmp_path, **call)
        for candidate in FORMATS:
            assert f"{candidate.name}: {candidate.needs}" in str(error.value)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_sequence(tmp_path / "nowhere")


@pytest.mark.parametrize("kind", ["color", "depth", "pose"])
@pytest.mark.parametrize("name", ["7scenes", "scannet"])
def test_a_missing_file_is_named_and_the_rest_is_read(tmp_path, name, kind):
    path = WRITERS[name](tmp_path / "room", shots())
    victim = sorted(path.rglob(f"*{kind}*/20.*") if name == "scannet" else path.glob(f"000001.{kind}.*"))[0]
    victim.unlink()
    items = read_all(path)
    assert [type(item) for item in items] == [Frame, Rejected, Frame, Frame]
    assert isinstance(items[1], Rejected) and items[1].reason == "missing_file" and str(victim) in str(items[1])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["color.png", "color.jpg", "depth.png"])
def test_a_truncated_image_is_named_and_the_rest_is_read(tmp_path, kind, share):
    path = write_posed_folder(tmp_path / "room", shots())
    victim = path / f"000002.{kind}"
    if kind == "color.jpg":
        victim.with_suffix(".png").unlink()
        write_image(victim, shots()[2].color)
    data = victim.read_bytes()
    victim.write_bytes(data[: int(share * len(data))])
    items = read_all(path)
    assert [type(item) for item in items] == [Frame, Frame, Rejected, Frame]
    assert isinstance(items[2], Rejected) and items[2].reason == "bad_file" and str(victim) in str(items[2])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-inf " * 16, "bad_pose"),
        ("nan " * 16, "bad_pose"),
        ("2 0 0 0 0 2 0 0 0 0 2 0 0 0 0 1", "bad_pose"),  # scaled
        ("1 0.1 0 0 0 1 0 0 0 0 1 0 0 0 0 1", "bad_pose"),  # sheared
        ("1 0 0 0 0 1 0 0 0 0 -1 0 0 0 0 1", "bad_pose"),  # mirrored
        ("1 0 0 0 0 1 0 0 0 0 1 0", "bad_file"),
        ("", "bad_file"),
        ("one zero zero", "bad_file"),
    ],
)
def test_a_bad_pose_is_named_with_its_file(tmp_path, text, reason):
    path = write_posed_folder(tmp_path / "room", shots())
    (path / "000001.pose.txt").write_text(text)
    items = read_all(path)
    assert isinstance(items[1], Rejected) and items[1].reason == reason
    assert str(path / "000001.pose.txt") in str(items[1])
    assert sum(isinstance(item, Frame) for item in items) == 3


def test_colour_and_depth_of_other_sizes_are_refused_with_both_sizes(tmp_path):
    path = write_posed_folder(tmp_path / "room", shots(2))
    write_image(path / "000001.depth.png", np.full((24, 32), 1000, dtype=np.uint16))
    rejected = read_all(path)[1]
    assert isinstance(rejected, Rejected) and rejected.reason == "size_mismatch"
    assert all(part in str(rejected) for part in ("32x24", "64x48", "000001.depth.png", "000001.color.png"))


def test_depth_that_is_empty_or_of_eight_bits_is_refused(tmp_path):
    path = write_posed_folder(tmp_path / "room", shots(3))
    write_image(path / "000000.depth.png", np.zeros((HEIGHT, WIDTH), dtype=np.uint16))
    write_image(path / "000001.depth.png", np.full((HEIGHT, WIDTH), 200, dtype=np.uint8))
    items = read_all(path)
    assert [item.reason for item in items[:2] if isinstance(item, Rejected)] == ["empty_depth", "bad_depth"]
    assert "000001.depth.png" in str(items[1])


@pytest.mark.parametrize("text", ["0 0 320 0 0 240 0 0 1", "nan 0 1 0 5 1 0 0 1", "1 2 3", "-5 0 1 0 5 1 0 0 1"])
def test_intrinsics_that_no_camera_has_are_refused_at_once(tmp_path, text):
    path = write_posed_folder(tmp_path / "room", shots(1))
    (path / "camera-intrinsics.txt").write_text(text)
    with pytest.raises(Rejected, match=r"camera-intrinsics\.txt") as error:
        open_sequence(path)
    assert error.value.reason == "bad_intrinsics"


def test_a_folder_without_intrinsics_is_refused(tmp_path):
    path = write_posed_folder(tmp_path / "room", shots(1))
    (path / "camera-intrinsics.txt").unlink()
    with pytest.raises(Rejected, match=r"camera-intrinsics\.txt is missing"):
        open_sequence(path)


def test_7scenes_needs_no_intrinsics_joins_its_sequences_and_masks_65535(tmp_path):
    made = shots(3, width=640, height=480)
    made[0].depth_mm[5, 5] = 65535
    for number in (1, 2):
        write_7scenes(tmp_path / "chess" / f"seq-{number:02d}", made)
    frames = frames_of(read_all(tmp_path / "chess"))
    assert [frame.index for frame in frames] == list(range(6))
    assert frames[0].camera.fx == 585 and frames[0].camera.cx == 320
    assert frames[0].depth_m[5, 5] == 0 and frames[0].depth_m[5, 6] > 0
    np.testing.assert_array_equal(frames[4].color, made[1].color)
    assert len(open_sequence(tmp_path / "chess" / "seq-02")) == 3


def test_other_files_beside_the_frames_do_not_disturb(tmp_path):
    path = write_posed_folder(tmp_path / "room", shots(2))
    write_image(path / "000000.red_mug.mask.png", np.zeros((HEIGHT, WIDTH), dtype=np.uint8))
    (path / "red_mug.thresh.txt").write_text("0.5")
    assert len(frames_of(read_all(path))) == 2


def test_scannet_colour_is_resampled_to_the_depth_camera(tmp_path):
    """A checkerboard seen by a colour camera of twice the resolution keeps its squares where depth sees them."""
    path = write_scannet(tmp_path / "scene0000_00", shots(1))
    big = np.zeros((2 * HEIGHT, 2 * WIDTH, 3), dtype=np.uint8)
    big[:, WIDTH:] = 255  # an edge at u = 64 of 128, which is u = 32 of 64
    write_image(path / "color" / "0.png", big)
    K = np.eye(4)
    K[:3, :3] = [[2 * CAMERA.fx, 0, 2 * CAMERA.cx + 0.5], [0, 2 * CAMERA.fy, 2 * CAMERA.cy + 0.5], [0, 0, 1]]
    write_matrix(path / "intrinsic" / "intrinsic_color.txt", K)
    (frame,) = frames_of(read_all(path))
    assert frame.camera == CAMERA
    assert frame.color.shape == (HEIGHT, WIDTH, 3)
    assert (frame.color[1:-1, 1:31] == 0).all() and (frame.color[1:-1, 33:-1] == 255).all()


def test_replica_falls_back_to_its_published_camera_and_names_a_short_trajectory(tmp_path):
    path = write_replica(tmp_path / "office0", shots(3))
    lines = (path / "traj.txt").read_text().splitlines()
    (path / "traj.txt").write_text("\n".join([lines[0], lines[1][:40]]))
    items = read_all(path)
    assert [item.reason for item in items[1:] if isinstance(item, Rejected)] == ["bad_file", "no_pose"]
    assert "traj.txt, line 2" in str(items[1]) and "none for frame 2" in str(items[2])
    (path / "cam_params.json").write_text('{"camera": {"fx": 600}}')
    with pytest.raises(Rejected, match=r"cam_params\.json"):
        open_sequence(path)
    (path / "cam_params.json").unlink()
    write_image(path / "results" / "frame000000.png", np.zeros((680, 1200, 3), dtype=np.uint8))
    write_image(path / "results" / "depth000000.png", np.full((680, 1200), 13107, dtype=np.uint16))
    frame = next(open_sequence(path).read())
    assert isinstance(frame, Frame) and frame.camera.fx == 600 and frame.camera.cx == 599.5
    np.testing.assert_allclose(frame.depth_m, 2.0, atol=1e-6)


def test_tum_pairs_by_time_and_refuses_what_has_no_partner(tmp_path):
    path = write_tum(tmp_path / "desk", shots(5))
    depth, truth = path / "depth.txt", path / "groundtruth.txt"
    depth.write_text(
        "".join(line for line in depth.read_text().splitlines(keepends=True) if not line.startswith("100.105"))
    )
    lines = [line for line in truth.read_text().splitlines(keepends=True) if line[:6] not in ("100.25", "100.30")]
    truth.write_text("".join(lines) + "100.6 1 2")  # and the last line was cut
    items = read_all(path)
    assert [item.reason if isinstance(item, Rejected) else "ok" for item in items] == [
        "ok",
        "no_depth",
        "ok",
        "no_pose",
        "ok",
    ]
    assert "rgb/100.100000.png" in str(items[1]) and "0.150 s apart" in str(items[3])


def test_tum_poses_are_interpolated_between_samples(tmp_path):
    path = write_tum(tmp_path / "desk", shots(1))
    half = np.sqrt(0.5)
    (path / "groundtruth.txt").write_text(f"99.96 0 0 0 0 0 0 1\n100.04 1 2 4 0 0 {half} {half}\n")
    (frame,) = frames_of(read_all(path))
    turned = np.array([[half, -half, 0], [half, half, 0], [0, 0, 1]])
    np.testing.assert_allclose(frame.T_map_camera[:3, :3], turned, atol=1e-6)
    np.testing.assert_allclose(frame.T_map_camera[:3, 3], [0.5, 1, 2], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "fx"),
    [("rgbd_dataset_freiburg1_desk", 517.3), ("fr2_xyz", 520.9), ("freiburg3_cabinet", 535.4), ("lab", 525.0)],
)
def test_tum_takes_the_calibration_that_the_folder_names(tmp_path, caplog, name, fx):
    path = write_tum(tmp_path / name, shots(1))
    (path / "calibration.txt").unlink()
    with caplog.at_level(logging.WARNING):
        sequence = open_sequence(path)
    assert sequence.calibration.fx == fx  # type: ignore[attr-defined]
    assert ("names no freiburg camera" in caplog.text) == (name == "lab")


def test_distortion_is_removed_from_colour_and_depth_and_depth_is_never_mixed(tmp_path):
    """A grid drawn through the lens comes out straight; depth keeps the two values it had."""
    lens = Calibration(fx=300.0, fy=300.0, cx=160.0, cy=120.0, distortion=(-0.3, 0.1, 0.001, 0.0, 0.0))
    made, line = shots(1)[0], 60.0
    v = np.arange(10.0, 230.0)
    ideal = np.stack([np.full_like(v, line), v], axis=-1)
    rays = np.c_[(ideal - [lens.cx, lens.cy]) / lens.fx, np.ones(len(v))]
    K = lens.camera(320, 240).K
    seen = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), K, np.array(lens.distortion))[0].reshape(-1, 2)
    color = np.zeros((240, 320, 3), dtype=np.uint8)
    depth = np.full((240, 320), 1000, dtype=np.uint16)
    for u_seen, v_seen in seen.round().astype(int):
        color[v_seen, u_seen - 2 : u_seen + 3] = 255
        depth[v_seen, u_seen - 2 : u_seen + 3] = 3000
    path = write_posed_folder(tmp_path / "room", [Shot(color, depth, made.pose)])
    write_matrix(path / "camera-intrinsics.txt", K)
    (path / "camera-distortion.txt").write_text(" ".join(map(str, lens.distortion)))
    (frame,) = frames_of(read_all(path))
    bent = color[20:220].argmax(axis=1)[:, 0]
    straight = frame.color[20:220, :, 0].argmax(axis=1)
    assert np.ptp(bent) >= 3 and np.ptp(straight) <= 2
    assert abs(np.median(straight) + 2 - line) <= 1
    assert set(np.unique(frame.depth_m).round(3)) <= {np.float32(0), np.float32(1), np.float32(3)}
    assert frame.camera.fx == lens.fx
    (path / "camera-distortion.txt").write_text("0.1 0.2 0.3")
    with pytest.raises(Rejected, match="3 coefficients"):
        open_sequence(path)


def test_fisheye_lenses_are_undistorted_by_their_own_model():
    lens = Calibration(fx=150.0, fy=150.0, cx=160.0, cy=120.0, distortion=(0.1, -0.02, 0.0, 0.0), model="equidistant")
    ray = np.array([[[0.5, 0.3, 1.0]]])
    K = lens.camera(320, 240).K
    seen = cv2.fisheye.projectPoints(ray, np.zeros(3), np.zeros(3), K, np.array(lens.distortion))[0].reshape(2)
    depth = np.zeros((240, 320), dtype=np.uint16)
    depth[round(seen[1]) - 1 : round(seen[1]) + 2, round(seen[0]) - 1 : round(seen[0]) + 2] = 1500
    _, clean = undistort(np.zeros((240, 320, 3), dtype=np.uint8), depth, lens)
    assert clean[round(0.3 * 150 + 120), round(0.5 * 150 + 160)] == 1500


def test_prefetch_keeps_order_bounds_what_is_ahead_and_raises_in_turn():
    begun = []

    def load(item: int) -> int:
        begun.append(item)
        if item == 5:
            raise RuntimeError("five")
        return item * 10

    loading = prefetch(load, range(100), ahead=2)
    assert [next(loading) for _ in range(5)] == [0, 10, 20, 30, 40]
    assert max(begun) <= 8
    with pytest.raises(RuntimeError, match="five"):
        next(loading)


def test_partners_in_time_are_mutual_and_close():
    ms = 1_000_000
    stamps, others = np.array([0, 33, 66, 100]) * ms, np.array([70, 16, 31]) * ms
    assert associate(stamps, others, 0.02).tolist() == [1, 2, 0, -1]
    assert associate(stamps[:2], others[2:], 0.05).tolist() == [-1, 0]  # 31 is nearest to both, and goes to 33
    assert associate(stamps, others[:0], 0.02).tolist() == [-1, -1, -1, -1]
    assert associate(np.array([5 * ms]), np.array([7 * ms]), 0.001).tolist() == [-1]


def test_a_trajectory_neither_extrapolates_nor_bridges_gaps():
    trajectory = Trajectory(max_gap_s=0.1)
    with pytest.raises(Rejected, match="cover nothing"):
        trajectory.at(0)
    for stamp in (200_000_000, 0, 50_000_000):
        trajectory.insert(stamp, np.eye(4))
    np.testing.assert_array_equal(trajectory.at(25_000_000), np.eye(4))
    for stamp, why in ((-1, "cover"), (200_000_001, "cover"), (100_000_000, "0.150 s apart")):
        with pytest.raises(Rejected, match=why) as error:
            trajectory.at(stamp)
        assert error.value.reason == "no_pose"


def test_interpolation_ends_at_its_ends():
    a, b = shots(2)[0].pose, shots(2)[1].pose
    np.testing.assert_allclose(interpolate(a, b, 0.0), a, atol=1e-12)
    np.testing.assert_allclose(interpolate(a, b, 1.0), b, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "count"), [("tum_fr1_rpy", 180), ("tum_fr3_cabinet", 58), ("apc_shelf", 15), ("icl_livingroom1", 211)]
)
def test_recorded_sequences_are_read_whole(shared_data, name, count):
    sequence = open_sequence(shared_data / name, frames=slice(None, None, 10))
    counts = Counter(item.reason if isinstance(item, Rejected) else "ok" for item in sequence.read())
    assert counts == {"ok": -(-count // 10)}
