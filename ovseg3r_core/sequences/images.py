"""Image files into arrays, where a damaged file is noticed.

Pillow rather than OpenCV: it raises on a truncated JPEG or PNG, where OpenCV fills the rest with grey.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16
from numpy import ndarray
from PIL import Image

from ovseg3r_core.checks import Rejected

NO_READING = 65535
"""What depth cameras write where 16 bits saturate (7-Scenes: "invalid"); in no unit is it a distance."""


def read_color(path: Path) -> UInt8[ndarray, "height width 3"]:
    """The RGB image in a JPEG or PNG file; raises `Rejected` (`missing_file`, `bad_file`) with the path."""
    return decode_color(_bytes(path), str(path))


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image file, from its header alone; raises `Rejected` with the path."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise Rejected("bad_file", f"{path} is no image that can be read: {error}") from error


def read_depth(path: Path) -> UInt16[ndarray, "height width"]:
    """The raw 16-bit values of a depth PNG, saturated ones made 0; raises `Rejected` with the path."""
    depth = decode_depth(_bytes(path), str(path))
    depth[depth == NO_READING] = 0
    return depth


def decode_color(data: bytes, name: str) -> UInt8[ndarray, "height width 3"]:
    """An encoded image as RGB; `name` is what an error calls it."""
    return np.array(_decode(data, name).convert("RGB"))


def decode_depth(data: bytes, name: str) -> UInt16[ndarray, "height width"]:
    """A 16-bit single-channel PNG; raises `Rejected("bad_depth")` for any other kind of image."""
    image = _decode(data, name)
    if not image.mode.startswith("I;16"):
        raise Rejected("bad_depth", f"{name}: depth is an image of mode {image.mode}; give a 16-bit grey PNG")
    return np.array(image).astype(np.uint16)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise Rejected("missing_file", f"{path} is missing") from None
    except OSError as error:
        raise Rejected("bad_file", f"{path} cannot be read: {error.strerror}") from error


def _decode(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:  # damaged bytes raise OSError, SyntaxError, ValueError, struct.error, ... by format
        raise Rejected("bad_file", f"{name} is truncated or damaged ({len(data)} bytes): {error}") from error
    return image
