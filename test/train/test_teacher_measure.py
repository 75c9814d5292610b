"""Masks against true ids where the answers are known: what counts as whole, part, lump, false, and by how much."""

import numpy as np
import pytest

from ovseg3r_core.types import Camera, Frame, Mask
from ovseg3r_train.teacher.boundary import boundary_error
from ovseg3r_train.teacher.measure import FrameMeasure, measure_frame

SHAPE = (120, 160)
NAMES = {1: "table", 2: "cup", 3: "chair"}


def frame() -> Frame:
    """A wall two metres away, on which everything is painted."""
    camera = Camera(fx=130.0, fy=130.0, cx=79.5, cy=59.5, width=160, height=120)
    color, depth = np.zeros((*SHAPE, 3), np.uint8), np.full(SHAPE, 2.0, np.float32)
    return Frame(index=0, stamp_s=0.0, color=color, depth_m=depth, camera=camera, T_map_camera=np.eye(4))


def square(top: int, left: int, side: int) -> np.ndarray:
    pixels = np.zeros(SHAPE, bool)
    pixels[top : top + side, left : left + side] = True
    return pixels


TABLE, CUP, CHAIR = square(20, 20, 40), square(10, 30, 10), square(60, 100, 30)


def measured(*masks: Mask) -> FrameMeasure:
    ids = np.zeros(SHAPE, np.uint16)
    for id, pixels in ((1, TABLE), (2, CUP), (3, CHAIR)):
        ids[pixels] = id
    return measure_frame("room", frame(), masks, ids, NAMES)


def states(*masks: Mask) -> list[str]:
    return [thing.state for thing in measured(*masks).things]


def test_a_thing_is_whole_with_a_mask_that_outlines_it_and_missed_without_any():
    assert states(Mask(pixels=CHAIR, score=1.0)) == ["missed", "missed", "whole"]


def test_the_share_of_the_image_is_that_of_the_visible_pixels():
    hidden = TABLE & ~CUP
    assert measured().things[0].share == pytest.approx(hidden.sum() / hidden.size)


def test_a_small_thing_in_the_mask_of_a_large_one_is_lumped():
    assert states(Mask(pixels=TABLE | CUP, score=1.0)) == ["whole", "lumped", "missed"]


def test_a_small_thing_with_a_mask_of_its_own_is_absorbed_and_not_lumped():
    found = measured(Mask(pixels=TABLE | CUP, score=1.0), Mask(pixels=CUP & ~TABLE, score=1.0))
    assert [thing.state for thing in found.things] == ["whole", "whole", "missed"]
    assert found.absorbed == (1, 1)
    assert found.things[0].outline is None  # it took something in: its outline is no measure of outlines


def test_pieces_of_a_thing_are_parts_with_their_share():
    thing = measured(Mask(pixels=square(60, 100, 15), score=1.0, label="chair")).things[2]
    assert (thing.state, thing.parts, thing.named_parts) == ("parts", (0.25,), 1)


def test_a_second_outline_is_a_repeat_and_the_named_one_speaks_for_the_thing():
    thing = measured(Mask(pixels=CHAIR, score=0.9), Mask(pixels=CHAIR, score=0.4, label="bed")).things[2]
    assert (thing.repeats, thing.label, thing.score) == (1, "bed", 0.4)


def test_a_mask_on_no_thing_is_false_and_swallows_what_it_covers():
    beside = Mask(pixels=square(60, 40, 40), score=0.8)
    chair = Mask(pixels=CHAIR, score=1.0)
    wall = np.zeros(SHAPE, bool)
    wall[55:, 60:] = True
    found = measured(beside, chair, Mask(pixels=wall, score=0.8))
    assert len(found.false_masks) == 2
    assert found.swallowed == (1, 1)


def test_a_thing_in_a_mask_of_structure_alone_says_so():
    wall = np.zeros(SHAPE, bool)
    wall[55:, 60:] = True
    thing = measured(Mask(pixels=wall, score=0.8)).things[2]
    assert (thing.state, thing.in_structure) == ("lumped", True)


def test_a_mask_of_a_whole_wall_is_told_from_a_piece_of_it():
    wall = ~(TABLE | CUP | CHAIR)
    found = measured(Mask(pixels=wall, score=0.9), Mask(pixels=square(95, 10, 20), score=0.9))
    assert [mask.fills for mask in found.false_masks] == [True, False]


def test_a_frame_without_masks_or_without_things_is_measured():
    assert [thing.state for thing in measured().things] == ["missed"] * 3
    empty = measure_frame("room", frame(), [Mask(pixels=CHAIR, score=1.0)], np.zeros(SHAPE, np.uint16), NAMES)
    assert (empty.things, len(empty.false_masks)) == ((), 1)


@pytest.mark.parametrize("grown_px", [-2, 0, 3])
def test_the_outline_error_is_signed_and_in_units_of_the_size(grown_px: int):
    region, mask = square(30, 50, 40), square(30 - grown_px, 50 - grown_px, 40 + 2 * grown_px)
    error = boundary_error(mask, region)
    assert error is not None
    assert error.mean == pytest.approx(grown_px / 40, abs=0.01)
    assert error.spread < 0.015


def test_the_border_of_the_image_is_no_outline():
    region = np.zeros(SHAPE, bool)
    region[:, :80] = True
    error = boundary_error(region, region)
    assert error is not None
    assert (error.mean, error.spread) == pytest.approx((0, 0), abs=1e-6)
    assert boundary_error(np.ones(SHAPE, bool), region) is None
