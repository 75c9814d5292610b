"""Which pixels of a view the map already explains, so that no mask is asked for twice."""

import cv2
import numpy as np
from jaxtyping import Bool, Int32
from numpy import ndarray

from ovseg3r_core.types import ViewIncidence

_CELL_PX = 8  # scene points are 2 cm apart: at 4 m their images are closer than this, nearby the closing helps


def explained_pixels(
    owner: Int32[ndarray, " points"], seen: ViewIncidence, well_known: set[int], height: int, width: int
) -> Bool[ndarray, "height width"]:
    """The pixels that show objects whose ids are in `well_known`."""
    known = np.isin(owner[seen.points], list(well_known))
    cells = np.zeros((height // _CELL_PX + 1, width // _CELL_PX + 1), np.uint8)
    u, v = seen.pixels[known].T // _CELL_PX
    cells[v, u] = 1
    cells = cv2.morphologyEx(cells, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return cv2.resize(cells, None, fx=_CELL_PX, fy=_CELL_PX, interpolation=cv2.INTER_NEAREST)[:height, :width] > 0
