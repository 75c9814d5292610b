"""What was lifted before and is kept is what lifting everything anew would give."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import BOX_ROOM, Block, box_room, look_at

from ovseg3r_core import lifted_views
from ovseg3r_core.lifted_views import LiftedViews
from ovseg3r_core.lifting import LiftingConfig, clean_ids, lift_views
from ovseg3r_core.reconstruction.growing_surface import GrowingSurface
from ovseg3r_core.reconstruction.incidence import IncidenceConfig
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.views import View

INCIDENCE, LIFTING = IncidenceConfig(), LiftingConfig()
FAR = Block(name="cabinet", color=(60, 90, 160), low=(5.5, -0.3, 0.0), high=(6.0, 0.3, 0.9))


@pytest.fixture(scope="module")
def room():
    """Two places five metres apart: the corner first, then the cabinet, then the corner again."""
    corner = [look_at((1.8, 0.2 * i, 1.3), (-0.2, 0.0, 0.3)) for i in range(4)]
    cabinet = [look_at((4.0, 0.3 * i, 1.2), (5.8, 0.0, 0.4)) for i in range(4)]
    return box_room(poses=[*corner, *cabinet, corner[1]], width=160, height=120, solids=(*BOX_ROOM, FAR))


@pytest.fixture
def walk(room):
    """What was mapped step by step: after each frame, the views so far and the cloud."""
    volume, grown, views = TsdfVolume(TsdfConfig(memory_budget_mb=128.0, min_weight=0.5)), GrowingSurface(), []
    steps = []
    for frame in room.frames:
        for _ in range(20):  # from here on, no frame changes how often a voxel must be seen
            volume.integrate(frame)
        masks = room.masks(frame.index)
        views.append(View.of(frame.index, frame, masks, clean_ids(masks, frame.depth_m, LIFTING)))
        steps.append((tuple(views), grown.take(volume.read_again())))
    return steps


@pytest.fixture
def opened(monkeypatch):
    """How many views were lifted anew."""
    count = []
    lift = lifted_views.lift_view
    monkeypatch.setattr(lifted_views, "lift_view", lambda view, *rest: (count.append(view.index), lift(view, *rest))[1])
    return count


def lift(views: LiftedViews, step) -> None:
    some, cloud = step
    views.lift(some, cloud, INCIDENCE, LIFTING)


def assert_as_if_all_were_lifted(found, views, cloud) -> None:
    seen, masks = found
    all_seen, all_masks = lift_views((view.open() for view in views), cloud, INCIDENCE, LIFTING)
    for name in ("offsets", "points", "pixels"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(all_seen, name))
        assert getattr(seen, name).dtype == getattr(all_seen, name).dtype
    assert [(m.view, m.mask, m.label, m.score) for m in masks] == [
        (m.view, m.mask, m.label, m.score) for m in all_masks
    ]
    for mask, other in zip(masks, all_masks, strict=True):
        np.testing.assert_array_equal(mask.points, other.points)
        assert mask.points.dtype == other.points.dtype
        np.testing.assert_array_equal(mask.rim, other.rim)


def test_after_every_step_it_is_as_if_all_were_lifted(walk, opened):
    views = LiftedViews()
    for some, cloud in walk:
        assert_as_if_all_were_lifted(views.lift(some, cloud, INCIDENCE, LIFTING), some, cloud)
    assert len(opened) < sum(len(some) for some, _ in walk)


def test_what_is_far_from_what_changed_is_not_lifted_again(walk, opened):
    views = LiftedViews()
    lift(views, walk[5])  # ends at the cabinet
    opened.clear()
    lift(views, walk[7])
    assert set(opened) == {4, 5, 6, 7}
    opened.clear()
    lift(views, walk[8])  # back in the corner
    assert {0, 1, 2, 3, 8} <= set(opened) and len(opened) < 9


def test_a_moved_view_and_other_settings_are_lifted_anew(walk, opened):
    views, (some, cloud) = LiftedViews(), walk[7]
    views.lift(some, cloud, INCIDENCE, LIFTING)
    opened.clear()
    views.lift(some, cloud, INCIDENCE, LIFTING)
    assert opened == []
    T = some[0].T_map_camera.copy()
    T[0, 3] += 0.01
    moved = (some[0].moved_to(T), *some[1:])
    assert_as_if_all_were_lifted(views.lift(moved, cloud, INCIDENCE, LIFTING), moved, cloud)
    assert opened == [0]
    views.lift(moved, cloud, INCIDENCE, replace(LIFTING, min_points=20))
    assert len(opened) == 1 + len(some)
