"""Where a depth image jumps from one surface to another.

The inverse depth of a plane is linear in pixel coordinates, however slanted the plane is. Its second difference is
therefore zero inside a surface and as large as the jump on both sides of an edge: unlike the range of depths in a
3x3 window, it tells a step from a floor that is seen at a grazing angle.
"""

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray


def depth_edges(depth_m: Float32[ndarray, "height width"], jump_ratio: float = 0.05) -> Bool[ndarray, "height width"]:
    """Pixels next to a depth jump, and the pixels in the air that a sensor averages across one.

    Args:
        jump_ratio: change against the depth itself, from one pixel to the next, that counts as a jump.
    """
    inverse = np.divide(1, depth_m, out=np.zeros_like(depth_m), where=depth_m > 0)
    limit = jump_ratio * inverse
    edges = np.zeros(depth_m.shape, dtype=bool)
    _mark_jumps(inverse, limit, edges)
    _mark_jumps(inverse.T, limit.T, edges.T)
    return edges


def _mark_jumps(
    inverse: Float32[ndarray, "rows columns"],
    limit: Float32[ndarray, "rows columns"],
    edges: Bool[ndarray, "rows columns"],
) -> None:
    """Mark jumps along the columns, in place; beside a missing reading the surface is taken to go on level."""
    step = np.diff(inverse, axis=1)
    step[(inverse[:, 1:] == 0) | (inverse[:, :-1] == 0)] = 0
    before, after = step[:, :-1], step[:, 1:]
    bend = np.abs(after - before) > limit[:, 1:-1]
    ramp = np.abs(after + before) > 2 * limit[:, 1:-1]  # a pixel midway between two surfaces does not bend
    edges[:, 1:-1] |= bend | ramp
    edges[:, 0] |= np.abs(step[:, 0]) > limit[:, 0]
    edges[:, -1] |= np.abs(step[:, -1]) > limit[:, -1]
