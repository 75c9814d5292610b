"""One image's depth against that of others: what of it they see as well, and what they see where it has none."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int64
from numpy import ndarray

from ovseg3r_core.geometry import back_project, invert, project, transform
from ovseg3r_core.photogrammetry.sweep import PosedImage

_PAST = 2.5  # tolerances behind a point: whoever has a surface there looks through the point


def confirmed(
    image: PosedImage,
    depth: Float32[ndarray, "height width"],
    others: Sequence[tuple[PosedImage, Float32[ndarray, "rows columns"]]],
    agreeing: int,
    tolerance: float,
) -> Float32[ndarray, "height width"]:
    """The mean, in inverse depth, of the image and of those that agree with it; 0 where too few do.

    No more of the others may look through a point than agree.

    Args:
        agreeing: so many of the others must have a surface at the same place; all of them where they are fewer.
        tolerance: what is the same place, a share of the depth.
    """
    agree, past = np.zeros(depth.shape, np.int32), np.zeros(depth.shape, np.int32)
    inverse = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
    total = inverse.copy()
    for other, theirs in others:
        z, seen = _looked_up(image, depth, other, theirs)
        there = (depth > 0) & (seen > 0)
        same = there & (np.abs(seen - z) <= tolerance * z)
        agree += same
        past += there & (seen > (1 + _PAST * tolerance) * z)
        total += np.divide(z, seen, out=np.zeros_like(z), where=same) * inverse
    enough = (depth > 0) & (agree >= min(agreeing, max(len(others), 1))) & (past <= agree)
    return np.divide(1 + agree, total, out=np.zeros_like(depth), where=enough, casting="same_kind")


def completed(
    image: PosedImage,
    depth: Float32[ndarray, "height width"],
    others: Sequence[tuple[PosedImage, Float32[ndarray, "rows columns"]]],
    agreeing: int,
    tolerance: float,
) -> Float32[ndarray, "height width"]:
    """The depth with its gaps closed by the nearest surface that others see there, where enough of them agree on it."""
    if not others:
        return depth
    height, width = depth.shape
    pixel, z = (np.concatenate(it) for it in zip(*[_carried(image, *other) for other in others], strict=True))
    nearest = np.full(height * width, np.inf, np.float32)
    np.minimum.at(nearest, pixel, z)
    same = z <= (1 + tolerance) * nearest[pixel]
    count = np.bincount(pixel[same], minlength=height * width).reshape(depth.shape)
    total = np.bincount(pixel[same], 1 / z[same], minlength=height * width).reshape(depth.shape)
    theirs = np.divide(count, total, out=np.zeros(depth.shape), where=count >= agreeing).astype(np.float32)
    # Between the points of something near, something behind it shows through.
    around = np.minimum(nearest.reshape(depth.shape), np.where(depth > 0, depth, np.inf).astype(np.float32))
    hidden = theirs > (1 + _PAST * tolerance) * cv2.erode(
        around, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE
    )
    return np.where((depth == 0) & ~hidden, theirs, depth)


def _carried(
    image: PosedImage, other: PosedImage, theirs: Float32[ndarray, "rows columns"]
) -> tuple[Int64[ndarray, " points"], Float32[ndarray, " points"]]:
    """Which pixels of an image the points of another fall on, counted along its rows, and how far in front of it."""
    xyz = back_project(theirs, other.camera)[theirs > 0]
    uv, z = project(transform(invert(image.T_map_camera) @ other.T_map_camera, xyz), image.camera)
    column, row = (np.nan_to_num(np.rint(it), nan=-1).astype(np.int64) for it in uv.T)
    inside = (column >= 0) & (column < image.camera.width) & (row >= 0) & (row < image.camera.height)
    return (row * image.camera.width + column)[inside], z[inside]


def _looked_up(
    image: PosedImage,
    depth: Float32[ndarray, "height width"],
    other: PosedImage,
    theirs: Float32[ndarray, "rows columns"],
) -> tuple[Float[ndarray, "height width"], Float32[ndarray, "height width"]]:
    """How far from another camera the points of an image are, and the depth that it has there itself; 0 for none."""
    xyz = back_project(depth, image.camera).reshape(-1, 3)
    uv, z = project(transform(invert(other.T_map_camera) @ image.T_map_camera, xyz), other.camera)
    rows, columns = theirs.shape
    column, row = (np.nan_to_num(np.rint(it), nan=-1).astype(np.int64) for it in uv.T)
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    seen = np.where(inside, theirs[row.clip(0, rows - 1), column.clip(0, columns - 1)], np.float32(0))
    return z.reshape(depth.shape), seen.reshape(depth.shape)
