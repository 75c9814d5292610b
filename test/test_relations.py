"""Relations of things by their geometry: exact cases, and what must hold whatever the boxes."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ovseg3r_core.geometry import turn_up
from ovseg3r_core.mapping import relations
from ovseg3r_core.mapping.bodies import Bodies, Surface
from ovseg3r_core.mapping.footprints import corners, gaps, shares
from ovseg3r_core.mapping.fronts import fronts
from ovseg3r_core.mapping.relations import RELATIONS, RelationConfig, distances, related
from ovseg3r_core.types import Box

STEP_M = 0.02


def box(x: float, y: float, z: float, size: tuple[float, float, float], yaw: float = 0.0) -> Box:
    """A box that stands on height z."""
    return Box(centre=(float(x), float(y), z + size[2] / 2), size=size, yaw=yaw)


def slab(x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], *, lying: bool) -> Surface:
    """Points every 2 cm through a flat or upright block."""
    axes = [np.arange(low, high + STEP_M / 2, STEP_M) for low, high in (x, y, z)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return Surface(xyz=xyz, lying=np.full(len(xyz), lying))


def united(*parts: Surface) -> Surface:
    return Surface(xyz=np.concatenate([it.xyz for it in parts]), lying=np.concatenate([it.lying for it in parts]))


def desk() -> Bodies:
    """1.4 x 0.7 x 0.75 m, a top on two side panels."""
    top = slab((-0.7, 0.7), (-0.35, 0.35), (0.75, 0.75), lying=True)
    panels = [slab((x, x), (-0.35, 0.35), (0.0, 0.74), lying=False) for x in (-0.7, 0.7)]
    return Bodies.of([box(0, 0, 0, (1.4, 0.7, 0.75))], [united(top, *panels)])


def bed() -> Bodies:
    """2 x 1.4 m, 0.5 m high with a headboard of 1 m."""
    top = slab((-1.0, 1.0), (-0.7, 0.7), (0.5, 0.5), lying=True)
    headboard = slab((-1.0, -1.0), (-0.7, 0.7), (0.0, 1.0), lying=False)
    return Bodies.of([box(0, 0, 0, (2.0, 1.4, 1.0))], [united(top, headboard)])


def shelf() -> Bodies:
    """0.8 x 0.3 x 1.8 m: a back, two sides, and boards every 0.4 m."""
    back = slab((-0.4, 0.4), (0.15, 0.15), (0.0, 1.8), lying=False)
    sides = [slab((x, x), (-0.15, 0.15), (0.0, 1.8), lying=False) for x in (-0.4, 0.4)]
    boards = [slab((-0.4, 0.4), (-0.15, 0.15), (z, z), lying=True) for z in np.arange(0.1, 1.9, 0.4)]
    return Bodies.of([box(0, 0, 0, (0.8, 0.3, 1.8))], [united(back, *sides, *boards)])


def one(x: float, y: float, z: float, size: tuple[float, float, float], yaw: float = 0.0) -> Bodies:
    """A thing with its upper and lower face."""
    made = box(x, y, z, size, yaw)
    flat = [slab((-size[0] / 2, size[0] / 2), (-size[1] / 2, size[1] / 2), (h, h), lying=True) for h in (0.0, size[2])]
    xyz = united(*flat).xyz
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    xyz = xyz @ turn.T + (x, y, z)
    return Bodies.of([made], [Surface(xyz=xyz, lying=np.ones(len(xyz), bool))])


CUP = (0.08, 0.08, 0.1)


def hold(things: Bodies, anchors: Bodies) -> set[str]:
    """The relations that a thing has to an anchor and that nobody must look at."""
    return {relation for relation in RELATIONS if related(relation, things, anchors)[0, 0]}


# What stands where


def test_a_cup_on_a_desk_is_on_it_near_it_and_above_it():
    assert hold(one(0.3, 0.1, 0.75, CUP), desk()) == {"on", "near", "above"}


def test_a_desk_is_under_nothing_that_stands_on_it():
    assert hold(desk(), one(0.3, 0.1, 0.75, CUP)) == {"near", "under"}


def test_a_bin_under_a_desk_is_neither_on_it_nor_in_it():
    assert hold(one(0.0, 0.0, 0.0, (0.3, 0.3, 0.4)), desk()) == {"under", "near"}


def test_a_pillow_lies_on_a_bed_below_the_upper_end_of_its_headboard():
    pillow = one(-0.7, 0.0, 0.5, (0.4, 0.6, 0.15))
    assert hold(pillow, bed()) >= {"on"}
    assert not hold(pillow, bed()) & {"in", "under"}
    assert "on" not in hold(pillow, Bodies.of([box(0, 0, 0, (2.0, 1.4, 1.0))]))  # its box alone cannot tell


def test_a_book_stands_in_a_shelf_and_on_it():
    assert hold(one(0.1, 0.0, 0.5, (0.05, 0.2, 0.25)), shelf()) == {"on", "in", "near"}


def test_what_stands_on_top_of_a_shelf_is_not_in_it():
    assert hold(one(0.1, 0.0, 1.8, (0.05, 0.2, 0.25)), shelf()) == {"on", "near", "above"}


def test_a_thing_in_a_bin_lies_in_it_though_its_bottom_was_never_seen():
    walls = [slab((x, x), (-0.2, 0.2), (0.0, 0.5), lying=False) for x in (-0.2, 0.2)]
    walls += [slab((-0.2, 0.2), (y, y), (0.0, 0.5), lying=False) for y in (-0.2, 0.2)]
    bin_ = Bodies.of([box(0, 0, 0, (0.4, 0.4, 0.5))], [united(*walls)])
    assert hold(one(0.02, 0.0, 0.15, (0.2, 0.2, 0.2)), bin_) >= {"in"}


def test_a_cup_beside_a_book_is_not_on_it():
    book = one(0.0, 0.0, 0.75, (0.2, 0.15, 0.03))
    assert hold(one(0.15, 0.0, 0.75, CUP), book) == {"near", "next to"}


def test_a_picture_hangs_on_a_wall_and_a_bottle_before_it_does_not():
    wall = slab((-2.0, 2.0), (2.0, 2.0), (0.0, 2.5), lying=False)
    walls = Bodies.of([box(0, 2.0, 0, (4.0, 0.05, 2.5))], [wall])
    assert "on" in hold(one(0.0, 1.97, 1.4, (0.6, 0.03, 0.4)), walls)
    assert "on" not in hold(one(0.0, 1.94, 0.9, (0.08, 0.08, 0.3)), walls)
    assert "on" not in hold(one(0.0, 1.0, 1.4, (0.6, 0.03, 0.4)), walls)


def test_a_picture_is_above_the_couch_before_it():
    couch = one(0.0, 0.0, 0.0, (2.0, 0.9, 0.8))
    picture = one(0.0, 0.6, 1.4, (0.6, 0.03, 0.4))
    assert "above" in hold(picture, couch)
    assert "above" not in hold(couch, picture)


@pytest.mark.parametrize(("gap_m", "near", "beside"), [(0.2, True, True), (0.45, True, False), (0.7, False, False)])
def test_near_is_as_far_as_the_larger_thing_is_long_and_next_to_half_of_that(gap_m, near, beside):
    chair, stool = one(0.0, 0.0, 0.0, (0.6, 0.6, 0.5)), one(0.5 + gap_m, 0.0, 0.0, (0.4, 0.4, 0.4))
    assert ("near" in hold(stool, chair), "next to" in hold(stool, chair)) == (near, beside)


@pytest.mark.parametrize(("gap_m", "holds"), [(0.5, False), (2.0, True), (9.0, False)])
def test_things_across_from_each_other_have_a_way_between_them(gap_m, holds):
    couch, tv = one(0.0, 0.0, 0.0, (2.0, 0.8, 0.8)), one(0.3, -0.4 - gap_m - 0.2, 0.5, (1.0, 0.4, 0.6))
    assert ("across from" in hold(tv, couch)) == holds
    behind = np.array([[0.0, 1.0]])
    assert not related("across from", tv, couch, facing=behind)[0, 0]
    assert related("across from", tv, couch, facing=-behind)[0, 0] == holds


def test_left_and_right_are_those_of_the_viewer():
    box_, monitor = one(-0.5, 0.0, 0.0, CUP), one(0.0, 0.0, 0.0, (0.5, 0.1, 0.4))
    north, south = np.array([[[0.0, 1.0]]]), np.array([[[0.0, -1.0]]])
    assert related("left of", box_, monitor, north)[0, 0]
    assert related("right of", box_, monitor, south)[0, 0]
    assert not related("left of", box_, monitor)[0, 0]
    nearer = one(0.0, -0.5, 0.0, CUP)
    assert related("in front of", nearer, monitor, north)[0, 0]
    assert related("behind", nearer, monitor, south)[0, 0]


def test_what_stands_before_a_wall_faces_away_from_it():
    wall = slab((-2.0, 2.0), (2.0, 2.0), (0.0, 2.5), lying=False)
    walls = Bodies.of([box(0, 2.0, 0, (4.0, 0.05, 2.5))], [wall])
    boxes = [box(0, 1.5, 0, (1.4, 0.7, 0.7)), box(0, -1, 0, (1.4, 0.7, 0.7)), box(0, 1.2, 0, (1.4, 0.7, 0.7), 1.5)]
    found = fronts(Bodies.of(boxes), walls)
    np.testing.assert_allclose(found[0], [0, -1], atol=1e-6)
    assert np.isnan(found[1]).all()  # too far from it
    assert np.isnan(found[2]).all()  # its narrow end is at the wall


def test_a_setting_out_of_range_is_refused():
    with pytest.raises(ValueError, match="min_share"):
        RelationConfig(min_share=0.0)


# Whatever the boxes

lengths = st.floats(0.05, 2.0)
places = st.floats(-2.0, 2.0)
boxes = st.builds(
    lambda x, y, z, size, yaw: box(x, y, z, size, yaw),
    places,
    places,
    st.floats(0.0, 1.0),
    st.tuples(lengths, lengths, lengths),
    st.floats(-1.57, 1.57),
)
angles = st.floats(0.0, 6.28).map(lambda angle: np.array([[[np.cos(angle), np.sin(angle)]]]))


@settings(max_examples=30)
@given(boxes, boxes, angles)
def test_what_is_left_of_a_thing_has_it_on_its_right(a, b, looking):
    one_, other = Bodies.of([a]), Bodies.of([b])
    for way, back in (("left of", "right of"), ("in front of", "behind")):
        assert related(way, one_, other, looking)[0, 0] == related(back, other, one_, looking)[0, 0]
        assert not (related(way, one_, other, looking)[0, 0] and related(back, one_, other, looking)[0, 0])


@settings(max_examples=30)
@given(boxes, boxes)
def test_near_goes_both_ways_and_next_to_is_near(a, b):
    one_, other = Bodies.of([a]), Bodies.of([b])
    assert related("near", one_, other)[0, 0] == related("near", other, one_)[0, 0]
    assert related("next to", one_, other)[0, 0] == related("next to", other, one_)[0, 0]
    assert related("near", one_, other)[0, 0] or not related("next to", one_, other)[0, 0]


@settings(max_examples=30)
@given(boxes, boxes)
def test_on_is_neither_under_nor_next_to_and_never_both_ways(a, b):
    one_, other = Bodies.of([a]), Bodies.of([b])
    if related("on", one_, other)[0, 0]:
        assert not related("under", one_, other)[0, 0]
        assert not related("next to", one_, other)[0, 0]
        assert not related("in", other, one_)[0, 0]


@settings(max_examples=20)
@given(boxes, st.lists(boxes, min_size=1, max_size=4), st.floats(-3.1, 3.1))
def test_a_pair_is_related_as_it_is_alone_and_as_far_apart_wherever_the_map_lies(a, others, turn):
    cos, sin = np.cos(turn), np.sin(turn)

    def moved(it: Box) -> Box:
        x, y, z = it.centre
        return Box(centre=(cos * x - sin * y + 3, sin * x + cos * y - 1, z + 5), size=it.size, yaw=it.yaw + turn)

    one_, all_ = Bodies.of([a]), Bodies.of(others)
    for relation in ("near", "next to", "across from"):
        together = related(relation, one_, all_)[0]
        assert together.tolist() == [related(relation, one_, Bodies.of([b]))[0, 0] for b in others]
    apart = distances(one_, all_)
    np.testing.assert_allclose(
        distances(Bodies.of([moved(a)]), Bodies.of([moved(b) for b in others])), apart, atol=1e-9
    )


@settings(max_examples=30)
@given(boxes, boxes)
def test_rectangles_are_apart_where_no_grid_point_is_shared(a, b):
    one_, other = Bodies.of([a]), Bodies.of([b])
    share, gap = shares(one_.corners, other.corners)[0, 0], gaps(one_.corners, other.corners)[0, 0]
    assert 0 <= share <= 1
    assert gap == 0 or share == 0
    assert gap == pytest.approx(gaps(other.corners, one_.corners)[0, 0])
    assert gap <= np.linalg.norm(one_.centre[0, :2] - other.centre[0, :2])


def test_many_pairs_are_told_part_by_part(monkeypatch):
    row = Bodies.of([box(0.3 * i, 0.0, 0.0, (0.25, 0.25, 0.25)) for i in range(7)])
    looking = np.broadcast_to([0.0, 1.0], (7, 7, 2)).copy()
    at_once = {relation: related(relation, row, row, looking) for relation in RELATIONS}
    monkeypatch.setattr(relations, "_PAIRS_AT_ONCE", 20)
    for relation, told in at_once.items():
        np.testing.assert_array_equal(related(relation, row, row, looking), told)
    assert at_once["next to"].any() and at_once["left of"].any()


def test_gaps_of_turned_squares_are_exact():
    square, diamond = (
        corners(np.array([[x, 0.0]]), np.array([[0.5, 0.5]]), np.array([yaw]))
        for x, yaw in ((0.0, 0.0), (2.0, np.pi / 4))
    )
    assert gaps(square, diamond)[0, 0] == pytest.approx(1.5 - np.sqrt(0.5))
    assert shares(square, square)[0, 0] == 1


@example((0.0, 8.077697605697634e-162, -1.0))
@example((1e-13, 0.0, -1.0))
@example((0.0, 1e-9, -1.0))
@given(st.tuples(places, places, places).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_an_upright_map_has_its_up_at_z(up):
    R = turn_up(np.array(up))[:3, :3]
    np.testing.assert_allclose(R @ (np.array(up) / np.linalg.norm(up)), [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1)
