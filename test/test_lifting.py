"""Lifting against the exact instances of analytic scenes, and the rules for overlapping masks."""

import time
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from scenes import AnalyticScene, Block, Plane, box_room, look_at

from ovseg3r_core.lifting import LiftingConfig, carry, clean_ids, connected_parts, drop_stray_parts, erode, lift
from ovseg3r_core.overlaps import OverlapConfig, id_image
from ovseg3r_core.reconstruction.depth_edges import depth_edges
from ovseg3r_core.reconstruction.incidence import see_points
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.types import Frame, Mask, MaskTag, SceneCloud, ViewIncidence

SIZE = (480, 640)
V, U = np.indices(SIZE)
FLAT = np.full(SIZE, 2.0, dtype=np.float32)
NO_JUMPS = np.zeros(SIZE, dtype=bool)


def rectangle(u0: int, v0: int, u1: int, v1: int, label: str | None = None, score: float = 0.8) -> Mask:
    return Mask(pixels=(u0 <= U) & (u1 > U) & (v0 <= V) & (v1 > V), score=score, label=label)


def fuse(frames: list[Frame]) -> SceneCloud:
    volume = TsdfVolume(TsdfConfig(memory_budget_mb=64.0))
    for frame in frames:
        volume.integrate(frame)
    return volume.extract()


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=6, width=640, height=480)


@pytest.fixture(scope="module")
def cloud(room) -> SceneCloud:
    return fuse(room.frames)


@pytest.fixture(scope="module")
def seen(room, cloud) -> ViewIncidence:
    return see_points(cloud.xyz, room.frames[2])


# Against exact truth


def test_exact_masks_lift_to_the_points_of_their_objects(room, cloud):
    truth, names = room.nearest(cloud.xyz), [solid.name for solid in room.solids]
    for view, frame in enumerate(room.frames):
        seen = see_points(cloud.xyz, frame)
        lifted = lift(room.masks(view), seen, cloud, frame.depth_m, view)
        assert {mask.label for mask in lifted} == {"table", "cup", "cabinet", "ball"}
        for mask in lifted:
            own = names.index(mask.label)
            visible = seen.points[truth[seen.points] == own]
            assert (truth[mask.points] == own).mean() > 0.9
            assert np.isin(visible, mask.points).mean() > 0.5
            assert mask.view == view and (np.diff(mask.points) > 0).all()


def test_sloppy_masks_do_not_bleed_onto_the_background(room, cloud, seen):
    frame, ball = room.frames[2], 6
    ring = Mask(pixels=_grown(room.ids[2] == ball, 4), score=0.9, label="ball")
    truth = room.nearest(cloud.xyz)
    column, row = seen.pixels.T
    bled = truth[seen.points[ring.pixels[row, column]]] != ball
    (lifted,) = lift([ring], seen, cloud, frame.depth_m, 2)
    assert bled.mean() > 0.15  # carried over as it is, the mask takes in a good deal of floor and wall
    assert (truth[lifted.points] != ball).mean() < 0.06


def test_lifting_again_onto_the_same_cloud_gives_the_same(room, cloud, seen):
    config, masks, depth_m = LiftingConfig(), room.masks(2), room.frames[2].depth_m
    ids = clean_ids(masks, depth_m, config)
    tags = [MaskTag(score=mask.score, label=mask.label, embedding=None) for mask in masks]
    again = carry(ids, tags, seen, cloud, depth_m, 2, config)
    once = lift(masks, seen, cloud, depth_m, 2)
    assert [mask.mask for mask in again] == [mask.mask for mask in once]
    assert all(np.array_equal(a.points, b.points) for a, b in zip(again, once, strict=True))
    assert all(np.array_equal(a.rim, b.rim) for a, b in zip(again, once, strict=True))


