"""The benchmark on tiny scenes: its rulers, its table, its files, and the whole verb."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_scenes
from segmenter_files import save_random_weights
from typer.testing import CliRunner

from ovseg3r_core import models
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.naming import Namer
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_core.mapping.instances import Instance
from ovseg3r_train.baselines.ours import found_in, ours_offline
from ovseg3r_train.baselines.segmented import fused_map
from ovseg3r_train.benchmark.compare import _Task
from ovseg3r_train.benchmark.cost import Cost, CostMeter
from ovseg3r_train.benchmark.degradation import curves
from ovseg3r_train.benchmark.found_files import load_found, save_found
from ovseg3r_train.benchmark.measures import (
    any_name_precision,
    class_id,
    class_ids,
    named_precision,
    on_clean_vertices,
    on_reconstruction,
    size_precision,
)
from ovseg3r_train.benchmark.methods import all_methods, methods_named
from ovseg3r_train.benchmark.plots import plot_curves, plot_methods
from ovseg3r_train.benchmark.table import Row, as_json, row_of
from ovseg3r_train.cli import app
from ovseg3r_train.scene import CleanTruth, FoundInstances, LabelledScene
from ovseg3r_train.scene_set import SceneSet


class Mute:
    """A text encoder for namers that need none: every label is an entry already."""

    name = "mute"

    def embed(self, texts: list[str]) -> np.ndarray:
        return np.eye(len(texts), 4096, dtype=np.float32)


NAMER = Namer(scannet200(), Mute())
FREE = Cost(seconds=1.0, memory_mb=2.0)


def scene() -> LabelledScene:
    """A desk and a chair, spaced finely enough to count; the clean vertices are the cloud's own points."""
    boxes = [
        tiny_scenes.TinyBox(name="desk", centre=(0.6, 0.0), size_m=(0.5, 0.35, 0.25)),
        tiny_scenes.TinyBox(name="chair", centre=(-0.6, 0.0), size_m=(0.3, 0.3, 0.3)),
    ]
    tiny = tiny_scenes.tiny_scene(boxes=boxes, spacing_m=0.02)
    assert tiny.truth is not None
    return replace(tiny, clean=CleanTruth(xyz=tiny.cloud.xyz, truth=tiny.truth))


def perfect(of: LabelledScene) -> FoundInstances:
    return found(of, ["desk", "chair"])


def found(of: LabelledScene, names: list[str | None]) -> FoundInstances:
    points = tuple(tiny_scenes.truth_points(of, name) for name in ("desk", "chair"))
    return FoundInstances(points=points, names=tuple(names), scores=np.array([0.9, 0.8]), name_scores=np.ones(2))


def row(**changes: object) -> Row:
    room = scene()
    judged = on_reconstruction(room, perfect(room), NAMER)
    return replace(row_of("ours", "perfect", "", "reconstruction", [judged], [FREE]), **changes)


def test_who_finds_everything_has_full_marks_on_both_kinds_of_points():
    room = scene()
    for judged in (on_reconstruction(room, perfect(room), NAMER), on_clean_vertices(room, perfect(room), NAMER)):
        for precision in (any_name_precision([judged]), named_precision([judged])):
            assert (precision.ap, precision.ap50, precision.ap25) == (1, 1, 1)
        assert (judged.counts.found, judged.counts.duplicates, judged.counts.ghosts) == (2, 0, ())


def test_wrong_names_cost_named_precision_only():
    room = scene()
    judged = on_reconstruction(room, found(room, ["chair", None]), NAMER)
    assert any_name_precision([judged]).ap == 1
    assert named_precision([judged]).ap == 0
    assert judged.counts.right_names == 0


def test_named_precision_ranks_by_the_name_as_well():
    """A false chair that surely exists, but surely is no chair, stands behind the true one."""
    room = scene()
    both = found(room, ["chair", "chair"])
    blind, seeing = both, replace(both, name_scores=np.array([0.1, 1.0]))
    base = class_ids("base")
    chair = [named_precision([on_reconstruction(room, it, NAMER)]).among(base).ap25 for it in (blind, seeing)]
    assert chair[0] < chair[1]


def test_things_of_other_sizes_are_neither_right_nor_wrong():
    room = scene()
    judged = on_reconstruction(room, perfect(room), NAMER)
    sizes = {name: len(tiny_scenes.truth_points(room, name)) for name in ("desk", "chair")}
    assert 400 <= sizes["chair"] < sizes["desk"] < 2000
    assert size_precision([judged], "medium").ap == 1
    assert math.isnan(size_precision([judged], "large").ap)
    nothing = on_reconstruction(room, FoundInstances.empty(), NAMER)
    assert size_precision([nothing], "medium").ap == 0


def test_a_base_name_on_a_novel_thing_is_wrong():
    """Groups are means over classes of one comparison: the other group's things are no void."""
    boxes = [
        tiny_scenes.TinyBox(name="desk", centre=(0.6, 0.0), size_m=(0.5, 0.35, 0.25)),
        tiny_scenes.TinyBox(name="lamp", centre=(-0.6, 0.0), size_m=(0.3, 0.3, 0.3)),
    ]
    room = tiny_scenes.tiny_scene(boxes=boxes, spacing_m=0.02)
    points = tuple(tiny_scenes.truth_points(room, name) for name in ("lamp", "desk"))
    two_desks = FoundInstances(
        points=points, names=("desk", "desk"), scores=np.array([0.9, 0.8]), name_scores=np.ones(2)
    )
    precision = named_precision([on_reconstruction(room, two_desks, NAMER)])
    assert precision.among(class_ids("base")).ap < 0.75
    assert precision.among(class_ids("novel")).ap == 0


