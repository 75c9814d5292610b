"""ScanNet's `.sens` stream (Dai et al. 2017, SensReader): all frames of a scan in one file.

Little-endian: version 4, the sensor's name, intrinsics and extrinsics of colour and depth (4x4 float32), how both are
packed, their sizes, the depth units a metre, the number of frames; then of each frame the pose (4x4 float32), two
times and two sizes (uint64), the colour's bytes (JPEG or PNG), the depth's bytes (uint16, deflated or plain). What
follows the last frame (inertial measurements) is not read.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float64, UInt16
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import nominal_stamp_s, of_color, pose_from_numbers, poses_of, registered_images
from ovseg3r_core.sequences.images import NO_READING, decode_color
from ovseg3r_core.sequences.prefetch import or_reason, prefetch, without_depth
from ovseg3r_core.sequences.registration import Extrinsics, read_extrinsics
from ovseg3r_core.types import ColorFrame, Frame, RgbdFrame

NEEDS = "one .sens file (version 4, JPEG or PNG colour, deflated or plain 16-bit depth), or a folder with one"

_VERSION = 4
_COLOR = {1: "png", 2: "jpeg"}
_PLAIN_DEPTH, _DEFLATED_DEPTH = 0, 1
_MAX_NAME, _MAX_SIDE_PX, _MAX_FRAMES, _MAX_IMAGE_BYTES = 4096, 16384, 10**6, 1 << 28
_OF_FRAME = struct.Struct("<16f4Q")


def recognises(path: Path) -> bool:
    """Whether the path is a stream, or a folder with just one."""
    return path.suffix == ".sens" if path.is_file() else len(_streams(path)) == 1


def open_sens(path: Path, frames: slice) -> "SensSequence":
    """Index a stream: its header, and where each frame begins. The images are read when their turn comes.

    Colour of another size is resampled to the depth camera's grid, as `scannet.py` does; with extrinsics other than the
    identity, which take each camera's coordinates to those of the device, depth is registered to colour. A stream
    that ends early gives the frames that are whole, and then the `Rejected` that says so.

    Raises:
        Rejected: `bad_file` where it is no stream of version 4, or packs its images in a way that we do not read.
    """
    stream = path if path.is_file() else _streams(path)[0]
    with stream.open("rb") as file:
        header = _read_header(file, stream)
        packed = _index(file, stream, header)
    return SensSequence(name=stream.stem, stream=stream, header=header, packed=tuple(packed[frames]))


@dataclass(frozen=True, kw_only=True)
class SensHeader:
    """What a stream says about all of its frames."""

    color: Calibration
    depth: Calibration
    extrinsics: Extrinsics | None
    """Where the cameras do not sit at one place."""
    deflated: bool
    color_size: tuple[int, int]
    """Width and height, pixels."""
    depth_size: tuple[int, int]
    depth_unit_m: float
    frames: int


@dataclass(frozen=True, kw_only=True)
class PackedFrame:
    """Where one frame lies in the stream."""

    index: int
    pose: tuple[float, ...]
    """16 numbers, row by row, not checked yet."""
    offset: int
    """Of the colour's bytes; those of the depth follow."""
    color_bytes: int
    depth_bytes: int


