"""Motion blur is told from the images: edges along the motion are wider than those across it."""

import cv2
import numpy as np
import pytest
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.motion_blur import MotionBlur, edges_widened
from ovseg3r_core.small_image import grey_of

TILES = cv2.resize(np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8), None, fx=12, fy=12, interpolation=0)


def shot(right_px: int, down_px: int = 0, exposed_px: int = 0) -> UInt8[ndarray, "240 320"]:
    """A part of the tiles; exposed while it moves on to the right."""
    parts = [TILES[down_px : down_px + 240, x : x + 320] for x in range(right_px, right_px + exposed_px + 1)]
    return np.mean(parts, axis=0).round().astype(np.uint8)


def test_a_sharp_image_has_edges_of_one_width():
    for before in (shot(10), shot(0, 10), shot(8, 8)):
        widened = edges_widened(before, shot(0))
        assert widened is not None and 0.75 < widened < 1.33


def test_edges_widen_with_the_way_that_the_shutter_is_open():
    widths = [edges_widened(shot(0, exposed_px=exposed), shot(15, exposed_px=exposed)) for exposed in (0, 5, 10)]
    assert None not in widths and widths == sorted(widths, key=lambda it: it or 0) and (widths[1] or 0) > 1.7


def test_what_smears_all_ways_alike_is_no_motion():
    soft = [cv2.GaussianBlur(image, (0, 0), 2.0) for image in (shot(0), shot(15))]
    widened = edges_widened(soft[0], soft[1])
    assert widened is not None and widened < 1.4


def test_blur_needs_a_motion():
    assert edges_widened(shot(0, exposed_px=10), shot(1, exposed_px=10)) == 1.0


@pytest.mark.parametrize("image", [shot(0), np.full((240, 320), 128, np.uint8)], ids=["repeated", "blank"])
def test_images_that_tell_nothing_are_not_counted(image: UInt8[ndarray, "240 320"]):
    assert edges_widened(image, image.copy()) is None
    assert MotionBlur.of([None, None]).report()["images"] == 0


def test_a_recording_is_doubted_where_most_images_are_smeared_and_a_few_do_not_do():
    assert MotionBlur.of([2.0, 2.0, 2.0, 1.0, 1.0]).report()["doubtful"]
    assert not MotionBlur.of([2.0, 2.0, 1.0, 1.0, 1.0]).report()["doubtful"]
    assert not MotionBlur.of([2.0, 2.0, 2.0]).report()["doubtful"]


def test_images_are_looked_at_in_one_size():
    assert grey_of(np.zeros((480, 640, 3), np.uint8)).shape == (240, 320)
    assert grey_of(np.zeros((120, 160, 3), np.uint8)).shape == (120, 160)
