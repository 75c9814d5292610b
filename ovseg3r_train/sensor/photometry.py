"""What a camera makes of clean colours: the light of the room, exposure, white balance, lens, blur and noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_train.sensor.noise_fields import generator, grained, white

_PURPOSE = 2
_GAMMA = 2.2
_WANTED_MEAN = 130.0  # of 255: what automatic exposure aims at
_MOST_EXPOSURE = 0.7  # of the natural logarithm: one stop


@dataclass(frozen=True, kw_only=True)
class PhotometryConfig:
    """How far the colours of a sequence stray; all of it 0 leaves them as they are."""

    tint: Annotated[float, Within(0.0, 1.0)] = 0.08
    """Standard deviation of the light's red and blue, relative, one draw a sequence."""
    gain: Annotated[float, Within(0.0, 2.0)] = 0.15
    """Standard deviation of the logarithm of the room's brightness, one draw a sequence."""
    exposure: Annotated[float, Within(0.0, 1.0)] = 0.6
    """How much of a change of brightness automatic exposure takes back."""
    exposure_lag: Annotated[float, Within(0.0, 0.99)] = 0.6
    """Share of the last frame's exposure in this frame's."""
    balance_drift: Annotated[float, Within(0.0, 0.5)] = 0.03
    """Standard deviation of the slow drift of red and blue within a sequence, relative."""
    vignetting: Annotated[float, Within(0.0, 0.9)] = 0.2
    """Loss of light in the corners, relative."""
    noise: Annotated[float, Within(0.0, 50.0)] = 2.0
    """Standard deviation of a middle grey's noise, of 255."""
    blur_px: Annotated[float, Within(0.0, 20.0)] = 0.8
    """Standard deviation of the length of motion blur."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


CLEAN = PhotometryConfig(tint=0.0, gain=0.0, exposure=0.0, balance_drift=0.0, vignetting=0.0, noise=0.0, blur_px=0.0)


class Photometry:
    """The camera of one sequence."""

    def __init__(self, config: PhotometryConfig, brightness: Sequence[float], seed: int) -> None:
        """Draw the light, and follow the exposure through the sequence.

        Args:
            brightness: mean of each clean frame, 0..255, in order of time.
        """
        self._config = config
        self._seed = seed
        rng = np.random.default_rng([seed, _PURPOSE])
        red, blue = np.exp(rng.normal(0, 1, 2) * config.tint)
        light = np.array([red, 1.0, blue]) * np.exp(rng.normal() * config.gain)
        drift = _drift(len(brightness), rng) * config.balance_drift
        self._gain = light * np.exp(np.stack([drift[0], np.zeros(len(brightness)), drift[1]], axis=1))
        shown = np.array(brightness) * np.exp(np.log(light).mean() / _GAMMA)
        self._gain *= np.exp(_exposure(shown, config))[:, None]

    def apply(self, color: UInt8[ndarray, "height width 3"], index: int) -> UInt8[ndarray, "height width 3"]:
        """The colours as the camera gives them; the same for the same seed and frame index."""
        config, rng = self._config, generator(self._seed, index, _PURPOSE)
        if config == CLEAN:
            return color
        if config.blur_px > 0:
            color = _moved(color, abs(float(rng.normal())) * config.blur_px, float(rng.uniform(0, np.pi)))
        levels = _levels(self._gain[index])
        if config.vignetting == 0 and config.noise == 0:
            return cv2.LUT(color, np.rint(levels).astype(np.uint8).T[None])
        image = cv2.LUT(color, levels.T[None])
        if config.vignetting > 0:
            image *= _vignette(color.shape[:2], config.vignetting)[:, :, None]
        if config.noise > 0:
            image += _noise(image, config.noise, rng)
        return cv2.convertScaleAbs(np.clip(image, 0, 255, out=image))


def _exposure(brightness: Float64[ndarray, " frames"], config: PhotometryConfig) -> Float64[ndarray, " frames"]:
    """Logarithm of the exposure's factor on light, which follows the brightness with a lag."""
    wanted = config.exposure * _GAMMA * np.log(_WANTED_MEAN / np.maximum(brightness, 1.0))
    wanted = np.clip(wanted, -_MOST_EXPOSURE, _MOST_EXPOSURE)
    exposure = wanted.copy()
    for index in range(1, len(wanted)):
        exposure[index] = config.exposure_lag * exposure[index - 1] + (1 - config.exposure_lag) * wanted[index]
    return exposure


def _drift(frames: int, rng: np.random.Generator) -> Float64[ndarray, "2 frames"]:
    """Two slow wanderings of about unit size."""
    waves = np.arange(1, 4)[:, None] * np.linspace(0, 2 * np.pi, frames)
    return np.stack(
        [(np.sin(waves + rng.uniform(0, 2 * np.pi, (3, 1))) * rng.normal(0, 0.8, (3, 1))).sum(0) for _ in range(2)]
    )


def _levels(gain: Float64[ndarray, "3"]) -> ndarray:
    """What each of 256 levels becomes under a gain of light, channel by channel; bright ones saturate softly."""
    light = (np.arange(256) / 255) ** _GAMMA * gain[:, None]
    knee = 0.8
    soft = knee + (1 - knee) * np.tanh((light - knee) / (1 - knee) * 0.8)
    return (255 * np.where(light > knee, soft, light) ** (1 / _GAMMA)).astype(np.float32)


def _vignette(shape: tuple[int, int], loss: float) -> ndarray:
    """Factor on the (gamma-coded) image: 1 in the middle, light falling with the square of the distance."""
    v, u = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    return (1 - np.float32(loss / 2) * (u**2 + v[:, None] ** 2)) ** np.float32(1 / _GAMMA)


def _moved(color: ndarray, length_px: float, angle: float) -> UInt8[ndarray, "height width 3"]:
    """Blur along a line."""
    if length_px < 0.3:
        return color
    reach = int(np.ceil(length_px / 2))
    v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along, off = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
    kernel = np.clip(length_px / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(off), 0, 1)
    return cv2.filter2D(color, -1, kernel / kernel.sum())


def _noise(image: ndarray, sigma: float, rng: np.random.Generator) -> ndarray:
    """Noise of brightness with a little of colour, stronger in the dark, which the gamma curve stretches."""
    height, width = image.shape[:2]
    grey = grained((height, width), 0.5, rng) * np.float32(0.8 * sigma)
    small = (-(-height // 2), -(-width // 2))
    tones = cv2.merge([white(small, rng) for _ in range(3)]) * np.float32(0.8 * sigma)
    noise = cv2.resize(tones, (width, height), interpolation=cv2.INTER_LINEAR)
    noise += grey[:, :, None]
    strength = np.float32(1.4) - image[:, :, 1] * np.float32(0.8 / 255)
    noise *= strength[:, :, None]
    return noise
