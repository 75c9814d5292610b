"""ScanNet++, Replica, S3DIS, 3RScan and ARKitScenes in their official folders, read to labelled scenes."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from dataset_folders import (
    BOOKS,
    CAMERA,
    CHAIR,
    FLOOR,
    ROWER,
    WALL,
    Room,
    box,
    groups_of,
    quad_things,
    room,
    sequence_files,
    write_3rscan_scene,
    write_arkit_frames,
    write_arkit_scene,
    write_iphone,
    write_json,
    write_nice_slam,
    write_ply,
    write_replica_scene,
    write_s3dis_room,
    write_scannetpp_scene,
    write_sequence,
)

from ovseg3r_core.checks import Rejected
from ovseg3r_train.datasets.arkitscenes import list_arkitscenes, read_arkitscenes
from ovseg3r_train.datasets.assemble import ReadConfig
from ovseg3r_train.datasets.names import truth_name
from ovseg3r_train.datasets.replica import list_replica, read_replica
from ovseg3r_train.datasets.s3dis import list_s3dis, read_s3dis
from ovseg3r_train.datasets.scannetpp import list_scannetpp, read_scannetpp
from ovseg3r_train.datasets.threerscan import list_3rscan, read_3rscan
from ovseg3r_train.scene import LabelledScene

EVERY = ReadConfig(frame_step=1)


@dataclass(frozen=True)
class Dataset:
    """How a test writes and reads one dataset, and what the room's things come back as."""

    write: Callable[[Path, Room], Path]
    write_frames: Callable[[Path, Room], None]
    read: Callable[..., LabelledScene]
    scene: str
    things: dict[int, tuple[int, str]]
    """Id and name of the things of the room that are instances."""
    needs: tuple[str, ...]
    """Files without which a scene cannot be read, from its folder."""
    page: str


DATASETS = {
    "scannetpp": Dataset(
        write=write_scannetpp_scene,
        write_frames=write_iphone,
        read=read_scannetpp,
        scene="0a7cc12c0e",
        things={CHAIR: (2, "chair"), BOOKS: (3, "book"), ROWER: (4, "rowing machine")},
        needs=("scans/mesh_aligned_0.05.ply", "scans/segments.json", "scans/segments_anno.json"),
        page="ScanNet++: A High-Fidelity Dataset of 3D Indoor Scenes",
    ),
    "replica": Dataset(
        write=write_replica_scene,
        write_frames=write_nice_slam,
        read=read_replica,
        scene="room_0",
        things={CHAIR: (12, "chair"), BOOKS: (13, "book"), ROWER: (14, "plant")},
        needs=("habitat/mesh_semantic.ply", "habitat/info_semantic.json"),
        page="facebookresearch/Replica-Dataset",
    ),
    "3rscan": Dataset(
        write=write_3rscan_scene,
        write_frames=lambda here, made: write_sequence(here, made, zipped=False),
        read=read_3rscan,
        scene="0988ea72-eb32-2e61-8344-99e2283c2728",
        things={CHAIR: (3, "chair"), BOOKS: (4, "book"), ROWER: (5, "rowing machine")},
        needs=("labels.instances.annotated.v2.ply", "semseg.v2.json"),
        page="RIO: 3D Object Instance Re-Localization in Changing Indoor Environments",
    ),
    "arkitscenes": Dataset(
        write=write_arkit_scene,
        write_frames=write_arkit_frames,
        read=read_arkitscenes,
        scene="41254925",
        things={CHAIR: (0, "chair"), BOOKS: (1, "tv")},
        needs=("41254925_3dod_mesh.ply", "41254925_3dod_annotation.json"),
        page="apple/ARKitScenes",
    ),
}
every_dataset = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)


def expected(made: Room, things: dict[int, tuple[int, str]]) -> np.ndarray:
    instance = np.full(len(made.thing), -1)
    for thing, (id_, _) in things.items():
        instance[made.thing == thing] = id_
    return instance


