"""What one depth image says of points and of things: met, gone through, or nothing; on exact geometry."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import Block, Plane, camera, look_at, render

from ovseg3r_core.mapping.evidence import (
    BACKGROUND,
    MET,
    NOTHING,
    THROUGH,
    EvidenceConfig,
    Watched,
    sights,
    verdicts,
)
from ovseg3r_core.mapping.watched_points import MIN_POINTS, background_points, vanished, watched_points
from ovseg3r_core.types import Frame

WALL = Plane(name="wall", color=(200, 200, 190), normal=(-1, 0, 0), offset=-3.0)  # at x = 3, seen from the origin
BEHIND = replace(WALL, normal=(1, 0, 0), offset=-9.0)
THING = Block(name="box", color=(120, 70, 40), low=(2.0, -0.2, -0.2), high=(2.3, 0.2, 0.2))
SCREEN = Block(name="screen", color=(60, 90, 160), low=(1.0, -1.5, -1.5), high=(1.1, 1.5, 1.5))
DOORWAY = (replace(SCREEN, high=(1.1, -0.35, 1.5)), replace(SCREEN, low=(1.0, 0.35, -1.5)))
CONFIG = EvidenceConfig()
BOX = 7


def front(x: float = 2.0, half: float = 0.2, n: int = 8) -> np.ndarray:
    """Points of the side of the box that faces the camera."""
    y, z = np.meshgrid(np.linspace(-half, half, n), np.linspace(-half, half, n))
    return np.stack([np.full(y.size, x), y.ravel(), z.ravel()], axis=-1).astype(np.float32)


def view(*solids: Plane | Block, lost: bool = False) -> Frame:
    frame, _ = render(solids, camera(), look_at((0, 0, 0), (1, 0, 0)))
    return replace(frame, depth_m=np.zeros_like(frame.depth_m)) if lost else frame


def watched(things: dict[int, np.ndarray] | None = None) -> Watched:
    return Watched.of(things or {BOX: front()}, front(x=3.0, half=1.0))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (view(WALL, THING), MET),
        (view(WALL), THROUGH),
        (view(WALL, SCREEN), NOTHING),
        (view(WALL, THING, lost=True), NOTHING),
        (view(BEHIND), NOTHING),  # open space gives no reading
        (view(WALL, *DOORWAY), THROUGH),
    ],
    ids=["there", "gone", "hidden", "no reading", "nothing behind", "gone, through a doorway"],
)
def test_a_point_is_met_gone_through_or_unknown(frame: Frame, expected: int):
    assert set(sights(front(half=0.18), frame, CONFIG).tolist()) == {expected}


def test_what_is_outside_the_image_or_behind_the_camera_or_far_away_is_unknown():
    outside, behind, far = front() + np.float32([0, 5, 0]), front(x=-2.0), front(x=CONFIG.max_range_m + 0.1)
    for xyz in (outside, behind, far):
        assert not sights(xyz, view(WALL), CONFIG).any()


def test_a_surface_right_behind_is_met_and_one_further_behind_is_gone_through():
    margin_m = CONFIG.margin_m + CONFIG.margin_ratio * 2.0
    for gap_m, expected in ((0.8 * margin_m, MET), (1.2 * margin_m, THROUGH)):
        behind = replace(WALL, offset=-2.0 - gap_m)
        assert set(sights(front(), view(behind), CONFIG).tolist()) == {expected}


def test_a_ray_that_goes_close_past_something_is_no_evidence():
    """A pose is off by a centimetre: what seems to be gone may be the thing, beside the ray."""
    beside = replace(THING, low=(2.0, 0.01, -0.2))
    point = np.float32([[2.0, 0.0, 0.0]])
    assert sights(point, view(WALL, beside), CONFIG)[0] == NOTHING
    assert sights(point, view(WALL, replace(beside, low=(2.0, 0.05, -0.2))), CONFIG)[0] == THROUGH


def test_verdicts_of_things():
    assert verdicts(watched(), view(WALL, THING), CONFIG) == {BOX: "there"}
    assert verdicts(watched(), view(WALL), CONFIG) == {BOX: "gone"}
    for frame in (view(WALL, SCREEN), view(WALL, lost=True)):
        assert verdicts(watched(), frame, CONFIG) == {}


def test_a_thing_of_which_too_little_is_clear_is_not_judged():
    peephole = replace(SCREEN, high=(1.1, -0.06, 1.5)), replace(SCREEN, low=(1.0, -0.02, -1.5))
    assert THROUGH in sights(front(n=16), view(WALL, *peephole), CONFIG)
    assert verdicts(watched({BOX: front(n=16)}), view(WALL, *peephole), CONFIG) == {}


def test_half_a_thing_is_neither_there_nor_gone():
    """It was moved a little, or is the union of two: what is seen speaks both ways."""
    half = replace(THING, high=(2.3, 0.0, 0.2))
    assert verdicts(watched({BOX: front(n=16)}), view(WALL, half), CONFIG) == {}


def test_a_view_that_goes_through_the_walls_is_not_believed():
    misplaced = view(replace(WALL, offset=-3.5))
    assert verdicts(watched(), misplaced, CONFIG) == {}
    assert verdicts(watched(), misplaced, replace(CONFIG, max_disagreement=1.0)) == {BOX: "gone"}


def test_many_things_are_judged_each_on_its_own():
    left, right = front() + np.float32([0, 0.6, 0]), front() + np.float32([0, -0.6, 0])
    other = replace(THING, low=(2.0, 0.4, -0.2), high=(2.3, 0.8, 0.2))
    said = verdicts(watched({1: left, 500: right, 9: front(x=-1.0)}), view(WALL, other), CONFIG)
    assert said == {1: "there", 500: "gone"}


def test_no_things_no_verdicts():
    nothing = np.zeros((0, 3), np.float32)
    assert verdicts(Watched.of({}, nothing), view(WALL), CONFIG) == {}


@settings(max_examples=20, deadline=None)
@given(
    yaw=st.floats(-0.4, 0.4),
    back_m=st.floats(0.0, 0.8),
    noise=st.floats(0.0, 0.003),
    seed=st.integers(0, 1000),
)
def test_what_is_there_is_never_gone_whatever_the_noise(yaw: float, back_m: float, noise: float, seed: int):
    T = look_at((-back_m, 0, 0.1), (-back_m + np.cos(yaw), np.sin(yaw), 0))
    frame, _ = render((WALL, THING), camera(), T)
    sigma = noise * frame.depth_m**2
    noisy = frame.depth_m + np.random.default_rng(seed).standard_normal(frame.depth_m.shape).astype(np.float32) * sigma
    assert verdicts(watched(), replace(frame, depth_m=noisy.astype(np.float32)), CONFIG).get(BOX) != "gone"


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.0, 1.0), seed=st.integers(0, 1000))
def test_lost_readings_turn_no_verdict_round(share: float, seed: int):
    keep = np.random.default_rng(seed).random((120, 160)) >= share
    for solids, wrong in (((WALL, THING), "gone"), ((WALL,), "there")):
        frame = view(*solids)
        lossy = replace(frame, depth_m=np.where(keep, frame.depth_m, np.float32(0)))
        assert verdicts(watched(), lossy, CONFIG).get(BOX) != wrong


def cup_on_table() -> tuple[np.ndarray, np.ndarray]:
    """Points of a cup of 12 cm on a table, 2 cm apart, and their owners: 1 the cup, nobody the table."""
    grid = np.arange(-0.3, 0.3, 0.02)
    table = np.stack([*map(np.ravel, np.meshgrid(grid, grid)), np.zeros(len(grid) ** 2)], axis=-1)
    angle, height = map(np.ravel, np.meshgrid(np.arange(0, 6.28, 0.4), np.arange(0.01, 0.13, 0.01)))
    cup = np.stack([0.04 * np.cos(angle), 0.04 * np.sin(angle), height], axis=-1)
    owner = np.repeat(np.array([1, BACKGROUND], np.int32), [len(cup), len(table)])
    return np.concatenate([cup, table]).astype(np.float32), owner


def test_the_foot_of_a_cup_is_not_watched():
    xyz, owner = cup_on_table()
    points = watched_points({1: np.flatnonzero(owner == 1)}, xyz, owner, clear_m=0.03)[1]
    assert MIN_POINTS <= len(points) <= 64 and points[:, 2].min() >= 0.03


def test_what_lies_flat_on_something_is_not_watched_at_all():
    xyz, owner = cup_on_table()
    flat = xyz * np.float32([1, 1, 0.1])
    assert len(watched_points({1: np.flatnonzero(owner == 1)}, flat, owner, clear_m=0.03)[1]) == 0


def test_what_may_be_the_rim_of_a_thing_is_not_asked_about_poses():
    """A thing that is gone takes the rims along that nobody owns: views that see through them are right."""
    xyz, owner = cup_on_table()
    assert len(background_points(xyz, owner, {1}, [], 0.1)) == np.count_nonzero(owner != 1)
    room = background_points(xyz, owner, {1}, [xyz[owner == 1]], 0.1)
    gap = np.linalg.norm(room[:, None] - xyz[owner == 1][None], axis=2).min(axis=1)
    assert len(room) and gap.min() >= 0.1
    assert len(background_points(xyz, owner, {1}, [xyz[owner == 1], xyz], 0.1)) == 0


def test_a_surface_vanished_when_none_of_its_points_are_near_the_cloud():
    cloud = front(x=3.0)
    samples = {1: front(), 2: front(x=3.0), 3: np.zeros((0, 3), np.float32)}
    assert vanished(samples, cloud, 0.06) == {1}
    assert vanished({}, cloud, 0.06) == set()
