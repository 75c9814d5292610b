"""A map against the truth: the files of a truth, what was found, missed and doubled, and what changed its identity."""

import json
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.against_truth import Named, compare_with_truth
from ovseg3r_core.evaluation.ground_truth import GroundTruth, read_ground_truth
from ovseg3r_core.evaluation.identity import IdSwitches, LabelFlips
from ovseg3r_core.scene_files import write_scene_ply
from ovseg3r_core.types import SceneCloud

# Ground truth


def patches(*places: float) -> np.ndarray:
    """Squares of 20 x 20 points a centimetre apart, one at each place along x."""
    v, u = np.mgrid[0:20, 0:20] * 0.01
    return np.concatenate([np.stack([x + u, v, 0 * u], -1).reshape(-1, 3) for x in places]).astype(np.float32)


def three_things() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A chair, a table and a piece of the floor."""
    instance = np.repeat([1, 2, -1], 400).astype(np.int32)
    return patches(0, 1, 2), instance, np.repeat([1, 2, -1], 400).astype(np.int32)


def save(folder: Path, name: str = "truth.ply") -> Path:
    xyz, instance, label = three_things()
    cloud = SceneCloud(xyz=xyz, color=np.zeros((len(xyz), 3), np.uint8), normal=np.zeros_like(xyz))
    write_scene_ply(folder / name, cloud, instance, label)
    return folder / name


def truth(folder: Path) -> GroundTruth:
    (folder / "vocabulary.txt").write_text("chair\ntable\n")
    save(folder)
    return read_ground_truth(folder)


def test_a_ply_with_its_vocabulary_is_read(tmp_path: Path):
    found = truth(tmp_path)
    assert found.xyz.shape == (1200, 3)
    assert found.instances.labels == {1: 1, 2: 2}
    assert (found.name_of(1), found.name_of(2)) == ("chair", "table")
    assert (found.instances.instance == -1).sum() == 400


def test_scannet_integers_are_read_with_their_cloud(tmp_path: Path):
    xyz, instance, label = three_things()
    points = np.array([tuple(p) for p in xyz], [("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
    PlyData([PlyElement.describe(points, "vertex")]).write(str(tmp_path / "cloud.ply"))
    np.savetxt(tmp_path / "scene.txt", np.where(instance > 0, 1000 * (label + 1) + instance, 0), fmt="%d")
    found = read_ground_truth(tmp_path / "scene.txt", tmp_path / "cloud.ply")
    assert found.instances.labels == {2001: 2, 3002: 3}
    assert found.name_of(2001) == "chair"  # ScanNet200's own ids, where no vocabulary is beside it
    assert 3 not in found.class_ids  # 3 is the floor: no thing
    with pytest.raises(ValueError, match="no vertices: give their cloud"):
        read_ground_truth(tmp_path / "scene.txt")


def test_a_finished_run_can_be_the_truth_of_another(tmp_path: Path):
    save(tmp_path, "scene.ply")
    (tmp_path / "objects.json").write_text(json.dumps({"objects": [{"id": 1, "label": "chair"}]}))
    found = read_ground_truth(tmp_path)
    assert (found.name_of(1), found.name_of(2)) == ("chair", "object")
    assert [found.names[id_] for id_ in found.class_ids] == ["chair"]


def test_what_is_no_truth_is_refused_with_the_reason(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="PLY files with instances: none"):
        read_ground_truth(tmp_path)
    with pytest.raises(FileNotFoundError, match="no ground truth at"):
        read_ground_truth(tmp_path / "nowhere.ply")
    (tmp_path / "short.txt").write_text("1001\n0\n")
    with pytest.raises(Rejected, match=r"has 2 lines but .* has 1200 vertices"):
        read_ground_truth(tmp_path / "short.txt", save(tmp_path))
    (tmp_path / "words.txt").write_text("chair\n")
    with pytest.raises(Rejected, match="not one integer a line"):
        read_ground_truth(tmp_path / "words.txt", tmp_path / "truth.ply")


# A map against the truth


def test_a_perfect_map_has_no_faults(tmp_path: Path):
    xyz, instance, _ = three_things()
    objects = {1: Named(label="chair", score=0.9), 2: Named(label="dining table", score=0.8)}
    result = compare_with_truth(truth(tmp_path), xyz, instance, objects)
    assert (result.things, result.found, result.missed) == (2, 2, ())
    assert (result.duplicates, result.ghosts, result.outside, result.right_names) == (0, 0, 0, 2)
    assert (result.ap, result.ap50, result.ap25) == (1, 1, 1)
    assert result.named is not None and result.named.ap == 1


def test_wrong_names_cost_the_named_precision_only(tmp_path: Path):
    xyz, instance, _ = three_things()
    objects = {1: Named(label="sofa", score=0.9), 2: Named(label="table", score=0.8)}
    result = compare_with_truth(truth(tmp_path), xyz, instance, objects)
    assert (result.ap, result.right_names) == (1, 1)
    assert result.named is not None and result.named.ap == 0.5


def test_doubled_missed_and_invented_objects_are_told_apart(tmp_path: Path):
    xyz = patches(0, 2, 9)
    instance = np.repeat([1, 3, 4], 400).astype(np.int32)
    instance[:120] = 5  # a part of the chair once more; 3 is on the floor, 4 is where the truth has nothing
    objects = {id_: Named(label="chair", score=0.5) for id_ in (1, 3, 4, 5)}
    result = compare_with_truth(truth(tmp_path), xyz, instance, objects)
    assert (result.found, result.missed) == (1, ("table",))
    assert (result.duplicates, result.ghosts, result.outside) == (1, 1, 1)


def test_an_empty_map_finds_nothing(tmp_path: Path):
    nothing = np.zeros((0, 3), np.float32)
    result = compare_with_truth(truth(tmp_path), nothing, np.zeros(0, np.int32), {})
    assert (result.found, result.ap, result.ap25) == (0, 0, 0)


# Identity


def test_an_id_switch_is_counted_when_another_object_covers_a_thing():
    xyz, instance, _ = three_things()
    switches = IdSwitches(xyz, instance.astype(np.int64))
    switches.add(xyz, np.where(instance == 1, 7, -1))
    switches.add(xyz, np.where(instance == 1, 7, -1))
    assert switches.total == 0
    switches.add(xyz, np.where(instance == 1, -1, -1))  # not there for a moment: no switch
    switches.add(xyz, np.where(instance == 1, 7, -1))
    assert switches.total == 0
    switches.add(xyz + np.float32(0.004), np.where(instance == 1, 9, -1))
    switches.add(xyz, np.where(instance == 1, 7, -1))
    assert switches.switches == {1: 2}


def test_a_sliver_of_another_object_is_no_cover():
    xyz, instance, _ = three_things()
    switches = IdSwitches(xyz, instance.astype(np.int64))
    switches.add(xyz, np.where(instance == 1, 7, -1))
    sliver = np.where((instance == 1) & (xyz[:, 0] < 0.02) & (xyz[:, 1] < 0.1), 8, -1)
    switches.add(xyz, sliver)
    assert switches.total == 0


def test_label_flips_do_not_count_the_first_name():
    flips = LabelFlips()
    for labels in ({1: "object"}, {1: "chair"}, {1: "chair", 2: "tv"}, {1: "bed", 2: "tv"}, {2: "tv"}, {1: "bed"}):
        flips.add(labels)
    assert flips.flips == {1: 1}