@every_dataset
def test_every_vertex_has_its_thing_and_every_thing_its_name(tmp_path, dataset):
    made = room()
    dataset.write(tmp_path, made)
    scene = dataset.read(tmp_path, dataset.scene)
    np.testing.assert_allclose(scene.cloud.xyz, made.xyz, atol=1e-6)
    np.testing.assert_array_equal(scene.cloud.color, made.color)
    np.testing.assert_array_equal(scene.truth.instance, expected(made, dataset.things))
    assert scene.truth.names == dict(dataset.things.values())
    assert len(scene.views) == 0 and dataset.page in scene.facts["official_page"]


@every_dataset
def test_frames_become_views_that_see_what_lies_open(tmp_path, dataset):
    made = room()
    dataset.write_frames(dataset.write(tmp_path, made), made)
    scene = dataset.read(tmp_path, dataset.scene, config=EVERY)
    assert len(scene.views) == 3 and not scene.facts["frames_left_out"]
    for view, pose in zip(scene.views, made.poses, strict=True):
        np.testing.assert_allclose(view.T_map_camera, pose, atol=1e-6)
        np.testing.assert_allclose(view.camera.K, CAMERA.K, atol=1e-6)
        assert (view.camera.width, view.camera.height) == (CAMERA.width, CAMERA.height)
    first = scene.seen.view(0).points
    assert np.isin(np.flatnonzero(made.thing == CHAIR), first).all()
    covered = np.linalg.norm(made.xyz - [-0.4, 0.0, 0.0], axis=1) < 0.1
    assert covered.any() and not np.isin(np.flatnonzero(covered), first).any()


@every_dataset
def test_a_missing_file_is_named_with_the_page_that_has_it(tmp_path, dataset):
    for lost in dataset.needs:
        path = dataset.write(tmp_path / lost, room()) / lost
        path.unlink()
        with pytest.raises(Rejected) as caught:
            dataset.read(tmp_path / lost, dataset.scene)
        assert caught.value.reason == "missing_file"
        assert path.name in str(caught.value) and dataset.page in str(caught.value)
    with pytest.raises(Rejected, match="is missing"):
        dataset.read(tmp_path, "elsewhere")


@every_dataset
def test_a_truncated_or_hostile_file_is_refused_by_name(tmp_path, dataset):
    for cut in dataset.needs:
        path = dataset.write(tmp_path / cut, room()) / cut
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(Rejected, match=path.name):
            dataset.read(tmp_path / cut, dataset.scene)
        path.write_text("{}" if path.suffix == ".json" else "ply\nelement vertex 99999999999\nend_header\n")
        with pytest.raises(Rejected, match=path.name):
            dataset.read(tmp_path / cut, dataset.scene)
    with pytest.raises(Rejected, match="no scene's name"):
        dataset.read(tmp_path, "../elsewhere")


def test_of_overlapping_annotations_of_scannetpp_the_smallest_has_the_vertex(tmp_path):
    made = room()
    here = write_scannetpp_scene(tmp_path, made)
    groups = groups_of(made)
    groups[BOOKS]["segments"] += groups[CHAIR]["segments"]  # "books" is listed later, but covers more now
    write_json(here / "scans" / "segments_anno.json", {"segGroups": groups})
    truth = read_scannetpp(tmp_path, here.name).truth
    np.testing.assert_array_equal(truth.instance == CHAIR, made.thing == CHAIR)


def test_an_iphone_frame_without_a_pose_is_left_out_and_counted(tmp_path):
    made = room()
    here = write_scannetpp_scene(tmp_path, made)
    write_iphone(here, made)
    write_json(here / "iphone" / "pose_intrinsic_imu.json", {"frame_000000": {"aligned_pose": [[1, 2]]}})
    scene = read_scannetpp(tmp_path, here.name, config=EVERY)
    assert scene.facts["frames_left_out"] == {"bad_file": 1, "no_pose": 2}


