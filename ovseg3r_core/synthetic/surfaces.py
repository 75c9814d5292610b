"""Walls, floor and ceiling, with textures that are drawn, not loaded."""

from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part, quad

_WALL_COLORS = ((226, 221, 208), (206, 216, 222), (222, 209, 198), (208, 219, 203))
_PLANK_COLORS = ((176, 138, 96), (150, 112, 76), (196, 164, 122))
_BOARD_M = (0.09, 0.012)  # height and thickness of the skirting board


def shell(size_m: tuple[float, float, float], rng: np.random.Generator) -> tuple[Part, ...]:
    """Floor, four walls with skirting boards, and ceiling of a room centred at the origin, seen from within."""
    width, depth, height = size_m
    paint = plaster(_WALL_COLORS[rng.integers(len(_WALL_COLORS))], rng)
    wood = planks(_PLANK_COLORS[rng.integers(len(_PLANK_COLORS))], rng)
    white = plaster((238, 238, 234), rng)
    x, y = width / 2, depth / 2
    ground = np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0]], dtype=np.float32)
    parts = [
        quad(ground, wood, 2.0),
        quad(ground[[0, 3, 2, 1]] + np.array([0, 0, height], dtype=np.float32), white, 2.0),
    ]
    for right, left in zip(ground, np.roll(ground, -1, axis=0), strict=True):
        parts.append(quad(_upright(left, right, 0.0, height), paint, 2.0))
        inwards = -(left + right) / 2
        inwards = inwards / np.linalg.norm(inwards) * np.float32(_BOARD_M[1])
        parts.append(quad(_upright(left + inwards, right + inwards, 0.0, _BOARD_M[0]), white, 2.0))
    return tuple(parts)


def _upright(left: ndarray, right: ndarray, low: float, high: float) -> ndarray:
    up_low, up_high = np.array([0, 0, low], dtype=np.float32), np.array([0, 0, high], dtype=np.float32)
    return np.stack([left + up_low, right + up_low, right + up_high, left + up_high])


def plaster(color: tuple[int, int, int], rng: np.random.Generator) -> UInt8[ndarray, "512 512 4"]:
    """Paint with faint blotches, so that a wall is not one number."""
    blotches = cv2.resize(rng.normal(0, 1.5, (24, 24)).astype(np.float32), (512, 512), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 1.5, (512, 512)).astype(np.float32)
    return _rgba(np.array(color, dtype=np.float32) + (blotches + grain)[:, :, None])


def planks(color: tuple[int, int, int], rng: np.random.Generator, count: int = 14) -> UInt8[ndarray, "1024 1024 4"]:
    """Wooden boards of varying tone, with grain along them and dark joints."""
    size = 1024
    grain = cv2.resize(rng.normal(0, 1, (size, 24)).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    grain = cv2.GaussianBlur(grain, (1, 5), 0) * 9
    edges = np.linspace(0, size, count + 1).astype(int)
    tone = np.zeros((size, size), dtype=np.float32)
    for top, bottom in pairwise(edges):
        cut = int(rng.integers(size))
        tone[top:bottom] = rng.normal(0, 10)
        tone[top:bottom, cut:] += rng.normal(0, 10)
        tone[top:bottom, cut : cut + 3] -= 40
        tone[top : top + 2] -= 40
    return _rgba(np.array(color, dtype=np.float32) + (tone + grain)[:, :, None])


def _rgba(color: ndarray) -> UInt8[ndarray, "height width 4"]:
    image = np.full((*color.shape[:2], 4), 255, dtype=np.uint8)
    image[:, :, :3] = np.clip(color, 0, 255)
    return image
