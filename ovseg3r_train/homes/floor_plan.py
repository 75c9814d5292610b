"""Where a camera can be carried through a home: the free floor on a grid."""

from dataclasses import dataclass

from jaxtyping import Bool, Int32
from numpy import ndarray


@dataclass(frozen=True, kw_only=True)
class FloorPlan:
    """The floor of a home, z = 0, as cells; rows go along y, columns along x."""

    origin_m: tuple[float, float]
    """Map x and y of the centre of the first cell."""
    cell_m: float
    free: Bool[ndarray, "rows columns"]
    """Nothing stands or hangs there lower than a person's head."""
    room: Int32[ndarray, "rows columns"]
    """The room that a cell lies in, from 0; -1 in walls and outside. A doorway belongs to one of its rooms."""
    height_m: float
    """From floor to ceiling."""
