"""Depth jumps, fusion and the surface against analytic scenes whose truth is exact."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import BOX_ROOM, AnalyticScene, Ball, Block, Plane, box_room, camera, look_at, orbit, render
from scipy.spatial import KDTree

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import back_project, transform
from ovseg3r_core.packing import pack
from ovseg3r_core.reconstruction import depth_edges as depth_edges_of
from ovseg3r_core.reconstruction import depth_fusion, surface
from ovseg3r_core.reconstruction.block_index import BlockIndex
from ovseg3r_core.reconstruction.depth_edges import depth_edges
from ovseg3r_core.reconstruction.growing_surface import GrowingSurface
from ovseg3r_core.reconstruction.surface import VoxelBlocks, extract_cloud
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume
from ovseg3r_core.reconstruction.warm_up import compile_loops
from ovseg3r_core.types import Frame, SceneCloud

SMALL = TsdfConfig(memory_budget_mb=64.0)
LOOPS = (depth_edges_of._mark_jumps, depth_fusion._meet, depth_fusion._fuse, surface._read, surface._sides_of)


def fuse(frames: list[Frame], config: TsdfConfig = SMALL) -> SceneCloud:
    volume = TsdfVolume(config)
    for frame in frames:
        volume.integrate(frame)
    return volume.extract()


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=8, width=320, height=240)


@pytest.fixture(scope="module")
def cloud(room) -> SceneCloud:
    return fuse(room.frames)


# The scenes themselves


def test_scene_depth_lies_on_its_surfaces_and_ids_name_them(room):
    for frame, ids in zip(room.frames, room.ids, strict=True):
        seen = frame.depth_m > 0
        xyz = transform(frame.T_map_camera, back_project(frame.depth_m, frame.camera))[seen].astype(np.float64)
        assert room.distance(xyz).max() < 1e-5
        assert (room.nearest(xyz) == ids[seen]).mean() > 0.999


# Depth edges


def test_slanted_plane_has_no_depth_edges():
    floor = (Plane(name="floor", color=(90, 90, 90), normal=(0, 0, 1)),)
    frame, _ = render(floor, camera(), look_at((0, 0, 0.5), (2.0, 0, 0.0)))
    window = frame.depth_m[60:, :]
    spread = cv2.dilate(window, np.ones((3, 3))) - cv2.erode(window, np.ones((3, 3)))
    assert (spread / np.maximum(window, 0.1) > 0.05).mean() > 0.1  # a plain 3x3 test cuts this floor up
    assert not depth_edges(window).any()


def test_both_sides_of_a_step_are_edges_and_so_is_a_pixel_midway():
    depth_m = np.full((8, 9), 1.0, dtype=np.float32)
    depth_m[:, 5:] = 2.0
    assert np.flatnonzero(depth_edges(depth_m)[4]).tolist() == [4, 5]
    depth_m[:, 4] = 1 / 0.75  # midway in inverse depth: it does not bend
    assert np.flatnonzero(depth_edges(depth_m)[4]).tolist() == [3, 4, 5]


def test_missing_readings_are_no_edges():
    depth_m = np.full((8, 9), 1.0, dtype=np.float32)
    depth_m[2:5, 3:6] = 0
    assert not depth_edges(depth_m).any()
    assert not depth_edges(np.zeros((4, 4), dtype=np.float32)).any()


# Fusion


def test_cloud_lies_on_the_true_surfaces(room, cloud):
    error = room.distance(cloud.xyz.astype(np.float64))
    assert len(cloud) > 10_000
    assert np.median(error) < 0.001  # half a pixel aside would be 0.005
    assert (error > 0.02).mean() < 0.03


def test_cloud_covers_what_the_frames_see(room, cloud):
    frame = room.frames[3]
    xyz = transform(frame.T_map_camera, back_project(frame.depth_m, frame.camera))[frame.depth_m > 0][::50]
    near = [np.linalg.norm(cloud.xyz - p, axis=1).min() < 0.04 for p in xyz]
    assert np.mean(near) > 0.97


def test_cloud_has_one_point_a_voxel_in_a_fixed_order(room, cloud):
    again = fuse(room.frames)
    assert np.array_equal(again.xyz, cloud.xyz)
    assert np.array_equal(again.color, cloud.color)
    cells = np.floor(cloud.xyz / 0.02 + 0.5).astype(int)
    assert len(np.unique(cells, axis=0)) > 0.99 * len(cloud)  # a mean may be rounded over the side of its voxel


def test_normals_are_unit_and_face_the_cameras(room, cloud):
    assert np.allclose(np.linalg.norm(cloud.normal, axis=1), 1, atol=1e-4)
    floor = (room.nearest(cloud.xyz) == 0) & (np.abs(cloud.xyz[:, 2]) < 0.005)
    assert np.median(cloud.normal[floor, 2]) > 0.99


def test_colors_are_those_of_the_surfaces(room, cloud):
    inner = np.linalg.norm(cloud.xyz - BOX_ROOM[6].centre, axis=1) < BOX_ROOM[6].radius + 0.005
    r, g, b = np.median(cloud.color[inner & (cloud.xyz[:, 2] > 0.2)], axis=0)
    assert g > r + 60 and g > b + 60  # the ball is green


def test_a_single_frame_already_gives_surfaces(room):
    assert len(fuse(room.frames[:1])) > 3_000


def test_a_surface_met_once_in_a_long_sequence_is_left_out():
    ball = (Ball(name="ball", color=(200, 0, 0), centre=(0, 0, 0.4), radius=0.2),)
    wall = (Plane(name="wall", color=(100, 100, 100), normal=(1, 0, 0), offset=-1),)
    T = look_at((1.5, 0, 0.4), (0, 0, 0.4))
    once, _ = render(ball + wall, camera(), T)
    rest, _ = render(wall, camera(), T)
    kept, lost = fuse([once]), fuse([once] + [rest] * 60)
    assert (ball[0].distance(kept.xyz) < 0.02).sum() > 100
    assert (ball[0].distance(lost.xyz) < 0.02).sum() == 0


def test_readings_out_of_range_are_not_fused(room):
    near = fuse(room.frames, replace(SMALL, depth_max_m=2.0))
    eyes = np.stack([frame.T_map_camera[:3, 3] for frame in room.frames])
    nearest_eye = np.linalg.norm(near.xyz[:, None] - eyes, axis=2).min(axis=1)
    assert len(near) > 0 and nearest_eye.max() < 3.0  # 2 m along the axis is further along a corner ray


@pytest.mark.parametrize("most_m", [5.0, 65.0], ids=["in range", "of all values"])
def test_noise_in_place_of_depth_is_refused(room, most_m: float):
    volume = TsdfVolume(SMALL)
    noise = np.random.default_rng(0).uniform(0, most_m, (240, 320)).astype(np.float32)
    with pytest.raises(Rejected, match="no surface can be made out") as refused:
        volume.integrate(replace(room.frames[0], depth_m=noise))
    assert refused.value.reason == "noisy_depth"
    assert volume.frames == 0 and len(volume.extract()) == 0


def test_frame_without_usable_depth_is_refused_with_its_numbers(room):
    volume = TsdfVolume(SMALL)
    far = replace(room.frames[0], depth_m=np.full((240, 320), 8.0, dtype=np.float32))
    with pytest.raises(Rejected, match=r"between 0.2 and 5.0 m.*up to 8.00 m") as refused:
        volume.integrate(far)
    assert refused.value.reason == "empty_depth"
    assert volume.frames == 0 and len(volume.extract()) == 0


def test_frame_with_hardly_any_reading_is_refused_and_ends_nothing(room):
    depth_m = np.zeros((240, 320), np.float32)
    depth_m[1:4, 1:] = 2.0  # between the pixels that tell where a frame reaches
    volume = TsdfVolume(SMALL)
    with pytest.raises(Rejected, match="none of them is among") as refused:
        volume.integrate(replace(room.frames[0], depth_m=depth_m))
    assert refused.value.reason == "empty_depth" and volume.frames == 0
    volume.integrate(room.frames[0])
    assert volume.frames == 1


@pytest.mark.parametrize(
    ("size", "where", "depth_m"),
    [((242, 320), (slice(240, 242), slice(0, 320)), 2.0), ((240, 320), (slice(0, 240), slice(0, 320)), 5.0)],
    ids=["in the last rows only", "just as far as is fused"],
)
def test_frame_with_readings_at_the_limits_is_fused(size, where, depth_m: float):
    frame = box_room(frames=1, width=size[1], height=size[0]).frames[0]
    depth = np.zeros(size, np.float32)
    depth[where] = depth_m
    volume = TsdfVolume(SMALL)
    volume.integrate(replace(frame, depth_m=depth))
    assert volume.frames == 1 and volume.read().weight.any()


def test_frame_that_lies_too_far_out_for_its_voxels_is_refused(room):
    volume = TsdfVolume(replace(SMALL, voxel_size_m=0.002))
    T = room.frames[0].T_map_camera.copy()
    T[0, 3] += 3000.0
    with pytest.raises(Rejected, match=r"voxels of 0\.002 m number up to 2097 m") as refused:
        volume.integrate(replace(room.frames[0], T_map_camera=T))
    assert refused.value.reason == "bad_pose" and volume.blocks == 0


def test_what_a_frame_needs_is_compiled_beforehand(room):
    compile_loops()
    before = {loop: len(loop.signatures) for loop in LOOPS}
    assert all(before.values())
    volume = TsdfVolume(SMALL)
    color = room.frames[0].color[:, ::-1].copy()[:, ::-1]  # as a driver's images may lie in memory
    color.flags.writeable = False
    volume.integrate(replace(room.frames[0], color=color, T_map_camera=np.asfortranarray(room.frames[0].T_map_camera)))
    GrowingSurface().take(volume.read_again())
    assert {loop: len(loop.signatures) for loop in LOOPS} == before


def test_empty_volume_gives_an_empty_cloud():
    cloud = TsdfVolume(SMALL).extract()
    assert len(cloud) == 0 and cloud.color.dtype == np.uint8


def test_memory_never_exceeds_the_budget_and_known_space_goes_on_being_fused():
    config = TsdfConfig(memory_budget_mb=15.0)
    volume = TsdfVolume(config)
    first = box_room(frames=1).frames[0]
    volume.integrate(first)
    refused = 0
    for step in range(1, 12):
        shifted = first.T_map_camera.copy()
        shifted[:3, 3] += (5.0 * step, 0, 0)
        try:
            volume.integrate(replace(first, index=step, T_map_camera=shifted))
        except Rejected as error:
            assert error.reason == "memory_budget" and "blocks" in str(error)
            refused += 1
    blocks, frames = volume.blocks, volume.frames
    assert refused > 0
    volume.integrate(first)
    assert (volume.blocks, volume.frames) == (blocks, frames + 1)
    assert len(volume._field.weight) == config.block_capacity
    assert config.block_capacity * config.block_bytes <= 15 * 2**20


def test_volume_that_is_full_fuses_the_same(room, cloud):
    volume = TsdfVolume(SMALL)
    for frame in room.frames:
        volume.integrate(frame)
    needed = volume.blocks * SMALL.block_bytes / 2**20
    tight = replace(SMALL, memory_budget_mb=needed)
    assert np.array_equal(fuse(room.frames, tight).xyz, cloud.xyz)


def test_blocks_keep_their_slots_as_others_come():
    index, keys = BlockIndex(), pack(np.array([[5, 0, 0], [-1, 2, 3], [0, 0, 7]], np.int32))
    assert index.take(keys[:2]).tolist() == [0, 1]
    assert index.missing(keys) == 1
    assert index.take(keys).tolist() == [0, 1, 2] and len(index) == 3
    assert index.find(np.array([[0, 0, 7], [5, 0, 0], [1, 1, 1]], np.int32)).tolist() == [2, 0, -1]
    assert index.places(np.array([1])).tolist() == [[-1, 2, 3]]


def test_what_left_is_forgotten_and_what_stands_by_it_stays():
    """Looking through it does not do that: only what lies near the end of a ray is fused."""
    ball = next(solid for solid in BOX_ROOM if isinstance(solid, Ball))
    without = tuple(solid for solid in BOX_ROOM if solid is not ball)
    volume = TsdfVolume()
    for frame in box_room(frames=3).frames:
        volume.integrate(frame)
    before = volume.extract()
    on_ball = ball.distance(before.xyz) < 0.02
    for frame in box_room(frames=3, solids=without).frames:
        volume.integrate(frame)
    assert np.count_nonzero(ball.distance(volume.extract().xyz) < 0.02) > 0.5 * np.count_nonzero(on_ball)
    volume.forget(before.xyz[on_ball], before.xyz[~on_ball])
    after = volume.extract()
    assert np.count_nonzero((ball.distance(after.xyz) < 0.02) & (after.xyz[:, 2] > 0.1)) == 0
    floor = before.xyz[~on_ball & (before.xyz[:, 2] < 0.01)]
    assert np.mean(KDTree(after.xyz).query(floor)[0] < 0.02) > 0.95
    volume.forget(before.xyz[:0], before.xyz)
    assert len(volume.extract()) == len(after)


def test_what_is_put_down_is_met_after_as_many_frames_as_a_voxel_remembers():
    floor = Plane(name="floor", color=(150, 120, 90), normal=(0, 0, 1))
    block = Block(name="block", color=(120, 70, 40), low=(-0.3, -0.3, 0.0), high=(0.3, 0.3, 0.05))
    T = look_at((0.6, 0, 1.2), (0, 0, 0))
    before, after = (render(solids, camera(80, 60), T)[0] for solids in ((floor,), (floor, block)))

    def top_after(frames: int, config: TsdfConfig) -> int:
        volume = TsdfVolume(config)
        for frame in [before] * 120 + [after] * frames:
            volume.integrate(frame)
        return int(np.count_nonzero(volume.extract().xyz[:, 2] > 0.03))

    short = TsdfConfig(max_weight=16.0)
    assert top_after(32, short) > 100 > top_after(32, replace(short, max_weight=1000.0))


def field_of(distance: np.ndarray, place=((0, 0, 0),), weight: float = 5.0) -> VoxelBlocks:
    """Blocks of 8 voxels, 2 cm each, of one colour."""
    return VoxelBlocks(
        place=np.array(place, np.int32),
        distance=distance.astype(np.float32),
        weight=np.full(distance.shape, weight, np.float32),
        color=np.full((*distance.shape, 3), 300, np.float32),
        voxel_m=0.02,
        min_weight=1.0,
    )


def test_a_plane_is_read_where_it_lies():
    z = np.arange(16).reshape(2, 8, 1, 1)
    for height in (3.25, 3.75, 7.5):  # nearer to the voxel below, above, and between two blocks
        cloud = extract_cloud(field_of(np.broadcast_to((z - height) / 4, (2, 8, 8, 8)), ((0, 0, 0), (0, 0, 1))))
        assert len(cloud) == 64
        np.testing.assert_allclose(cloud.xyz[:, 2], height * 0.02, atol=1e-6)
        np.testing.assert_allclose(cloud.normal, np.tile([0, 0, 1], (64, 1)), atol=1e-6)
        assert (cloud.color == 255).all()
        assert cloud.blocks is not None and cloud.blocks.sizes.tolist() == [64]
    unseen = field_of(np.broadcast_to((z[:1] - 3.25) / 4, (1, 8, 8, 8)), weight=1.0)
    assert len(extract_cloud(unseen)) == 0


def test_what_is_not_finite_gives_no_point():
    distance = np.broadcast_to((np.arange(8).reshape(1, 8, 1, 1) - 3.25) / 4, (1, 8, 8, 8)).copy()
    distance[0, 3, 2, 2] = np.nan
    distance[0, 4, 5, 5] = np.inf
    cloud = extract_cloud(field_of(distance))
    assert 40 < len(cloud) < 64
    assert np.isfinite(cloud.xyz).all() and np.isfinite(cloud.normal).all()


def test_a_surface_too_far_out_is_refused():
    with pytest.raises(ValueError, match="41943 m out"):
        extract_cloud(field_of(np.ones((1, 8, 8, 8)), ((0, 1 << 18, 0),)))


@pytest.mark.parametrize(
    "bad",
    [
        {"voxel_size_m": 0.0},
        {"voxel_size_m": float("nan")},
        {"block_resolution": 2},
        {"depth_min_m": 6.0},
        {"min_weight_share": 1.0},
        {"memory_budget_mb": 1.0},
    ],
)
def test_tsdf_config_names_the_value_it_refuses(bad):
    with pytest.raises(ValueError, match=str(next(iter(bad.values())))):
        TsdfConfig(**bad)


def test_thin_wall_seen_from_both_sides_keeps_both_faces():
    board = (Block(name="board", color=(80, 80, 80), low=(-0.5, -0.06, 0.0), high=(0.5, 0.06, 0.8)),)
    poses = orbit(6, from_deg=60, to_deg=120) + orbit(6, from_deg=-120, to_deg=-60)
    scene = box_room(poses=poses, solids=board, width=320, height=240)
    cloud = fuse(scene.frames)
    for side in (-0.06, 0.06):
        face = (np.abs(cloud.xyz[:, 1] - side) < 0.01) & (np.abs(cloud.xyz[:, 0]) < 0.45)
        assert face.sum() > 1_000
        assert np.median(cloud.normal[face, 1]) * side > 0


def test_the_field_that_was_read_does_not_change_with_the_volume():
    room = box_room(frames=2, width=160, height=120)
    volume = TsdfVolume()
    volume.integrate(room.frames[0])
    field = volume.read()
    before = field.weight.copy()
    volume.integrate(room.frames[1])
    assert np.array_equal(field.weight, before)
    assert len(volume.read().place) >= len(field.place)
