"""Arrays and JSON in one safetensors file, each as a zlib stream: small on disk, and safe to read from strangers.

The tensor `about` is JSON; its entry `arrays` gives the dtype and the shape of every other tensor once it is unfolded.
A stream is unfolded no further than its shape asks for, and no shape may ask for more than the limits below.
"""

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int8, Int32, Int64, UInt8
from numpy import ndarray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ovseg3r_core.checks import POSITION_LIMIT_M

MAX_FILE_BYTES = 256 << 20  # a home takes 1 to 3 MB
MAX_ABOUT_BYTES = 16 << 20
MAX_ARRAY_BYTES = 256 << 20  # 20 million points
ABOUT = "about"
STEP_M = 0.0002
About = dict[str, Any]

_LEVEL = 6  # 9 takes three times as long and saves 2 %
_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1)


def pack_file(about: About, arrays: Mapping[str, ndarray]) -> bytes:
    """The bytes of a file; the same content gives the same bytes.

    Raises:
        ValueError: the content is no JSON (NaN included), or more than `unpack_file` reads.
    """
    shapes = {name: {"dtype": array.dtype.name, "shape": array.shape} for name, array in arrays.items()}
    text = json.dumps(about | {"arrays": shapes}, allow_nan=False, sort_keys=True).encode()
    _at_most(len(text), MAX_ABOUT_BYTES, "its JSON")
    streams = {ABOUT: _stream(text)}
    for name, array in arrays.items():
        _at_most(array.nbytes, MAX_ARRAY_BYTES, name)
        streams[name] = _stream(np.ascontiguousarray(array).tobytes())
    data = save_tensors(streams)
    _at_most(len(data), MAX_FILE_BYTES, "the file")
    return data


def unpack_file(data: bytes, dtypes: Mapping[str, tuple[str, ...]]) -> tuple[About, dict[str, ndarray]]:
    """The content that `pack_file` made these bytes of; what is in the arrays is not looked at.

    Args:
        dtypes: the arrays that may be there, and what they may be; others are not unfolded.

    Raises:
        ValueError, KeyError, TypeError, SafetensorError, zlib.error: this is no such file.
    """
    _at_most(len(data), MAX_FILE_BYTES, "the file")
    tensors = load_tensors(data)
    about = json.loads(_unfold(tensors[ABOUT], ABOUT, MAX_ABOUT_BYTES, exactly=False))
    arrays = {}
    for name, entry in about["arrays"].items():
        if name in dtypes:
            arrays[name] = _array(tensors[name], name, entry, dtypes[name])
    return about, arrays


def expect(arrays: Mapping[str, ndarray], name: str, shape: tuple[int, ...]) -> ndarray:
    """The array of that name; ValueError where it is missing or of another shape."""
    if name not in arrays:
        raise ValueError(f"there is no {name}")
    if arrays[name].shape != shape:
        raise ValueError(f"{name} has shape {arrays[name].shape}, not {shape}")
    return arrays[name]


