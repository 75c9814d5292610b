"""Which frames are kept for semantics: a new viewpoint, and the sharpest image that is soon to be had of it."""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import require_positive
from ovseg3r_core.geometry import invert, rotation_angle
from ovseg3r_core.types import Frame

_SHARPNESS_WIDTH_PX = 320  # blur that is gone at this width does not hurt a mask


@dataclass(frozen=True, kw_only=True)
class KeyframeConfig:
    """How far the camera moves between keyframes, and how long a sharp image is waited for."""

    translation_m: float = 0.1
    rotation_rad: float = 0.3
    sharpness_ratio: float = 0.9
    """A keyframe is at least this sharp, against the median of the frames just before..."""
    sharpness_frames: int = 15
    """... of which there are this many."""
    patience: float = 1.5
    """A blurred frame is taken all the same once the camera has moved this many times the distances above."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "translation_m", "rotation_rad")
        if not 0 <= self.sharpness_ratio <= 1:
            raise ValueError(f"sharpness_ratio is {self.sharpness_ratio}; it must lie in 0..1")
        if self.sharpness_frames < 1 or self.patience < 1:
            raise ValueError(
                f"sharpness_frames is {self.sharpness_frames} and patience {self.patience}; they must be at least 1"
            )


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
    grey = cv2.cvtColor(frame.color, cv2.COLOR_RGB2GRAY)
    scale = _SHARPNESS_WIDTH_PX / grey.shape[1]
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())
