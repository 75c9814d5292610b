"""Whether images are smeared along the way that the camera moved: their poses are worse, and nothing else tells.

A shutter that stays open while the camera moves smears edges along the motion, and leaves those across it alone. So
the edges that face the motion are held against those that face away from it, of the same image: how much of a step
over 24 pixels already shows over 2 pixels. Focus, noise, compression and resolution do the same to both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

_FINE_PX, _COARSE_PX = 2.0, 24.0
_FACES = 0.75  # squared cosine between gradient and direction: within 30 degrees of it
_SMOOTH_PX = 2.0  # gradients are asked for where they point on this scale: noise points anywhere
_STILL_PX = 3.0  # what has moved by less from one image to the next is not smeared by more
_SHARE = 0.01  # pixels that face a direction, for it to be measured
_FAINT = 4.0  # mean squared step, grey levels, below which an image is blank
_REPEATED = 0.25  # mean difference, grey levels, of an image to the last that is no new one
_WIDER = 1.7  # sharp recordings stay below 1.5, those smeared by 1.5 % of the width are above 1.9: docs/odometry.md
_FEWEST = 5


@dataclass(frozen=True, kw_only=True)
class MotionBlur:
    """What a recording's images say of it."""

    images: int = 0
    """That were looked at."""
    blurred: int = 0
    """Of which so many are smeared,"""
    wider: float = 1.0
    """and how many times wider than those across the motion are the edges along it, in the median."""

    @classmethod
    def of(cls, widened: Sequence[float | None]) -> "MotionBlur":
        """The sum of what `edges_widened` says of single images."""
        told = [it for it in widened if it is not None]
        if not told:
            return cls()
        return cls(images=len(told), blurred=sum(it > _WIDER for it in told), wider=round(float(np.median(told)), 3))

    def report(self) -> Mapping[str, float | int | bool]:
        """For people and files; `doubtful` where most of the images are smeared."""
        doubtful = self.images >= _FEWEST and self.wider > _WIDER
        return {"images": self.images, "blurred": self.blurred, "edges_wider": self.wider, "doubtful": doubtful}


def edges_widened(before: UInt8[ndarray, "rows columns"], image: UInt8[ndarray, "rows columns"]) -> float | None:
    """How many times wider edges are along the motion than across it: about 1 where the image is sharp.

    Args:
        before: the image before it; both `small_image.small`.

    Returns:
        None where it cannot be told: one repeats the other, or has too few edges that face either way.
    """
    if cv2.absdiff(before, image).mean() < _REPEATED:
        return None
    unknown = np.zeros((*image.shape, 2), np.float32)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(image, before, unknown)
    length = np.linalg.norm(flow, axis=2)
    moves = _inside(length > _STILL_PX)
    if np.median(length) < _STILL_PX:
        return 1.0
    along = flow / np.maximum(length, 1e-6)[..., None]
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    sharp_along, sharp_across = (_sharpness(image, direction, moves) for direction in (along, across))
    return None if sharp_along is None or sharp_across is None else sharp_across / sharp_along


def _sharpness(
    image: UInt8[ndarray, "rows columns"],
    along: Float32[ndarray, "rows columns 2"],
    where: Bool[ndarray, "rows columns"],
) -> float | None:
    """Of the steps in a direction, the share of their energy that shows over a few pixels; None where there are few."""
    grey = image.astype(np.float32)
    chosen = where & _faces(grey, along)
    if np.mean(chosen) < _SHARE:
        return None
    fine, coarse = (float(np.mean(_step(grey, along, pixels)[chosen] ** 2)) for pixels in (_FINE_PX, _COARSE_PX))
    return fine / coarse if coarse > _FAINT and fine > 0 else None


def _faces(
    grey: Float32[ndarray, "rows columns"], along: Float32[ndarray, "rows columns 2"]
) -> Bool[ndarray, "rows columns"]:
    """Where brightness changes in this direction: edges that it grazes look wide however sharp they are."""
    smooth = cv2.GaussianBlur(grey, (0, 0), _SMOOTH_PX)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    return (across * along[..., 0] + down * along[..., 1]) ** 2 >= _FACES * (across**2 + down**2 + 1e-9)


def _step(
    grey: Float32[ndarray, "rows columns"], along: Float32[ndarray, "rows columns 2"], pixels: float
) -> Float32[ndarray, "rows columns"]:
    """How much brightness changes over so many pixels round each, in its direction."""
    height, width = grey.shape
    u, v = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    ahead, behind = (
        cv2.remap(grey, u + way * along[..., 0], v + way * along[..., 1], cv2.INTER_LINEAR)
        for way in (pixels / 2, -pixels / 2)
    )
    return ahead - behind


def _inside(where: Bool[ndarray, "rows columns"]) -> Bool[ndarray, "rows columns"]:
    """Without the rim, round which there is nothing to compare with."""
    inside, rim = np.zeros_like(where), int(_COARSE_PX) // 2 + 1
    inside[rim:-rim, rim:-rim] = where[rim:-rim, rim:-rim]
    return inside