def test_what_is_taken_off_a_mask_is_its_rim(room, cloud, seen):
    masks, depth_m = room.masks(2), room.frames[2].depth_m
    ids = clean_ids(masks, depth_m, LiftingConfig())
    column, row = seen.pixels.T
    for mask in lift(masks, seen, cloud, depth_m, 2):
        within = seen.points[masks[mask.mask].pixels[row, column]]
        assert len(mask.rim) and not np.intersect1d(mask.rim, mask.points).size
        assert np.isin(mask.rim, within).all() and (np.diff(mask.rim) > 0).all()
        pixels = masks[mask.mask].pixels
        assert ((ids == mask.mask) | (ids == -2 - mask.mask))[pixels].mean() > 0.99  # all of it is one or the other


def test_label_score_and_embedding_come_along(room, cloud, seen):
    embedding = np.array([0.6, 0.8], dtype=np.float32)
    masks = [replace(mask, embedding=embedding) for mask in room.masks(2)]
    lifted = lift(
        [replace(masks[0], pixels=np.zeros(SIZE, dtype=bool)), *masks], seen, cloud, room.frames[2].depth_m, 7
    )
    for mask in lifted:
        assert mask.view == 7 and mask.score == 0.9 and mask.embedding is embedding
        assert masks[mask.mask - 1].label == mask.label  # its place among the masks that were given


def test_drawers_stay_one_cabinet_and_a_box_on_the_floor_stays_apart():
    solids = (
        Plane(name="floor", color=(150, 150, 150), normal=(0, 0, 1)),
        Block(name="cabinet", color=(90, 60, 30), low=(-0.4, -0.4, 0), high=(0.4, 0.4, 0.9)),
    )
    scene = box_room(solids=solids, poses=[look_at((2.5, 0.1, 0.8), (0, 0, 0.4))], width=640, height=480)
    frame, cabinet = scene.frames[0], scene.ids[0] == 1
    cloud = fuse(scene.frames)
    top, bottom = np.flatnonzero(cabinet.any(axis=1))[[0, -1]]
    cuts = np.linspace(top + 40, bottom, 4).astype(int)
    drawers = [Mask(pixels=cabinet & (a <= V) & (b > V), score=0.95) for a, b in pairwise(cuts)]
    whole = Mask(pixels=cabinet, score=0.7)
    lifted = lift([*drawers, whole], see_points(cloud.xyz, frame), cloud, frame.depth_m, 0)
    assert [mask.mask for mask in lifted] == [3]

    surroundings = Mask(pixels=_grown(cabinet, 60), score=0.9)  # a mask of the cabinet and the floor round it
    lifted = lift([whole, surroundings], see_points(cloud.xyz, frame), cloud, frame.depth_m, 0)
    assert 0 in [mask.mask for mask in lifted]  # a depth jump runs round it: not a part


# Overlaps


def test_the_smaller_named_mask_keeps_its_pixels_on_the_larger():
    table, cup = rectangle(100, 100, 500, 400, "dining table", 0.9), rectangle(200, 200, 230, 240, "cup", 0.4)
    for masks, cup_id in (([table, cup], 1), ([cup, table], 0)):
        ids = id_image(masks, NO_JUMPS)
        assert (ids[cup.pixels] == cup_id).all()
        assert (ids[table.pixels & ~cup.pixels] == 1 - cup_id).all()
        assert (ids[~table.pixels] == -1).all()


def test_an_unnamed_flush_part_belongs_to_its_whole():
    chair, seat = rectangle(100, 100, 300, 400, "chair"), rectangle(110, 250, 290, 380, None, 0.99)
    assert set(np.unique(id_image([chair, seat], NO_JUMPS))) == {-1, 0}
    assert set(np.unique(id_image([seat, replace(chair, label=None)], NO_JUMPS))) == {-1, 1}


def test_an_unnamed_mask_round_which_depth_jumps_is_a_thing_of_its_own():
    desk, monitor = rectangle(50, 50, 600, 450, "dining table"), rectangle(200, 100, 450, 300)
    depth_m = np.where(monitor.pixels, np.float32(1.5), FLAT)
    assert set(np.unique(id_image([desk, monitor], depth_edges(depth_m)))) == {-1, 0, 1}


