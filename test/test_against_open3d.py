"""Our compiled fusion and surface against those of Open3D."""

import numpy as np
import open3d as o3d
import open3d.core as o3c
from scenes import box_room
from scipy.spatial import KDTree

from ovseg3r_core.geometry import invert
from ovseg3r_core.packing import pack
from ovseg3r_core.reconstruction.surface import VoxelBlocks, extract_cloud
from ovseg3r_core.reconstruction.tsdf import TsdfConfig, TsdfVolume


def grid_of(field: VoxelBlocks) -> o3d.t.geometry.VoxelBlockGrid:
    """The same field for Open3D."""
    grid = o3d.t.geometry.VoxelBlockGrid(
        attr_names=("tsdf", "weight", "color"),
        attr_dtypes=(o3c.float32, o3c.float32, o3c.float32),
        attr_channels=((1,), (1,), (3,)),
        voxel_size=field.voxel_m,
        block_resolution=field.side,
        block_count=2 * len(field.place) + 1,
    )
    if len(field.place):
        slots, _ = grid.hashmap().activate(o3c.Tensor.from_numpy(field.place))
        slots = slots.numpy()
        grid.attribute("tsdf").numpy()[slots] = field.distance[..., None]
        grid.attribute("weight").numpy()[slots] = field.weight[..., None]
        grid.attribute("color").numpy()[slots] = field.color
    return grid


def test_depth_is_fused_as_open3d_does_it():
    frames = box_room(frames=4, width=320, height=240).frames
    volume = TsdfVolume(TsdfConfig(memory_budget_mb=64.0, jump_ratio=1.0))
    grid = grid_of(volume.read())
    for frame in frames:
        volume.integrate(frame)
        K = frame.camera.K.copy()
        K[:2, 2] += 0.5  # it takes the pixel before the one that a voxel falls on
        T, reach = o3c.Tensor.from_numpy(invert(frame.T_map_camera)), (1.0, 5.0, 4.0)
        depth = np.where((frame.depth_m >= 0.2) & (frame.depth_m <= 5.0), frame.depth_m, np.float32(0))
        depth, color = (o3d.t.geometry.Image(o3c.Tensor(it)) for it in (depth, frame.color.astype(np.float32) / 255))
        blocks = grid.compute_unique_block_coordinates(depth, o3c.Tensor.from_numpy(frame.camera.K), T, *reach)
        grid.integrate(blocks, depth, color, o3c.Tensor.from_numpy(K), T, *reach)
    own, slots = volume.read(), grid.hashmap().active_buf_indices().numpy()
    key = pack(grid.hashmap().key_tensor().numpy()[slots])
    both, at, here = np.intersect1d(own.key, key, return_indices=True)
    assert len(both) > 0.995 * max(len(own.key), len(key)) > 1500
    weight = grid.attribute("weight").numpy()[slots[here], ..., 0]
    # not so where a voxel falls between two pixels, or is just within reach
    same = (own.weight[at] == weight) & (weight > 0)
    assert np.mean(same[weight > 0]) > 0.97
    distance, color = (grid.attribute(name).numpy()[slots[here]] for name in ("tsdf", "color"))
    assert np.mean(np.abs(own.distance[at] - distance[..., 0])[same] < 1e-3) > 0.99
    assert np.mean(np.abs(own.color[at] - color)[same] < 0.1) > 0.99


def test_the_surface_is_the_one_that_open3d_extracts():
    room = box_room(frames=4, width=320, height=240)
    volume = TsdfVolume()
    for frame in room.frames:
        volume.integrate(frame)
    field = volume.read()
    own = extract_cloud(field)
    theirs = grid_of(field).extract_point_cloud(weight_threshold=field.min_weight).point
    xyz, color, normal = (it.numpy().astype(np.float64) for it in (theirs.positions, theirs.colors, theirs.normals))
    _, voxel = np.unique(np.floor(xyz / field.voxel_m + 0.5).astype(int), axis=0, return_inverse=True)

    def means(values):
        sums = [np.bincount(voxel.ravel(), column) for column in values.T]
        return np.stack(sums, axis=1) / np.bincount(voxel.ravel())[:, None]

    distance, nearest = KDTree(means(xyz)).query(own.xyz)
    assert abs(len(own) - voxel.max() - 1) < 0.001 * len(own)  # a sheet that is seen from both sides has none
    assert len(own) > 5_000
    assert np.percentile(distance, 99.9) < 1e-5  # a crossing in the middle may be rounded to either voxel
    assert np.percentile(np.abs(means(color)[nearest] * 255 - own.color), 99.9) < 0.51
    agreement = np.sum(means(normal)[nearest] * own.normal, axis=1) / np.linalg.norm(means(normal)[nearest], axis=1)
    assert np.percentile(agreement, 1) > 0.999
