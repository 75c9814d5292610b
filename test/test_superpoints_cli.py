"""The verb `superpoints`: a PLY and masks in, ids out; masks as an array or of a saved map; refusals in one line."""

import re
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from PIL import Image
from plyfile import PlyData, PlyElement
from scenes import AnalyticScene, box_room
from test_superpoints import mixed_masks

from ovseg3r_core import cli
from ovseg3r_core.geometry import back_project, transform
from ovseg3r_core.lifting import LiftingConfig, clean_ids
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import save_map
from ovseg3r_core.scene_files import read_cloud_ply, write_scene_ply
from ovseg3r_core.superpoint_files import labels_of_map
from ovseg3r_core.types import SceneCloud
from ovseg3r_core.view_labels import UNSEEN
from ovseg3r_core.views import View

VIEWS = 3


@pytest.fixture
def superpoints(monkeypatch, capsys) -> Command:
    return Command(cli.main, ("ovseg3r", "superpoints"), monkeypatch, capsys)


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=VIEWS)


@pytest.fixture(scope="module")
def cloud(room: AnalyticScene) -> SceneCloud:
    """What the frames see, a point a voxel of 3 cm; nothing is known of normals."""
    xyz = np.concatenate(
        [transform(f.T_map_camera, back_project(f.depth_m, f.camera)[f.depth_m > 0]) for f in room.frames]
    )
    xyz = xyz[np.unique(np.floor(xyz / 0.03), axis=0, return_index=True)[1]]
    return SceneCloud(xyz=xyz, color=np.full(xyz.shape, 90, np.uint8), normal=np.zeros_like(xyz))


@pytest.fixture(scope="module")
def ply(cloud: SceneCloud, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("cloud") / "cloud.ply"
    vertices = np.array([tuple(row) for row in cloud.xyz], [(axis, "f4") for axis in "xyz"])
    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(path))
    return path


@pytest.fixture(scope="module")
def saved_map(room: AnalyticScene, cloud: SceneCloud, tmp_path_factory) -> Path:
    """A map with keyframes and exact masks, of which only the keyframes matter here."""
    views = [
        View.of(index, frame, room.masks(index), clean_ids(room.masks(index), frame.depth_m, LiftingConfig()))
        for index, frame in enumerate(room.frames)
    ]
    snapshot = MapSnapshot(
        map_frame="map",
        cloud=cloud,
        owner=np.full(len(cloud), -1, np.int32),
        objects=(),
        structure=(),
        up=(0.0, 0.0, 1.0),
        views=VIEWS,
    )
    folder = tmp_path_factory.mktemp("run")
    save_map(snapshot, folder / "map", Memory(views=tuple(views), members=np.zeros((0, 3), np.int32), next_id=1))
    return folder


def purity(part: np.ndarray, truth: np.ndarray) -> float:
    """Share of the points whose superpoint is mostly of the thing that they are of."""
    counts = np.zeros((part.max() + 1, truth.max() + 1), int)
    np.add.at(counts, (part, truth), 1)
    return counts.max(axis=1).sum() / len(part)


def test_geometry_alone_gives_an_id_a_point(superpoints, ply, cloud, tmp_path):
    said = superpoints(ply, "--out", tmp_path / "new" / "ids.npy")
    assert said.code == 0, said.err
    part = np.load(tmp_path / "new" / "ids.npy")
    assert part.dtype == np.int64 and np.array_equal(np.unique(part), np.arange(part.max() + 1))
    assert re.search(rf"^{len(cloud)} points, {part.max() + 1} superpoints, median size \d+; [\d.]+ s$", said.out, re.M)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["ids.npy"]


def test_masks_of_a_saved_map_keep_things_apart(superpoints, ply, cloud, room, saved_map, tmp_path):
    for folder in (saved_map, saved_map / "map"):
        said = superpoints(ply, "--masks", folder, "--out", tmp_path / "ids.npy")
        assert said.code == 0, said.err
        assert f"masks of {VIEWS} views" in said.out
        part = np.load(tmp_path / "ids.npy")
        labels = labels_of_map(folder, cloud)
        ids = np.full((VIEWS, len(cloud)), UNSEEN)
        ids[labels.view, np.repeat(np.arange(len(cloud)), np.diff(labels.offsets))] = labels.mask
        assert (ids >= 0).any(axis=1).all() and not mixed_masks(part, ids)
        assert purity(part, room.nearest(cloud.xyz)) > 0.98


@pytest.mark.parametrize("shape", ["points", "views points"])
def test_masks_may_be_an_array(superpoints, ply, cloud, tmp_path, shape):
    ids = np.where(cloud.xyz[:, 0] > 0, 1, 0).astype(np.uint8)
    np.save(tmp_path / "masks.npy", ids if shape == "points" else np.stack([ids, ids]))
    said = superpoints(ply, "--masks", tmp_path / "masks.npy", "--out", tmp_path / "ids.npy")
    assert said.code == 0, said.err
    part = np.load(tmp_path / "ids.npy")
    assert not set(part[ids == 0]) & set(part[ids == 1])


