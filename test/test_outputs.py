"""The files of a run say what the map says, under the names of the vocabulary."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from maps import NoLikeness, assert_same_memory, make_record, make_snapshot, make_view
from PIL import Image
from plyfile import PlyData

from ovseg3r_core.commands.tables import objects_table
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.mapping.storage import load_map, load_memory
from ovseg3r_core.outputs import (
    answer_json,
    label_id,
    objects_json,
    point_labels,
    write_json,
    write_on_points,
    write_outputs,
)
from ovseg3r_core.types import Box, ObjectRecord, QueryHit, QueryResult, SceneCloud

POINTS = 400
CONTRACT = ["id", "label", "score", "centre", "box", "points", "observations", "first_seen", "last_seen", "state"]
BEYOND = ["name_score"]
"""What a run tells in addition."""
SOFA, CUP, THING, WALL = 3, 5, 8, 9


def namer_of(*names: str) -> Namer:
    vocabulary = Vocabulary(name="test", names=names, ids=tuple(10 * (i + 1) for i in range(len(names))))
    return Namer(vocabulary, NoLikeness())


def record(id_: int, label: str, score: float = 0.5) -> ObjectRecord:
    box = Box(centre=(0.1, 0.2, 0.3), size=(1.0, 0.5, 0.4), yaw=0.25)
    return make_record(id_, label, score=score, centre=(0.1 * id_, 0.2, 0.3), box=box)


@pytest.fixture
def snapshot() -> MapSnapshot:
    """Four strips of 100 points: a couch, a cup, a thing without a name, and a wall."""
    x = np.arange(POINTS) * 0.02
    xyz = np.stack([x, np.sin(x), np.cos(x)], axis=-1).astype(np.float32)
    return MapSnapshot(
        map_frame="odom",
        cloud=SceneCloud(
            xyz=xyz,
            color=np.full((POINTS, 3), 120, np.uint8),
            normal=np.tile(np.float32([0, 0, 1]), (POINTS, 1)),
        ),
        owner=np.repeat(np.int32([SOFA, CUP, THING, WALL]), POINTS // 4),
        objects=(record(SOFA, "couch", 0.9), record(CUP, "cup"), record(THING, "object", 0.2)),
        structure=(record(WALL, "wall"),),
        up=(0.0, 0.0, 1.0),
        views=3,
    )


def test_objects_json_has_the_form_of_the_contract(snapshot):
    content = objects_json(snapshot, namer_of("couch", "cup", "object"))
    assert (content["map_frame"], content["vocabulary"]) == ("odom", ["couch", "cup", "object"])
    assert [sorted(entry) for entry in content["objects"]] == [sorted(CONTRACT + BEYOND)] * 3
    first = content["objects"][0]
    assert first["centre"] == list(snapshot.objects[0].centre)
    assert first["box"] == {"centre": [0.1, 0.2, 0.3], "size": [1.0, 0.5, 0.4], "yaw": 0.25}
    assert [entry["id"] for entry in content["structure"]] == [WALL]
    assert (
        content["scale_known"]
        and not objects_json(replace(snapshot, scale_known=False), namer_of("couch"))["scale_known"]
    )


def test_tables_claim_no_metres_where_the_scale_is_not_known(snapshot):
    for scale_known, header in ((True, "size (m)"), (False, "size (unit unknown)")):
        table = objects_table(replace(snapshot, scale_known=scale_known), namer_of("couch"))
        assert table.columns[-1].header == header


def test_objects_carry_the_vocabularys_word_for_what_the_detector_said(snapshot):
    labels = [entry["label"] for entry in objects_json(snapshot, namer_of("sofa", "plate"))["objects"]]
    assert labels == ["sofa", "object", "object"]


def test_label_ids_are_the_vocabularys_own_and_0_where_it_lacks_the_name():
    namer = namer_of("plate", "sofa")
    assert (label_id("couch", namer), label_id("cup", namer), label_id("object", namer)) == (20, 0, 0)
    assert label_id("cup", namer_of("plate", "object")) == 20


def test_points_are_labelled_structure_too(snapshot):
    labels = point_labels(snapshot, namer_of("wall", "sofa"))
    assert labels.reshape(4, -1).tolist() == [[20] * 100, [0] * 100, [0] * 100, [10] * 100]


def memory_of(*ids: int) -> Memory:
    """One keyframe, whose first mask showed all of these objects."""
    rows = [(0, 0, id_) for id_ in ids]
    members = np.array(rows, np.int32).reshape(-1, 3)
    return Memory(views=(make_view(0),), members=members, next_id=max(ids, default=0) + 1)


def test_all_files_of_a_run_agree(tmp_path: Path, snapshot):
    memory = memory_of(SOFA, CUP, THING, WALL)
    write_outputs(tmp_path / "run", snapshot, namer_of("sofa", "cup", "wall"), memory)
    vertex = PlyData.read(str(tmp_path / "run" / "scene.ply"))["vertex"]
    assert vertex["instance"].reshape(4, -1)[:, 0].tolist() == [SOFA, CUP, THING, -1]
    assert vertex["label"].reshape(4, -1)[:, 0].tolist() == [10, 20, 0, 30]
    assert load_map(tmp_path / "run").objects == snapshot.objects
    assert_same_memory(load_memory(tmp_path / "run"), memory)
    told = json.loads((tmp_path / "run" / "objects.json").read_text())
    assert {entry["id"] for entry in told["objects"]} == set(vertex["instance"].tolist()) - {-1}
    with Image.open(tmp_path / "run" / "preview.png") as picture:
        assert picture.size == (1600, 900)
    assert (tmp_path / "run" / "recording.rrd").stat().st_size > 1000


def test_a_map_of_nothing_can_be_written(tmp_path: Path):
    nothing = replace(make_snapshot(points=0), objects=(), views=0)
    namer, memory = namer_of("cup"), memory_of()
    write_outputs(tmp_path, nothing, namer, memory)
    write_on_points(tmp_path, "scene", nothing, namer, np.ones((7, 3), np.float32))
    assert json.loads((tmp_path / "objects.json").read_text())["objects"] == []
    assert len(PlyData.read(str(tmp_path / "scene.ply"))["vertex"]) == 0
    assert (tmp_path / "scannet" / "scene.txt").read_text() == ""


def test_instances_are_carried_onto_other_points_in_the_benchmarks_form(tmp_path: Path, snapshot):
    near = snapshot.cloud.xyz[::2] + np.float32([0, 0, 0.01])
    far = np.full((5, 3), 9, np.float32)
    write_on_points(tmp_path, "scene0001_00", snapshot, namer_of("cup", "sofa"), np.concatenate([near, far]))
    lines = [line.split() for line in (tmp_path / "scannet" / "scene0001_00.txt").read_text().splitlines()]
    assert [(int(label), float(score)) for _, label, score in lines] == [(20, 0.9), (10, 0.5), (0, 0.2)]
    for (mask, _, _), strip in zip(lines, range(3), strict=True):
        values = (tmp_path / "scannet" / mask).read_text().split("\n")
        assert values.pop() == "" and len(values) == len(near) + len(far)
        assert [i for i, value in enumerate(values) if value == "1"] == list(range(50 * strip, 50 * strip + 50))


def test_objects_without_a_vertex_are_left_out(tmp_path: Path, snapshot):
    write_on_points(tmp_path, "part", snapshot, namer_of("cup", "sofa"), snapshot.cloud.xyz[:50])
    assert len((tmp_path / "scannet" / "part.txt").read_text().splitlines()) == 1


def test_an_answer_has_the_form_of_the_contract(snapshot):
    hit = QueryHit(object=snapshot.objects[0], score=0.75)
    content = answer_json(QueryResult(text="sofa", verdict="found", hits=(hit,)))
    assert content["verdict"] == "found"
    (entry,) = content["objects"]
    assert sorted(entry) == ["box", "centre", "id", "label", "score"]
    assert (entry["id"], entry["label"], entry["score"]) == (SOFA, "couch", 0.75)  # the query's score, not the map's
    assert sorted(entry["box"]) == ["centre", "size", "yaw"]


def test_json_with_a_number_that_is_none_is_refused_and_the_old_file_stays(tmp_path: Path):
    path = tmp_path / "report.json"
    write_json(path, {"seconds": 1.0})
    with pytest.raises(ValueError):
        write_json(path, {"seconds": float("nan")})
    assert json.loads(path.read_text()) == {"seconds": 1.0}
    assert list(tmp_path.iterdir()) == [path]
