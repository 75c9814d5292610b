"""A picture of each object: cut from the keyframe that shows most of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Int, Int32
from numpy import ndarray

from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.reconstruction.incidence import see_points
from ovseg3r_core.views import View

_SIDE_PX = 112
_MARGIN = 0.2  # of the object's extent in the image, on each side
_LEAST_PIXELS = 4
_RIM = 0.02  # of the pixels on each side are no part of the frame: a stray point must not widen it
_JPEG_QUALITY = 82


@dataclass(frozen=True, kw_only=True)
class _Sight:
    """Where one view shows an object."""

    view: View
    pixels: Int32[ndarray, "seen 2"]


def thumbnails(snapshot: MapSnapshot, views: Sequence[View]) -> dict[int, bytes]:
    """A JPEG of each object that a view shows, by its id.

    Args:
        views: the keyframes of the map.
    """
    best: dict[int, _Sight] = {}
    instance = snapshot.instance()
    for view in (view for view in views if view.kept):
        seen = see_points(snapshot.cloud.xyz, view.open())
        owner = instance[seen.points]
        for id_, count in zip(*np.unique(owner[owner >= 0], return_counts=True), strict=True):
            if count >= _LEAST_PIXELS and (id_ not in best or count > len(best[id_].pixels)):
                best[int(id_)] = _Sight(view=view, pixels=seen.pixels[owner == id_])
    return {id_: _cut(sight) for id_, sight in best.items()}


def _cut(sight: _Sight) -> bytes:
    """The square round the object, as far as the image goes."""
    color = sight.view.color()
    (left, top), (right, bottom) = _frame(sight.pixels, color.shape[1], color.shape[0])
    piece = color[top:bottom, left:right, ::-1]
    scale = _SIDE_PX / max(piece.shape[:2])
    size = (max(1, round(piece.shape[1] * scale)), max(1, round(piece.shape[0] * scale)))
    small = cv2.resize(piece, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()


def _frame(pixels: Int[ndarray, "seen 2"], width: int, height: int) -> Int[ndarray, "2 2"]:
    """Corners of the square that holds most of the pixels with a margin, within the image."""
    low, high = np.quantile(pixels, [_RIM, 1 - _RIM], axis=0)
    half = max(8.0, float((high - low).max()) * (0.5 + _MARGIN))
    middle = (low + high) / 2
    corners = np.stack([middle - half, middle + half + 1])
    return np.clip(corners, 0, (width, height)).astype(int)
