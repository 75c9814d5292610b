"""Superpoints: no two masks of a view in one, plain segmentation without masks, and the order of points is nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovseg3r_core.superpoints import MAX_POINTS, SuperpointConfig, superpoints
from ovseg3r_core.types import SceneCloud
from ovseg3r_core.view_labels import BACKGROUND, UNSEEN, ViewLabels

seeds = st.integers(0, 10_000)


def cloud_of(xyz: np.ndarray, normal: np.ndarray | None = None) -> SceneCloud:
    normal = np.zeros_like(xyz) if normal is None else normal
    return SceneCloud(xyz=xyz.astype(np.float32), color=np.zeros(xyz.shape, np.uint8), normal=normal.astype(np.float32))


def sheet(width: int = 30, depth: int = 20, step_m: float = 0.02) -> SceneCloud:
    """A flat, level grid of points."""
    x, y = np.meshgrid(np.arange(width), np.arange(depth), indexing="ij")
    xyz = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3) * step_m
    return cloud_of(xyz, np.tile([0, 0, 1], (len(xyz), 1)))


def cube(edge_m: float = 0.5, step_m: float = 0.02) -> tuple[SceneCloud, np.ndarray]:
    """The six faces of a cube and which face each point is of."""
    along = np.arange(step_m / 2, edge_m, step_m)
    faces = []
    for axis in range(3):
        for side in (0.0, edge_m):
            grid = np.stack(np.meshgrid(along, along, indexing="ij"), axis=-1).reshape(-1, 2)
            faces.append((np.insert(grid, axis, side, axis=1), np.eye(3)[axis] * (1 if side else -1)))
    normal = np.repeat([n for _, n in faces], len(along) ** 2, axis=0)
    return cloud_of(np.concatenate([f for f, _ in faces]), normal), np.repeat(np.arange(6), len(along) ** 2)


def rough_cloud(seed: int, points: int = 400, grid: int = 0) -> tuple[SceneCloud, np.ndarray]:
    """A bumpy surface with blobs of masks in three views; on a grid, points coincide and distances are equal."""
    rng = np.random.default_rng([seed, points])
    xyz = rng.random((points, 3)) * [1, 1, 0.1]
    xyz = np.round(xyz * grid) / grid if grid else xyz
    normal = rng.normal(size=(points, 3)) * 0.2 + [0, 0, 1]
    centres = rng.random((3, 4, 3))
    blob = ((xyz[None, :, None] - centres[:, None]) ** 2).sum(axis=-1).argmin(axis=-1)
    hidden = xyz[None, :, 0] > rng.random((3, 1)) + 0.3
    return cloud_of(xyz, normal), np.where(hidden, UNSEEN, np.where(blob == 3, BACKGROUND, blob))


def mixed_masks(part: np.ndarray, ids: np.ndarray) -> int:
    """How many pairs of superpoint and view hold more than one mask."""
    found = 0
    for row in ids:
        pairs = np.unique(np.stack([part, row])[:, row >= 0], axis=1)
        found += pairs.shape[1] - len(np.unique(pairs[0]))
    return found


@settings(max_examples=40)
@given(seeds, st.sampled_from([0, 8]), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([1, 20]), st.booleans())
def test_no_superpoint_holds_two_masks_of_a_view(
    seed: int, grid: int, cut_share: float, min_points: int, noise: bool
) -> None:
    cloud, ids = rough_cloud(seed, grid=grid)
    if noise:  # any mask anywhere, which no view of a real scene shows
        ids = np.random.default_rng(seed).integers(-2, 5, ids.shape)
    config = SuperpointConfig(k=0.5, cut_share=cut_share, min_points=min_points)
    assert not noise or mixed_masks(superpoints(cloud, config=config), ids)  # geometry alone mixes these
    assert not mixed_masks(superpoints(cloud, ViewLabels.of_array(ids), config), ids)


@settings(max_examples=20)
@given(seeds, st.sampled_from([UNSEEN, BACKGROUND, 0]))
def test_views_that_tell_nothing_apart_give_the_plain_segmentation(seed: int, label: int) -> None:
    cloud, ids = rough_cloud(seed)
    plain = superpoints(cloud)
    assert np.array_equal(superpoints(cloud, ViewLabels.of_array(np.full_like(ids, label))), plain)
    assert np.array_equal(superpoints(cloud, ViewLabels.of_array(ids[:0])), plain)


@settings(max_examples=40)
@given(seeds, st.sampled_from([0, 8, 3]), st.booleans(), st.sampled_from(["given", "fitted", "none"]))
def test_permuting_the_points_permutes_the_superpoints(seed: int, grid: int, masks: bool, normals: str) -> None:
    cloud, ids = rough_cloud(seed, grid=grid)
    if normals == "none":
        cloud = cloud_of(cloud.xyz)
    config = SuperpointConfig(k=0.1, min_points=5, normals="fitted" if normals == "fitted" else "given")
    mixed = np.random.default_rng(seed).permutation(len(cloud))
    part = superpoints(cloud, ViewLabels.of_array(ids) if masks else None, config)
    other = superpoints(
        cloud_of(cloud.xyz[mixed], cloud.normal[mixed]), ViewLabels.of_array(ids[:, mixed]) if masks else None, config
    )
    assert np.array_equal(part[mixed], other)
    assert np.array_equal(np.unique(part), np.arange(part.max() + 1))


@settings(max_examples=20)
@given(seeds)
def test_names_of_masks_and_order_of_views_are_nothing(seed: int) -> None:
    cloud, ids = rough_cloud(seed)
    renamed = np.where(ids >= 0, np.array([90, 7, 2_000_000_000])[ids], ids)[::-1]
    part = superpoints(cloud, ViewLabels.of_array(ids))
    assert np.array_equal(superpoints(cloud, ViewLabels.of_array(renamed)), part)


def test_the_faces_of_a_cube_are_superpoints_of_their_own() -> None:
    cloud, face = cube()
    for given_ in (cloud, cloud_of(cloud.xyz)):  # with its normals, and with fitted ones
        part = superpoints(given_)
        inner = (np.sort(np.abs(cloud.xyz - 0.25), axis=1)[:, 1] < 0.2).astype(bool)  # fitted ones are round at edges
        pairs = np.unique(np.stack([part[inner], face[inner]]), axis=1)
        assert pairs.shape[1] == len(np.unique(pairs[0])) == 6


def test_a_picture_on_a_wall_has_a_superpoint_of_its_own() -> None:
    """Geometry tells nothing of it; the outline that most views draw does."""
    cloud = sheet()
    painted = (np.abs(cloud.xyz[:, 0] - 0.3) < 0.11) & (np.abs(cloud.xyz[:, 1] - 0.2) < 0.09)
    picture, nothing = np.where(painted, 0, BACKGROUND), np.full(len(cloud), BACKGROUND)
    assert superpoints(cloud).max() == 0
    part = superpoints(cloud, ViewLabels.of_array(picture[None]))
    assert part.max() == 1 and np.array_equal(part == part[painted][0], painted)
    everything = np.zeros_like(picture)
    assert superpoints(cloud, ViewLabels.of_array(np.stack([picture, picture, everything]))).max() == 1
    assert superpoints(cloud, ViewLabels.of_array(np.stack([picture, everything, everything]))).max() == 0
    assert superpoints(cloud, ViewLabels.of_array(np.stack([picture, nothing, nothing]))).max() == 1


def test_two_masks_stay_apart_by_way_of_points_that_their_view_does_not_see() -> None:
    """One view sees both ends of a sheet, in two masks; what lies between hides from it, and goes to one of them."""
    cloud = sheet()
    ids = np.select([cloud.xyz[:, 0] < 0.1, cloud.xyz[:, 0] > 0.5], [0, 1], UNSEEN)
    part = superpoints(cloud, ViewLabels.of_array(ids[None]))
    assert part.max() == 1 and not mixed_masks(part, ids[None])


def test_small_ones_join_and_strays_stay() -> None:
    xyz = np.array([[0.02 * n, 0, 0] for n in range(30)] + [[5, 5, 5]])
    normal = np.tile([[0, 0, 1]], (31, 1))
    normal[29] = [1, 0, 0]
    part = superpoints(cloud_of(xyz, normal), config=SuperpointConfig(min_points=5))
    assert part[:30].max() == part[0] and part[30] != part[0]


def test_slivers_join_across_outlines_but_not_across_masks() -> None:
    cloud = sheet()
    sliver = np.arange(len(cloud)) < 4  # at a corner, and flat as everything
    outlined = np.where(sliver, 0, BACKGROUND)
    assert superpoints(cloud, ViewLabels.of_array(outlined[None])).max() == 0
    assert superpoints(cloud, ViewLabels.of_array(np.where(sliver, 0, 1)[None])).max() == 1


def test_points_that_are_alike_are_one_and_count_as_many() -> None:
    cloud = sheet(4, 3)
    twice = cloud_of(np.repeat(cloud.xyz, 2, axis=0), np.repeat(cloud.normal, 2, axis=0))
    part = superpoints(twice, config=SuperpointConfig(min_points=20))
    assert part.max() == 0
    labels = ViewLabels.of_array(np.tile([0, 1], len(cloud))[None])  # each place is in two masks at once
    part = superpoints(twice, labels)
    assert part.max() == 1 and len(np.unique(part[::2])) == len(np.unique(part[1::2])) == 1


@pytest.mark.parametrize(
    "xyz",
    [
        np.zeros((0, 3)),
        np.zeros((1, 3)),
        np.zeros((300, 3)),
        np.arange(2)[:, None] * np.ones(3),
        np.linspace(0, 1, 200)[:, None] * [1, 2, 3],
        np.array([[0, 0, 0], [1e4, -1e4, 1e4], [1e4, -1e4, 1e4 + 0.01], [0, 0, 1e-30]]),
        sheet().xyz + 1e4,
    ],
    ids=["empty", "one", "all-alike", "two", "line", "far-apart", "far-out"],
)
@pytest.mark.parametrize("normal", ["none", "nan", "given"])
def test_any_cloud_has_superpoints(xyz: np.ndarray, normal: str) -> None:
    value = {"none": [0, 0, 0], "nan": [np.nan, 0, 1], "given": [0, 0, 1]}[normal]
    part = superpoints(cloud_of(xyz, np.tile(value, (len(xyz), 1))))
    assert part.dtype == np.int64 and np.array_equal(np.unique(part), np.arange(part.max(initial=-1) + 1))


def test_what_cannot_be_cut_is_refused_with_numbers() -> None:
    with pytest.raises(ValueError, match="1 of 2 points"):
        superpoints(cloud_of(np.array([[0, 0, 0], [np.nan, 0, 0]])))
    with pytest.raises(ValueError, match="2 points but the masks are of 3"):
        superpoints(cloud_of(np.zeros((2, 3))), ViewLabels.none(3))
    nothing = np.broadcast_to(np.zeros(3, np.float32), (MAX_POINTS + 1, 3))
    with pytest.raises(ValueError, match="10000001 points"):
        superpoints(
            SceneCloud(xyz=nothing, color=np.broadcast_to(np.zeros(3, np.uint8), nothing.shape), normal=nothing)
        )
    with pytest.raises(ValueError, match="reach"):
        SuperpointConfig(reach=0.0)
