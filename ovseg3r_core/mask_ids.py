"""The masks of one image as one number a pixel: i for mask i, -1 for none, and -2 - i for the rim of mask i.

Outlines are a few pixels off, so lifting takes rims off and trusts the rest. What lay on a rim is still known: a point
that no view is sure about may lie there.
"""

import numpy as np
from jaxtyping import Int32, UInt16
from numpy import ndarray

_RIM_BIT = 1 << 15
MAX_MASKS = _RIM_BIT - 1
"""Of one image; each of 640x480 pixels takes 300 kB before they are one image."""


def as_rim(ids: Int32[ndarray, "*any"]) -> Int32[ndarray, "*any"]:
    """Masks as the rims of the same masks, and the other way round; none stays none of either."""
    return np.int32(-2) - ids


def outlines(ids: Int32[ndarray, "*any"]) -> Int32[ndarray, "*any"]:
    """The mask in whose outline each pixel lies, on its rim or not; -1 for none."""
    return np.maximum(ids, as_rim(ids))


def pack_ids(ids: Int32[ndarray, "height width"]) -> UInt16[ndarray, "height width"]:
    """For an image file: 0 for none, 1 + i for mask i, and with the highest bit set for its rim.

    Raises:
        ValueError: there are more masks than the other bits can tell apart.
    """
    masks = outlines(ids)
    if (most := masks.max(initial=-1)) >= MAX_MASKS:
        raise ValueError(f"an image has at least {most + 1} masks; at most {MAX_MASKS} can be kept of one")
    return np.where(ids < -1, (masks + 1) | _RIM_BIT, masks + 1).astype(np.uint16)


def unpack_ids(packed: UInt16[ndarray, "height width"]) -> Int32[ndarray, "height width"]:
    """The ids that were packed; images of older maps have no rims."""
    ids = (packed & (_RIM_BIT - 1)).astype(np.int32) - 1
    return np.where(packed & _RIM_BIT, as_rim(ids), ids)
