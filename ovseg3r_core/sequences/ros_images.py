"""The image messages of ROS as arrays, from their fields alone: no ROS and no cv_bridge needed.

REP-118: depth is 16UC1 in millimetres or 32FC1 in metres. A compressedDepth message is a PNG behind a header of
12 bytes (image_transport_plugins: compression format, then two floats); of 32FC1 it holds the quantised inverse.
"""

import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.images import decode_color, decode_depth

COLOR_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8")
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
_CHANNELS = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4}
_DTYPES = {"16UC1": np.dtype("u2"), "mono16": np.dtype("u2"), "32FC1": np.dtype("f4")}
_COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")


@dataclass(frozen=True, kw_only=True)
class RawImage:
    """The fields of `sensor_msgs/Image`."""

    encoding: str
    height: int
    width: int
    step: int
    """Bytes from one row to the next, padding included."""
    big_endian: bool
    data: UInt8[ndarray, " bytes"]


def decode_raw(image: RawImage) -> ndarray:
    """RGB, RGBA or grey 8-bit colour, or depth as uint16 or float32.

    Raises:
        Rejected: `bad_encoding`, or `bad_image` where the data are too short for what the fields say.
    """
    dtype, channels = _DTYPES.get(image.encoding, np.dtype("u1")), _CHANNELS.get(image.encoding, 1)
    if image.encoding not in (*COLOR_ENCODINGS, *DEPTH_ENCODINGS):
        known = ", ".join((*COLOR_ENCODINGS, *DEPTH_ENCODINGS))
        raise Rejected("bad_encoding", f"image encoding is {image.encoding!r}; known are {known}")
    row = image.width * channels * dtype.itemsize
    if row == 0 or image.height == 0 or image.step < row or len(image.data) < image.step * image.height:
        raise Rejected(
            "bad_image",
            f"{image.encoding} {image.width}x{image.height} with step {image.step} needs {row} bytes a row and "
            f"{image.step * image.height} in all; it has {len(image.data)}",
        )
    rows = image.data[: image.step * image.height].reshape(image.height, image.step)[:, :row]
    pixels = np.ascontiguousarray(rows).view(dtype.newbyteorder(">" if image.big_endian else "<"))
    pixels = pixels.astype(dtype, copy=False)
    if channels == 1:
        return pixels
    pixels = pixels.reshape(image.height, image.width, channels)
    return pixels[:, :, [2, 1, 0]] if image.encoding.startswith("bgr") else pixels


def holds_depth(format: str) -> bool:
    """Whether the `format` of a `sensor_msgs/CompressedImage` speaks of depth."""
    return "compressedDepth" in format or format.startswith(DEPTH_ENCODINGS)


def decode_compressed(format: str, data: bytes) -> ndarray:
    """The image of a `sensor_msgs/CompressedImage`: RGB colour, or depth as uint16 or float32.

    Raises:
        Rejected: `bad_encoding` or `bad_file`.
    """
    name = f"compressed image {format!r}"
    if not holds_depth(format):
        return decode_color(data, name)
    if "compressedDepth" not in format:
        return decode_depth(data, name)
    if "rvl" in format:
        raise Rejected("bad_encoding", f"{name}: RVL is not read; record compressedDepth as png")
    if len(data) <= _COMPRESSED_DEPTH_HEADER.size:
        raise Rejected("bad_file", f"{name} is cut: {len(data)} bytes")
    _, quant_a, quant_b = _COMPRESSED_DEPTH_HEADER.unpack_from(data)
    depth = decode_depth(data[_COMPRESSED_DEPTH_HEADER.size :], name)
    return _dequantise(depth, quant_a, quant_b) if format.startswith("32FC1") else depth


def _dequantise(raw: ndarray, quant_a: float, quant_b: float) -> Float32[ndarray, "height width"]:
    """Depth in metres from quantised inverse depth: raw = a / depth + b, and 0 is no reading."""
    with np.errstate(divide="ignore"):
        depth_m = np.float32(quant_a) / (raw.astype(np.float32) - np.float32(quant_b))
    return np.where(raw > 0, depth_m, np.float32(0)).astype(np.float32)
