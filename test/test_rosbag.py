"""rosbag2: bags written here read back as the same frames; odd, cut and hostile ones are read as far as they go."""

import logging
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from recordings import CAMERA, HEIGHT, WIDTH, shots, write_posed_folder
from rosbags.rosbag2 import StoragePlugin, Writer

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import invert
from ovseg3r_core.sequences.bag_messages import time_ns
from ovseg3r_core.sequences.bag_topics import ImageTopic, choose_topics
from ovseg3r_core.sequences.bag_writer import write_bag
from ovseg3r_core.sequences.calibration import Calibration, undistort
from ovseg3r_core.sequences.poses import pose_from_quaternion, quaternion_of
from ovseg3r_core.sequences.ros_images import RawImage, decode_compressed, decode_raw
from ovseg3r_core.sequences.ros_types import (
    CameraInfo,
    CompressedImage,
    Header,
    Image,
    Quaternion,
    RegionOfInterest,
    TFMessage,
    Time,
    Transform,
    TransformStamped,
    Vector3,
    typestore,
)
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.sequences.tf_buffer import TfBuffer
from ovseg3r_core.types import ColorFrame, Frame, RgbdFrame

MS = 1_000_000
OPTICAL = "camera_color_optical_frame"


def header(stamp_ns: int, frame_id: str = OPTICAL) -> Header:
    return Header(Time(stamp_ns // 10**9, stamp_ns % 10**9), frame_id)


def image(stamp_ns: int, encoding: str, pixels: np.ndarray) -> Image:
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    height, width = pixels.shape[:2]
    return Image(header(stamp_ns), height, width, encoding, 0, len(data) // height, data)


def compressed(stamp_ns: int, format: str, data: bytes) -> CompressedImage:
    return CompressedImage(header(stamp_ns), format, np.frombuffer(data, dtype=np.uint8))


def info(stamp_ns: int, model: str = "plumb_bob", d: tuple[float, ...] = (), fx: float = CAMERA.fx) -> CameraInfo:
    K = np.array([[fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    P = np.array([[50.0, 0, 30, 0], [0, 50, 20, 0], [0, 0, 1, 0]])
    roi = RegionOfInterest(0, 0, 0, 0, False)
    return CameraInfo(
        header(stamp_ns), HEIGHT, WIDTH, model, np.array(d, dtype=np.float64), K.ravel(), np.eye(3).ravel(), P.ravel(),
        0, 0, roi,
    )  # fmt: skip


def tf(stamp_ns: int, parent: str, child: str, T: np.ndarray) -> TFMessage:
    transform = Transform(Vector3(*map(float, T[:3, 3])), Quaternion(*map(float, quaternion_of(T))))
    return TFMessage([TransformStamped(header(stamp_ns, parent), child, transform)])


def at(x: float, yaw: float = 0.0) -> np.ndarray:
    return pose_from_quaternion((x, 0.0, 0.0), (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))


def record(path: Path, messages: list[tuple[str, int, object]], plugin: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """A bag of (topic, log time, message)."""
    with Writer(path, version=9, storage_plugin=plugin) as writer:
        topics: dict[str, object] = {}
        for topic, stamp_ns, message in messages:
            kind = message.__msgtype__  # type: ignore[attr-defined]
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=typestore)
            writer.write(topics[topic], stamp_ns, typestore.serialize_cdr(message, kind))  # type: ignore[arg-type]
    return path


def camera_messages(count: int = 3, first_ns: int = 10**9) -> list[tuple[str, int, object]]:
    """A camera at 10 Hz on a robot: map -> odom -> base_link -> optical frame, the last fixed."""
    messages: list[tuple[str, int, object]] = [("/tf_static", 0, tf(0, "base_link", OPTICAL, at(0.5)))]
    for number, shot in enumerate(shots(count)):
        stamp = first_ns + number * 100 * MS
        messages += [
            ("/camera/color/camera_info", stamp, info(stamp)),
            ("/camera/color/image_raw", stamp, image(stamp, "rgb8", shot.color)),
            ("/camera/aligned_depth_to_color/image_raw", stamp + 5 * MS, image(stamp + 5 * MS, "16UC1", shot.depth_mm)),
        ]
    last_ns = first_ns + count * 100 * MS
    for stamp in range(first_ns - 50 * MS, last_ns, 50 * MS):
        messages.append(("/tf", stamp, tf(stamp, "odom", "base_link", at((stamp - first_ns) / 1e9))))
    for stamp in range(first_ns - 200 * MS, last_ns + 600 * MS, 500 * MS):
        messages.append(("/tf", stamp, tf(stamp, "map", "odom", at(1.0))))
    return sorted(messages, key=lambda message: message[1])


def replace(messages: list[tuple[str, int, object]], topic: str, make) -> list[tuple[str, int, object]]:
    return [(name, stamp, make(message) if name == topic else message) for name, stamp, message in messages]


def without(messages: list[tuple[str, int, object]], *topics: str) -> list[tuple[str, int, object]]:
    return [message for message in messages if message[0] not in topics]


def frames_of(path: Path) -> list[Frame]:
    items = list(open_sequence(path).read())
    assert not [str(item) for item in items if isinstance(item, Rejected)]
    return [item for item in items if isinstance(item, Frame)]


def assert_same(frame: Frame, other: Frame) -> None:
    assert (frame.index, frame.stamp_s, frame.camera) == (other.index, other.stamp_s, other.camera)
    np.testing.assert_array_equal(frame.color, other.color)
    np.testing.assert_array_equal(frame.depth_m, other.depth_m)
    np.testing.assert_allclose(frame.T_map_camera, other.T_map_camera, atol=1e-9)


# Writing and reading back


def test_a_bag_of_a_folder_reads_back_as_the_same_frames(tmp_path):
    folder = open_sequence(write_posed_folder(tmp_path / "room", shots()))
    written = write_bag(folder, tmp_path / "bags" / "room")
    assert (written.frames, written.rejected) == (4, {})
    again = open_sequence(tmp_path / "bags" / "room")
    assert (again.name, len(again)) == ("room", 4)
    for frame, other in zip(folder.read(), again.read(), strict=True):
        assert isinstance(frame, Frame) and isinstance(other, Frame)
        assert_same(frame, other)
    assert [path.suffix for path in sorted((tmp_path / "bags" / "room").iterdir())] == [".yaml", ".mcap"]
    assert len(frames_of(tmp_path / "bags" / "room" / "room.mcap")) == 4


def test_depth_finer_than_a_millimetre_survives_the_bag(tmp_path):
    class Fine:
        name = "fine"

        def __len__(self) -> int:
            return 1

        def read(self):
            shot = shots(1)[0]
            depth_m = np.linspace(0.5, 90, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
            yield Frame(
                index=0, stamp_s=1_700_000_000.123456789, color=shot.color, depth_m=depth_m, camera=CAMERA,
                T_map_camera=shot.pose,
            )  # fmt: skip

    write_bag(Fine(), tmp_path / "fine")
    (frame,) = frames_of(tmp_path / "fine")
    assert_same(next(Fine().read()), frame)


def test_frames_that_cannot_be_read_are_counted_and_left_out(tmp_path):
    folder = write_posed_folder(tmp_path / "room", shots())
    (folder / "000001.depth.png").unlink()
    written = write_bag(open_sequence(folder), tmp_path / "bag")
    assert (written.frames, written.rejected) == (3, {"missing_file": 1})
    with pytest.raises(FileExistsError, match="bag exists already"):
        write_bag(open_sequence(folder), tmp_path / "bag")


def test_a_bag_without_any_frame_is_not_left_behind(tmp_path):
    folder = write_posed_folder(tmp_path / "room", shots(1))
    (folder / "000000.depth.png").unlink()
    with pytest.raises(ValueError, match="no frame can be read"):
        write_bag(open_sequence(folder), tmp_path / "bag")
    assert [path.name for path in tmp_path.iterdir()] == ["room"]


def test_the_recorded_cabinet_survives_the_bag(shared_data, tmp_path):
    folder = open_sequence(shared_data / "tum_fr3_cabinet")
    write_bag(folder, tmp_path / "cabinet")
    for frame, other in zip(folder.read(), open_sequence(tmp_path / "cabinet").read(), strict=True):
        assert isinstance(frame, Frame) and isinstance(other, Frame)
        assert_same(frame, other)


# Robots' bags


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_a_robots_bag_gives_poses_through_its_tf_chain(tmp_path, plugin):
    frames = frames_of(record(tmp_path / "run", camera_messages(), plugin))
    for number, (frame, shot) in enumerate(zip(frames, shots(3), strict=True)):
        np.testing.assert_array_equal(frame.color, shot.color)
        np.testing.assert_allclose(frame.depth_m, shot.depth_mm / 1000, atol=1e-6)
        np.testing.assert_allclose(frame.T_map_camera, at(1.0 + 0.1 * number + 0.5), atol=1e-9)
        assert frame.stamp_s == (10**9 + number * 100 * MS) / 1e9


def test_a_single_sqlite_file_is_a_bag_too(tmp_path):
    path = record(tmp_path / "run", camera_messages(), StoragePlugin.SQLITE3)
    assert len(frames_of(next(path.glob("*.db3")))) == 3


def test_frames_of_a_bag_are_chosen_by_their_place(tmp_path):
    path = record(tmp_path / "run", camera_messages(5))
    sequence = open_sequence(path, frames=slice(1, None, 2))
    assert [item.index for item in sequence.read() if isinstance(item, Frame)] == [1, 3]
    assert len(sequence) == 2


def test_without_a_map_frame_odom_is_the_map(tmp_path):
    messages = [item for item in camera_messages() if "frame_id='map'" not in str(item[2])]
    assert len(messages) < len(camera_messages())
    frames = frames_of(record(tmp_path / "run", messages))
    np.testing.assert_allclose(frames[1].T_map_camera, at(0.1 + 0.5), atol=1e-9)


def test_compressed_topics_serve_where_raw_ones_are_missing(tmp_path):
    def jpeg(message: Image) -> CompressedImage:
        flat = np.full((HEIGHT, WIDTH, 3), (200, 40, 90), dtype=np.uint8)
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        return compressed(stamp, "rgb8; jpeg compressed bgr8", cv2.imencode(".jpg", flat[:, :, ::-1])[1].tobytes())

    def png(message: Image) -> CompressedImage:
        depth = message.data.view(np.uint16).reshape(HEIGHT, WIDTH)
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        data = struct.pack("<iff", 0, 0, 0) + cv2.imencode(".png", depth)[1].tobytes()
        return compressed(stamp, "16UC1; compressedDepth png", data)

    color, depth = "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw"
    messages = replace(replace(camera_messages(), color, jpeg), depth, png)
    names = {color: f"{color}/compressed", depth: f"{depth}/compressedDepth"}
    frames = frames_of(record(tmp_path / "run", [(names.get(t, t), stamp, message) for t, stamp, message in messages]))
    assert len(frames) == 3
    np.testing.assert_allclose(frames[0].color, np.broadcast_to((200, 40, 90), (HEIGHT, WIDTH, 3)), atol=3)
    np.testing.assert_allclose(frames[2].depth_m, shots(3)[2].depth_mm / 1000, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "d"),
    [
        ("plumb_bob", (-0.2, 0.05, 0.001, -0.002, 0.0)),
        ("rational_polynomial", (0.1, -0.2, 0.001, 0.0, 0.05, 0.2, 0.01, 0.02)),
        ("equidistant", (0.1, -0.02, 0.003, 0.0)),
    ],
)
def test_lens_distortion_of_camera_info_is_removed(tmp_path, model, d):
    messages = replace(camera_messages(1), "/camera/color/camera_info", lambda old: info(10**9, model, d))
    (frame,) = frames_of(record(tmp_path / "run", messages))
    shot = shots(1)[0]
    lens = Calibration(fx=CAMERA.fx, fy=CAMERA.fy, cx=CAMERA.cx, cy=CAMERA.cy, distortion=d, model=model)
    color, depth = undistort(shot.color, shot.depth_mm, lens)
    assert (color != shot.color).mean() > 0.5
    np.testing.assert_array_equal(frame.color, color)
    np.testing.assert_allclose(frame.depth_m, depth / 1000, atol=1e-6)
    assert frame.camera == CAMERA


def test_a_rectified_topic_takes_the_intrinsics_of_p_and_no_distortion(tmp_path):
    messages = replace(camera_messages(1), "/camera/color/camera_info", lambda old: info(10**9, d=(0.5, 0, 0, 0, 0)))
    renamed = [
        (t.replace("color/image_raw", "color/image_rect_color"), stamp, message) for t, stamp, message in messages
    ]
    (frame,) = frames_of(record(tmp_path / "run", renamed))
    np.testing.assert_array_equal(frame.color, shots(1)[0].color)
    assert (frame.camera.fx, frame.camera.cx) == (50, 30)


def test_camera_info_is_the_last_one_up_to_the_image(tmp_path):
    messages = without(camera_messages(), "/camera/color/camera_info")
    for stamp, fx in ((10**9 - 1, 60.0), (10**9 + 150 * MS, 70.0)):
        messages.append(("/camera/color/camera_info", stamp, info(stamp, fx=fx)))
    assert [frame.camera.fx for frame in frames_of(record(tmp_path / "run", messages))] == [60, 60, 70]


# What is bad in a bag


def test_each_bad_frame_of_a_bag_is_named_and_the_rest_is_read(tmp_path):
    def spoil(message: Image) -> Image:
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        number = (stamp - 10**9) // (100 * MS)
        if number == 1:
            return image(stamp, "yuv422", np.zeros((HEIGHT, WIDTH, 2), dtype=np.uint8))
        if number == 2:
            return Image(message.header, HEIGHT, WIDTH, "rgb8", 0, WIDTH * 3, message.data[:1000])
        if number == 3:
            return image(stamp, "rgb8", np.zeros((HEIGHT // 2, WIDTH, 3), dtype=np.uint8))
        return message

    messages = replace(camera_messages(8), "/camera/color/image_raw", spoil)
    depth_topic, info_topic = "/camera/aligned_depth_to_color/image_raw", "/camera/color/camera_info"
    messages = [item for item in messages if item[:2] != (depth_topic, 10**9 + 405 * MS)]
    messages = [item for item in messages if item[:2] != (info_topic, 10**9 + 500 * MS)]
    messages.append((info_topic, 10**9 + 500 * MS, info(10**9 + 500 * MS, fx=0.0)))
    items = list(open_sequence(record(tmp_path / "run", messages)).read())
    reasons = {index: item.reason for index, item in enumerate(items) if isinstance(item, Rejected)}
    assert reasons == {1: "bad_encoding", 2: "bad_image", 3: "size_mismatch", 4: "no_depth", 5: "bad_intrinsics"}
    assert "yuv422" in str(items[1]) and "frame 2 at 1.200 s" in str(items[2]) and "64x24" in str(items[3])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30])
def test_no_reading_in_float_depth_becomes_zero(tmp_path, value):
    def spoil(message: Image) -> Image:
        depth = message.data.view(np.uint16).reshape(HEIGHT, WIDTH).astype(np.float32) / 1000
        depth[:10] = value
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        return image(stamp, "32FC1", depth)

    messages = replace(camera_messages(1), "/camera/aligned_depth_to_color/image_raw", spoil)
    (frame,) = frames_of(record(tmp_path / "run", messages))
    assert (frame.depth_m[:10] == 0).all() and (frame.depth_m[10:] > 0).all()


def test_a_gap_in_tf_gives_no_pose_rather_than_a_guess(tmp_path):
    def lost(message: object, stamp: int) -> bool:
        return "child_frame_id='base_link'" in str(message) and 12 * 10**8 < stamp < 29 * 10**8

    messages = [item for item in camera_messages(30) if item[0] != "/tf" or not lost(item[2], item[1])]
    items = list(open_sequence(record(tmp_path / "run", messages)).read())
    reasons = ["no_pose" if isinstance(item, Rejected) else "ok" for item in items]
    assert reasons == ["ok"] * 3 + ["no_pose"] * 16 + ["ok"] * 11
    assert "1.700 s apart" in str(items[10]) and "base_link" in str(items[10])


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ("/camera/color/image_raw", "no colour topic"),
        ("/camera/color/camera_info", "no /camera/color/camera_info"),
    ],
)
def test_a_bag_that_lacks_a_topic_says_which(tmp_path, missing, text):
    path = record(tmp_path / "run", without(camera_messages(), missing))
    with pytest.raises(ValueError, match=text):
        open_sequence(path)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_a_bag_of_colour_alone_is_read_as_a_video_is(tmp_path, plugin):
    messages = camera_messages()
    distorted = replace(messages, "/camera/color/camera_info", lambda it: info(time_ns(it.header.stamp), d=(0.1,) * 4))
    full = open_sequence(record(tmp_path / "full", distorted, plugin))
    alone = record(tmp_path / "alone", without(distorted, "/camera/aligned_depth_to_color/image_raw"), plugin)
    recording = open_sequence(alone, frames=slice(1, None))
    assert not recording.has_depth and recording.has_poses and list(recording.read_stamps()) == [1, 2]
    images, theirs = list(recording.read_color()), list(full.read_color())[1:]
    for image, other in zip(images, theirs, strict=True):
        assert isinstance(image, ColorFrame) and isinstance(other, ColorFrame)
        assert (image.index, image.stamp_s, image.camera) == (other.index, other.stamp_s, other.camera)
        np.testing.assert_array_equal(image.color, other.color)  # both without what the lens does
    for items in (recording.read(), recording.read_unposed()):
        assert [it.reason for it in items if isinstance(it, Rejected)] == ["no_depth"] * 2
    untold = record(tmp_path / "untold", without(messages, "/tf", "/camera/aligned_depth_to_color/image_raw"))
    assert not open_sequence(untold).has_poses


def test_bad_images_of_a_bag_of_colour_alone_are_named(tmp_path):
    def spoilt(message):
        stamp = time_ns(message.header.stamp)
        if stamp == 10**9:
            return image(stamp, "rgb8", np.zeros((5, 7, 3), np.uint8))
        return message

    messages = replace(camera_messages(), "/camera/color/image_raw", spoilt)
    path = record(tmp_path / "run", without(messages, "/camera/aligned_depth_to_color/image_raw"))
    items = list(open_sequence(path).read_color())
    assert [it.reason if isinstance(it, Rejected) else "ok" for it in items] == ["size_mismatch", "ok", "ok"]
    assert "intrinsics are for" in str(items[0]) and "frame 0 at 1.000 s" in str(items[0])


@pytest.mark.parametrize("encoding", ["8UC1", "nonsense"])
def test_depth_that_cannot_be_read_is_no_reason_to_do_without_it_unasked(tmp_path, encoding):
    topic = "/camera/aligned_depth_to_color/image_raw"

    def odd(message):
        return image(time_ns(message.header.stamp), encoding, np.zeros((HEIGHT, WIDTH), np.uint8))

    with pytest.raises(ValueError, match=rf"no depth topic that can be read.*{topic} \({encoding}\)"):
        open_sequence(record(tmp_path / "run", replace(camera_messages(), topic, odd)))


def test_a_bag_without_the_cameras_transforms_has_images_and_no_poses(tmp_path):
    path = record(tmp_path / "run", without(camera_messages(), "/tf_static"))
    recording = open_sequence(path)
    assert not recording.has_poses and open_sequence(record(tmp_path / "posed", camera_messages())).has_poses
    (first, *_), (refused, *_) = recording.read_unposed(), recording.read()
    assert isinstance(first, RgbdFrame) and first.depth_m.any()
    assert isinstance(refused, Rejected) and refused.reason == "no_pose"
    assert "tells where the camera's frame camera_color_optical_frame is" in str(refused)


def test_a_driver_alone_tells_of_its_camera_and_not_where_it_is(tmp_path):
    messages = [
        *without(camera_messages(), "/tf", "/tf_static"),
        ("/tf_static", 0, tf(0, "camera_link", OPTICAL, at(0.1))),
    ]
    assert not open_sequence(record(tmp_path / "driver", messages)).has_poses
    mounted = [*messages, ("/tf_static", 0, tf(0, "map", "camera_link", at(1.0)))]
    assert open_sequence(record(tmp_path / "mounted", mounted)).has_poses


@pytest.mark.parametrize("metadata", [True, False])
def test_a_cut_mcap_is_read_up_to_the_cut(tmp_path, metadata):
    path = record(tmp_path / "run", camera_messages(300))
    storage = next(path.glob("*.mcap"))
    data = storage.read_bytes()
    storage.write_bytes(data[: int(0.7 * len(data))])
    if not metadata:
        (path / "metadata.yaml").unlink()
    sequence = open_sequence(path)
    items = list(sequence.read())
    assert len(items) == len(sequence)
    assert isinstance(items[-1], Rejected) and items[-1].reason == "bad_bag" and str(storage) in str(items[-1])
    assert 100 < sum(isinstance(item, Frame) for item in items) < 300


def test_a_bag_whose_metadata_is_lost_or_broken_is_read_from_its_storage(tmp_path, caplog):
    path = record(tmp_path / "run", camera_messages())
    (path / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    items = list(open_sequence(path).read())
    assert sum(isinstance(item, Frame) for item in items) == 3
    assert isinstance(items[3], Rejected) and "metadata.yaml" in str(items[3])
    (path / "metadata.yaml").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(frames_of(path)) == 3
    assert "no metadata.yaml" in caplog.text


@pytest.mark.parametrize("suffix", [".mcap", ".db3"])
@pytest.mark.parametrize(
    "data", [b"", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n\x01\xff\xff\xff\xff\xff\xff\xff\x7f", b"?" * 500]
)
def test_a_file_that_is_no_bag_is_refused_with_its_name(tmp_path, suffix, data):
    path = tmp_path / f"run{suffix}"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"run\{suffix}|no colour topic"):
        open_sequence(path)


def test_flipped_bits_never_end_in_another_error(tmp_path):
    path = record(tmp_path / "run", camera_messages(4))
    storage = next(path.glob("*.mcap"))
    data = storage.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(40):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 5):
            broken[place] ^= 1 << int(rng.integers(8))
        storage.write_bytes(broken)
        try:
            items = list(open_sequence(path).read())
        except ValueError:
            continue
        assert all(isinstance(item, Frame | Rejected) for item in items)


# Image messages


def raw(encoding: str, pixels: np.ndarray, padding: int = 0, big_endian: bool = False) -> RawImage:
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<")).reshape(len(pixels), -1)
    rows = np.ascontiguousarray(rows).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return RawImage(
        encoding=encoding, height=pixels.shape[0], width=pixels.shape[1], step=rows.shape[1], big_endian=big_endian,
        data=rows.reshape(-1),
    )  # fmt: skip


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2, 3]), ("bgra8", [2, 1, 0, 3])],
)
def test_colour_encodings_come_out_as_rgb(encoding, channels, padding):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, 4), dtype=np.uint8)
    decoded = decode_raw(raw(encoding, pixels[:, :, channels], padding))
    np.testing.assert_array_equal(decoded[:, :, :3], pixels[:, :, :3])


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize(
    ("encoding", "dtype"), [("16UC1", np.uint16), ("mono16", np.uint16), ("32FC1", np.float32), ("mono8", np.uint8)]
)
def test_single_channels_honour_step_and_byte_order(encoding, dtype, padding, big_endian):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 7)).astype(dtype) * dtype(3)
    decoded = decode_raw(raw(encoding, pixels, padding, big_endian))
    assert decoded.dtype == dtype and decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, pixels)


