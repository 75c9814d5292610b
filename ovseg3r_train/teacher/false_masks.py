"""Masks on what is no thing: the planes that walls, floor and ceiling are made of, and pieces of them."""

import cv2
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from ovseg3r_core.types import Frame
from ovseg3r_train.teacher.noise_model import TeacherNoise
from ovseg3r_train.teacher.outlines import smooth_field
from ovseg3r_train.teacher.structure_planes import StructurePlanes

_RAGGED = 0.15  # how far a piece runs out of round, as a share of its size


def false_masks(
    structure: Bool[ndarray, "height width"], frame: Frame, noise: TeacherNoise, rng: np.random.Generator
) -> list[Bool[ndarray, "height width"]]:
    """As many planes and pieces as the teacher takes for things; none where the frame has no depth on structure."""
    count = rng.poisson(noise.false_masks)
    if not count:
        return []
    planes = StructurePlanes(structure, frame)
    left = planes.pixels.copy()  # a plane is taken as a whole once
    masks = []
    for _ in range(count):
        whole = bool(rng.random() < noise.false_whole and left.any())
        seeds = np.argwhere(left if whole else planes.pixels)
        if not len(seeds):
            break
        seed = seeds[rng.integers(len(seeds))]
        plane = planes.at(seed)
        if whole:
            left &= ~plane
        masks.append(_enlarged(plane if whole else _piece(plane, seed, noise, rng), structure.shape))
    return masks


def _piece(
    plane: Bool[ndarray, "rows columns"], seed: ndarray, noise: TeacherNoise, rng: np.random.Generator
) -> Bool[ndarray, "rows columns"]:
    """What of a plane lies nearest to a seed, ragged; all of it where it is no larger than the piece should be."""
    pixels = plane.size * noise.false_share * np.exp(np.log(noise.false_share_factor) * rng.standard_normal())
    if np.count_nonzero(plane) <= pixels:
        return plane
    v, u = np.ogrid[: plane.shape[0], : plane.shape[1]]
    size = np.sqrt(pixels)
    distance = np.hypot(v - seed[0], u - seed[1]) + smooth_field(plane.shape, size / 2, rng) * (_RAGGED * size)
    limit = np.partition(distance[plane], int(pixels))[int(pixels)]
    return plane & (distance <= limit)


def _enlarged(piece: Bool[ndarray, "rows columns"], shape: tuple[int, ...]) -> Bool[ndarray, "height width"]:
    large = cv2.resize(piece.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return large > 0.5
