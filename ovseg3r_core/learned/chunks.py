"""A long video that was reconstructed in overlapping chunks, each in a space and at a scale of its own: joined.

Two chunks share views. The points that both see there tell the similarity between them, robustly, and each chunk is put
where the one before it lies. Loops are not closed: drift between chunks stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from ovseg3r_core.alignment import IDENTITY, Similarity, fit_most
from ovseg3r_core.learned.predictions import Predictions

_POINTS = 4000  # pairs at most that two chunks are joined by
_WITHIN = 0.05  # of the median distance to the camera: further apart, two chunks do not mean the same point
_AGREE = 0.3  # share of the pairs that must


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunk:
    """A chunk in the space of the first one."""

    predictions: Predictions
    frames: Int64[ndarray, " views"]
    """Which images of the video its views are."""
    to_first: Similarity


def join(parts: Sequence[Predictions], names: Sequence[str]) -> list[Chunk]:
    """The chunks of a video in their order, in the space of the first.

    Args:
        names: what an error calls each.

    Raises:
        ValueError: two chunks share no view, or what they share does not fit.
    """
    chunks = list[Chunk]()
    for part, name in zip(parts, names, strict=True):
        if not chunks:
            frames = np.arange(len(part)) if part.frames is None else part.frames
            chunks.append(Chunk(predictions=part, frames=frames, to_first=IDENTITY))
            continue
        before = chunks[-1]
        frames = _next_frames(before, part, name) if part.frames is None else part.frames
        try:
            step = _fit(before, part, frames)
        except ValueError as error:
            raise ValueError(f"{name} cannot be joined to the chunk before it: {error}") from error
        chunks.append(Chunk(predictions=part, frames=frames, to_first=before.to_first.after(step)))
    return chunks


def _next_frames(before: Chunk, part: Predictions, name: str) -> Int64[ndarray, " views"]:
    """Which images a chunk's views are: its first ones look exactly like the last ones of the chunk before."""
    ours, theirs = before.predictions.images, part.images
    if ours is None or theirs is None:
        raise ValueError(f"{name} does not tell which images it is of: give an array frames, or images, in each chunk")
    if ours.shape[1:] == theirs.shape[1:]:
        for shared in range(min(len(ours), len(theirs)), 0, -1):
            if np.array_equal(ours[-shared:], theirs[:shared]):
                first = int(before.frames[-shared])
                return np.arange(first, first + len(part))
    raise ValueError(f"{name} shares no image with the chunk before it: run the network on chunks that overlap")


def _fit(before: Chunk, part: Predictions, frames: Int64[ndarray, " views"]) -> Similarity:
    """From a chunk to the one before it, by what both say of the images they share."""
    shared, ours, theirs = np.intersect1d(before.frames, frames, return_indices=True)
    if not len(shared):
        raise ValueError("they share no image")
    if part.size != before.predictions.size:
        raise ValueError(f"their images are {part.size} and {before.predictions.size} pixels")
    rng = np.random.default_rng(0)
    a, b = list[ndarray](), list[ndarray]()
    for view, other in zip(ours.tolist(), theirs.tolist(), strict=True):
        good = _sure(before.predictions, view) & _sure(part, other)
        pixels = np.flatnonzero(good)
        pixels = rng.choice(pixels, min(len(pixels), _POINTS // len(shared)), replace=False)
        a.append(_points(part, other, pixels))
        b.append(_points(before.predictions, view, pixels))
    depth = before.predictions.depth[ours]
    usual = float(np.median(depth[np.isfinite(depth) & (depth > 0)])) if (depth > 0).any() else 0.0
    pairs = np.concatenate(a), np.concatenate(b)
    return fit_most(*pairs, scaled=True, within=_WITHIN * usual, fewest=round(_AGREE * len(pairs[0]))).similarity


def _sure(of: Predictions, view: int) -> ndarray:
    """Pixels with depth that the network is as sure of as of half of the image."""
    depth = of.depth[view]
    good = np.isfinite(depth) & (depth > 0)
    return good if of.confidence is None else good & (of.confidence[view] >= np.median(of.confidence[view]))


def _points(of: Predictions, view: int, pixels: Int64[ndarray, " pixels"]) -> Float64[ndarray, "pixels 3"]:
    """The points that pixels of a view see, in the chunk's space."""
    row, column = np.divmod(pixels, of.size[0])
    K, T, z = of.K[view], of.T_world_camera[view], of.depth[view].ravel()[pixels].astype(np.float64)
    x, y = (column - K[0, 2]) / K[0, 0] * z, (row - K[1, 2]) / K[1, 1] * z
    return np.stack([x, y, z], axis=1) @ T[:3, :3].T + T[:3, 3]
