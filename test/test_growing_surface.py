"""A surface that is read again only where it changed is the surface."""

import numpy as np
import pytest
from scenes import box_room, orbit

from ovseg3r_core.cloud_blocks import CloudBlocks, beside
from ovseg3r_core.map_surface import MapSurface
from ovseg3r_core.packing import pack
from ovseg3r_core.reconstruction.growing_surface import GrowingSurface
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.types import SceneCloud

CONFIG = TsdfConfig(memory_budget_mb=64.0, min_weight=1.0)


def assert_same(some: SceneCloud, other: SceneCloud) -> None:
    np.testing.assert_array_equal(some.xyz, other.xyz)
    np.testing.assert_array_equal(some.color, other.color)
    np.testing.assert_array_equal(some.normal, other.normal)
    assert some.blocks is not None and other.blocks is not None
    np.testing.assert_array_equal(some.blocks.key, other.blocks.key)
    np.testing.assert_array_equal(some.blocks.start, other.blocks.start)


@pytest.fixture(scope="module")
def frames():
    return box_room(poses=orbit(40, to_deg=180.0), width=120, height=90).frames


def test_frame_by_frame_it_is_the_surface_of_everything(frames):
    volume, grown, partial = TsdfVolume(CONFIG), GrowingSurface(), 0
    for frame in frames:
        volume.integrate(frame)
        reading = volume.read_again()
        partial += reading.keys is not None and len(reading.field.place) < volume.blocks
        assert_same(grown.take(reading), volume.extract())
    assert partial > 10  # it did not read everything each time
    assert len(grown.cloud) > 5_000


def test_what_is_forgotten_weighed_or_cleared_is_read_again(frames):
    volume, grown = TsdfVolume(CONFIG), GrowingSurface()
    for frame in frames[:24]:
        volume.integrate(frame)
    cloud = grown.take(volume.read_again())
    ball = np.linalg.norm(cloud.xyz - np.array([0.75, -0.4, 0.2]), axis=1) < 0.3
    volume.forget(cloud.xyz[ball], cloud.xyz[~ball])
    assert_same(grown.take(volume.read_again()), volume.extract())
    assert len(grown.cloud) < len(cloud)
    volume.weigh(0.25)
    assert_same(grown.take(volume.read_again()), volume.extract())
    volume.clear()
    assert len(grown.take(volume.read_again())) == 0
    volume.integrate(frames[0])
    assert_same(grown.take(volume.read_again()), volume.extract())


def test_what_hardly_changed_is_read_when_all_is_asked_for(frames):
    volume, grown, read = TsdfVolume(CONFIG), GrowingSurface(), []
    for frame in [frames[0]] * 70 + frames[:20]:
        volume.integrate(frame)
        reading = volume.read_again(0.5)
        read.append(0 if reading.keys is None else len(reading.keys))
        grown.take(reading)
    assert read[61:70].count(0) >= 8  # half of seventy frames of one place came long ago
    assert max(read[70:]) > 50  # a new place is read at once
    assert abs(len(grown.cloud) - len(volume.extract())) < 0.02 * len(grown.cloud)
    assert_same(grown.take(volume.read_again()), volume.extract())


def test_what_was_forgotten_is_read_however_little_it_is(frames):
    volume, grown = TsdfVolume(CONFIG), GrowingSurface()
    for frame in [frames[0]] * 70:
        volume.integrate(frame)
    cloud = grown.take(volume.read_again(0.5))
    ball = np.linalg.norm(cloud.xyz - np.array([0.75, -0.4, 0.2]), axis=1) < 0.3
    assert ball.sum() > 20
    volume.forget(cloud.xyz[ball], cloud.xyz[~ball])
    assert_same(grown.take(volume.read_again(0.5)), volume.extract())
    assert len(grown.cloud) < len(cloud)


def test_a_reading_that_was_lost_is_made_good(frames, monkeypatch):
    surface = MapSurface(CONFIG)
    for frame in frames[:20]:
        surface.fuse(frame)
    surface.read()
    surface.fuse(frames[-1])
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(GrowingSurface, "take", lambda *_: (_ for _ in ()).throw(MemoryError()))
        surface.read()
    assert_same(surface.read(), surface.volume.extract())


def test_points_of_blocks_that_were_not_read_again_stay_the_same(frames):
    volume, grown = TsdfVolume(CONFIG), GrowingSurface()
    for frame in frames[:30]:
        volume.integrate(frame)
    before = grown.take(volume.read_again())
    volume.integrate(frames[-1])
    after = grown.take(volume.read_again())
    assert before.blocks is not None and after.blocks is not None
    same = before.blocks.unchanged_in(after.blocks)
    kept = same >= 0
    assert 0.05 < kept.mean() < 0.95
    np.testing.assert_array_equal(before.xyz[same[kept]], after.xyz[kept])


def test_two_readings_of_one_block_are_told_apart():
    some, other = (CloudBlocks.read_now(np.array([3, 7]), np.array([2, 1])) for _ in range(2))
    assert (some.unchanged_in(other) == -1).all()
    np.testing.assert_array_equal(some.unchanged_in(some), [0, 1, 2])
    assert some.runs(np.array([True, True])) == [(0, 3)] and some.runs(np.array([False, True])) == [(2, 3)]


def test_blocks_beside_are_the_27_about_it():
    found = beside(np.array([[0, -5, 2]], np.int32))
    assert len(found) == 27
    assert (np.abs(found - [0, -5, 2]).max(axis=1) <= 1).all()
    assert len(np.unique(pack(found))) == 27