def test_a_small_unnamed_mask_on_a_large_one_stays_apart():
    table, mug = rectangle(100, 100, 500, 400, "dining table"), rectangle(200, 200, 240, 240)
    assert set(np.unique(id_image([table, mug], NO_JUMPS))) == {-1, 0, 1}


def test_a_named_mask_is_never_a_part():
    person, tie = rectangle(100, 100, 300, 400, "person"), rectangle(150, 150, 250, 350, "tie", 0.3)
    assert set(np.unique(id_image([person, tie], NO_JUMPS))) == {-1, 0, 1}


def test_of_two_masks_of_one_thing_the_named_one_stays_and_then_the_surer():
    a, b = rectangle(100, 100, 300, 300, None, 0.99), rectangle(102, 102, 300, 300, "tv", 0.5)
    assert set(np.unique(id_image([a, b], NO_JUMPS))) == {-1, 1}
    c = replace(a, label="laptop", score=0.8)
    assert set(np.unique(id_image([c, b], NO_JUMPS))) == {-1, 0}


def test_an_unnamed_mask_that_loses_most_of_itself_goes():
    group = rectangle(100, 100, 300, 300)
    left, right = rectangle(100, 100, 190, 300, "book"), rectangle(210, 100, 300, 300, "book")
    assert set(np.unique(id_image([group, left, right], NO_JUMPS))) == {-1, 1, 2}
    named = replace(group, label="bookcase")
    assert set(np.unique(id_image([named, left, right], NO_JUMPS))) == {-1, 0, 1, 2}


def test_the_order_of_the_masks_does_not_matter(room):
    rng = np.random.default_rng(1)
    masks = _random_masks(40, rng)
    jumps = depth_edges(room.frames[2].depth_m)
    ids = id_image(masks, jumps)
    order = rng.permutation(len(masks))
    shuffled = id_image([masks[i] for i in order], jumps)
    assert np.array_equal(np.append(order, -1)[shuffled], ids)


# Erosion and parts


def test_erosion_grows_with_the_mask():
    masks = [rectangle(10, 10, 22, 22), rectangle(100, 100, 125, 125), rectangle(200, 200, 400, 400)]
    ids = erode(id_image(masks, NO_JUMPS), 3, LiftingConfig())
    assert [int(np.sqrt((ids == i).sum())) for i in range(3)] == [12, 23, 196]


def test_parts_further_apart_than_the_link_are_told_apart():
    line = np.zeros((100, 3), dtype=np.float32)
    line[:, 0] = np.arange(100) * 0.02
    line[50:, 0] += 0.2
    same = np.zeros(100, dtype=np.int32)
    assert len(np.unique(connected_parts(same, line, 0.06))) == 2
    assert len(np.unique(connected_parts(same, line, 0.25))) == 1
    two = (np.arange(100) % 2).astype(np.int32)
    assert len(np.unique(connected_parts(two, line, 0.06))) == 4  # points of two masks never join


@pytest.mark.parametrize(
    ("distance_m", "size", "stays"),
    [(2.0, 60, True), (2.0, 15, False), (3.0, 60, False), (1.2, 60, False)],
    ids=["cut off by a thin thing in front", "a splinter", "the wall behind", "a thing in front"],
)
def test_cut_off_parts_stay_if_large_and_at_the_same_depth(distance_m, size, stays):
    grid = np.stack(np.meshgrid(np.arange(10), np.arange(10)), axis=-1).reshape(-1, 2) * np.float32(0.02)
    main = np.column_stack([grid, np.full(100, 2.0)])
    part = np.column_stack([grid[:size] + np.array([0.5, 0]), np.full(size, distance_m)])
    xyz = np.concatenate([main, part]).astype(np.float32)
    kept = drop_stray_parts(np.zeros(len(xyz), dtype=np.int32), xyz, xyz[:, 2], LiftingConfig())
    assert (kept[:100] == 0).all()
    assert (kept[100:] == (0 if stays else -1)).all()


