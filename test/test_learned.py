"""What learned reconstructors saved: pixels traced back exactly, chunks joined, scale told or not, damage refused."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learned_files import POSES, SHOTS, network_camera, predictions, space, write_images, write_mast3r_log
from PIL import Image
from rich.console import Console
from scenes import BOX_ROOM, camera, render
from scipy.spatial.transform import Rotation

from ovseg3r_core.alignment import Similarity
from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.geometry import pose_distance
from ovseg3r_core.learned.pixel_map import mast3r_map, vggt_maps
from ovseg3r_core.learned.recording import LearnedRecording
from ovseg3r_core.odometry.choice import Placed, Recovery, with_poses
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.sequences.trajectory_file import write_trajectory
from ovseg3r_core.types import Frame

SIDE = 112  # of the network's images: 8 patches
CROP = vggt_maps(320, 240, side=SIDE)["crop"]
sizes = st.integers(200, 3000)


@given(sizes, sizes, st.sampled_from(["crop", "pad", "square", "mast3r"]))
def test_pixels_go_to_the_network_and_back(width, height, way):
    it = mast3r_map(width, height) if way == "mast3r" else vggt_maps(width, height)[way]
    uv = np.array([[0.0, 0.0], [width - 1, height - 1], [width / 3, height / 7]])
    np.testing.assert_allclose(it.to_original(it.to_network(uv)), uv, atol=1e-6)
    corners = it.to_network(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])) + 0.5
    inside = (it.network_width, it.network_height)
    if way in ("pad", "square"):
        assert (corners[0] >= -1e-6).all() and (corners[1] <= np.array(inside) + 1e-6).all()
    elif way == "crop":
        assert np.allclose(corners[:, 0], (0, 518)) and corners[0, 1] <= 1e-6
    assert it.network_width % (16 if way == "mast3r" else 14) == 0 and it.network_height <= 518


@pytest.mark.parametrize(
    ("width", "height", "way", "size"),
    [
        (640, 480, "crop", (518, 392)),
        (1920, 1080, "crop", (518, 294)),
        (480, 640, "crop", (518, 518)),
        (640, 480, "pad", (518, 518)),
        (480, 640, "pad", (518, 518)),
        (640, 480, "square", (518, 518)),
        (640, 480, "mast3r", (512, 384)),
        (1920, 1080, "mast3r", (512, 288)),
        (752, 480, "mast3r", (512, 320)),
        (500, 500, "mast3r", (512, 384)),
    ],
)
def test_a_ramp_tells_the_pixel_it_came_from(width, height, way, size):
    """Each pixel of the image holds its own column (row): what the loaders make of it, `to_original` must say."""
    it = mast3r_map(width, height) if way == "mast3r" else vggt_maps(width, height)[way]
    assert (it.network_width, it.network_height) == size
    for axis in (0, 1):
        ramp = np.mgrid[:height, :width][1 - axis].astype(np.float32)
        seen = loaded(ramp, way)
        assert seen.shape == size[::-1]
        v, u = np.mgrid[: size[1], : size[0]]
        told = it.to_original(np.stack([u.ravel(), v.ravel()], axis=1).astype(float))
        sure = ((told > 14) & (told < np.array([width, height]) - 15)).all(axis=1)  # filters reach over the border
        assert sure.mean() > 0.4
        np.testing.assert_allclose(seen.ravel()[sure], told[sure, axis], atol=0.02)


def loaded(image: np.ndarray, way: str) -> np.ndarray:
    """The loaders' steps, on one channel of floats."""
    height, width = image.shape
    picture = Image.fromarray(image)
    if way == "mast3r":
        longer = max(width, height)
        picture = picture.resize((round(width * 512 / longer), round(height * 512 / longer)), Image.Resampling.LANCZOS)
        w, h = picture.size
        half_w, half_h = (2 * (w // 2)) // 16 * 8, (2 * (h // 2)) // 16 * 8
        half_h = 3 * half_w / 4 if w == h else half_h
        return np.asarray(picture.crop((w // 2 - half_w, int(h // 2 - half_h), w // 2 + half_w, int(h // 2 + half_h))))
    if way == "square":
        longer = max(width, height)
        square = Image.new("F", (longer, longer))
        square.paste(picture, ((longer - width) // 2, (longer - height) // 2))
        return np.asarray(square.resize((518, 518), Image.Resampling.BICUBIC))
    if way == "crop" or width >= height:
        size = (518, round(height * 518 / width / 14) * 14)
    else:
        size = (round(width * 518 / height / 14) * 14, 518)
    seen = np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
    if way == "crop":
        start = max(0, (size[1] - 518) // 2)
        return seen[start : start + 518]
    rows, columns = 518 - size[1], 518 - size[0]
    return np.pad(seen, ((rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)))


def test_depth_of_a_pixel_is_that_of_the_networks_pixel_it_fell_into():
    it = vggt_maps(480, 640)["crop"]  # 86 rows are cut off at the top and the bottom
    v, u = np.mgrid[:518, :518].astype(np.float32) + 1
    for axis, image in enumerate((u, v)):
        there = it.onto_original(image)
        rows, columns = np.nonzero(there)
        exact = it.to_network(np.stack([columns, rows], axis=1).astype(float))[:, axis]
        assert np.abs(there[rows, columns] - 1 - exact).max() <= 0.5 + 1e-6
    assert not there[:60].any() and not there[-60:].any() and there[320].all()


def write_vggt(folder: Path, *, way: str = "crop", beside: bool = True, to: Similarity | None = None, **changed):
    it = vggt_maps(320, 240, side=SIDE)[way].padded(SIDE, 84 if way == "crop" else SIDE)
    if beside:
        write_images(folder / "images", SHOTS)
    folder.mkdir(exist_ok=True)
    arrays = predictions(SHOTS, it, to or space(1, 0.37)) | changed
    np.savez(folder / "predictions.npz", **{key: array for key, array in arrays.items() if array is not None})
    return folder


def on_trajectory(source, folder, stamps) -> Placed:
    recovery = Recovery(folder=folder / "recovered", identity="learned")
    return with_poses(source, trajectory(folder, stamps), Console(quiet=True), recovery)


def trajectory(folder: Path, stamps: dict[float, np.ndarray]) -> str:
    write_trajectory(folder / "true.txt", stamps)
    return str(folder / "true.txt")


def frames_of(source) -> list[Frame]:
    items = list(source.read())
    assert not [str(item) for item in items if isinstance(item, Rejected)]
    return [item for item in items if isinstance(item, Frame)]


def poses_of(frames: list[Frame]) -> dict[int, np.ndarray]:
    return {frame.index: frame.T_map_camera for frame in frames}


@pytest.mark.parametrize("way", ["crop", "pad", "square"])
def test_vggt_at_the_size_of_its_images_is_the_room_in_metres_once_aligned(tmp_path, way):
    folder = write_vggt(tmp_path / "room", way=way)
    source = open_sequence(folder)
    assert isinstance(source, LearnedRecording) and not source.scale_known and len(source) == 8
    stamps = {frame.stamp_s: shot.T_map_camera for frame, shot in zip(frames_of(source), SHOTS, strict=True)}
    aligned = on_trajectory(source, tmp_path, stamps)
    assert isinstance(aligned.sequence, LearnedRecording) and aligned.scale_known
    for frame, shot in zip(frames_of(aligned.sequence), SHOTS, strict=True):
        metres, radians = pose_distance(shot.T_map_camera, frame.T_map_camera)
        assert metres < 1e-3 and radians < 1e-3
        assert np.array_equal(frame.color, shot.color)
        assert np.allclose(frame.camera.K, shot.camera.K, atol=0.01)
        off = np.abs(frame.depth_m - shot.depth_m)[frame.depth_m > 0]
        assert (frame.depth_m > 0).mean() > 0.98 and np.median(off) < 0.01 and np.mean(off < 0.1) > 0.9


def test_vggt_without_its_images_is_as_the_network_saw_it_and_z_is_up(tmp_path, caplog):
    folder = write_vggt(tmp_path / "room", beside=False)
    with caplog.at_level(logging.WARNING):
        source = open_sequence(folder, frames=slice(0, None, 2))
    assert "lengths are not metres" in caplog.text and isinstance(source, LearnedRecording)
    frames = frames_of(source)
    assert [frame.index for frame in frames] == [0, 2, 4, 6] and frames[0].color.shape == (84, 112, 3)
    depths = np.concatenate([frame.depth_m[frame.depth_m > 0] for frame in frames_of(open_sequence(folder))])
    assert np.median(depths) == pytest.approx(2.0, rel=0.02)
    for frame, T in zip(frames, POSES[::2], strict=True):
        up = frame.T_map_camera[:3, :3] @ T[:3, :3].T @ [0, 0, 1]
        assert np.linalg.norm(up - [0, 0, 1]) < 0.02


def test_scale_txt_tells_the_metres_a_unit_has(tmp_path):
    folder = write_vggt(tmp_path / "room", to=space(1, 0.25))
    (folder / "scale.txt").write_text("4.0\n")
    source = open_sequence(folder)
    assert isinstance(source, LearnedRecording) and source.scale_known
    error = trajectory_error(poses_of(frames_of(source)), dict(enumerate(POSES)))
    assert error and error.ate_m < 1e-3
    (folder / "scale.txt").write_text("-1")
    with pytest.raises(ValueError, match="one positive number"):
        open_sequence(folder)


def test_what_vggt_is_unsure_of_is_no_depth(tmp_path):
    sure = np.random.default_rng(0).uniform(1, 9, (8, 84, 112)).astype(np.float32)
    for frame in frames_of(open_sequence(write_vggt(tmp_path / "room", beside=False, depth_conf=sure))):
        assert (frame.depth_m[sure[frame.index] < 2.4] == 0).all()
        assert (frame.depth_m[sure[frame.index] > 2.8] > 0).mean() > 0.98


def test_point_maps_pose_encodings_and_tensors_with_a_batch_are_read_too(tmp_path):
    arrays = predictions(SHOTS, CROP, space(2, 0.5))
    T = np.stack([np.vstack([matrix, [0, 0, 0, 1]]) for matrix in arrays["extrinsic"]]).astype(np.float64)
    K = arrays["intrinsic"].astype(np.float64)
    fields = 2 * np.arctan(np.stack([84 / 2 / K[:, 1, 1], 112 / 2 / K[:, 0, 0]], axis=1))
    encoded = np.concatenate([T[:, :3, 3], Rotation.from_matrix(T[:, :3, :3]).as_quat(), fields], axis=1)
    v, u = np.mgrid[:84, :112]
    z = arrays["depth"][..., 0].astype(np.float64)
    rays = np.stack([(u - K[0, 0, 2]) / K[0, 0, 0], (v - K[0, 1, 2]) / K[0, 1, 1], np.ones_like(u)], axis=-1)
    world = np.einsum("sji,shwj->shwi", T[:, :3, :3], rays * z[..., None] - T[:, None, None, :3, 3])
    given = {"pose_enc": encoded, "world_points": world, "images": arrays["images"], "pose_enc_list": None}
    tensors = {key: None if it is None else torch.from_numpy(it).float()[None] for key, it in given.items()}
    folder = tmp_path / "room"
    folder.mkdir()
    torch.save(tensors, folder / "predictions.pt")
    found, plain = (
        frames_of(open_sequence(folder)),
        frames_of(open_sequence(write_vggt(tmp_path / "npz", beside=False))),
    )
    for one, other in zip(found, plain, strict=True):
        assert np.mean(np.abs(one.depth_m - other.depth_m) < 0.02) > 0.99  # both at a median of 2 m
        assert np.allclose(one.camera.K, other.camera.K, atol=0.6)  # the encoding has the middle for a principal point


def write_chunks(folder: Path, parts, **drop) -> Path:
    folder.mkdir(parents=True)
    for number, (views, to) in enumerate(parts):
        arrays = predictions([SHOTS[i] for i in views], CROP, to)
        matrix = [np.linalg.inv(np.vstack([it, [0, 0, 0, 1]])) for it in arrays["extrinsic"]]
        arrays["extrinsic"] = np.stack(matrix)  # as VGGT-Long has it: world from camera
        np.savez(folder / f"chunk_{number}.npz", **{key: it for key, it in arrays.items() if key not in drop})
    return folder


CHUNKS = ((range(0, 4), space(3, 0.4)), (range(2, 6), space(4, 1.7)), (range(5, 8), space(5, 0.2)))


def test_overlapping_chunks_are_joined_at_one_scale(tmp_path):
    folder = write_chunks(tmp_path / "long", CHUNKS)
    frames = frames_of(open_sequence(folder))
    assert [frame.index for frame in frames] == list(range(8))
    error = trajectory_error(poses_of(frames), dict(enumerate(POSES)), scaled=True)
    assert error and error.ate_m < 0.01 and error.rpe_rad < 0.01
    depths = {frame.index: error.scale * np.median(frame.depth_m) for frame in frames}
    assert all(abs(depths[i] - np.median(SHOTS[i].depth_m)) < 0.05 for i in depths)


def test_chunks_that_share_nothing_or_do_not_say_what_they_show_are_refused(tmp_path):
    apart = write_chunks(tmp_path / "apart", (CHUNKS[0], (range(5, 8), space(5, 0.2))))
    with pytest.raises(ValueError, match=r"chunk_1.npz shares no image"):
        open_sequence(apart)
    with pytest.raises(ValueError, match="does not tell which images"):
        open_sequence(write_chunks(tmp_path / "blind", CHUNKS, images=True))
    np.save(write_chunks(tmp_path / "pickled", ()) / "chunk_0.npy", np.array({"depth": 1}, object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"could run code.*np.savez"):
        open_sequence(tmp_path / "pickled")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"depth": None}, "needed are depth or world_points"),
        ({"extrinsic": None}, "needed are"),
        ({"depth": np.array([{"a": 1}] * 8, object)}, "does not hold plain arrays"),
        ({"depth": np.ones((8, 84), np.float32)}, "axes belong"),
        ({"intrinsic": np.ones((7, 3, 3))}, r"intrinsic has shape \(7, 3, 3\)"),
        ({"depth_conf": np.ones((8, 84, 84), np.float32)}, "depth_conf has shape"),
        ({"images": np.ones((8, 3, 5, 5), np.float32)}, "images has shape"),
        ({"images": np.ones((8, 3, 84, 112), np.float32)}, "does not look like what the network saw"),
        ({"depth": np.full((8, 84, 112, 1), np.nan, np.float32)}, "none of the 8 views has depth"),
        ({"extrinsic": np.zeros((8, 3, 4), np.float32)}, "none of the 8 views"),
    ],
)
def test_predictions_that_do_not_fit_are_refused_with_what_is_wrong(tmp_path, changed, says):
    with pytest.raises(ValueError, match=says):
        open_sequence(write_vggt(tmp_path / "room", **changed))


def test_damaged_files_and_wrong_folders_of_images_are_refused(tmp_path):
    folder = write_vggt(tmp_path / "room")
    whole = (folder / "predictions.npz").read_bytes()
    for part in (0, 100, len(whole) // 2):
        (folder / "predictions.npz").write_bytes(whole[:part])
        with pytest.raises(ValueError, match=r"predictions.npz"):
            open_sequence(folder)
    (folder / "predictions.npz").write_bytes(whole)
    (folder / "images" / "000007.png").unlink()
    with pytest.raises(ValueError, match="7 images, and 8 were reconstructed"):
        open_sequence(folder)
    torn = tmp_path / "torn"
    torn.mkdir()
    torch.save({"depth": torch.nn.Linear(2, 2)}, torn / "predictions.pt")
    with pytest.raises(ValueError, match="more than tensors"):
        open_sequence(torn)


def test_a_trajectory_that_does_not_fit_is_refused(tmp_path):
    source = open_sequence(write_vggt(tmp_path / "room"))
    stamps = [frame.stamp_s for frame in frames_of(source)]
    rng = np.random.default_rng(0)
    elsewhere = {}
    for stamp in stamps:
        elsewhere[stamp] = np.eye(4)
        elsewhere[stamp][:3, 3] = rng.normal(size=3) * 5
    with pytest.raises(ValueError, match="does not fit the trajectory"):
        on_trajectory(source, tmp_path, elsewhere)
    late = {stamp + 100: T for stamp, T in elsewhere.items()}
    with pytest.raises(ValueError, match="0 of 8 views have a pose"):
        on_trajectory(source, tmp_path, late)


def test_mast3r_slams_keyframes_get_the_depth_they_had(tmp_path):
    folder = write_mast3r_log(tmp_path / "logs", "desk", SHOTS[::2], space(6, 0.8))
    K = SHOTS[0].camera.K
    (folder / "camera-intrinsics.txt").write_text("\n".join(" ".join(map(str, row)) for row in K))
    source = open_sequence(folder)
    assert source.name == "desk" and len(source) == 4
    stamps = {frame.stamp_s: shot.T_map_camera for frame, shot in zip(frames_of(source), SHOTS[::2], strict=True)}
    aligned = frames_of(on_trajectory(source, tmp_path, stamps).sequence)
    for frame, shot in zip(aligned, SHOTS[::2], strict=True):
        assert np.array_equal(frame.color, shot.color)
        has = frame.depth_m > 0
        off = np.abs(frame.depth_m - shot.depth_m)
        assert has.mean() > 0.88 and np.mean(off[has] < 1e-3) > 0.9 and np.mean(off[has] < 0.1) > 0.99
        assert pose_distance(shot.T_map_camera, frame.T_map_camera)[0] < 1e-3


def test_mast3r_slam_with_its_own_calibration_or_none(tmp_path):
    it = mast3r_map(640, 480)
    cam = network_camera(camera(640, 480), it)
    shots = [render(BOX_ROOM, cam, T, i)[0] for i, T in enumerate(POSES[:2])]
    folder = write_mast3r_log(tmp_path / "logs", "desk", shots, space(6, 0.8))
    with pytest.raises(ValueError, match=r"copy the intrinsics.yaml"):
        open_sequence(folder)
    f = camera(640, 480).fx
    (folder / "intrinsics.yaml").write_text(f"width: 640\nheight: 480\ncalibration: [{f}, {f}, 319.5, 239.5]\n")
    read = frames_of(open_sequence(folder))
    assert np.allclose(read[0].camera.K, cam.K, atol=1.0) and (read[0].depth_m > 0).mean() > 0.5
    (folder / "intrinsics.yaml").write_text("width: 640\nheight: 300\ncalibration: [500, 500, 320, 150]\n")
    with pytest.raises(Rejected, match="of which MASt3R-SLAM makes 512x240"):
        open_sequence(folder)
    (folder / "intrinsics.yaml").write_text("width: 640\n")
    with pytest.raises(Rejected, match="does not hold width, height and calibration"):
        open_sequence(folder)


def test_wrong_intrinsics_of_a_log_give_no_depth_but_a_reason(tmp_path):
    folder = write_mast3r_log(tmp_path / "logs", "desk", SHOTS[:3], space(6, 0.8))
    (folder / "camera-intrinsics.txt").write_text("30 0 160 0 30 120 0 0 1")
    with pytest.raises(ValueError, match="none of the 3 views has depth"):
        open_sequence(folder)
    (folder / "chair.txt").write_text("")
    (folder / "chair.ply").write_bytes((folder / "desk.ply").read_bytes())
    with pytest.raises(ValueError, match=r"sequences \['chair', 'desk'\]"):
        open_sequence(folder)
