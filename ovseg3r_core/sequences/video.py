"""A video file: colour alone, decoded by OpenCV (FFmpeg)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.checks import Rejected
from ovseg3r_core.sequences.calibration import Calibration, undistort_color
from ovseg3r_core.sequences.color_alone import ColorAlone
from ovseg3r_core.sequences.image_folder import calibration_in
from ovseg3r_core.types import ColorFrame

NEEDS = (
    "a .mp4, .mov, .avi, .mkv, .webm or .m4v file; camera-intrinsics.txt (3x3) and camera-distortion.txt beside it "
    "where they are known"
)
_SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"}
_NOMINAL_RATE_HZ = 30.0


@dataclass(frozen=True, kw_only=True)
class VideoSequence(ColorAlone):
    """The frames of a video, decoded one after another while they are read."""

    path: Path
    indices: range
    """The frames to read, by their place in the video."""
    rate_hz: float
    calibration: Calibration | None

    @property
    def name(self) -> str:
        """The file's, without its ending."""
        return self.path.stem

    def read_stamps(self) -> dict[int, float]:
        """Seconds by frame index; nothing is decoded."""
        return {index: self._stamp_s(index) for index in self.indices}

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        """The frames in order; one that cannot be decoded is yielded as the reason why."""
        capture, at = cv2.VideoCapture(str(self.path)), 0
        try:
            for index in self.indices:
                while at < index and capture.grab():
                    at += 1
                decoded, image = capture.read() if at == index else (False, None)
                at += decoded
                if image is None:
                    yield Rejected("bad_file", f"{self.path}, frame {index} cannot be decoded: damaged or cut")
                else:
                    yield self._frame(index, image)
        finally:
            capture.release()

    def _stamp_s(self, index: int) -> float:
        return round((index + 1) * 1e9 / self.rate_hz) / 1e9

    def _frame(self, index: int, image_bgr: UInt8[ndarray, "height width 3"]) -> ColorFrame:
        color = np.ascontiguousarray(image_bgr[:, :, ::-1])
        height, width = color.shape[:2]
        return ColorFrame(
            index=index,
            stamp_s=self._stamp_s(index),
            color=undistort_color(color, self.calibration) if self.calibration else color,
            camera=self.calibration.camera(width, height) if self.calibration else None,
        )


def recognises(path: Path) -> bool:
    """Whether the path is a file with a video's ending."""
    return path.is_file() and path.suffix.lower() in _SUFFIXES


def open_video(path: Path, frames: slice) -> VideoSequence:
    """Open a video; the n-th frame is taken at n over the frame rate.

    Raises:
        Rejected: `bad_file` where OpenCV cannot decode it.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened() or not capture.grab():
            raise Rejected("bad_file", f"{path} cannot be decoded as a video: damaged, or packed in a way OpenCV lacks")
        count, rate_hz = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)
    finally:
        capture.release()
    return VideoSequence(
        path=path,
        indices=range(max(count, 1))[frames],
        rate_hz=rate_hz if 0.1 < rate_hz < 1000 else _NOMINAL_RATE_HZ,
        calibration=calibration_in(path.resolve().parent),
    )
