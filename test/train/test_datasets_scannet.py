"""ScanNet's official folder, read to labelled scenes."""

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_folders import (
    BOOKS,
    CAMERA,
    CHAIR,
    FLOOR,
    ROWER,
    SHEETS,
    WALL,
    groups_of,
    room,
    write_exported_frames,
    write_json,
    write_ply,
    write_scannet_scene,
    write_sens,
)
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import transform
from ovseg3r_core.language.vocabulary import scannet20, scannet200
from ovseg3r_core.lifting import LiftingConfig
from ovseg3r_core.types import Mask
from ovseg3r_train.datasets.assemble import ReadConfig
from ovseg3r_train.datasets.scannet import benchmark_ids, list_scannet, read_scannet
from ovseg3r_train.datasets.scannet_labels import read_label_map

SCENE = "scene0000_00"
EVERY = ReadConfig(frame_step=1)


class LeftHalf:
    """A source of one mask a frame."""

    def propose(self, frame, explained):
        pixels = np.zeros(frame.depth_m.shape, bool)
        pixels[:, : CAMERA.width // 2] = True
        return [Mask(pixels=pixels, score=0.5, label="half")]


def things(scene) -> np.ndarray:
    """For each point the number that the room has for its thing; -1 where the truth says none."""
    instance = scene.truth.instance
    return np.where(instance >= 0, instance % 1000 - 1, -1)


def test_the_mesh_comes_back_with_normals(tmp_path):
    made = room()
    write_scannet_scene(tmp_path, made)
    scene = read_scannet(tmp_path, SCENE)
    np.testing.assert_allclose(scene.cloud.xyz, made.xyz, atol=1e-6)
    np.testing.assert_array_equal(scene.cloud.color, made.color)
    np.testing.assert_allclose(np.abs(scene.cloud.normal[:, 2]), 1, atol=1e-6)  # every sheet is level
    assert len(scene.views) == 0 and len(scene.lifted) == 0  # there are no frames
    assert scene.facts["dataset"] == "ScanNet"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("scannet200", {2003: "chair", 22004: "book"}),
        ("scannet20", {5003: "chair", 39005: "otherfurniture"}),
        ("all", {2003: "chair", 22004: "book", 1200005: "rowing machine"}),
    ],
)
def test_instances_have_the_ids_of_the_benchmark_and_the_names_of_the_label_set(tmp_path, labels, expected):
    made = room()
    write_scannet_scene(tmp_path, made)
    truth = read_scannet(tmp_path, SCENE, labels=labels).truth
    assert truth.names == expected
    for id_ in expected:
        np.testing.assert_array_equal(truth.instance == id_, made.thing == id_ % 1000 - 1)
    np.testing.assert_array_equal(benchmark_ids(truth) == 0, truth.instance == -1)
    assert not np.isin(made.thing[truth.instance >= 0], (FLOOR, WALL)).any()


def test_where_groups_share_a_segment_the_later_one_has_it(tmp_path):
    made = room()
    here = write_scannet_scene(tmp_path, made)
    groups = groups_of(made)
    shared = groups[CHAIR]["segments"]
    groups[BOOKS]["segments"] = groups[BOOKS]["segments"] + shared[:1]
    write_json(here / f"{SCENE}.aggregation.json", {"segGroups": groups})
    truth = read_scannet(tmp_path, SCENE).truth
    taken = (truth.instance == 22004) & (made.thing == CHAIR)
    assert 0 < taken.sum() <= 10


def test_a_label_that_the_map_does_not_hold_is_unannotated(tmp_path):
    made = room()
    here = write_scannet_scene(tmp_path, made)
    write_json(here / f"{SCENE}.aggregation.json", {"segGroups": groups_of(made, ("floor", "wall", "chiar"))})
    assert not read_scannet(tmp_path, SCENE).truth.names
    assert read_scannet(tmp_path, SCENE, labels="all").truth.names == {3: "chiar"}


def test_exported_frames_become_views_that_see_what_lies_open(tmp_path):
    made = room()
    write_exported_frames(write_scannet_scene(tmp_path, made), made)
    scene = read_scannet(tmp_path, SCENE, config=EVERY)
    assert len(scene.views) == 3 and scene.views[0].camera == CAMERA
    np.testing.assert_allclose(scene.views[2].T_map_camera, made.poses[2])
    first = scene.seen.view(0).points
    assert np.isin(np.flatnonzero(made.thing == CHAIR), first).all()
    covered = np.linalg.norm(made.xyz - [-0.4, 0.0, 0.0], axis=1) < 0.1  # the floor under the chair
    assert covered.any() and not np.isin(np.flatnonzero(covered), first).any()


