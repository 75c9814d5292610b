"""Which view sees which point at which pixel."""

from dataclasses import replace

import numpy as np
import pytest
from scenes import AnalyticScene, box_room

from ovseg3r_core.geometry import back_project, project, transform
from ovseg3r_core.reconstruction.incidence import Incidence, IncidenceConfig, see_points
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.types import SceneCloud


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=8, width=320, height=240)


@pytest.fixture(scope="module")
def cloud(room) -> SceneCloud:
    volume = TsdfVolume(TsdfConfig(memory_budget_mb=64.0))
    for frame in room.frames:
        volume.integrate(frame)
    return volume.extract()


def test_seen_points_are_those_on_the_visible_surface(room, cloud):
    truth = room.nearest(cloud.xyz)
    for frame, ids in zip(room.frames, room.ids, strict=True):
        seen = see_points(cloud.xyz, frame)
        column, row = seen.pixels.T
        assert len(seen.points) > 3_000
        assert (truth[seen.points] == ids[row, column]).mean() > 0.98
        assert len(np.unique(seen.points)) == len(seen.points)


def test_pixels_are_the_rounded_projection(room, cloud):
    frame = room.frames[2]
    seen = see_points(cloud.xyz, frame)
    exact, _ = project(transform(np.linalg.inv(frame.T_map_camera), cloud.xyz[seen.points]), frame.camera)
    assert np.abs(exact - seen.pixels).max() <= 0.51
    assert seen.pixels.min() >= 4 and (seen.pixels < (316, 236)).all()


def test_a_point_behind_a_surface_is_not_seen(room):
    frame = room.frames[0]
    middle = back_project(frame.depth_m, frame.camera)[120, 160]
    xyz = transform(frame.T_map_camera, np.stack([middle, middle * 1.2, middle * 0.8, -middle]))
    assert see_points(xyz, frame).points.tolist() == [0]


def test_a_pixel_without_depth_sees_nothing(room):
    frame = room.frames[0]
    xyz = transform(frame.T_map_camera, back_project(frame.depth_m, frame.camera)[120, 160:161])
    blind = replace(frame, depth_m=np.zeros_like(frame.depth_m))
    assert len(see_points(xyz, frame).points) == 1
    assert len(see_points(xyz, blind).points) == 0


def test_empty_cloud_and_cloud_behind_the_camera_give_no_pairs(room):
    frame = room.frames[0]
    behind = transform(frame.T_map_camera, np.array([[0, 0, -1], [0, 0, 0]], dtype=np.float32))
    for xyz in (np.zeros((0, 3), dtype=np.float32), behind):
        seen = see_points(xyz, frame)
        assert seen.points.shape == (0,) and seen.pixels.shape == (0, 2)


def test_incidence_returns_the_views_it_was_built_from(room, cloud):
    views = [see_points(cloud.xyz, frame) for frame in room.frames]
    views.insert(1, see_points(cloud.xyz[:0], room.frames[0]))
    record = Incidence.build(views)
    assert len(record) == len(views)
    for v, seen in enumerate(views):
        assert np.array_equal(record.view(v).points, seen.points)
        assert np.array_equal(record.view(v).pixels, seen.pixels)
    counts = np.zeros(len(cloud), dtype=int)
    for seen in views:
        counts[seen.points] += 1
    assert np.array_equal(np.bincount(record.points, minlength=len(cloud)), counts)


def test_incidence_of_no_views_is_empty():
    record = Incidence.build([])
    assert len(record) == 0
    assert len(record.points) == 0


def test_incidence_config_names_the_value_it_refuses():
    with pytest.raises(ValueError, match="-1"):
        IncidenceConfig(border_px=-1)
