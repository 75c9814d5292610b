"""The files that other tools read, read back by other tools or by hand."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from plyfile import PlyData

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.checks import Rejected
from ovseg3r_core.scene_files import read_points_ply, transfer_labels, write_scannet_submission, write_scene_ply
from ovseg3r_core.types import Instances, SceneCloud


@pytest.fixture
def cloud() -> SceneCloud:
    random = np.random.default_rng(7)
    return SceneCloud(
        xyz=random.normal(size=(50, 3)).astype(np.float32),
        color=random.integers(0, 256, (50, 3), dtype=np.uint8),
        normal=np.tile(np.float32([0, 0, 1]), (50, 1)),
    )


def test_scene_ply_carries_colour_instance_and_label_of_every_point(tmp_path: Path, cloud: SceneCloud) -> None:
    instance, label = np.arange(50, dtype=np.int32) - 1, np.arange(50, dtype=np.int32)[::-1].copy()
    write_scene_ply(tmp_path / "scene.ply", cloud, instance, label)
    vertex = PlyData.read(str(tmp_path / "scene.ply"))["vertex"]
    types = {prop.name: prop.val_dtype for prop in vertex.properties}
    assert (types["x"], types["red"], types["instance"], types["label"]) == ("f4", "u1", "i4", "i4")
    assert np.array_equal(vertex["instance"], instance) and np.array_equal(vertex["label"], label)
    assert np.array_equal(np.stack([vertex[c] for c in ("red", "green", "blue")], axis=1), cloud.color)
    assert np.array_equal(read_points_ply(tmp_path / "scene.ply"), cloud.xyz)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_points_are_read_from_meshes_of_other_tools(tmp_path: Path, encoding: str) -> None:
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    (tmp_path / "mesh.ply").write_bytes(trimesh.exchange.ply.export_ply(box, encoding=encoding))
    assert np.allclose(read_points_ply(tmp_path / "mesh.ply"), box.vertices)


_HEADER = b"ply\nformat %s 1.0\nelement vertex %d\nproperty float x\nproperty float y\nproperty float z\nend_header\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a ply",
        _HEADER % (b"binary_little_endian", 100) + bytes(30),
        _HEADER % (b"binary_little_endian", 10**13) + bytes(24),
        _HEADER % (b"ascii", 10**13) + b"0 0 0\n",
        _HEADER % (b"binary_little_endian", -5) + bytes(24),
        b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n",
        _HEADER % (b"ascii", 1) + b"nan 0 0\n",
    ],
    ids=["empty", "no-ply", "truncated", "huge", "huge-text", "negative", "no-yz", "nan"],
)
def test_damaged_ply_is_refused_and_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(Rejected, match=r"bad\.ply") as error:
        read_points_ply(tmp_path / "bad.ply")
    assert error.value.reason == "bad_ply"


def test_labels_travel_five_centimetres_and_no_further() -> None:
    from_xyz = np.float32([[0, 0, 0], [1, 0, 0]])
    to_xyz = np.float32([[0.04, 0, 0], [0.94, 0, 0], [0.96, 0, 0], [9, 9, 9]])
    assert transfer_labels(from_xyz, np.array([7, 8]), to_xyz).tolist() == [7, -1, 8, -1]
    nothing = np.empty((0, 3), np.float32)
    assert transfer_labels(nothing, np.array([], dtype=np.int64), to_xyz).tolist() == [-1] * 4


def test_scannet_submission_is_one_line_an_instance_and_one_digit_a_vertex(tmp_path: Path) -> None:
    masks = np.array([[1, 0, 0, 1], [0, 1, 0, 0]], dtype=bool)
    instances = Instances(masks=masks, labels=np.array([5, 39]), scores=np.array([0.9, 0.25]))
    write_scannet_submission(tmp_path, "office", instances)
    assert (tmp_path / "office.txt").read_text().splitlines() == [
        "predicted_masks/office_000.txt 5 0.900000",
        "predicted_masks/office_001.txt 39 0.250000",
    ]
    assert np.loadtxt(tmp_path / "predicted_masks/office_000.txt").tolist() == [1, 0, 0, 1]
    assert (tmp_path / "predicted_masks/office_001.txt").read_bytes() == b"0\n1\n0\n0\n"


def test_second_submission_leaves_no_mask_of_the_first(tmp_path: Path) -> None:
    two = Instances(masks=np.ones((2, 3), bool), labels=np.array([1, 2]), scores=np.array([0.5, 0.5]))
    none = Instances(masks=np.ones((0, 3), bool), labels=np.array([], np.int64), scores=np.array([], float))
    for scene, instances in (("office", two), ("office_2", two), ("office", none)):
        write_scannet_submission(tmp_path, scene, instances)
    assert (tmp_path / "office.txt").read_text() == ""
    left = sorted(path.name for path in (tmp_path / "predicted_masks").iterdir())
    assert left == ["office_2_000.txt", "office_2_001.txt"]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
