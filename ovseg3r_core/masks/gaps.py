"""Where to ask next: points in the middle of what is not covered yet."""

import cv2
import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

_SPACING = 1.5  # points of one call keep this many gap radii apart: an answer to one often closes the whole gap


def gap_centres(
    covered: Bool[ndarray, "rows columns"], count: int, smallest_radius: float
) -> Int64[ndarray, "points 2"]:
    """Up to `count` points (column, row) in the middle of the largest gaps, largest first.

    Args:
        smallest_radius: pixels; a gap that a disc of this radius does not fit into is left alone.
    """
    # A frame of covered pixels: the image border is an edge of the gap, so that points keep away from it.
    free = np.pad(~covered, 1).astype(np.uint8)
    distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    points = []
    while len(points) < count:
        row, column = np.unravel_index(distance.argmax(), distance.shape)
        radius = distance[row, column]
        if radius < smallest_radius:
            break
        points.append((column, row))
        distance[disc(distance.shape, (int(column), int(row)), _SPACING * float(radius))] = 0
    return np.array(points, dtype=np.int64).reshape(-1, 2)


def disc(shape: tuple[int, ...], centre: tuple[int, int], radius: float) -> Bool[ndarray, "rows columns"]:
    """The pixels within `radius` of a point (column, row)."""
    v, u = np.ogrid[: shape[0], : shape[1]]
    return (u - centre[0]) ** 2 + (v - centre[1]) ** 2 <= radius**2
