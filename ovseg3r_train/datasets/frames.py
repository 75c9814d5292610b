"""Recordings that `FolderSequence` does not cover: each frame has intrinsics of its own, or all lie in an archive."""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8, UInt16
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_pose
from ovseg3r_core.sequences.calibration import Calibration
from ovseg3r_core.sequences.folder import registered_images
from ovseg3r_core.sequences.images import NO_READING
from ovseg3r_core.sequences.prefetch import or_reason, prefetch
from ovseg3r_core.types import Frame

_MAX_MEMBER_BYTES = 1 << 26
_PGM = re.compile(rb"P5\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s+(\d{1,5})\s+(\d{1,5})\s")


@dataclass(frozen=True, kw_only=True)
class Shot:
    """What is known of one frame before its images are decoded; what a function cannot give it raises as `Rejected`."""

    index: int
    stamp_s: float
    name: str
    """What an error calls it."""
    color: Callable[[], UInt8[ndarray, "height width 3"]]
    depth: Callable[[], UInt16[ndarray, "height width"]]
    pose: Callable[[], Float64[ndarray, "4 4"]]
    color_calibration: Callable[[int, int], Calibration]
    """Of the colour image, from its width and height."""
    depth_calibration: Callable[[int, int], Calibration]
    """Of the depth image, from its width and height."""


@dataclass(frozen=True, kw_only=True)
class ShotSequence:
    """A sequence of such frames; millimetres of depth, two cameras at one place."""

    name: str
    shots: tuple[Shot, ...]

    def __len__(self) -> int:
        return len(self.shots)

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order; a bad one is yielded as the `Rejected` that names it."""
        return prefetch(or_reason(_load), self.shots)


def _load(shot: Shot) -> Frame:
    pose, color, depth = shot.pose(), shot.color(), shot.depth()
    images = registered_images(
        index=shot.index,
        stamp_s=shot.stamp_s,
        color=color,
        depth=np.where(depth == NO_READING, np.uint16(0), depth),
        color_calibration=shot.color_calibration(color.shape[1], color.shape[0]),
        depth_calibration=shot.depth_calibration(depth.shape[1], depth.shape[0]),
        depth_unit_m=0.001,
        name=shot.name,
    )
    return images.posed(check_pose(pose))


def scaled(calibration: Calibration, scale_x: float, scale_y: float) -> Calibration:
    """The camera of an image resized by these factors; the middle of the first pixel is 0."""
    return Calibration(
        fx=calibration.fx * scale_x,
        fy=calibration.fy * scale_y,
        cx=(calibration.cx + 0.5) * scale_x - 0.5,
        cy=(calibration.cy + 0.5) * scale_y - 0.5,
    )


@dataclass(frozen=True, kw_only=True)
class Pack:
    """Files of a recording by their names, in a folder or in a zip archive that is never unpacked."""

    path: Path
    names: frozenset[str]
    prefix: str = ""
    """Folder inside the archive that all of them lie in."""

    @classmethod
    def open(cls, folder: Path, archive: Path) -> "Pack | None":
        """The folder if it is there, else the archive, else None; raises `Rejected` for a damaged archive."""
        if folder.is_dir():
            return cls(path=folder, names=frozenset(path.name for path in folder.iterdir()))
        if not archive.is_file():
            return None
        try:
            with zipfile.ZipFile(archive) as opened:
                members = opened.namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise Rejected("bad_file", f"{archive} is no zip archive, or truncated: {error}") from error
        prefix = next((name.rpartition("_info.txt")[0] for name in members if name.endswith("_info.txt")), "")
        inside = (name[len(prefix) :] for name in members if name.startswith(prefix))
        return cls(path=archive, names=frozenset(name for name in inside if "/" not in name), prefix=prefix)

    def read(self, name: str) -> bytes:
        """The bytes of one file, at most 64 MiB; raises `Rejected` (`missing_file`, `bad_file`)."""
        if name not in self.names:
            raise Rejected("missing_file", f"{self.path} has no {name}")
        try:
            if self.path.is_dir():
                return self._limited((self.path / name).read_bytes(), name)
            with zipfile.ZipFile(self.path) as archive, archive.open(self.prefix + name) as member:
                return self._limited(member.read(_MAX_MEMBER_BYTES + 1), name)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise Rejected("bad_file", f"{name} of {self.path} cannot be read: {error}") from error

    def _limited(self, data: bytes, name: str) -> bytes:
        if len(data) > _MAX_MEMBER_BYTES:
            raise Rejected("bad_file", f"{name} of {self.path} has more than {_MAX_MEMBER_BYTES} bytes")
        return data


def decode_pgm(data: bytes, name: str) -> UInt16[ndarray, "height width"]:
    """A 16-bit binary PGM as it is, high byte first; raises `Rejected("bad_depth")` for anything else.

    Pillow would scale the values by the header's maximum.
    """
    header = _PGM.match(data)
    if header is None or not 255 < int(header[3]) <= 65535:
        raise Rejected("bad_depth", f"{name}: depth is no binary PGM of 16 bits")
    width, height = int(header[1]), int(header[2])
    pixels = data[header.end() :]
    if not pixels or len(pixels) != width * height * 2:
        raise Rejected("bad_file", f"{name} has {len(pixels)} bytes of pixels, not two each of {width}x{height}")
    return np.frombuffer(pixels, ">u2").astype(np.uint16).reshape(height, width)
