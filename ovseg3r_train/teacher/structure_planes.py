"""The planes of walls, floor and ceiling in one view, found from its depth round any pixel."""

import cv2
import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from ovseg3r_core.geometry import back_project
from ovseg3r_core.types import Frame

_WIDTH = 160  # planes are found on images of about this width
_WINDOW = 5  # pixels round a seed that its plane is fitted to
_OFF_M, _OFF_SHARE = 0.03, 0.015  # how far off its plane a reading may lie: 3 cm and 1.5 % of the depth
_FILLED = 0.5  # IoU of a mask with a plane from which it is the plane


class StructurePlanes:
    """The structure of one view, on a smaller image."""

    def __init__(self, structure: Bool[ndarray, "height width"], frame: Frame) -> None:
        """Take the pixels that are structure; those without depth are in no plane."""
        self.stride = max(1, round(structure.shape[1] / _WIDTH))
        self._depth_m = np.ascontiguousarray(frame.depth_m[:: self.stride, :: self.stride])
        self._xyz = back_project(frame.depth_m, frame.camera)[:: self.stride, :: self.stride]
        self.pixels = structure[:: self.stride, :: self.stride] & (self._depth_m > 0)

    def at(self, seed: Int64[ndarray, "2"]) -> Bool[ndarray, "rows columns"]:
        """What lies in the plane round a pixel (row, column) and is connected with it."""
        window = tuple(slice(max(at - _WINDOW, 0), at + _WINDOW + 1) for at in seed.tolist())
        near = self._xyz[window][self.pixels[window]]
        centre = np.median(near, axis=0)
        normal = np.linalg.svd(near - centre, full_matrices=False)[2][-1] if len(near) > 2 else np.zeros(3, np.float32)
        flat = self.pixels & (np.abs((self._xyz - centre) @ normal) < _OFF_M + _OFF_SHARE * self._depth_m)
        flat[seed[0], seed[1]] = True
        _, parts = cv2.connectedComponents(flat.astype(np.uint8))
        return parts == parts[seed[0], seed[1]]

    def is_filled_by(self, mask: Bool[ndarray, "height width"]) -> bool:
        """Whether a mask is one of the planes as a whole."""
        small = mask[:: self.stride, :: self.stride] & self.pixels
        if not small.any():
            return False
        inside = cv2.distanceTransform(np.pad(small, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)[1:-1, 1:-1]
        plane = self.at(np.array(np.unravel_index(int(inside.argmax()), inside.shape)))
        return int((small & plane).sum()) >= _FILLED * int((small | plane).sum())
