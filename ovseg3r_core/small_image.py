"""Images in the size in which motion and sharpness are told: blur that is gone there does not hurt a mask."""

import cv2
from jaxtyping import UInt8
from numpy import ndarray

_WIDTH_PX = 320


def grey_of(color: UInt8[ndarray, "height width 3"]) -> UInt8[ndarray, "rows columns"]:
    """A small grey image of a colour image."""
    return small(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY))


def small(grey: UInt8[ndarray, "height width"]) -> UInt8[ndarray, "rows columns"]:
    """A grey image 320 pixels wide; one that is not wider stays as it is."""
    scale = _WIDTH_PX / grey.shape[1]
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
