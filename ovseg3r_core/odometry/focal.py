"""Whether colour, depth and focal length fit each other: a wrong one bends the room, and nothing else would tell.

Points that two keyframes share are put where their depth says, and sought in the other image, once with the focal
length as it is given and once with each of some others. Where intrinsics are right, none of those fits better.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.focal import believed
from ovseg3r_core.odometry.features import Features, Seen, see

_TRIED = np.exp(np.linspace(-0.5, 0.5, 21))  # times the given focal length: from 0.6 to 1.65
_GIVEN = len(_TRIED) // 2
_PAIRS = 40  # of keyframes that are looked at, from all over the recording


def focal_told(keyframes: Sequence[Features]) -> float:
    """What the images say the focal length is over what it was taken to be; 1 where they agree or cannot tell."""
    neighbours = [pair for apart in (1, 2) for pair in zip(keyframes, keyframes[apart:], strict=False)]
    chosen = np.unique(np.linspace(0, len(neighbours) - 1, min(_PAIRS, len(neighbours))).astype(int))
    squares, points = np.zeros(len(_TRIED)), 0
    for a, b in (neighbours[i] for i in chosen):
        if (seen := see(a, b)) is not None:
            squares += [_squared_px(a, b, seen, times) for times in _TRIED]
            points += seen.matches
    if not points:
        return 1.0
    off_px = np.sqrt(squares / points)
    best = int(off_px.argmin())
    return believed(float(_TRIED[best]), float(off_px[_GIVEN]), float(off_px[best]))


def _squared_px(a: Features, b: Features, seen: Seen, times: float) -> float:
    """How far b sees the points of a from where they should be, were the focal length so many times longer."""
    K: Float64[ndarray, "3 3"] = b.K * [[times, 1, 1], [1, times, 1], [1, 1, 1]]
    world, pixels = a.xyz[seen.in_a] * [1 / times, 1 / times, 1], b.uv[seen.in_b].astype(np.float64)
    # From scratch: from the pose that the given focal length leads to, the fit stays there.
    _, turn, shift = cv2.solvePnP(world, pixels, K, None, flags=cv2.SOLVEPNP_EPNP)
    turn, shift = cv2.solvePnPRefineLM(world, pixels, K, None, turn, shift)
    where = cv2.projectPoints(world, turn, shift, K, None)[0][:, 0]
    return float(np.sum((where - pixels) ** 2))
