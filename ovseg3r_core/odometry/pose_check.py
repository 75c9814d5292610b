"""Whether a frame stood where it says, by its shape laid on that of an earlier view."""

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.geometry import invert
from ovseg3r_core.odometry.shape import fit, fit_nearby, shape_of
from ovseg3r_core.types import PosedDepth

_OVERLAP, _FIRMNESS = 0.6, 0.03  # of a fit that says something


def true_from_said(frame: PosedDepth, earlier: PosedDepth) -> Float64[ndarray, "4 4"] | None:
    """What takes the map as a frame's pose has it to the map as an earlier view has it; None where shapes do not tell.

    Exactly placed frames give about the identity: depth cameras are good for a centimetre. Frames that show little of
    what the earlier view shows, and shapes that would slide along themselves, tell nothing.
    """
    a, b = shape_of(earlier), shape_of(frame)
    if a is None or b is None:
        return None
    T_a_b = invert(earlier.T_map_camera) @ frame.T_map_camera
    for fitted in (fit_nearby, fit):  # what is right fits where it is; from further away, walls are taken for others
        found = fitted(a, b, T_a_b)
        if found.overlap >= _OVERLAP and found.firmness >= _FIRMNESS:
            return earlier.T_map_camera @ found.T_a_b @ invert(frame.T_map_camera)
    return None