def test_quantised_inverse_depth_comes_back_in_metres():
    """The coding of image_transport_plugins: raw = a / depth + b, kept in 16 bits."""
    depth = np.linspace(0.4, 9.5, 64, dtype=np.float32).reshape(8, 8)
    depth_max, steps = 10.0, 100.0
    a = steps * (steps + 1)
    b = 1 - a / depth_max
    quantised = (a / depth + b).astype(np.uint16)
    quantised[0, 0] = 0
    data = struct.pack("<iff", 1, a, b) + cv2.imencode(".png", quantised)[1].tobytes()
    decoded = decode_compressed("32FC1; compressedDepth png", data)
    assert decoded.dtype == np.float32 and decoded[0, 0] == 0
    np.testing.assert_allclose(decoded.ravel()[1:], depth.ravel()[1:], rtol=0.012)


@pytest.mark.parametrize(
    ("format", "data", "reason"),
    [
        ("16UC1; compressedDepth rvl", b"0" * 50, "bad_encoding"),
        ("16UC1; compressedDepth png", b"0" * 8, "bad_file"),
        ("16UC1; compressedDepth png", b"0" * 50, "bad_file"),
        ("rgb8; jpeg compressed bgr8", b"\xff\xd8\xff", "bad_file"),
    ],
)
def test_compressed_images_that_cannot_be_read_are_refused(format, data, reason):
    with pytest.raises(Rejected) as error:
        decode_compressed(format, data)
    assert error.value.reason == reason