def test_a_stream_gives_the_same_scene_as_its_export(tmp_path):
    made = room()
    write_exported_frames(write_scannet_scene(tmp_path / "exported", made), made)
    write_sens(write_scannet_scene(tmp_path / "streamed", made) / f"{SCENE}.sens", made)
    exported, streamed = (read_scannet(tmp_path / name, SCENE, config=EVERY) for name in ("exported", "streamed"))
    np.testing.assert_array_equal(exported.seen.offsets, streamed.seen.offsets)
    np.testing.assert_array_equal(exported.seen.points, streamed.seen.points)
    np.testing.assert_array_equal(exported.seen.pixels, streamed.seen.pixels)


def test_only_every_nth_frame_is_read_and_0_reads_none(tmp_path):
    made = room()
    write_exported_frames(write_scannet_scene(tmp_path, made), made)
    scene = read_scannet(tmp_path, SCENE, config=ReadConfig(frame_step=2))
    np.testing.assert_allclose(scene.views[1].T_map_camera, made.poses[2])
    assert len(read_scannet(tmp_path, SCENE, config=ReadConfig(frame_step=0)).views) == 0
    few = read_scannet(tmp_path, SCENE, config=ReadConfig(frame_step=1, max_views=2))
    assert len(few.views) == 2 and few.facts["frames_left_out"] == {"view_budget": 1}


def test_axis_alignment_turns_cloud_normals_and_cameras_together(tmp_path):
    made = room()
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 0.7).as_matrix()
    turn[:3, 3] = 1.0, -2.0, 0.5
    write_exported_frames(write_scannet_scene(tmp_path / "plain", made), made)
    write_exported_frames(write_scannet_scene(tmp_path / "turned", made, alignment=turn), made)
    plain, turned = (read_scannet(tmp_path / name, SCENE, config=EVERY) for name in ("plain", "turned"))
    np.testing.assert_allclose(turned.cloud.xyz, transform(turn, made.xyz.astype(float)), atol=1e-5)
    np.testing.assert_allclose(turned.cloud.normal[:, 2], plain.cloud.normal[:, 2], atol=1e-5)
    assert len(set(turned.seen.points) ^ set(plain.seen.points)) <= 2  # rounding at the edges of the image
    np.testing.assert_allclose(turned.facts["T_map_dataset"], turn, atol=1e-6)


def test_masks_of_the_views_are_lifted(tmp_path):
    made = room()
    write_exported_frames(write_scannet_scene(tmp_path, made), made)
    apart = LiftingConfig(link_m=0.3)  # the room's vertices lie 20 cm apart
    scene = read_scannet(tmp_path, SCENE, proposer=LeftHalf(), config=ReadConfig(frame_step=1, lifting=apart))
    assert {mask.label for mask in scene.lifted} == {"half"}
    lifted = scene.lifted[0]
    assert np.isin(lifted.points, scene.seen.view(lifted.view).points).all()
    assert scene.facts["masks"] == "LeftHalf"


def test_voxels_keep_one_point_each_with_its_truth(tmp_path):
    made = room()
    write_exported_frames(write_scannet_scene(tmp_path, made), made)
    scene = read_scannet(tmp_path, SCENE, config=ReadConfig(frame_step=1, voxel_m=0.15))
    assert 0 < len(scene.cloud) < len(made.xyz)
    kept = [int(np.flatnonzero((made.xyz == point).all(axis=1))[0]) for point in scene.cloud.xyz]
    assert kept == sorted(kept)
    expected = np.where(np.isin(made.thing[kept], (CHAIR, BOOKS)), made.thing[kept], -1)
    np.testing.assert_array_equal(things(scene), expected)


def test_a_hidden_test_scene_has_no_truth(tmp_path):
    made = room()
    write_ply(tmp_path / "scans_test" / "scene0707_00" / "scene0707_00_vh_clean_2.ply", made)
    assert read_scannet(tmp_path, "scene0707_00").truth is None


def test_the_fine_aggregation_serves_only_where_it_speaks_of_the_same_segments(tmp_path):
    here = write_scannet_scene(tmp_path, room())
    coarse, fine = here / f"{SCENE}.aggregation.json", here / f"{SCENE}_vh_clean.aggregation.json"
    groups = json.loads(coarse.read_text())
    coarse.unlink()
    write_json(fine, groups | {"segmentsFile": f"scannet.{SCENE}_vh_clean.segs.json"})
    with pytest.raises(Rejected, match=r"aggregation\.json is missing"):
        read_scannet(tmp_path, SCENE)
    write_json(fine, groups | {"segmentsFile": f"scannet.{SCENE}_vh_clean_2.0.010000.segs.json"})
    assert len(read_scannet(tmp_path, SCENE).truth.names) == 2


