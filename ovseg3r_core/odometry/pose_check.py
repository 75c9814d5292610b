"""Whether a frame stood where it says, by its shape laid on that of an earlier view."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.geometry import invert, transform
from ovseg3r_core.odometry.shape import fit, fit_nearby, shape_of
from ovseg3r_core.pose_correction import distances
from ovseg3r_core.types import PosedDepth
from ovseg3r_core.views import View


def slip_of_nearest(frame: PosedDepth, shown: Sequence[tuple[View, Float64[ndarray, "3"]]]) -> float:
    """How far beside a thing a frame looks for it, metres, by the view nearest to the frame that showed one.

    Args:
        shown: views, each with the place of the thing that it showed, map frame; one at least.
    """
    poses = np.array([view.T_map_camera for view, _ in shown])
    shift_m, turn_rad = distances(np.broadcast_to(frame.T_map_camera, poses.shape), poses)
    view, xyz_map = shown[int((shift_m + turn_rad).argmin())]
    return slip_m(frame, view.open(), xyz_map)


def slip_m(frame: PosedDepth, earlier: PosedDepth, xyz_map: Float64[ndarray, "3"]) -> float:
    """How far beside a place a frame looks for it, as an earlier view has it, metres; 0 where shapes do not tell.

    Of exactly placed frames about 0: depth cameras are good for a centimetre. Frames that show little of what the
    earlier view shows, and shapes that would slide along themselves, tell nothing.
    """
    a, b = shape_of(earlier), shape_of(frame)
    if a is None or b is None:
        return 0.0
    T_a_b = invert(earlier.T_map_camera) @ frame.T_map_camera
    for fitted in (fit_nearby, fit):  # what is right fits where it is; from further away, walls are taken for others
        found = fitted(a, b, T_a_b)
        if found.tells():
            T_true_said = earlier.T_map_camera @ found.T_a_b @ invert(frame.T_map_camera)
            return float(np.linalg.norm(transform(T_true_said, xyz_map) - xyz_map))
    return 0.0
