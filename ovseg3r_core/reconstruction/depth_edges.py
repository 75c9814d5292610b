"""Where a depth image jumps from one surface to another.

The inverse depth of a plane is linear in pixel coordinates, however slanted the plane is. Its second difference is
therefore zero inside a surface and as large as the jump on both sides of an edge: unlike the range of depths in a
3x3 window, it tells a step from a floor that is seen at a grazing angle.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from ovseg3r_core.compiled import compiled


def depth_edges(depth_m: Float32[ndarray, "height width"], jump_ratio: float = 0.05) -> Bool[ndarray, "height width"]:
    """Pixels next to a depth jump, and the pixels in the air that a sensor averages across one.

    Beside a missing reading, and beside the image, the surface is taken to go on level.

    Args:
        jump_ratio: change against the depth itself, from one pixel to the next, that counts as a jump.
    """
    inverse = np.divide(1, depth_m, out=np.zeros_like(depth_m), where=depth_m > 0)
    edges = np.zeros(depth_m.shape, dtype=bool)
    _mark_jumps(inverse, np.float32(jump_ratio), edges)
    return edges


@compiled
@no_type_check
def _mark_jumps(inverse, jump_ratio, edges):
    """Mark jumps along the rows and along the columns, in place."""
    height, width = inverse.shape
    for v in range(height):
        for u in range(width):
            here = inverse[v, u]
            if here == 0:
                continue
            left = _step(inverse[v, max(u - 1, 0)], here)
            right = -_step(inverse[v, min(u + 1, width - 1)], here)
            above = _step(inverse[max(v - 1, 0), u], here)
            below = -_step(inverse[min(v + 1, height - 1), u], here)
            limit = jump_ratio * here
            bends = (abs(right - left) > limit) | (abs(below - above) > limit)
            # a pixel midway between two surfaces does not bend
            edges[v, u] = bends | (abs(right + left) > 2 * limit) | (abs(below + above) > 2 * limit)


@compiled
@no_type_check
def _step(beside, here):
    return np.float32(0) if beside == 0 else here - beside
