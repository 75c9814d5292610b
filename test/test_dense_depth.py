"""Depth of colour alone after the sweep: what other images confirm, gaps that they close, planes; the sweep's ways."""

import itertools

import numpy as np
import pytest
import torch
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.photogrammetry.agreement import completed, confirmed
from ovseg3r_core.photogrammetry.planar import PlanarConfig, planes_filled, segments
from ovseg3r_core.photogrammetry.sweep import PosedImage, SweepConfig, _along_scanlines
from ovseg3r_core.types import Camera

CAMERA = Camera(fx=60.0, fy=60.0, cx=31.5, cy=23.5, width=64, height=48)
TOLERANCE = 0.02


def at(x: float) -> PosedImage:
    """A camera so far to the right of the first."""
    T = np.eye(4)
    T[0, 3] = x
    return PosedImage(grey=np.zeros((48, 64), np.float32), camera=CAMERA, T_map_camera=T)


def wall(z: float) -> Float32[ndarray, "48 64"]:
    return np.full((48, 64), z, np.float32)


def test_what_others_see_too_is_kept_as_the_mean_of_all():
    others = [(at(0.05), wall(2.02)), (at(-0.05), wall(1.99))]
    kept = confirmed(at(0.0), wall(2.0), others, 2, TOLERANCE)
    inside = kept[:, 4:-4]  # the others reach no further
    assert np.allclose(inside, 3 / (1 / 2.0 + 1 / 2.02 + 1 / 1.99), atol=1e-4)
    assert not confirmed(at(0.0), wall(2.2), others, 2, TOLERANCE).any()
    assert not confirmed(at(0.0), wall(2.0), [others[0], (at(-0.05), wall(0.0))], 2, TOLERANCE).any()


def test_what_most_others_look_through_is_dropped():
    near, far = [(at(0.05), wall(2.0))], [(at(x), wall(3.0)) for x in (-0.05, 0.03)]
    assert confirmed(at(0.0), wall(2.0), near, 1, TOLERANCE)[:, 8:-8].all()
    assert confirmed(at(0.0), wall(2.0), near + far[:1], 1, TOLERANCE)[:, 8:-8].all()
    assert not confirmed(at(0.0), wall(2.0), near + far, 1, TOLERANCE)[:, 8:-8].any()


def test_gaps_are_closed_by_what_enough_others_see():
    depth = wall(2.0)
    depth[20:30, 20:40] = 0
    closed = completed(at(0.0), depth, [(at(0.05), wall(2.02)), (at(-0.05), wall(2.02))], 2, TOLERANCE)
    assert np.allclose(closed[20:30, 20:40], 2.02, atol=1e-3)
    assert np.array_equal(closed[depth > 0], depth[depth > 0])
    alone = completed(at(0.0), depth, [(at(0.05), wall(2.02))], 2, TOLERANCE)
    assert not alone[20:30, 20:40].any()
    assert np.array_equal(completed(at(0.0), depth, [], 2, TOLERANCE), depth)


def test_a_gap_does_not_show_what_lies_behind_the_thing_that_it_is_in():
    depth = wall(1.0)
    depth[10:40:3, 30] = 0  # single pixels of a thing 1 m away, whose wall others see past it
    closed = completed(at(0.0), depth, [(at(0.0), wall(3.0)), (at(0.0), wall(3.0))], 2, TOLERANCE)
    assert np.array_equal(closed, depth)


def slanted() -> tuple[Float32[ndarray, "48 64"], Float32[ndarray, "48 64"]]:
    """Grey and depth of a bright face that slants away, before a dark floor that slants otherwise."""
    v, u = np.mgrid[:48, :64]
    face = u >= 24
    grey = np.where(face, 0.8, 0.2).astype(np.float32)
    return grey, (1 / np.where(face, 0.5 - 0.002 * u, 0.2 + 0.004 * v)).astype(np.float32)


def test_a_face_of_even_grey_is_closed_by_the_plane_of_what_is_known_of_it():
    grey, true = slanted()
    rng = np.random.default_rng(0)
    known = np.where(rng.random(true.shape) < 0.2, true * rng.normal(1, 0.005, true.shape), 0).astype(np.float32)
    known[rng.random(true.shape) < 0.02] = 9.0  # wrong ones
    filled = planes_filled(grey, known, PlanarConfig())
    inside = np.ones(64, bool)
    inside[22:27] = False  # the edge between them is smooth, and belongs to neither
    assert np.abs(filled / true - 1)[:, inside].max() < 0.01  # wrong ones too are brought into the plane
    assert np.array_equal(filled, planes_filled(grey, known, PlanarConfig()))


def test_what_is_no_plane_or_hardly_known_stays_as_it_is():
    grey, true = slanted()
    rng = np.random.default_rng(0)
    scattered = np.where(rng.random(true.shape) < 0.3, rng.uniform(1, 4, true.shape), 0).astype(np.float32)
    assert np.allclose(planes_filled(grey, scattered, PlanarConfig()), scattered, rtol=1e-5)
    few = np.where(rng.random(true.shape) < 0.01, true, 0).astype(np.float32)
    assert np.allclose(planes_filled(grey, few, PlanarConfig()), few, rtol=1e-5)


def test_segments_end_where_the_grey_changes():
    grey, _ = slanted()
    segment = segments(grey, PlanarConfig())
    assert len(np.unique(segment[:, :22])) == len(np.unique(segment[:, 27:])) == 1
    assert segment[0, 0] != segment[0, -1]


@pytest.mark.parametrize("seed", range(3))
def test_costs_along_eight_ways_are_those_of_one_pixel_after_another(seed: int):
    rng = np.random.default_rng(seed)
    cost, grey, config = rng.random((5, 6, 4)), rng.random((5, 6)), SweepConfig(jump=0.5, small_step=0.1)
    ours = _along_scanlines(torch.from_numpy(cost), torch.from_numpy(grey), config).numpy()
    steps = [(dy, dx) for dy, dx in itertools.product((-1, 0, 1), repeat=2) if (dy, dx) != (0, 0)]
    assert np.allclose(ours, sum(one_way(cost, grey, step, config) for step in steps))


def one_way(cost: ndarray, grey: ndarray, step: tuple[int, int], config: SweepConfig) -> ndarray:
    """The best way to each pixel in one direction; the diagonals repeat the rim at either side."""
    dy, dx = step
    rows, columns, planes = cost.shape
    way = cost.copy()
    for y in range(rows)[:: dy or 1]:
        for x in range(columns)[:: dx or 1]:
            y0, x0 = y - dy, x - dx
            if dy:
                x0 = min(max(x0, 0), columns - 1)
            if not (0 <= y0 < rows and 0 <= x0 < columns):
                continue
            before = way[y0, x0] - way[y0, x0].min()
            jump = config.jump * np.exp(-abs(grey[y, x] - grey[y0, x0]) / config.edge_grey) + config.small_step
            for p in range(planes):
                beside = [before[q] + config.small_step for q in (p - 1, p + 1) if 0 <= q < planes]
                way[y, x, p] += min(before[p], jump, *beside)
    return way
