"""A colour an object keeps for life: it depends on the id alone, and neighbouring ids differ the most."""

import colorsys

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

UNASSIGNED = (150, 150, 150)
_GOLDEN_TURN = 0.6180339887498949  # successive multiples spread over the colour wheel and never repeat
_TONES = ((0.85, 0.95), (0.48, 0.98), (0.95, 0.60))  # saturation and value: near hues, 5 or 8 ids apart, differ here


def object_color(object_id: int) -> tuple[int, int, int]:
    """RGB 0..255 of one object; grey for -1, "no object"."""
    if object_id < 0:
        return UNASSIGNED
    hue = (0.02 + object_id * _GOLDEN_TURN) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, *_TONES[object_id % len(_TONES)])
    return round(red * 255), round(green * 255), round(blue * 255)


def object_colors(object_ids: Int[ndarray, " points"]) -> UInt8[ndarray, "points 3"]:
    """RGB of the object each point belongs to, -1 being none."""
    ids, index = np.unique(object_ids, return_inverse=True)
    return np.array([object_color(int(i)) for i in ids], dtype=np.uint8).reshape(-1, 3)[index]
