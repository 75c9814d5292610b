"""Datasets turned into scene files."""

import numpy as np
import pytest
from dataset_folders import (
    room,
    write_3rscan_scene,
    write_arkit_scene,
    write_exported_frames,
    write_replica_scene,
    write_s3dis_room,
    write_scannet_scene,
    write_scannetpp_scene,
)
from typer.testing import CliRunner

from ovseg3r_core.checks import Rejected
from ovseg3r_train.cli import app
from ovseg3r_train.datasets.assemble import ReadConfig
from ovseg3r_train.datasets.convert import KINDS, chosen, convert, list_scenes, read_scene
from ovseg3r_train.scene_set import SceneSet

EVERY = ReadConfig(frame_step=1)
WRITERS = {
    "scannet": write_scannet_scene,
    "scannet200": write_scannet_scene,
    "scannet20": write_scannet_scene,
    "scannetpp": write_scannetpp_scene,
    "replica": write_replica_scene,
    "s3dis": write_s3dis_room,
    "3rscan": write_3rscan_scene,
    "arkitscenes": write_arkit_scene,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_listed_converted_and_comes_back(tmp_path, kind):
    WRITERS[kind](tmp_path / "data", room())
    names = chosen(kind, tmp_path / "data", [], None)
    (done,) = convert(kind, tmp_path / "data", tmp_path / "out", names, config=EVERY)
    assert done.done and done.scene == names[0] and "things" in done.detail
    read, loaded = (
        read_scene(kind, tmp_path / "data", names[0], config=EVERY),
        SceneSet(tmp_path / "out").load(names[0]),
    )
    np.testing.assert_array_equal(loaded.truth.instance, read.truth.instance)
    assert loaded.truth.names == read.truth.names
    assert loaded.facts["dataset"] == read.facts["dataset"]


def test_views_are_kept_and_the_set_knows_the_split(tmp_path):
    made = room()
    write_exported_frames(write_scannet_scene(tmp_path / "data", made), made)
    list(convert("scannet200", tmp_path / "data", tmp_path / "out", ["scene0000_00"], split="val", config=EVERY))
    found = SceneSet(tmp_path / "out", split="val")
    assert [(entry.views, entry.masks) for entry in found.entries] == [(3, "none")]
    scene = read_scene("scannet200", tmp_path / "data", "scene0000_00", config=EVERY)
    np.testing.assert_array_equal(found.load("scene0000_00").seen.points, scene.seen.points)


def test_a_refused_scene_is_told_and_the_rest_goes_on(tmp_path, caplog):
    for scene in ("scene0000_00", "scene0001_00"):
        write_scannet_scene(tmp_path / "data", room(), scene)
    (tmp_path / "data" / "scans" / "scene0000_00" / "scene0000_00.aggregation.json").unlink()
    first, second = convert("scannet", tmp_path / "data", tmp_path / "out", ["scene0000_00", "scene0001_00"])
    assert not first.done and "aggregation.json is missing" in first.detail and second.done
    assert SceneSet(tmp_path / "out").names == ("scene0001_00",)


def test_what_is_there_and_whole_is_not_read_again(tmp_path):
    here = write_scannet_scene(tmp_path / "data", room())
    for expected in ("things", "there already"):
        (done,) = convert("scannet", tmp_path / "data", tmp_path / "out", ["scene0000_00"])
        assert expected in done.detail
    (tmp_path / "out" / "scene0000_00.safetensors").write_bytes(b"")
    (here / "scene0000_00_vh_clean_2.ply").unlink()
    (refused,) = convert("scannet", tmp_path / "data", tmp_path / "out", ["scene0000_00"])
    assert not refused.done


def test_a_scene_that_was_read_in_another_way_is_neither_taken_nor_replaced(tmp_path):
    write_scannet_scene(tmp_path / "data", room())
    command = (tmp_path / "data", tmp_path / "out", ["scene0000_00"])
    list(convert("scannet200", *command))
    (again,) = convert("scannet20", *command)
    assert not again.done and "choose another folder" in again.detail
    assert SceneSet(tmp_path / "out").load("scene0000_00").facts["labels"] == "scannet200"


def test_splits_that_are_not_public_are_refused(tmp_path):
    for kind, split in (("replica", "val"), ("scannetpp", "test")):
        with pytest.raises(ValueError, match="split"):
            list_scenes(kind, tmp_path, split)
    with pytest.raises(Rejected, match=r"scannetv2_test\.txt"):
        list_scenes("scannet", tmp_path, "test")


def test_the_verb_converts_and_exit_code_1_tells_of_refused_scenes(tmp_path):
    here = write_scannet_scene(tmp_path / "data", room())
    command = ["convert", "scannet20", str(tmp_path / "data"), str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0 and "1/1 scene0000_00" in result.output and "2 things" in result.output
    (here / "scene0000_00.aggregation.json").unlink()
    result = CliRunner().invoke(app, [*command[:3], str(tmp_path / "other"), "scene0000_00"])
    assert result.exit_code == 1 and "ScanNet | Richly-annotated" in result.output
    result = CliRunner().invoke(app, ["convert", "kitti", *command[2:]])
    assert isinstance(result.exception, ValueError) and "arkitscenes" in str(result.exception)
