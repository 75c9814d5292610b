"""Which frames are kept for semantics: a new viewpoint, and the sharpest image that is soon to be had of it."""

from collections import deque
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import invert, rotation_angle
from ovseg3r_core.small_image import grey_of
from ovseg3r_core.types import Frame


@dataclass(frozen=True, kw_only=True)
class KeyframeConfig:
    """How far the camera moves between keyframes, and how long a sharp image is waited for."""

    translation_m: Annotated[float, Within(0.001, 10.0)] = 0.1
    """A camera that moved this far since the last keyframe is due for another."""
    rotation_rad: Annotated[float, Within(0.01, 3.2)] = 0.3
    """A camera that turned this far since the last keyframe is due for another."""
    sharpness_ratio: Annotated[float, Within(0.0, 1.0)] = 0.9
    """A keyframe is at least this sharp, against the median of the frames just before; 0 takes blurred ones too."""
    sharpness_frames: Annotated[int, Within(1, 1000)] = 15
    """Frames just before that a frame's sharpness is compared with."""
    patience: Annotated[float, Within(1.0, 100.0)] = 1.5
    """A blurred frame is taken all the same once the camera has moved this many times the distances above."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


class KeyframeSelector:
    """Looks at every frame of a sequence in turn and says which are keyframes."""

    def __init__(self, config: KeyframeConfig | None = None) -> None:
        self.config = config or KeyframeConfig()
        self._T_map_last: Float64[ndarray, "4 4"] | None = None
        self._sharpness: deque[float] = deque(maxlen=self.config.sharpness_frames)

    def accepts(self, frame: Frame) -> bool:
        """Whether this frame, the next of the sequence, is a keyframe; the first one always is."""
        sharpness = laplacian_variance(frame)
        usual = float(np.median(self._sharpness)) if self._sharpness else 0.0
        self._sharpness.append(sharpness)
        moved = self._moved(frame)
        if moved < 1 or (moved < self.config.patience and sharpness < self.config.sharpness_ratio * usual):
            return False
        self._T_map_last = frame.T_map_camera
        return True

    def _moved(self, frame: Frame) -> float:
        """How far the camera is from the last keyframe, in units of the configured distances."""
        if self._T_map_last is None:
            return np.inf
        T = invert(self._T_map_last) @ frame.T_map_camera
        translation = float(np.linalg.norm(T[:3, 3])) / self.config.translation_m
        return max(translation, rotation_angle(T[:3, :3]) / self.config.rotation_rad)


def laplacian_variance(frame: Frame) -> float:
    """Sharpness of the image: the variance of its Laplacian at a small size; motion blur lowers it."""
    return float(cv2.Laplacian(grey_of(frame.color), cv2.CV_32F).var())