def test_smaller_k_gives_more_and_larger_min_points_fewer(superpoints, ply, tmp_path):
    counts = []
    for options in ([], ["--k", "1"], ["--k", "1", "--min-points", "2000"]):
        assert superpoints(ply, *options, "--out", tmp_path / "ids.npy").code == 0
        counts.append(np.load(tmp_path / "ids.npy").max())
    assert counts[0] > counts[1] > counts[2]


def test_the_picture_and_the_ply_show_them(superpoints, ply, cloud, tmp_path):
    said = superpoints(
        ply, "--out", tmp_path / "ids.npy", "--picture", tmp_path / "p.png", "--ply", tmp_path / "shown.ply"
    )
    assert said.code == 0, said.err
    vertex = PlyData.read(str(tmp_path / "shown.ply"))["vertex"]
    part = np.load(tmp_path / "ids.npy")
    assert np.array_equal(vertex["instance"], part)
    color = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1)
    pairs = np.unique(np.column_stack([part, color]), axis=0)
    assert len(pairs) == part.max() + 1 and len(np.unique(pairs[:, 1:], axis=0)) > 0.9 * len(pairs)
    picture = np.asarray(Image.open(tmp_path / "p.png"))
    left, right = np.split(picture, 2, axis=1)
    assert np.ptp(left, axis=2).max() == 0 and (np.ptp(right, axis=2) > 30).mean() > 0.2  # grey cloud, bright ids


def test_normals_and_colours_of_the_file_are_read_where_there_are_some(cloud, ply, tmp_path):
    bare = read_cloud_ply(ply)
    assert np.array_equal(bare.xyz, cloud.xyz) and not bare.normal.any() and np.ptp(bare.color) == 0
    normal = np.random.default_rng(0).normal(size=cloud.xyz.shape).astype(np.float32)
    color = np.random.default_rng(0).integers(0, 256, cloud.xyz.shape, dtype=np.uint8)
    whole = SceneCloud(xyz=cloud.xyz, color=color, normal=normal)
    nothing = np.zeros(len(cloud), np.int32)
    write_scene_ply(tmp_path / "whole.ply", whole, nothing, nothing)
    read = read_cloud_ply(tmp_path / "whole.ply")
    assert np.array_equal(read.normal, normal) and np.array_equal(read.color, color)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (np.zeros(7, np.int64), "(7,)"),
        (np.zeros((2, 3, 4), np.int64), "(2, 3, 4)"),
        (np.zeros(7), "float64"),
        (b"", "no .npy file"),
        (b"\x93NUMPY rubbish", "no .npy file"),
        (np.array([{}], dtype=object), "no .npy file"),
        (None, "No such file"),
    ],
    ids=["length", "axes", "floats", "empty", "rubbish", "pickle", "missing"],
)
def test_masks_that_are_none_of_this_cloud_are_refused(superpoints, ply, tmp_path, content, told):
    masks = tmp_path / "masks.npy"
    if isinstance(content, bytes):
        masks.write_bytes(content)
    elif content is not None:
        np.save(masks, content, allow_pickle=True)
    said = superpoints(ply, "--masks", masks, "--out", tmp_path / "ids.npy")
    assert said.code == 2 and told in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "ids.npy").exists()


def test_ids_below_unseen_are_refused(superpoints, ply, cloud, tmp_path):
    np.save(tmp_path / "masks.npy", np.full(len(cloud), -3))
    said = superpoints(ply, "--masks", tmp_path / "masks.npy", "--out", tmp_path / "ids.npy")
    assert said.code == 2 and "-2 for unseen" in said.err


def test_a_map_that_sees_nothing_of_the_cloud_or_is_none_is_refused(superpoints, ply, cloud, saved_map, tmp_path):
    away = SceneCloud(xyz=cloud.xyz + np.float32(100), color=cloud.color, normal=cloud.normal)
    nothing = np.zeros(len(cloud), np.int32)
    write_scene_ply(tmp_path / "away.ply", away, nothing, nothing)
    said = superpoints(tmp_path / "away.ply", "--masks", saved_map, "--out", tmp_path / "ids.npy")
    assert said.code == 2 and "no keyframe" in said.err
    said = superpoints(ply, "--masks", tmp_path, "--out", tmp_path / "ids.npy")
    assert said.code == 2 and "map.json" in said.err


@pytest.mark.parametrize("options", [["--k", "-1"], ["--k", "nan"], ["--min-points", "0"]])
def test_settings_out_of_range_are_refused(superpoints, ply, tmp_path, options):
    said = superpoints(ply, *options, "--out", tmp_path / "ids.npy")
    assert said.code == 2 and options[0][2:].replace("-", "_") in said.err
