"""What belongs to a doorway: its frame."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part, plain
from ovseg3r_train.homes.layout import DOOR_HEIGHT_M, WALL_M, Doorway
from ovseg3r_train.homes.solids import block, drawn_color
from ovseg3r_train.homes.stock import Thing, thing_of_parts

_POST_M = 0.035
_PROUD_M = 0.015  # how far the frame stands out of the wall on both sides
_CASING_M = 0.06


def doorframe(doorway: Doorway, rng: np.random.Generator) -> tuple[Thing, Float64[ndarray, "4 4"]]:
    """Two posts and a lintel in a doorway, with casings on the walls; and where they go."""
    width, texture = doorway.width_m, plain(drawn_color(rng, 0.3, 90, 240))
    depth = WALL_M + 2 * _PROUD_M
    parts: list[Part] = []
    for side in (-1.0, 1.0):
        parts += block((_POST_M, depth, DOOR_HEIGHT_M - 0.002), texture, at=(side * (width - _POST_M) / 2, 0.0, 0.0))
        for face in (-1.0, 1.0):
            at = (side * (width + _CASING_M) / 2, face * (WALL_M + _PROUD_M) / 2, 0.0)
            parts += block((_CASING_M, _PROUD_M, DOOR_HEIGHT_M), texture, at=at)
    parts += block((width, depth, _POST_M), texture, at=(0.0, 0.0, DOOR_HEIGHT_M - _POST_M - 0.002))
    for face in (-1.0, 1.0):
        at = (0.0, face * (WALL_M + _PROUD_M) / 2, DOOR_HEIGHT_M)
        parts += block((width + 2 * _CASING_M, _PROUD_M, _CASING_M), texture, at=at)
    x, y = doorway.gap.centre
    T = np.eye(4)
    T[:2, 3] = x, y
    if not doorway.along_x:
        T[:2, :2] = [[0, -1], [1, 0]]
    return thing_of_parts("doorframe", parts), T
