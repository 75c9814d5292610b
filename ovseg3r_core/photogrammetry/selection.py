"""Which images of a video are worth keeping: those that show something, from where none was taken before."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.motion_blur import MotionBlur, edges_widened
from ovseg3r_core.sequences.sequence import Recording
from ovseg3r_core.small_image import small
from ovseg3r_core.types import Camera

_CORNERS = 200
_FEWEST = 15  # corners that an image has at least, and that are found again to tell a small motion


@dataclass(frozen=True, kw_only=True)
class SelectionConfig:
    """How close to each other images are taken, and how many."""

    motion: Annotated[float, Within(0.0, 0.5)] = 0.01
    """A quarter of the image must have moved by this share of its width since the last one that was taken."""
    most: Annotated[int, Within(2, 100_000)] = 400
    """When there are more, every second one is let go and twice the motion is asked for."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The images that were taken, as grey PNG files."""

    folder: Path
    stamps_s: dict[int, float]
    """Of those that were taken, by frame index."""
    camera: Camera | None
    size: tuple[int, int]
    """Width and height."""
    frames: int
    """That were read."""
    left_out: dict[int, str]
    """Why a frame was not taken, by its index: `same_view`, `blank` or `other_camera`."""
    drops: dict[str, int]
    """How many were not taken, by reason; those that could not be read as well."""
    blur: MotionBlur = field(default_factory=MotionBlur)
    """Of those that were taken, each against the one that was read before it."""

    def path(self, index: int) -> Path:
        """Where the image of a frame lies."""
        return self.folder / f"{index:06d}.png"


def select(
    recording: Recording, folder: Path, config: SelectionConfig, on_frame: Callable[[], object] = lambda: None
) -> Selection:
    """Read a recording once and write the images to take as grey PNG into a folder.

    Raises:
        ValueError: fewer than two images are left.
    """
    unread, left_out, stamps = Counter[str](), dict[int, str](), dict[int, float]()
    last, first, frames, motion = None, None, 0, config.motion
    view, widened = None, list[float | None]()
    for item in recording.read_color():
        frames += 1
        on_frame()
        if isinstance(item, Rejected):
            unread[item.reason] += 1
            continue
        first = first or item
        grey = cv2.cvtColor(item.color, cv2.COLOR_RGB2GRAY)
        if item.color.shape != first.color.shape or item.camera != first.camera:
            left_out[item.index] = "other_camera"
            continue
        before, view = view, _View.of(grey)
        if len(view.corners) < _FEWEST:
            left_out[item.index] = "blank"
            continue
        if last is not None and last.motion_to(view) < motion:
            left_out[item.index] = "same_view"
            continue
        last, stamps[item.index] = view, item.stamp_s
        if before is not None:
            widened.append(edges_widened(before.grey, view.grey))
        cv2.imwrite(str(folder / f"{item.index:06d}.png"), grey, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if len(stamps) > config.most:
            for index in list(stamps)[1::2]:
                del stamps[index]
                (folder / f"{index:06d}.png").unlink()
                left_out[index] = "same_view"
            motion *= 2
    drops = dict(unread + Counter(left_out.values()))
    if first is None or len(stamps) < 2:
        raise ValueError(
            f"{recording.name}: {len(stamps)} of {frames} images can be used ({drops}): without depth a scene is "
            "found from images with texture that were taken from different places"
        )
    height, width = first.color.shape[:2]
    return Selection(
        folder=folder,
        stamps_s=stamps,
        camera=first.camera,
        size=(width, height),
        frames=frames,
        left_out=left_out,
        drops=drops,
        blur=MotionBlur.of(widened),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _View:
    """A small image and its corners."""

    grey: UInt8[ndarray, "height width"]
    corners: ndarray

    @classmethod
    def of(cls, grey: UInt8[ndarray, "rows columns"]) -> "_View":
        grey = small(grey)
        corners = cv2.goodFeaturesToTrack(grey, _CORNERS, 0.01, 5)
        # The threshold above is relative to the best corner: in an image of nothing that is noise.
        if corners is None or cv2.Laplacian(grey, cv2.CV_32F).std() < 1.0:
            corners = np.zeros((0, 1, 2), np.float32)
        return cls(grey=grey, corners=corners)

    def motion_to(self, other: "_View") -> float:
        """By which share of the width a quarter of the corners have moved; infinite where too few are found again."""
        moved, found, _ = cv2.calcOpticalFlowPyrLK(self.grey, other.grey, self.corners, self.corners.copy())
        ok = found[:, 0] == 1
        if np.count_nonzero(ok) < max(_FEWEST, len(self.corners) // 4):
            return np.inf
        return float(np.quantile(np.linalg.norm((moved - self.corners)[ok, 0], axis=1), 0.75)) / self.grey.shape[1]