# Bad input


def test_no_masks_and_empty_masks_lift_to_nothing(room, cloud, seen):
    depth_m = room.frames[2].depth_m
    assert lift([], seen, cloud, depth_m, 0) == []
    assert lift([Mask(pixels=np.zeros(SIZE, dtype=bool), score=1.0)] * 3, seen, cloud, depth_m, 0) == []


def test_a_mask_of_the_whole_image_lifts_to_nothing_and_hides_nothing(room, cloud, seen):
    everything = Mask(pixels=np.ones(SIZE, dtype=bool), score=1.0)
    depth_m, masks = room.frames[2].depth_m, room.masks(2, named=False)
    assert lift([everything], seen, cloud, depth_m, 0) == []
    with_it, without = lift([*masks, everything], seen, cloud, depth_m, 0), lift(masks, seen, cloud, depth_m, 0)
    assert [mask.points.tolist() for mask in with_it] == [mask.points.tolist() for mask in without]


def test_an_empty_cloud_and_a_view_that_sees_nothing_lift_to_nothing(room, cloud):
    nothing = np.zeros((0, 3), dtype=np.float32)
    empty = SceneCloud(xyz=nothing, color=nothing.astype(np.uint8), normal=nothing)
    unseen = see_points(nothing, room.frames[2])
    for points in (empty, cloud):
        assert lift(room.masks(2), unseen, points, room.frames[2].depth_m, 0) == []


def test_a_view_without_depth_lifts_to_nothing(room, cloud):
    blind = replace(room.frames[2], depth_m=np.zeros(SIZE, dtype=np.float32))
    assert lift(room.masks(2), see_points(cloud.xyz, blind), cloud, blind.depth_m, 0) == []


@pytest.mark.parametrize("kind", ["random", "nested", "all the same"])
def test_a_thousand_masks_are_lifted_in_bounded_time(room, cloud, seen, kind):
    masks = {
        "random": lambda: _random_masks(1000, np.random.default_rng(0)),
        "nested": lambda: [rectangle(i // 4, i // 4, 640 - i // 3, 480 - i // 5) for i in range(1000)],
        "all the same": lambda: [rectangle(50, 50, 400, 300)] * 1000,
    }[kind]()
    start = time.perf_counter()
    lifted = lift(masks, seen, cloud, room.frames[2].depth_m, 0)
    assert time.perf_counter() - start < 10  # half a second on two quiet cores
    points = np.concatenate([mask.points for mask in lifted])
    assert len(points) and len(np.unique(points)) == len(points)


def test_masks_with_too_few_points_are_dropped(room, cloud, seen):
    cup = [mask for mask in room.masks(2) if mask.label == "cup"]
    depth_m = room.frames[2].depth_m
    (lifted,) = lift(cup, seen, cloud, depth_m, 0)
    assert 12 <= len(lifted.points) < 80
    assert lift(cup, seen, cloud, depth_m, 0, LiftingConfig(min_points=len(lifted.points) + 1)) == []


@pytest.mark.parametrize(
    ("config", "bad"),
    [
        (LiftingConfig, {"link_m": 0.0}),
        (LiftingConfig, {"min_points": 0}),
        (LiftingConfig, {"part_ratio": 1.5}),
        (OverlapConfig, {"inside": -0.1}),
        (OverlapConfig, {"same_iou": 2.0}),
    ],
)
def test_configs_name_the_value_they_refuse(config, bad):
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        config(**bad)


def _grown(mask: np.ndarray, radius: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * radius + 1, 2 * radius + 1), dtype=np.uint8)) > 0


def _random_masks(n: int, rng: np.random.Generator) -> list[Mask]:
    size, corner = rng.integers(10, 200, (n, 2)), rng.integers(0, (600, 440), (n, 2))
    return [
        rectangle(u, v, u + a, v + b, None if rng.random() < 0.6 else "thing", float(rng.random()))
        for (a, b), (u, v) in zip(size.tolist(), corner.tolist(), strict=True)
    ]
