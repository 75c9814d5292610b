"""What is kept of a keyframe is what lifting needs of it, and little else."""

import numpy as np
import pytest
from scenes import AnalyticScene, box_room

from ovseg3r_core.lifting import LiftingConfig, clean_ids, lift
from ovseg3r_core.reconstruction.incidence import see_points
from ovseg3r_core.reconstruction.tsdf import TsdfVolume
from ovseg3r_core.types import Frame, Mask, PosedDepth
from ovseg3r_core.views import View


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=3, width=320, height=240)


def packed(frame: Frame, masks: list[Mask]) -> View:
    return View.of(5, frame, masks, clean_ids(masks, frame.depth_m, LiftingConfig()))


def test_a_view_opens_with_the_depth_and_the_ids_it_was_made_of(room):
    frame, masks = room.frames[1], room.masks(1)
    ids = clean_ids(masks, frame.depth_m, LiftingConfig())
    opened = View.of(5, frame, masks, ids).open()
    np.testing.assert_allclose(opened.depth_m, frame.depth_m, atol=0.5001e-3)
    np.testing.assert_array_equal(opened.ids, ids)
    np.testing.assert_array_equal(opened.depth_m == 0, frame.depth_m == 0)
    assert (opened.index, opened.camera) == (5, frame.camera)
    np.testing.assert_array_equal(opened.T_map_camera, frame.T_map_camera)
    assert isinstance(opened, PosedDepth)


def test_tags_keep_all_that_is_known_of_a_mask_but_its_pixels(room):
    embedding = np.float32([0.6, 0.8])
    pixels = room.ids[0] == 3
    masks = [
        Mask(pixels=pixels, score=0.25, label="table", embedding=embedding),
        Mask(pixels=~pixels, score=1.0),
    ]
    named, nameless = packed(room.frames[0], masks).open().tags
    assert (named.score, named.label, nameless.score, nameless.label) == (0.25, "table", 1.0, None)
    np.testing.assert_array_equal(named.embedding, embedding)
    assert nameless.embedding is None


def test_a_view_lifts_the_same_masks_as_its_frame_did(room):
    volume = TsdfVolume()
    for frame in room.frames:
        volume.integrate(frame)
    cloud, frame, masks = volume.extract(), room.frames[0], room.masks(0)
    opened = packed(frame, masks).open()
    direct = lift(masks, see_points(cloud.xyz, frame), cloud, frame.depth_m, view=5)
    seen = see_points(cloud.xyz, opened)
    again = {mask.mask: mask for mask in lift(masks, seen, cloud, opened.depth_m, view=5)}
    assert len(direct) == len(again) == len(room.things)
    for mask in direct:
        shared = len(np.intersect1d(mask.points, again[mask.mask].points))
        assert shared >= 0.98 * len(mask.points), mask.label


def test_the_colour_comes_back_as_rgb_and_nearly_the_same(room):
    frame = room.frames[0]
    color = packed(frame, []).color()
    assert color.shape == frame.color.shape and color.flags.c_contiguous
    assert np.abs(color.astype(int) - frame.color.astype(int)).mean() < 4
    red = (frame.color[:, :, 0] > 150) & (frame.color[:, :, 2] < 80)
    assert red.any() and color[red, 0].mean() > color[red, 2].mean() + 60


def test_masks_may_number_more_than_a_byte_holds(room):
    frame = room.frames[0]
    ids = np.arange(frame.depth_m.size, dtype=np.int32).reshape(frame.depth_m.shape) % 1001 - 1
    masks = [Mask(pixels=ids == i, score=0.5, label=str(i)) for i in range(1000)]
    opened = View.of(0, frame, masks, ids).open()
    np.testing.assert_array_equal(opened.ids, ids)
    assert [tag.label for tag in opened.tags] == [str(i) for i in range(1000)]


def test_a_view_without_masks_has_no_ids(room):
    opened = packed(room.frames[0], []).open()
    assert opened.tags == () and set(opened.ids.ravel().tolist()) == {-1}


def test_depth_that_millimetres_of_16_bits_cannot_hold_is_kept_at_their_limit(room):
    frame = room.frames[0]
    depth = frame.depth_m.copy()
    depth[0, 0] = 90.0
    far = Frame(**{**vars(frame), "depth_m": depth})
    assert packed(far, []).depth_m()[0, 0] == pytest.approx(65.535)


def test_a_packed_view_is_much_smaller_than_its_images(room):
    frame = room.frames[0]
    view = packed(frame, room.masks(0))
    size = len(view.color_jpeg) + len(view.depth_png) + len(view.ids_png)
    assert size < (frame.color.nbytes + frame.depth_m.nbytes) / 4