def test_scannetpp_splits_come_from_the_official_lists(tmp_path):
    here = write_scannetpp_scene(tmp_path, room())
    assert list_scannetpp(tmp_path) == [here.name]
    with pytest.raises(Rejected, match=r"nvs_sem_val\.txt"):
        list_scannetpp(tmp_path, "val")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "nvs_sem_val.txt").write_text(here.name + "\n")
    assert list_scannetpp(tmp_path, "val") == [here.name]


def test_replica_frames_may_lie_in_a_folder_named_as_nice_slam_names_it(tmp_path):
    made = room()
    write_replica_scene(tmp_path, made)
    write_nice_slam(tmp_path / "room0", made)
    assert len(read_replica(tmp_path, "room_0", config=EVERY).views) == 3
    assert list_replica(tmp_path) == ["room_0"]


def test_a_vertex_of_replica_belongs_to_the_object_of_most_faces_round_it(tmp_path):
    made = room()
    here = write_replica_scene(tmp_path, made)
    objects = quad_things(made) + 10
    objects[-1] = CHAIR + 10  # one face of the wall, at a corner of its sheet of 3 x 3 vertices
    write_ply(here / "habitat" / "mesh_semantic.ply", made, quads=True, face_object_id=objects)
    instance = read_replica(tmp_path, "room_0").truth.instance[made.thing == WALL].reshape(3, 3)
    assert instance[2, 2] == CHAIR + 10  # only that face is round it
    assert (instance[:2, :2] == -1).all()  # the middle has four faces, three of them of the wall


def test_replica_without_objects_of_faces_is_refused(tmp_path):
    made = room()
    here = write_replica_scene(tmp_path, made)
    write_ply(here / "habitat" / "mesh_semantic.ply", made)
    with pytest.raises(Rejected, match="object_id"):
        read_replica(tmp_path, "room_0")


@pytest.mark.parametrize("prefix", ["", "sequence/"])
def test_a_3rscan_sequence_is_read_out_of_its_archive(tmp_path, prefix):
    made = room()
    here = write_3rscan_scene(tmp_path / "zipped", made)
    write_sequence(here, made, zipped=True, prefix=prefix)
    unpacked = write_3rscan_scene(tmp_path / "unpacked", made)
    write_sequence(unpacked, made, zipped=False)
    one, other = (read_3rscan(tmp_path / name, here.name, config=EVERY) for name in ("zipped", "unpacked"))
    assert len(one.views) == 3
    np.testing.assert_array_equal(one.seen.points, other.seen.points)
    assert list_3rscan(tmp_path / "zipped") == [here.name]


def test_a_damaged_frame_of_3rscan_is_left_out_and_counted(tmp_path):
    made = room()
    here = write_3rscan_scene(tmp_path, made)
    write_sequence(here, made, zipped=False)
    files = sequence_files(made)
    (here / "sequence" / "frame-000000.depth.pgm").write_bytes(files["frame-000000.depth.pgm"][:-1])
    (here / "sequence" / "frame-000001.pose.txt").unlink()
    (here / "sequence" / "frame-000002.color.jpg").write_bytes(b"no image")
    scene = read_3rscan(tmp_path, here.name, config=EVERY)
    assert scene.facts["frames_left_out"] == {"bad_file": 2, "missing_file": 1}
    (here / "sequence" / "_info.txt").write_text("m_versionNumber = 4\n")
    with pytest.raises(Rejected, match="m_calibrationColorIntrinsic"):
        read_3rscan(tmp_path, here.name, config=EVERY)


def test_a_truncated_archive_is_refused(tmp_path):
    here = write_3rscan_scene(tmp_path, room())
    write_sequence(here, room(), zipped=True)
    archive = here / "sequence.zip"
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(Rejected, match="no zip archive"):
        read_3rscan(tmp_path, here.name, config=EVERY)


