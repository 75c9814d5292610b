"""Whether something moves through the scene: what one look saw as a surface, another sees through.

Where everything stands still and poses are right, no ray to a surface passes through another surface. Edges, noise
and poses that are a little off make it seem so along outlines: a pixel counts only where the other look sees farther
all round it, and only pieces of some size count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from ovseg3r_core.geometry import back_project, invert, project, transform
from ovseg3r_core.types import Camera, Depth

_WIDTH_PX = 160
_FARTHEST_M = 5.0  # beyond, depth cameras are off by a decimetre
_AROUND_PX = 4  # so far round a pixel must the other look see farther: 1.5 degrees of a usual camera
_FARTHER_M, _FARTHER = 0.1, 0.05  # by so many metres, and by this share of the distance
_PIECE = 0.01  # of the image: what is seen through in one piece, for a look to have changed
_AFTER = 3  # looks that each is held against, those that come next
_FEWEST, _SHARE = 3, 0.05  # looks that have changed, for it to be said


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A small depth image, kept of a frame."""

    index: int
    """Of the frame."""
    stamp_s: float
    depth_m: Float32[ndarray, "rows columns"]
    camera: Camera


@dataclass(frozen=True, kw_only=True)
class Moving:
    """How much of a recording shows something that moves."""

    looks: int = 0
    changed: int = 0
    """Looks of which another saw through a piece, or the other way round."""

    def report(self) -> Mapping[str, int | bool]:
        """For people and files."""
        doubtful = self.changed >= max(_FEWEST, _SHARE * self.looks)
        return {"looks": self.looks, "changed": self.changed, "doubtful": doubtful}


def look_of(index: int, stamp_s: float, frame: Depth) -> Look:
    """What is kept of a frame: every so many pixels of its depth, up to where depth is good."""
    step = max(1, round(frame.depth_m.shape[1] / _WIDTH_PX))
    depth_m = frame.depth_m[::step, ::step]
    it, (height, width) = frame.camera, depth_m.shape
    camera = Camera(fx=it.fx / step, fy=it.fy / step, cx=it.cx / step, cy=it.cy / step, width=width, height=height)
    near_m = np.where(depth_m < _FARTHEST_M, depth_m, np.float32(0))
    return Look(index=index, stamp_s=stamp_s, depth_m=near_m, camera=camera)


def what_moves(looks: Sequence[Look], poses: Mapping[int, Float64[ndarray, "4 4"]]) -> Moving:
    """Hold each look against those that come next; poses are T_map_camera by frame index."""
    placed = [look for look in looks if look.index in poses]
    changed = set[int]()
    for a, b in _pairs(len(placed)):
        T_a_b = invert(poses[placed[a].index]) @ poses[placed[b].index]
        if max(seen_through(placed[a], placed[b], T_a_b), seen_through(placed[b], placed[a], invert(T_a_b))) > _PIECE:
            changed |= {a, b}
    return Moving(looks=len(placed), changed=len(changed))


def seen_through(a: Look, b: Look, T_a_b: Float64[ndarray, "4 4"]) -> float:
    """The largest piece of a that b sees through, as a share of the image."""
    uv, z = project(transform(invert(T_a_b), back_project(a.depth_m, a.camera).reshape(-1, 3)), b.camera)
    column, row = np.nan_to_num(np.rint(uv), nan=-1).astype(np.int64).T
    height, width = b.depth_m.shape
    inside = (a.depth_m.ravel() > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    closest_m = _closest_around(b.depth_m)[row.clip(0, height - 1), column.clip(0, width - 1)]
    through = inside & (closest_m > z + np.maximum(_FARTHER_M, _FARTHER * z))
    return _largest_piece(through.reshape(a.depth_m.shape).astype(np.uint8))


def _closest_around(depth_m: Float32[ndarray, "rows columns"]) -> Float32[ndarray, "rows columns"]:
    """The smallest depth round each pixel; 0 where one of them has none, so that nothing is seen through a gap."""
    return cv2.erode(depth_m, np.ones((2 * _AROUND_PX + 1, 2 * _AROUND_PX + 1), np.uint8))


def _largest_piece(where: np.ndarray) -> float:
    """The share of pixels that hang together, without threads of one or two pixels."""
    thick = cv2.morphologyEx(where, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, _, facts, _ = cv2.connectedComponentsWithStats(thick)
    return float(facts[1:, cv2.CC_STAT_AREA].max(initial=0)) / where.size


def _pairs(count: int) -> Iterator[tuple[int, int]]:
    for a in range(count):
        for b in range(a + 1, min(a + 1 + _AFTER, count)):
            yield a, b