# Topics


def topic(name: str, encoding: str = "rgb8") -> ImageTopic:
    depth = "16UC1" in encoding
    return ImageTopic(
        name=name, encoding=encoding, frame_id="c", is_color=not depth, is_depth=depth, compressed="compressed" in name
    )


@pytest.mark.parametrize(
    ("names", "color", "depth"),
    [
        (  # RealSense: aligned depth before the depth camera's own
            ["/camera/color/image_raw", "/camera/depth/image_rect_raw", "/camera/aligned_depth_to_color/image_raw"],
            "/camera/color/image_raw",
            "/camera/aligned_depth_to_color/image_raw",
        ),
        (  # OpenNI, Kinect, raw before compressed
            [
                "/camera/rgb/image_color/compressed",
                "/camera/rgb/image_color",
                "/camera/depth/image",
                "/camera/depth_registered/image",
            ],
            "/camera/rgb/image_color",
            "/camera/depth_registered/image",
        ),
        (  # two cameras: depth of the same one
            ["/front/rgb/image", "/back/rgb/image", "/front/depth/image", "/back/depth/image_registered"],
            "/back/rgb/image",
            "/back/depth/image_registered",
        ),
        (  # an overlay that is called image gives way to colour
            ["/a_debug/image", "/cam/rgb/image_raw", "/cam/depth/image_raw"],
            "/cam/rgb/image_raw",
            "/cam/depth/image_raw",
        ),
    ],
)
def test_topics_are_chosen_by_the_rule(names, color, depth):
    images = [topic(name, "16UC1" if "depth" in name else "rgb8") for name in names]
    namespace = color.rsplit("/", 1)[0]
    chosen = choose_topics(images, [f"{namespace}/camera_info", "/other/camera_info"])
    assert chosen.depth is not None and (chosen.color.name, chosen.depth.name) == (color, depth)
    assert chosen.camera_info == f"{namespace}/camera_info"