def test_boxes_of_arkitscenes_turn_with_their_axes_and_the_smallest_has_the_vertex(tmp_path):
    made = room()
    here = write_arkit_scene(tmp_path, made)
    turned = box(made, CHAIR, "chair", yaw=0.5, grow_m=0.01)
    around = box(made, CHAIR, "sofa", grow_m=5.0)
    write_json(here / f"{here.name}_3dod_annotation.json", {"data": [turned, around]})
    truth = read_arkitscenes(tmp_path, here.name).truth
    assert truth.names == {0: "chair", 1: "couch"}
    np.testing.assert_array_equal(truth.instance == 0, made.thing == CHAIR)
    assert (truth.instance[made.thing == FLOOR] == 1).all()  # what a box holds of the floor is its own: a coarse truth
    assert list_arkitscenes(tmp_path, "train") == [here.name]
    with pytest.raises(Rejected, match="Validation"):
        list_arkitscenes(tmp_path, "val")


def test_a_room_of_s3dis_is_read_with_estimated_normals(tmp_path):
    made = room()
    write_s3dis_room(tmp_path, made)
    scene = read_s3dis(tmp_path, "Area_5.office_3")
    names = dict(enumerate(["bookshelf", "chair", "clutter"]))  # files in the order of their names
    assert scene.name == "Area_5.office_3" and scene.truth.names == names
    assert len(scene.cloud) == (made.thing >= 0).sum()
    chair = scene.cloud.xyz[scene.truth.instance == 1]
    np.testing.assert_allclose(np.sort(chair, axis=0), np.sort(made.xyz[made.thing == CHAIR], axis=0), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(scene.cloud.normal, axis=1), 1, atol=1e-4)
    assert list_s3dis(tmp_path) == list_s3dis(tmp_path, "val") == ["Area_5.office_3"]
    assert list_s3dis(tmp_path, "train") == []


def test_stray_characters_and_copies_in_s3dis_are_told_and_passed_over(tmp_path, caplog):
    annotations = write_s3dis_room(tmp_path, room())
    chair = annotations / "chair_1.txt"
    rows = len(chair.read_text().splitlines())
    chair.write_bytes(chair.read_bytes().replace(b" ", b"\x10", 1))
    (annotations / "wall_3 (1).txt").write_text("1 2 3 4 5 6\n")
    with caplog.at_level(logging.WARNING):
        scene = read_s3dis(tmp_path, "Area_5/office_3")
    assert (scene.truth.instance == 1).sum() == rows
    assert "1 characters" in caplog.text and "wall_3 (1).txt" in caplog.text


@pytest.mark.parametrize("lines", ["1 2 3\n", "1 2 3 4 5 6\n1 2 3\n", "1 2 3 4 5 1e999\n", "1e30 2 3 4 5 6\n"])
def test_a_damaged_file_of_s3dis_is_refused_by_name(tmp_path, lines):
    (write_s3dis_room(tmp_path, room()) / "chair_1.txt").write_text(lines)
    with pytest.raises(Rejected, match=r"chair_1\.txt"):
        read_s3dis(tmp_path, "Area_5.office_3")


def test_a_missing_room_of_s3dis_is_named_with_the_page_that_has_it(tmp_path):
    for scene in ("Area_1.office_1", "Area_1"):
        with pytest.raises(Rejected, match=r"Stanford3dDataset_v1\.2_Aligned_Version|no scene's name"):
            read_s3dis(tmp_path, scene)
    with pytest.raises(Rejected, match="Stanford 2D-3D-Semantics"):
        list_s3dis(tmp_path)


@pytest.mark.parametrize(
    ("own", "name"),
    [
        ("Sofa", "couch"),
        ("books", "book"),
        ("tv-screen", "tv"),
        ("tv_monitor", "tv"),
        ("office chair", "office chair"),
        ("Trash can", "trash can"),
        ("elliptical trainer", "elliptical trainer"),
        ("Walls", None),
        ("ceiling /other room", None),
        ("REMOVE", None),
        ("undefined", None),
    ],
)
def test_names_are_those_of_scannet200_where_it_has_one(own, name):
    assert truth_name(own) == name