@pytest.mark.parametrize(
    "lost",
    [
        f"scans/{SCENE}/{SCENE}_vh_clean_2.ply",
        f"scans/{SCENE}/{SCENE}.aggregation.json",
        f"scans/{SCENE}/{SCENE}_vh_clean_2.0.010000.segs.json",
        "scannetv2-labels.combined.tsv",
    ],
)
def test_a_missing_file_is_named_with_the_page_that_has_it(tmp_path, lost):
    write_scannet_scene(tmp_path, room())
    (tmp_path / lost).unlink()
    with pytest.raises(Rejected) as caught:
        read_scannet(tmp_path, SCENE)
    assert caught.value.reason == "missing_file"
    for part in (Path(lost).name, "ScanNet | Richly-annotated 3D Reconstructions of Indoor Scenes", "scans/<scene>/"):
        assert part in str(caught.value)


def test_splits_come_from_the_official_lists(tmp_path):
    write_scannet_scene(tmp_path, room(), "scene0001_00")
    write_scannet_scene(tmp_path, room())
    assert list_scannet(tmp_path) == [SCENE, "scene0001_00"]
    with pytest.raises(Rejected, match=r"scannetv2_val\.txt is missing \(the official split\)"):
        list_scannet(tmp_path, "val")
    (tmp_path / "scannetv2_val.txt").write_text("scene0001_00\n\n")
    assert list_scannet(tmp_path, "val") == ["scene0001_00"]
    with pytest.raises(Rejected, match="is missing"):
        list_scannet(tmp_path / "elsewhere")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def claim_many_vertices(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"element vertex ", b"element vertex 9999999"))


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("_vh_clean_2.ply", truncate, "not a PLY"),
        ("_vh_clean_2.ply", claim_many_vertices, "cannot hold"),
        ("_vh_clean_2.ply", lambda path: path.write_bytes(b"hello"), "not a PLY"),
        (".aggregation.json", truncate, "no JSON"),
        (".aggregation.json", lambda path: path.write_text("[" * 10**5), "no JSON"),
        (".aggregation.json", lambda path: path.write_text('{"segGroups": [{"label": "chair"}]}'), "objectId"),
        (".aggregation.json", lambda path: path.write_text('{"segGroups": 3}'), "no list"),
        ("_vh_clean_2.0.010000.segs.json", lambda path: path.write_text('{"segIndices": [1, 2]}'), "2 vertices"),
        ("_vh_clean_2.0.010000.segs.json", lambda path: path.write_text('{"segIndices": [1, [2]]}'), "list"),
        ("_vh_clean_2.0.010000.segs.json", lambda path: path.write_text('{"segIndices": ["1"]}'), "integers"),
        (".txt", lambda path: path.write_text("axisAlignment = 1 2 3\n"), "axisAlignment"),
        (".txt", lambda path: path.write_text("axisAlignment = " + "2 " * 16), "axisAlignment"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, file, damage, said):
    path = write_scannet_scene(tmp_path, room()) / f"{SCENE}{file}"
    damage(path)
    with pytest.raises(Rejected, match=said) as caught:
        read_scannet(tmp_path, SCENE)
    assert path.name in str(caught.value)


def test_faces_of_vertices_that_are_not_there_are_refused(tmp_path):
    made = room()
    here = write_scannet_scene(tmp_path, made)
    made.triangles[3, 1] = 10**6
    write_ply(here / f"{SCENE}_vh_clean_2.ply", made)
    with pytest.raises(Rejected, match="corner 1000000"):
        read_scannet(tmp_path, SCENE)


@pytest.mark.parametrize("scene", ["../scene0000_00", "", "a/b", ".."])
def test_the_name_of_a_scene_leads_nowhere_else(tmp_path, scene):
    with pytest.raises(Rejected, match="no scene's name"):
        read_scannet(tmp_path, scene)


def test_another_table_is_no_label_map(tmp_path):
    (tmp_path / "map.tsv").write_text("id\tname\n1\twall\n")
    with pytest.raises(Rejected, match="raw_category"):
        read_label_map(tmp_path / "map.tsv", "scannet200")


def test_the_official_label_map_reaches_every_class_of_the_benchmarks(shared_data):
    path = shared_data / "labels" / "scannetv2-labels.combined.tsv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    names = {kind.name for kind in read_label_map(path, "scannet200").values()}
    assert names - {None} == set(scannet200().names) - {"wall", "floor"}
    names = {kind.name for kind in read_label_map(path, "scannet20").values()}
    assert names - {None} == set(scannet20().names) - {"wall", "floor"}


def test_the_room_of_these_tests_has_what_they_rely_on():
    made = room()
    assert len(made.thing) == sum(sheet.side**2 for sheet in SHEETS)
    assert set(made.thing) == {-1, FLOOR, WALL, CHAIR, BOOKS, ROWER}