@dataclass(frozen=True, kw_only=True)
class SensSequence:
    """A sequence whose frames are read from their places in one file."""

    name: str
    stream: Path
    header: SensHeader
    packed: tuple[PackedFrame | Rejected, ...]

    def __len__(self) -> int:
        return len(self.packed)

    @property
    def has_poses(self) -> bool:
        """The format has one for every frame."""
        return True

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order; a bad one is yielded as the `Rejected` that names its file and number."""
        return prefetch(or_reason(self._frame), self.packed)

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        """The same without their poses."""
        return prefetch(or_reason(self._images), self.packed)

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        """T_map_camera by frame index, of the frames that have one."""
        whole = [packed for packed in self.packed if not isinstance(packed, Rejected)]
        return poses_of((it.index, partial(self._pose, it)) for it in whole)

    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index; no image is read."""
        whole = [packed for packed in self.packed if not isinstance(packed, Rejected)]
        return {it.index: nominal_stamp_s(it.index) for it in whole}

    @property
    def has_depth(self) -> bool:
        """The format has it for every frame."""
        return True

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The images alone."""
        return without_depth(self.read_unposed())

    def _frame(self, packed: PackedFrame) -> Frame:
        T_map_camera = self._pose(packed)
        return self._images(packed).posed(T_map_camera)

    def _pose(self, packed: PackedFrame) -> Float64[ndarray, "4 4"]:
        return of_color(pose_from_numbers(packed.pose, self._name(packed)), self.header.extrinsics)

    def _images(self, packed: PackedFrame) -> RgbdFrame:
        name = self._name(packed)
        with self.stream.open("rb") as file:
            file.seek(packed.offset)
            color, depth = file.read(packed.color_bytes), file.read(packed.depth_bytes)
        return registered_images(
            index=packed.index,
            stamp_s=nominal_stamp_s(packed.index),
            color=_decode_color(color, self.header.color_size, name),
            depth=_decode_depth(depth, self.header, name),
            color_calibration=self.header.color,
            depth_calibration=self.header.depth,
            extrinsics=self.header.extrinsics,
            depth_unit_m=self.header.depth_unit_m,
            name=name,
        )

    def _name(self, packed: PackedFrame) -> str:
        return f"{self.stream}, frame {packed.index}"


def _streams(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.sens")) if folder.is_dir() else []


def _read_header(file: BinaryIO, stream: Path) -> SensHeader:
    (version,) = _unpack("<I", file, stream)
    if version != _VERSION:
        raise Rejected("bad_file", f"{stream} is a .sens file of version {version}; version {_VERSION} is read")
    (length,) = _unpack("<Q", file, stream)
    if length > _MAX_NAME:
        raise Rejected("bad_file", f"{stream}: the sensor's name has {length} characters, more than {_MAX_NAME}")
    file.seek(length, io.SEEK_CUR)
    matrices = np.array(_unpack("<64f", file, stream), dtype=np.float64).reshape(4, 4, 4)
    color_packing, depth_packing, *sizes = _unpack("<2i4I", file, stream)
    (units_a_metre,) = _unpack("<f", file, stream)
    (frames,) = _unpack("<Q", file, stream)
    _check_header(stream, color_packing, depth_packing, sizes, units_a_metre, frames)
    return SensHeader(
        color=_calibration(matrices[0], stream),
        depth=_calibration(matrices[2], stream),
        extrinsics=read_extrinsics(matrices[1], matrices[3], str(stream)),
        deflated=depth_packing == _DEFLATED_DEPTH,
        color_size=(sizes[0], sizes[1]),
        depth_size=(sizes[2], sizes[3]),
        depth_unit_m=1 / units_a_metre,
        frames=frames,
    )


def _check_header(
    stream: Path, color_packing: int, depth_packing: int, sizes: list[int], units_a_metre: float, frames: int
) -> None:
    if color_packing not in _COLOR or depth_packing not in (_PLAIN_DEPTH, _DEFLATED_DEPTH):
        packing = f"colour is packed as {color_packing} and depth as {depth_packing}"
        raise Rejected("bad_file", f"{stream}: {packing}; read are colour 1 (PNG), 2 (JPEG), depth 0 (plain), 1 (zlib)")
    if not all(0 < size <= _MAX_SIDE_PX for size in sizes):
        raise Rejected("bad_file", f"{stream}: image sizes {sizes}; each side has 1 to {_MAX_SIDE_PX} pixels")
    if not 1 <= units_a_metre <= 1e6:
        raise Rejected("bad_file", f"{stream}: {units_a_metre} depth units a metre; 1 to 1e6 are read")
    if frames > _MAX_FRAMES:
        raise Rejected("bad_file", f"{stream}: {frames} frames, more than {_MAX_FRAMES}")


def _calibration(K: Float64[ndarray, "4 4"], stream: Path) -> Calibration:
    try:
        return Calibration(fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]))
    except Rejected as rejected:
        raise Rejected(rejected.reason, f"{stream}: {rejected}") from rejected


def _index(file: BinaryIO, stream: Path, header: SensHeader) -> list[PackedFrame | Rejected]:
    end = stream.stat().st_size
    packed: list[PackedFrame | Rejected] = []
    for index in range(header.frames):
        frame = _next_frame(file, index, end)
        if frame is None:
            detail = f"{stream} is truncated or damaged at frame {index} of {header.frames}; those before are whole"
            return [*packed, Rejected("bad_file", detail)]
        packed.append(frame)
        file.seek(frame.color_bytes + frame.depth_bytes, io.SEEK_CUR)
    return packed


def _next_frame(file: BinaryIO, index: int, end: int) -> PackedFrame | None:
    """The frame that begins where the file stands; None where the file does not hold all of it."""
    data = file.read(_OF_FRAME.size)
    if len(data) < _OF_FRAME.size:
        return None
    *pose, _, _, color_bytes, depth_bytes = _OF_FRAME.unpack(data)
    if max(color_bytes, depth_bytes) > _MAX_IMAGE_BYTES or file.tell() + color_bytes + depth_bytes > end:
        return None
    return PackedFrame(
        index=index, pose=tuple(pose), offset=file.tell(), color_bytes=color_bytes, depth_bytes=depth_bytes
    )


def _decode_color(data: bytes, size: tuple[int, int], name: str) -> ndarray:
    color = decode_color(data, f"{name}, colour")
    if color.shape[1::-1] != size:
        found = f"{color.shape[1]}x{color.shape[0]}"
        raise Rejected("size_mismatch", f"{name}: colour is {found} but the header says {size[0]}x{size[1]}")
    return color


def _decode_depth(data: bytes, header: SensHeader, name: str) -> UInt16[ndarray, "height width"]:
    width, height = header.depth_size
    expected = width * height * 2
    if header.deflated:
        try:
            data = zlib.decompressobj().decompress(data, expected + 1)  # never more than fits, whatever it claims to be
        except zlib.error as error:
            raise Rejected("bad_file", f"{name}: depth cannot be inflated: {error}") from error
    if len(data) != expected:
        raise Rejected("bad_file", f"{name}: depth has {len(data)} bytes; {width}x{height} has {expected}")
    depth = np.frombuffer(data, dtype="<u2").astype(np.uint16).reshape(height, width)
    return np.where(depth == NO_READING, np.uint16(0), depth)


def _unpack(layout: str, file: BinaryIO, stream: Path) -> tuple:
    data = file.read(struct.calcsize(layout))
    if len(data) < struct.calcsize(layout):
        raise Rejected("bad_file", f"{stream} ends in its header: no .sens file, or truncated")
    return struct.unpack(layout, data)