# Transforms


def test_tf_lookup_walks_to_the_common_ancestor_and_interpolates():
    buffer = TfBuffer()
    for stamp in (0, 10**9):
        buffer.insert("map", "base", stamp, at(stamp / 1e9, yaw=stamp / 1e9))
    buffer.insert("base", "left", 0, at(0.1), fixed=True)
    buffer.insert("/base", "/right", 0, at(-0.1), fixed=True)
    middle = at(0.5, yaw=0.5)
    np.testing.assert_allclose(buffer.lookup("map", "left", 5 * 10**8), middle @ at(0.1), atol=1e-12)
    np.testing.assert_allclose(buffer.lookup("left", "map", 5 * 10**8), invert(middle @ at(0.1)), atol=1e-12)
    np.testing.assert_allclose(buffer.lookup("left", "right", 99 * 10**9), at(-0.2), atol=1e-12)  # fixed at any time
    assert buffer.fixed_frame("left") == "map" and buffer.knows("/left") and not buffer.knows("arm")
    assert buffer.moves("map", "left") and not buffer.moves("left", "right")


def test_tf_lookup_refuses_what_it_would_have_to_guess():
    buffer = TfBuffer(cache_s=5.0, max_gap_s=1.0)
    for stamp_s in (0, 1, 2, 4, 6.5):
        buffer.insert("map", "base", int(stamp_s * 1e9), at(0.0))
    buffer.insert("island", "boat", 0, at(0.0))
    for target, source, stamp_s in (("map", "base", 1.2), ("map", "base", 7), ("map", "base", 3), ("map", "boat", 2)):
        with pytest.raises(Rejected) as error:
            buffer.lookup(target, source, int(stamp_s * 1e9))
        assert error.value.reason == "no_pose"
    np.testing.assert_array_equal(buffer.lookup("map", "base", 4 * 10**9), np.eye(4))


def test_tf_with_a_loop_or_nameless_frames_is_refused():
    buffer = TfBuffer()
    for parent, child in (("", "a"), ("a", ""), ("a", "/a")):
        with pytest.raises(Rejected, match="two different frame names"):
            buffer.insert(parent, child, 0, at(0.0))
    for parent, child in (("a", "b"), ("b", "c"), ("c", "a")):
        buffer.insert(parent, child, 0, at(0.0))
    with pytest.raises(Rejected, match="loop"):
        buffer.lookup("a", "c", 0)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (1, 1, 1, 1), (float("nan"), 0, 0, 1), (0, 0, 0, 1.5)])
def test_a_quaternion_that_is_no_rotation_is_refused(quaternion):
    with pytest.raises(Rejected, match="not a rigid transform"):
        pose_from_quaternion((0.0, 0.0, 0.0), tuple(map(float, quaternion)))
