"""ScanNet's `.sens` streams, read as sequences."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from dataset_folders import (
    CAMERA,
    encoded,
    room,
    sens_frame,
    sens_header,
    write_exported_frames,
    write_sens,
)

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.types import Frame


def frames_of(path: Path, frames: slice = slice(None)) -> list[Frame]:
    items = list(open_sequence(path, frames=frames).read())
    assert all(isinstance(item, Frame) for item in items), items
    return [item for item in items if isinstance(item, Frame)]


def test_a_stream_holds_what_was_written(tmp_path):
    made = room()
    stream = write_sens(tmp_path / "scene0000_00" / "scene0000_00.sens", made)
    sequence = open_sequence(stream)
    assert sequence.name == "scene0000_00" and len(sequence) == 3
    for frame, pose, color, depth in zip(frames_of(stream), made.poses, made.colors, made.depths_mm, strict=True):
        np.testing.assert_allclose(frame.T_map_camera, pose, atol=1e-6)
        np.testing.assert_array_equal(frame.color, color)
        np.testing.assert_allclose(frame.depth_m, depth / 1000, atol=1e-6)
        assert frame.camera == CAMERA


def test_a_stream_gives_the_frames_that_its_export_gives(tmp_path):
    made = room()
    write_sens(tmp_path / "a" / "scene.sens", made)
    write_exported_frames(tmp_path / "b", made)
    for streamed, exported in zip(frames_of(tmp_path / "a"), frames_of(tmp_path / "b"), strict=True):
        assert (streamed.index, streamed.stamp_s, streamed.camera) == (
            exported.index,
            exported.stamp_s,
            exported.camera,
        )
        np.testing.assert_array_equal(streamed.color, exported.color)
        np.testing.assert_array_equal(streamed.depth_m, exported.depth_m)


def test_colour_may_be_jpeg_and_every_second_frame_keeps_its_number(tmp_path):
    made = room()
    frames = frames_of(write_sens(tmp_path / "scene.sens", made, kind="JPEG"), slice(None, None, 2))
    assert [frame.index for frame in frames] == [0, 2]
    assert frames[0].color.shape == made.colors[0].shape


def test_larger_colour_is_resampled_to_the_depth_camera(tmp_path):
    made = room(1)
    large = np.repeat(np.repeat(made.colors[0], 2, axis=0), 2, axis=1)
    header = sens_header(1, size=(128, 96, 64, 48))
    depth = zlib.compress(made.depths_mm[0].tobytes())
    (tmp_path / "a.sens").write_bytes(header + sens_frame(made.poses[0], encoded(large, "PNG"), depth))
    (frame,) = frames_of(tmp_path / "a.sens")
    assert frame.color.shape == (48, 64, 3) and frame.camera == CAMERA


def test_a_truncated_stream_gives_the_frames_that_are_whole_and_says_so(tmp_path):
    stream = write_sens(tmp_path / "a.sens", room())
    stream.write_bytes(stream.read_bytes()[:-2000])
    *whole, cut = open_sequence(stream).read()
    assert len(whole) == 2 and all(isinstance(item, Frame) for item in whole)
    assert isinstance(cut, Rejected) and cut.reason == "bad_file" and "frame 2 of 3" in str(cut)


def test_a_frame_whose_tracking_was_lost_is_rejected_and_the_rest_goes_on(tmp_path):
    made = room()
    made.poses[1] = np.full((4, 4), -np.inf)
    first, lost, last = open_sequence(write_sens(tmp_path / "a.sens", made)).read()
    assert isinstance(first, Frame) and isinstance(last, Frame)
    assert isinstance(lost, Rejected) and lost.reason == "bad_pose" and "frame 1" in str(lost)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends in its header"),
        (b"\x04\0\0\0" + b"\xff" * 400, "sensor's name"),
        (sens_header(1, version=3), "version 3"),
        (sens_header(1, color=0), "packed as 0"),
        (sens_header(1, depth=2), "depth as 2"),
        (sens_header(1, size=(64, 48, 1 << 20, 48)), "image sizes"),
        (sens_header(1 << 40), "frames"),
    ],
)
def test_what_is_no_stream_that_we_read_is_refused(tmp_path, data, said):
    (tmp_path / "a.sens").write_bytes(data)
    with pytest.raises(Rejected, match=said):
        open_sequence(tmp_path / "a.sens")


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        (zlib.compress(bytes(10**7)), "depth has"),  # inflates to far more than an image
        (zlib.compress(bytes(100)), "depth has 100 bytes"),
        (b"not deflated", "inflated"),
    ],
)
def test_depth_of_another_size_than_the_header_says_is_refused(tmp_path, depth, said):
    made = room(1)
    (tmp_path / "a.sens").write_bytes(sens_header(1) + sens_frame(made.poses[0], encoded(made.colors[0], "PNG"), depth))
    (item,) = open_sequence(tmp_path / "a.sens").read()
    assert isinstance(item, Rejected) and said in str(item)


def test_a_frame_that_claims_to_be_larger_than_the_file_ends_it(tmp_path):
    made = room(1)
    frame = bytearray(sens_frame(made.poses[0], b"", b""))
    frame[80:88] = b"\xff" * 8
    (tmp_path / "a.sens").write_bytes(sens_header(1) + bytes(frame))
    (item,) = open_sequence(tmp_path / "a.sens").read()
    assert isinstance(item, Rejected) and "truncated or damaged at frame 0" in str(item)


def test_extrinsics_place_both_cameras_and_register_depth(tmp_path):
    made, shift = room(), np.eye(4, dtype="<f4")
    stream = write_sens(tmp_path / "scene.sens", made)
    plain = frames_of(stream)[0]
    shift[0, 3] = 0.05
    begin = 4 + 8 + len("StructureSensor")
    data = bytearray(stream.read_bytes())
    data[begin + 64 : begin + 128] = shift.tobytes()  # of colour; depth stays where the device is
    stream.write_bytes(data)
    moved = frames_of(stream)[0]
    np.testing.assert_allclose(moved.T_map_camera, plain.T_map_camera @ shift, atol=1e-6)
    assert moved.depth_m.shape == plain.depth_m.shape and not np.array_equal(moved.depth_m, plain.depth_m)