def _array(stream: ndarray, name: str, entry: Any, allowed: tuple[str, ...]) -> ndarray:
    dtype, shape = entry["dtype"], entry["shape"]
    if dtype not in allowed:
        raise ValueError(f"{name} is {dtype!r}; it must be {' or '.join(allowed)}")
    if not all(type(length) is int and 0 <= length <= MAX_ARRAY_BYTES for length in shape) or len(shape) > 3:
        raise ValueError(f"{name} has shape {shape!r}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    _at_most(size, MAX_ARRAY_BYTES, name)
    return np.frombuffer(_unfold(stream, name, size, exactly=True), dtype).reshape(shape)


def _stream(data: bytes) -> UInt8[ndarray, " bytes"]:
    return np.frombuffer(zlib.compress(data, _LEVEL), np.uint8)


def _unfold(stream: ndarray, name: str, size: int, *, exactly: bool) -> bytes:
    """At most `size` bytes of a stream, which must end there."""
    if stream.dtype != np.uint8 or stream.ndim != 1:
        raise ValueError(f"{name} is stored as {stream.dtype} {stream.shape}, not as bytes")
    unfolding = zlib.decompressobj()
    data = unfolding.decompress(stream.tobytes(), size + 1)  # 0 would mean no limit
    if len(data) > size or not unfolding.eof or (exactly and len(data) < size):
        raise ValueError(f"{name} does not unfold to {'' if exactly else 'at most '}{size} bytes")
    return data


def _at_most(size: int, limit: int, what: str) -> None:
    if size > limit:
        raise ValueError(f"{what} has {size} bytes; at most {limit} are read")


def pack_points(
    xyz: Float32[ndarray, "points 3"],
) -> tuple[Float64[ndarray, "3"], UInt8[ndarray, "4 3 points"]]:
    """An origin, and the steps of 0.2 mm from there as byte planes, the lowest byte first.

    In voxel order the higher bytes hardly change from point to point, which a zlib stream makes nothing of.

    Raises:
        ValueError: a point is not finite or further than 10 km out.
    """
    if not (np.abs(xyz) <= POSITION_LIMIT_M).all():  # NaN compares false
        raise ValueError(f"a point is not finite or further than {POSITION_LIMIT_M:.0f} m from the map origin")
    origin = np.floor(xyz.min(axis=0)).astype(np.float64) if len(xyz) else np.zeros(3)
    steps = np.rint((xyz - origin) / STEP_M).astype("<i4")
    return origin, np.ascontiguousarray(steps.view(np.uint8).reshape(-1, 3, 4).transpose(2, 1, 0))


def unpack_points(origin_m: Any, step_m: Any, planes: UInt8[ndarray, "4 3 points"]) -> Float32[ndarray, "points 3"]:
    """The points again, each within half a step of where it was.

    Raises:
        ValueError: origin or step are not what points can come of, or a point lies further than 10 km out.
    """
    origin = np.array(origin_m, np.float64)
    if origin.shape != (3,) or not (np.abs(origin) <= POSITION_LIMIT_M).all():
        raise ValueError(f"origin_m is {origin_m!r}, not three numbers up to {POSITION_LIMIT_M:.0f}")
    if not isinstance(step_m, float) or not 0 < step_m <= 0.01:
        raise ValueError(f"step_m is {step_m!r}; it must lie in 0..0.01 m")
    steps = np.ascontiguousarray(planes.transpose(2, 1, 0)).view("<i4")[:, :, 0]
    xyz = (origin + step_m * steps).astype(np.float32)
    if not (np.abs(xyz) <= POSITION_LIMIT_M + 1).all():
        raise ValueError(f"a point lies {np.abs(xyz).max():.3g} m from the map origin")
    return xyz


def pack_normals(normal: Float32[ndarray, "points 3"]) -> Int8[ndarray, "points 2"]:
    """Unit vectors on the faces of an octahedron, unfolded to a square (Meyer et al., 2010): a degree at most is lost.

    Raises:
        ValueError: a normal has no direction.
    """
    length = np.abs(normal).sum(axis=1, keepdims=True)
    if not ((length > 1e-6) & (length < 10)).all():  # NaN compares false
        raise ValueError("a normal is not finite or has no direction: normals are unit vectors")
    x, y, z = (normal / length).T
    below = z < 0
    side_x, side_y = np.where(x < 0, -1, 1), np.where(y < 0, -1, 1)
    square = [np.where(below, (1 - np.abs(y)) * side_x, x), np.where(below, (1 - np.abs(x)) * side_y, y)]
    return np.rint(np.stack(square, axis=1) * 127).astype(np.int8)


def unpack_normals(square: Int8[ndarray, "points 2"]) -> Float32[ndarray, "points 3"]:
    """The unit vectors again."""
    x, y = np.maximum(square, -127).astype(np.float32).T / 127
    z = 1 - np.abs(x) - np.abs(y)
    fold = np.maximum(-z, 0)
    normal = np.stack([x - np.copysign(fold, x), y - np.copysign(fold, y), z], axis=1)
    return (normal / np.linalg.norm(normal, axis=1, keepdims=True)).astype(np.float32)


def count_bits(rows: UInt8[ndarray, "views bytes"]) -> Int64[ndarray, " views"]:
    """How many bits of each row are set."""
    return np.array([_BITS_OF_BYTE[row].sum() for row in rows], np.int64)


def set_bits(row: UInt8[ndarray, " bytes"], points: int) -> Int64[ndarray, " members"]:
    """The places of the bits that are set, among so many points."""
    return np.flatnonzero(np.unpackbits(row, count=points))


def pack_bits(
    members: Int64[ndarray, " members"] | Int32[ndarray, " members"], points: int
) -> UInt8[ndarray, " bytes"]:
    """One bit a point, set for the members, the first point in the highest bit of the first byte."""
    flags = np.zeros(points, bool)
    flags[members] = True
    return np.packbits(flags)
