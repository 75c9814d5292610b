"""Random images: deterministic, smooth where asked for, and quick to draw."""

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray


def generator(seed: int, index: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose in one frame, whatever was drawn before.

    SFC64 draws normal numbers a quarter faster than numpy's default.
    """
    return np.random.Generator(np.random.SFC64([seed, index, purpose]))


def white(shape: tuple[int, int], rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """Standard normal numbers, each pixel on its own."""
    return rng.standard_normal(shape, dtype=np.float32)


def grained(shape: tuple[int, int], grain_px: float, rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """Standard normal numbers that neighbours within about a grain's size share in part."""
    reach = max(int(np.ceil(2 * grain_px)), 1)
    kernel = cv2.getGaussianKernel(2 * reach + 1, grain_px)
    kernel /= np.sqrt((kernel**2).sum())  # keeps the variance at one
    kernel = kernel.astype(np.float32)
    return cv2.sepFilter2D(white(shape, rng), cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT)


def blobs(shape: tuple[int, int], size_px: int, rng: np.random.Generator) -> Float32[ndarray, "height width"]:
    """Numbers in 0..1, evenly spread, in ragged blobs: `blobs < p` marks a share p of the image."""
    small = (-(-shape[0] // size_px), -(-shape[1] // size_px))
    coarse = cv2.resize(grained(small, 1.0, rng), shape[::-1], interpolation=cv2.INTER_LINEAR)
    mixed = 0.968 * coarse + 0.25 * _doubled(white((-(-shape[0] // 2), -(-shape[1] // 2)), rng), shape)
    return _logistic(mixed)


def _doubled(half: ndarray, shape: tuple[int, int]) -> Float32[ndarray, "height width"]:
    return cv2.resize(half, (2 * half.shape[1], 2 * half.shape[0]), interpolation=cv2.INTER_NEAREST)[
        : shape[0], : shape[1]
    ]


def _logistic(normal: ndarray) -> Float32[ndarray, "height width"]:
    """The share of normal numbers that are lower, to 1 % (Bowling et al. 2009)."""
    return 1 / (1 + np.exp(normal * np.float32(-1.702)))