def test_structure_and_strangers_have_no_class():
    assert class_id("wall") == class_id("object") == class_id("giraffe") == class_id(None) == -1
    assert class_id("desk") in class_ids("base")
    assert not set(class_ids("base")) & set(class_ids("novel"))


def test_every_method_finds_the_things_of_an_easy_scene():
    room = scene()
    for method in all_methods():
        judged = on_reconstruction(room, method.find(room), NAMER)
        assert judged.counts.found == 2, method.name
    with pytest.raises(ValueError, match="no method is called 'magic'; there are online, offline"):
        methods_named(["magic"])


def test_what_was_found_comes_back_from_its_file(tmp_path: Path):
    room = scene()
    path = tmp_path / "deep" / "offline.safetensors"
    save_found(path, perfect(room), FREE)
    again, cost = load_found(path)
    assert cost == FREE
    assert again.names == ("desk", "chair")
    assert all((a == b).all() for a, b in zip(again.points, perfect(room).points, strict=True))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"is damaged .*delete it"):
        load_found(path)


def test_the_meter_sees_time_and_memory():
    with CostMeter() as meter:
        big = np.ones(40_000_000)
    del big
    assert meter.cost.seconds > 0
    assert meter.cost.memory_mb >= 0


def test_what_is_not_defined_is_null_in_json():
    told = as_json([row()])[0]
    assert told["large_ap"] is None
    assert told["ap"] == 1
    json.dumps(told, allow_nan=False)


def test_rows_of_worse_sensors_become_curves_that_begin_at_the_usual_one():
    rows = [
        row(ap50=0.2, sensor="noise4"),
        row(ap50=0.5),
        row(sensor="noise2_drop0.3"),
        row(ap50=0.4, sensor="drop0.1"),
    ]
    lines = curves(rows)
    assert {title: {level: at.ap50 for level, at in line.items()} for title, line in lines.items()} == {
        "depth noise": {"1x": 0.5, "4x": 0.2},
        "frames dropped": {"0 %": 0.5, "10 %": 0.4},
    }
    assert curves([row(sensor="noise4")]) == {}


def test_pictures_are_drawn(tmp_path: Path):
    rows = [row(), row(method="theirs", ap=float("nan")), row(sensor="noise4"), row(sensor="drift0.03")]
    plot_methods(rows[:2], tmp_path / "methods.png")
    plot_curves(rows, tmp_path / "curves.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("methods.png", "curves.png"))


@pytest.mark.slow
def test_the_verb_compares_writes_and_goes_on_where_it_stopped(tmp_path: Path):
    scenes = SceneSet.create(tmp_path)
    for name in ("a", "b"):
        scenes.add(replace(scene(), name=name), "test", "perfect")
    command = ["evaluate", str(tmp_path), "--methods", "offline,ovir3d"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    kept = sorted((tmp_path / "benchmark" / "found").glob("*/*.safetensors"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    rows = json.loads((tmp_path / "benchmark" / "table.json").read_text())
    assert [(r["method"], r["points"], r["scenes"]) for r in rows[:2]] == [
        ("our map, all views", "reconstruction", 2),
        ("our map, all views", "clean", 2),
    ]
    assert rows[0]["ap25"] == 1
    nothing = CliRunner().invoke(app, [*command, "--masks", "default"])
    assert "holds no such scenes" in str(nothing.exception)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Random ones, for the plumbing alone: what they find means nothing."""
    try:
        models.find(MiniLm.name)
    except models.MissingModel as missing:
        pytest.skip(str(missing))
    path = tmp_path / "random.safetensors"
    save_random_weights(path)
    return path


def test_without_weights_the_segmenter_is_no_method():
    assert not {"segmenter", "fused"} & {method.name for method in all_methods()}
    with pytest.raises(ValueError, match=r"'fused' needs weights: .* --segmenter FILE"):
        methods_named(["offline", "fused"])


def test_with_weights_the_segmenter_is_two_methods_of_those_weights(weights: Path):
    assert [method.name for method in all_methods(weights)][:4] == ["online", "offline", "segmenter", "fused"]
    room = scene()
    for method in methods_named(["segmenter", "fused"], weights):
        found_there = method.find(room)
        assert len(method.weights) == 64
        assert all(0 < score <= 1 for score in found_there.scores)
        assert all((np.diff(points) > 0).all() for points in found_there.points)


def test_a_segmenter_that_knows_finds_what_the_masks_missed():
    """Masks of the desk alone; instances of both, the chair under a name that it is sure of."""
    room = scene()
    desk = [mask for mask in room.lifted if mask.label == "desk"]
    blind = replace(room, lifted=tuple(desk))
    instances = tuple(
        Instance(points=tiny_scenes.truth_points(room, name), score=0.9, label=name, name_score=0.9)
        for name in ("chair", "desk")
    )
    judged = on_reconstruction(room, found_in(fused_map(blind, instances)), NAMER)
    assert (judged.counts.found, judged.counts.right_names, judged.counts.ghosts) == (2, 2, ())
    assert on_reconstruction(room, ours_offline(blind), NAMER).counts.found == 1


def test_what_other_weights_found_is_not_taken_for_theirs(weights: Path, tmp_path: Path):
    other = tmp_path / "other.safetensors"
    save_random_weights(other, seed=5)
    scenes = SceneSet.create(tmp_path / "set")
    scenes.add(scene(), "test", "perfect")
    (entry,) = SceneSet(tmp_path / "set").entries
    kept = set()
    for path in (weights, other):
        task = _Task(scenes=tmp_path, entry=entry, methods=("fused",), checkpoint=path, cache=tmp_path)
        kept |= {task.file(method).name for method in methods_named(["fused", "offline"], path)}
    assert len(kept) == 3 and "offline.safetensors" in kept
