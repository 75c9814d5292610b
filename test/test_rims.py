"""Rims: what lifting took off the masks of a thing goes back to it, by outlines first, then by what is nearest."""

import numpy as np
from scenes import AnalyticScene, Block, Plane, camera, look_at, render

from ovseg3r_core.lifting import LiftingConfig, lift
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.ownership import Ownership
from ovseg3r_core.mapping.redraw import redraw
from ovseg3r_core.mapping.rims import with_rims, within_outlines
from ovseg3r_core.reconstruction.incidence import Incidence, see_points
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.types import LiftedMask

IN_A_ROW = np.stack([np.arange(8) * 0.02, np.zeros(8), np.zeros(8)], axis=1).astype(np.float32)


def mask(points: list[int], rim: list[int]) -> LiftedMask:
    return LiftedMask(view=0, mask=0, points=np.int64(points), rim=np.array(rim, np.int64), score=0.9)


def given(members: dict[int, list[LiftedMask]], owner: list[int], looks: list[int], reach_m: float = 0.1) -> list[int]:
    before = Ownership(np.int32(owner), np.int32(np.array(owner) >= 0))
    after = within_outlines(before, members, np.int64(looks), IN_A_ROW, reach_m=reach_m, min_share=0.4)
    assert after.votes.tolist() == before.votes.tolist()
    return after.owner.tolist()


def test_free_points_within_the_outlines_of_a_thing_are_its():
    members = {0: [mask([0, 1], [2, 3]), mask([0, 1], [2])]}
    assert given(members, [0, 0, -1, -1, -1, -1, -1, -1], [2] * 8) == [0, 0, 0, 0, -1, -1, -1, -1]


def test_an_outline_that_few_of_the_views_drew_tells_nothing():
    members = {0: [mask([0, 1], [2, 3]), mask([0, 1], [2])]}
    assert given(members, [0, 0, -1, -1, -1, -1, -1, -1], [2, 2, 5, 3, 2, 2, 2, 2])[2:4] == [0, -1]


def test_of_two_things_the_one_with_more_outlines_gets_the_point():
    members = {0: [mask([0, 1], [2, 3])], 1: [mask([4, 5], [2, 3]), mask([4, 5], [3])]}
    assert given(members, [0, 0, -1, -1, 1, 1, -1, -1], [2] * 8) == [0, 0, 0, 1, 1, 1, -1, -1]


def test_what_is_owned_and_what_is_far_stays():
    members = {0: [mask([0], [1, 2, 7])]}
    assert given(members, [0, 1, -1, -1, -1, -1, -1, -1], [1] * 8) == [0, 1, 0, -1, -1, -1, -1, -1]


def test_a_thing_without_points_or_without_masks_gets_nothing():
    assert given({1: [mask([], [2])]}, [0, 0, -1, -1, -1, -1, -1, -1], [1] * 8)[2] == -1
    assert given({}, [-1] * 8, [0] * 8) == [-1] * 8


def test_however_much_is_taken_off_a_box_it_gets_its_edges_back_and_hardly_any_floor():
    floor, box = (
        Plane(name="floor", color=(90, 90, 90), normal=(0.0, 0.0, 1.0)),
        Block(name="box", color=(160, 120, 80), low=(-0.3, -0.2, 0.0), high=(0.3, 0.2, 0.3)),
    )
    poses = [look_at((1.6 * np.cos(a), 1.6 * np.sin(a), 1.2), (0.0, 0.0, 0.1)) for a in np.arange(8) * np.pi / 4]
    frames, ids = zip(*(render((floor, box), camera(640, 480), T, i) for i, T in enumerate(poses)), strict=True)
    scene = AnalyticScene(solids=(floor, box), frames=list(frames), ids=list(ids))
    wide = LiftingConfig(erosion_ratio=1.0, max_erosion_px=15)
    volume = TsdfVolume(TsdfConfig(memory_budget_mb=64.0))
    for frame in scene.frames:
        volume.integrate(frame)
    cloud = volume.extract()
    views = [see_points(cloud.xyz, frame) for frame in scene.frames]
    lifted = [
        it
        for v, frame in enumerate(scene.frames)
        for it in lift([m for m in scene.masks(v) if m.label == "box"], views[v], cloud, frame.depth_m, v, wide)
    ]
    truth = scene.nearest(cloud.xyz) == 1

    def found(config: MappingConfig) -> tuple[float, float]:
        mine = redraw(lifted, Incidence.build(views), cloud, config).ownership.owner == 0
        return truth[mine].mean(), mine[truth].mean()

    right, whole = found(MappingConfig())
    assert right > 0.9 and whole > 0.98
    assert found(MappingConfig(outline_m=0.0))[1] < 0.95


def test_a_rim_that_nobody_owns_goes_to_the_nearer_of_two_things():
    xyz = np.zeros((9, 3), np.float32)
    xyz[:, 0] = [0.0, 0.02, 0.04, 0.05, 0.08, 0.10, 0.20, 0.22, 0.30]
    owner = np.int32([1, 1, -1, -1, -1, 2, -1, 2, -1])
    rimmed = with_rims(Ownership(owner, np.int32([3, 3, 0, 0, 0, 5, 0, 5, 0])), xyz, 0.045)
    assert rimmed.owner.tolist() == [1, 1, 1, 1, 2, 2, 2, 2, -1]


def test_a_rim_yields_to_any_mask():
    xyz = np.float32([[0, 0, 0], [0.02, 0, 0]])
    rimmed = with_rims(Ownership(np.int32([1, -1]), np.int32([3, 0])), xyz, 0.04)
    assert rimmed.claim([(np.array([1]), 2)]).owner.tolist() == [1, 2]


def test_without_owners_there_are_no_rims():
    assert with_rims(Ownership.empty(3), np.zeros((3, 3), np.float32), 0.04).owner.tolist() == [-1, -1, -1]
