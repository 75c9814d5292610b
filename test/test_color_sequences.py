"""Recordings without depth: folders of images, videos, and the known layouts with their depth left out."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import CAMERA, shots, write_image, write_matrix, write_posed_folder, write_tum

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.identity import identity
from ovseg3r_core.sequences.sequence import Recording, open_sequence
from ovseg3r_core.sequences.video import VideoSequence
from ovseg3r_core.types import ColorFrame


def colors_of(recording: Recording) -> list[ColorFrame]:
    items = list(recording.read_color())
    assert len(items) == len(recording) and not [str(it) for it in items if isinstance(it, Rejected)]
    return [it for it in items if isinstance(it, ColorFrame)]


def write_video(path: Path, frames: int = 5, rate_hz: float = 10.0) -> Path:
    """Frames of one grey each, which any codec keeps."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (64, 48))
    assert writer.isOpened()
    for i in range(frames):
        writer.write(np.full((48, 64, 3), (40 * i, 0, 255 - 40 * i), np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("known", [True, False])
def test_a_folder_of_images_is_read_in_the_order_of_its_numbers(tmp_path: Path, known: bool):
    made = shots(3)
    for name, shot in zip(("IMG_2.png", "IMG_9.png", "IMG_10.png"), made, strict=True):
        write_image(tmp_path / name, shot.color)
    if known:
        write_matrix(tmp_path / "camera-intrinsics.txt", CAMERA.K)
    recording = open_sequence(tmp_path)
    frames = colors_of(recording)
    assert recording.read_stamps() == {frame.index: frame.stamp_s for frame in frames}
    assert not recording.has_depth and not recording.has_poses and recording.read_poses() == {}
    assert all(np.array_equal(frame.color, shot.color) for frame, shot in zip(frames, made, strict=True))
    assert [frame.camera for frame in frames] == [CAMERA if known else None] * 3
    for items in (recording.read(), recording.read_unposed()):
        assert all(isinstance(it, Rejected) for it in items)


def test_a_video_is_read_frame_by_frame(tmp_path: Path):
    recording = open_sequence(write_video(tmp_path / "walk.avi"))
    frames = colors_of(recording)
    assert recording.name == "walk" and [frame.index for frame in frames] == list(range(5))
    assert np.allclose([frame.stamp_s for frame in frames], [0.1, 0.2, 0.3, 0.4, 0.5])
    for i, frame in enumerate(frames):
        assert np.allclose(frame.color.mean(axis=(0, 1)), (255 - 40 * i, 0, 40 * i), atol=6) and frame.camera is None
    write_matrix(tmp_path / "camera-intrinsics.txt", CAMERA.K)
    some = colors_of(open_sequence(tmp_path / "walk.avi", frames=slice(1, None, 2)))
    assert open_sequence(tmp_path / "walk.avi", frames=slice(1, None, 2)).read_stamps() == {1: 0.2, 3: 0.4}
    assert [frame.index for frame in some] == [1, 3] and some[0].camera == CAMERA
    assert np.array_equal(some[1].color, frames[3].color)
    assert all(it.reason == "no_depth" for it in recording.read() if isinstance(it, Rejected))


def test_a_video_that_is_cut_or_none_says_so(tmp_path: Path):
    (tmp_path / "none.mp4").write_bytes(b"no video at all")
    with pytest.raises(Rejected, match="cannot be decoded"):
        open_sequence(tmp_path / "none.mp4")
    recording = open_sequence(write_video(tmp_path / "cut.avi", frames=3))
    assert isinstance(recording, VideoSequence)
    items = list(replace(recording, indices=range(5)).read_color())  # its header promises more than there is
    assert [it.reason if isinstance(it, Rejected) else "ok" for it in items] == ["ok"] * 3 + ["bad_file"] * 2


@pytest.mark.parametrize("write", [write_posed_folder, write_tum])
def test_layouts_may_lack_depth_and_keep_their_poses(tmp_path: Path, write):
    folder = write(tmp_path / "room", shots(3))
    full = open_sequence(folder)
    assert full.has_depth and sorted(full.read_poses()) == [0, 1, 2]
    full_stamps = full.read_stamps()
    assert full_stamps == {frame.index: frame.stamp_s for frame in colors_of(full)}
    as_they_were = [frame.color for frame in colors_of(full)]
    for path in [*folder.rglob("*depth*.png"), *folder.glob("depth/*"), *folder.glob("depth.txt")]:
        path.unlink(missing_ok=True)
    bare = open_sequence(folder)
    assert bare.read_stamps() == full_stamps
    frames = colors_of(bare)
    assert not bare.has_depth and bare.has_poses and frames[0].camera == CAMERA
    assert all(np.array_equal(frame.color, color) for frame, color in zip(frames, as_they_were, strict=True))
    poses = bare.read_poses()
    assert all(np.allclose(poses[i], shot.pose, atol=1e-9) for i, shot in enumerate(shots(3)))


def test_a_recording_is_another_once_a_file_of_it_changed(tmp_path: Path):
    folder = write_posed_folder(tmp_path / "room", shots(2))
    first = identity(folder, "auto", slice(None))
    assert first == identity(folder, "auto", slice(None)) != identity(folder, "auto", slice(0, 1))
    (folder / "000002.color.png").write_bytes(b"more")
    assert identity(folder, "auto", slice(None)) != first


def test_a_recording_stays_the_same_while_results_are_written_into_its_folder(tmp_path: Path):
    folder = write_posed_folder(tmp_path / "room", shots(2))
    out = folder / "found" / "map"
    first = identity(folder, "auto", slice(None), out)
    assert first == identity(folder, "auto", slice(None))
    out.mkdir(parents=True)
    (out / "cloud.ply").write_bytes(b"points")
    assert identity(folder, "auto", slice(None), out) == first != identity(folder, "auto", slice(None))
    (folder / "000002.color.png").write_bytes(b"more")
    assert identity(folder, "auto", slice(None), out) != first
    assert identity(folder, "auto", slice(None), folder) == identity(folder, "auto", slice(None))


def test_a_video_is_another_once_its_intrinsics_changed(tmp_path: Path):
    video = write_video(tmp_path / "walk.avi")
    first = identity(video, "auto", slice(None))
    write_matrix(tmp_path / "camera-intrinsics.txt", CAMERA.K)
    assert identity(video, "auto", slice(None)) != first
