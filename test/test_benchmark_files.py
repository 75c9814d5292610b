"""`ovseg3r evaluate`: the benchmark's files on both sides, the report, and the refusals in one line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import Command, Said
from plyfile import PlyData, PlyElement
from random_benchmark import RandomScene, random_scenes

from ovseg3r_core import cli
from ovseg3r_core.evaluation.average_precision import average_precision
from ovseg3r_core.evaluation.mask_text import read_mask
from ovseg3r_core.evaluation.report import evaluate_scenes
from ovseg3r_core.evaluation.scannet200 import scannet20_classes, scannet200_classes, vocabulary_classes
from ovseg3r_core.evaluation.scene_pair import ScenePair, TrueInstances
from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.models import MissingModel
from ovseg3r_core.models import find as find_model
from ovseg3r_core.scene_files import write_scannet_submission
from ovseg3r_core.synthetic.furniture import MissingFurnitureError
from ovseg3r_core.synthetic.room import RoomConfig, build_room
from ovseg3r_core.synthetic.saving import save_room
from ovseg3r_core.synthetic.sequence import RoomSequence, WalkConfig
from ovseg3r_core.types import Instances

ROOT = Path(__file__).parents[1]
WALL, CHAIR, FLOOR, TABLE, SUITCASE = 1, 2, 3, 4, 93
"""ScanNet200's ids."""
SIDE = 150
"""Vertices of each thing of the plain scene."""


@pytest.fixture
def evaluate(monkeypatch, capsys) -> Command:
    return Command(cli.main, ("ovseg3r", "evaluate"), monkeypatch, capsys)


def thing(*places: int) -> np.ndarray:
    """A mask over the plain scene: all vertices of the things at these places."""
    return np.repeat(np.isin(np.arange(5), places), SIDE)


PLAIN = np.repeat([1000 * CHAIR + 1, 1000 * CHAIR + 2, 1000 * TABLE + 3, 1000 * WALL + 4, 0], SIDE)
"""Two chairs, a table, a wall and nothing."""


def instances(*predictions: tuple[np.ndarray, int, float]) -> Instances:
    return Instances(
        masks=np.array([mask for mask, _, _ in predictions], bool).reshape(len(predictions), len(PLAIN)),
        labels=np.array([label for _, label, _ in predictions], np.int64),
        scores=np.array([score for _, _, score in predictions], np.float64),
    )


def write_truth(path: Path, values: np.ndarray = PLAIN) -> Path:
    path.parent.mkdir(exist_ok=True)
    np.savetxt(path, values, fmt="%d")
    return path


PERFECT = instances((thing(0), CHAIR, 0.9), (thing(1), CHAIR, 0.8), (thing(2), TABLE, 0.7))


@pytest.fixture
def perfect(tmp_path) -> tuple[Path, Path]:
    """A run of `segment` with one scene, and the folder with its truth."""
    write_scannet_submission(tmp_path / "run" / "scannet", "office", PERFECT)
    write_truth(tmp_path / "truth" / "office.txt")
    return tmp_path / "run", tmp_path / "truth"


def figures(content: dict) -> list:
    """AP, AP50 and AP25; three thirds of recall add up to one but for the last bit."""
    return [None if content[key] is None else round(content[key], 12) for key in ("ap", "ap50", "ap25")]


@pytest.mark.parametrize("predicted", [".", "scannet", "scannet/office.txt"])
@pytest.mark.parametrize("truth", [".", "office.txt"])
def test_a_file_or_a_folder_on_either_side(perfect, evaluate, predicted, truth):
    said = evaluate(perfect[0] / predicted, perfect[1] / truth, "--json")
    assert said.code == 0, said.err
    content = json.loads(said.out)
    assert figures(content) == [1, 1, 1] and content["scenes"] == 1 and content["true_instances"] == 3
    assert said.err == ""


def test_the_json_has_every_figure(perfect, evaluate, tmp_path):
    said = evaluate(*perfect, "--json", "--out", tmp_path / "new" / "report.json")
    content = json.loads(said.out)
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == content
    assert content["protocol"] == content["vocabulary"] == "scannet200"
    for ranking in (content["top_k"], content["top_1"]):
        assert figures(ranking["overall"]) == figures(ranking["class_agnostic"]) == [1, 1, 1]
        assert set(ranking["groups"]) == {"head", "common", "tail", "base", "novel"}
        assert figures(ranking["groups"]["head"]) == [1, 1, 1] and ranking["groups"]["head"]["classes"] == 2
        assert figures(ranking["groups"]["tail"]) == [None, None, None]
        assert [(row["name"], row["true_instances"], row["predictions"]) for row in ranking["classes"]] == [
            ("chair", 2, 2),
            ("table", 1, 1),
        ]
    assert content["left_out"]["true_instances_of_other_classes"] == 1


def test_the_table_names_the_classes_and_the_groups(perfect, evaluate):
    said = evaluate(*perfect)
    assert said.code == 0
    for told in ("chair", "table", "100.0", "head", "novel", "any name", "Top-1 AP", "1 scenes, 3 true instances"):
        assert told in said.out


def test_files_give_the_figures_of_the_instances_they_were_written_from(evaluate, tmp_path):
    scenes = [scene for seed in range(3) for scene in random_scenes(seed)]
    for number, scene in enumerate(scenes):
        predicted = Instances(masks=scene.masks, labels=scene.labels, scores=scene.scores.round(6))
        write_scannet_submission(tmp_path / "predicted", f"s{number}", predicted)
        write_truth(tmp_path / "truth" / f"s{number}.txt", scene.values)
    said = evaluate(tmp_path / "predicted", tmp_path / "truth", "--json")
    report = evaluate_scenes(map(_rounded, scenes), scannet200_classes())
    expected = average_precision([_rounded(scene) for scene in scenes], list(scannet200_classes().names))
    assert json.loads(said.out)["top_k"] == json.loads(json.dumps(report.to_json()))["top_k"]
    expected_figures = {"ap": expected.ap, "ap50": expected.ap50, "ap25": expected.ap25}
    assert figures(json.loads(said.out)) == figures(expected_figures)


def _rounded(scene: RandomScene) -> ScenePair:
    return RandomScene(scene.values, scene.masks, scene.labels, scene.scores.round(6)).pair()


def test_label_ids_are_the_line_numbers_of_a_vocabulary(evaluate, tmp_path):
    (tmp_path / "names.txt").write_text("lamp post\n\nchair\nfloor\n")
    values = np.repeat([1001, 3002, 4003, 1000 * TABLE * 100, 0], SIDE)
    write_truth(tmp_path / "t" / "s.txt", values)
    found = instances((thing(0), 1, 0.9), (thing(2), 4, 0.8))
    write_scannet_submission(tmp_path / "p", "s", found)
    content = json.loads(evaluate(tmp_path / "p", tmp_path / "t", "--vocabulary", tmp_path / "names.txt", "--json").out)
    assert [(row["name"], row["ap"]) for row in content["top_k"]["classes"]] == [("lamp post", 1), ("chair", 0)]
    assert content["ap"] == 0.5 and content["top_k"]["groups"]["head"]["classes"] == 1
    assert content["left_out"] == {
        "true_instances_of_other_classes": 2,
        "small_true_instances": 0,
        "predictions_of_other_classes": 1,
        "small_predictions": 0,
        "weaker_labels_of_a_mask_in_top_1": 0,
    }


def test_a_vocabulary_that_lies_beside_the_truth_and_was_not_given_is_pointed_at(perfect, evaluate):
    (perfect[1] / "vocabulary.txt").write_text("chair\n")
    said = evaluate(*perfect, "--json")
    assert said.code == 0 and figures(json.loads(said.out)) == [1, 1, 1]
    assert "vocabulary.txt lies beside the truth" in said.err and "--vocabulary" in said.err


def test_scannet20_has_its_own_ids_and_no_groups(evaluate, tmp_path):
    write_truth(tmp_path / "t" / "s.txt", np.repeat([5001, 39002, 2003, 13004, 0], SIDE))
    write_scannet_submission(tmp_path / "p", "s", instances((thing(0), 5, 0.9), (thing(1), 39, 0.5)))
    content = json.loads(evaluate(tmp_path / "p", tmp_path / "t", "--protocol", "scannet20", "--json").out)
    assert [row["name"] for row in content["top_k"]["classes"]] == ["chair", "otherfurniture"]
    assert figures(content) == [1, 1, 1] and content["top_k"]["groups"] == {}


def test_without_classes_any_label_will_do_but_walls_stay_void(evaluate, tmp_path):
    write_truth(tmp_path / "t" / "s.txt")
    found = instances((thing(0), 0, 0.5), (thing(1), TABLE, 0.4), (thing(2), 77777, 0.3), (thing(3), WALL, 0.9))
    write_scannet_submission(tmp_path / "p", "s", found)
    named = json.loads(evaluate(tmp_path / "p", tmp_path / "t", "--json").out)
    assert named["ap"] == 0 and figures(named["top_k"]["class_agnostic"]) == [1, 1, 1]
    said = evaluate(tmp_path / "p", tmp_path / "t", "--protocol", "class-agnostic", "--json")
    content = json.loads(said.out)
    assert figures(content) == [1, 1, 1] and content["top_k"]["predictions"] == 4
    assert content["top_k"]["classes"] == [] and content["top_k"]["groups"] == {}
    assert evaluate(tmp_path / "p", tmp_path / "t", "--protocol", "class-agnostic").out.count("any name") == 1


def test_top_1_keeps_the_best_label_of_each_mask(tmp_path):
    found = instances(
        (thing(0), TABLE, 0.3),
        (thing(0), CHAIR, 0.6),  # the best of its mask
        (thing(0), SUITCASE, 0.5),
        (thing(2), CHAIR, 0.5),  # the first of equals
        (thing(2), TABLE, 0.5),
        (thing(1, 4), WALL, 0.9),  # the best of its mask, and no valid class: the mask is gone
        (thing(1, 4), CHAIR, 0.8),
    )
    pair = ScenePair(predicted=found, truth=TrueInstances.of_values(PLAIN))
    report = evaluate_scenes([pair], scannet200_classes())
    assert (report.top_k.predictions, report.top_1.predictions) == (6, 2)
    assert report.left_out["weaker_labels_of_a_mask_in_top_1"] == 4
    kept = Instances(masks=found.masks[[1, 3]], labels=found.labels[[1, 3]], scores=found.scores[[1, 3]])
    alone = evaluate_scenes([ScenePair(predicted=kept, truth=pair.truth)], scannet200_classes())
    assert report.top_1.overall == alone.top_k.overall
    table = [{row.name: row.ap for row in ranking.classes}["table"] for ranking in (report.top_k, report.top_1)]
    assert table == [1, 0]  # its only hit came second


def test_a_scene_without_predictions_counts_as_found_nothing(perfect, evaluate):
    write_truth(perfect[1] / "kitchen.txt")
    said = evaluate(*perfect, "--json")
    content = json.loads(said.out)
    assert content["scenes"] == 2 and content["missing_scenes"] == ["kitchen"] and content["ap"] < 1
    assert "1 of 2 scenes have no predictions and count as found nothing: kitchen" in said.err
    (perfect[0] / "scannet" / "kitchen.txt").write_text("")
    with_empty_file = json.loads(evaluate(*perfect, "--json").out)
    assert with_empty_file == content | {"missing_scenes": []}


def test_one_file_picks_its_scene_from_a_folder(perfect, evaluate):
    write_truth(perfect[1] / "kitchen.txt")
    write_scannet_submission(perfect[0] / "scannet", "kitchen", instances())
    for sides in (
        (perfect[0] / "scannet" / "office.txt", perfect[1]),
        (perfect[0], perfect[1] / "office.txt"),
        (perfect[0] / "scannet" / "office.txt", perfect[1] / "kitchen.txt"),  # the same truth
    ):
        said = evaluate(*sides, "--json")
        assert (json.loads(said.out)["scenes"], json.loads(said.out)["ap"]) == (1, 1), said.err
    assert json.loads(evaluate(*perfect, "--json").out)["scenes"] == 2


def test_a_mask_file_that_is_listed_twice_counts_once_as_in_the_benchmark(perfect, evaluate):
    listing = perfect[0] / "scannet" / "office.txt"
    first = listing.read_text().splitlines()[0].split()[0]
    listing.write_text(listing.read_text() + f"{first} {SUITCASE} 0.2\n")
    said = evaluate(*perfect, "--json")
    assert json.loads(said.out)["repeated_masks"] == {"office": 1} and json.loads(said.out)["ap"] < 1
    assert "1 lines name a mask file that a later line names too" in said.err


def write_ply(path: Path, instance: np.ndarray, label: np.ndarray | None) -> None:
    columns = (
        [(name, "<f4") for name in "xyz"] + [("instance", "<i4")] + ([("label", "<i4")] if label is not None else [])
    )
    vertices = np.zeros(len(instance), columns)
    vertices["instance"] = instance
    if label is not None:
        vertices["label"] = label
    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(path))


def test_a_ply_is_a_truth_too_by_its_names_or_its_ids_or_without_classes(perfect, evaluate, tmp_path):
    number, label = PLAIN % 1000, PLAIN // 1000
    folder = tmp_path / "room"
    folder.mkdir()
    write_ply(folder / "truth.ply", np.where(number > 0, number, -1), label)
    assert figures(json.loads(evaluate(perfect[0], folder, "--json").out)) == [1, 1, 1]
    lines = np.array([0, 4, 2, 3, 1])[label]  # wall, chair, floor and table by line number
    (folder / "vocabulary.txt").write_text("table\nchair\nfloor\nwall\n")
    write_ply(folder / "truth.ply", np.where(number > 0, number, -1), lines)
    assert figures(json.loads(evaluate(perfect[0], folder, "--json").out)) == [1, 1, 1]
    write_ply(tmp_path / "bare.ply", np.where(np.isin(number, (1, 2, 3)), number, -1), None)
    bare = evaluate(perfect[0], tmp_path / "bare.ply", "--protocol", "class-agnostic", "--json")
    assert figures(json.loads(bare.out)) == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        (b"0\n1\n1\n0\n", [0, 1, 1, 0]),
        (b"0\n1\n1\n0", [0, 1, 1, 0]),
        (b"0\r\n1\r\n", [0, 1]),
        (b"0\n255\n-3\n", [0, 1, 1]),
        (b"00\n01\n1 \n", [0, 1, 1]),
        (b"", []),
    ],
)
def test_masks_are_read_however_they_were_written(tmp_path, text, mask):
    (tmp_path / "m.txt").write_bytes(text)
    assert read_mask(tmp_path / "m.txt").tolist() == [bool(value) for value in mask]


def refused(said: Said, *words: str) -> None:
    assert said.code == 2, said.out + said.err
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and said.out == ""
    for word in words:
        assert word in said.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("predicted_masks/office_000.txt 2", ["line 1", "<mask file> <label id> <confidence>"]),
        ("predicted_masks/office_000.txt chair 0.9", ["line 1", "chair"]),
        ("predicted_masks/office_000.txt 2.5 0.9", ["label id 2.5 is not whole"]),
        ("predicted_masks/office_000.txt 2 high", ["line 1", "high"]),
        ("predicted_masks/office_000.txt 2 nan", ["the confidence is not finite"]),
        ("predicted_masks/gone.txt 2 0.9", ["no mask file", "gone.txt"]),
        ("../outside.txt 2 0.9", ["must lie under"]),
        ("/etc/hostname 2 0.9", ["must lie under"]),
        ("predicted_masks/short.txt 2 0.9", ["short.txt has 1 lines but", f"{5 * SIDE} vertices"]),
        ("predicted_masks/odd.txt 2 0.9", ["odd.txt is not one integer a line"]),
    ],
)
def test_predictions_that_make_no_sense_are_refused_by_name(perfect, evaluate, line, words):
    masks = perfect[0] / "scannet" / "predicted_masks"
    (masks / "short.txt").write_text("1\n")
    (masks / "odd.txt").write_text("0.5\n" * 5 * SIDE)
    (perfect[0] / "scannet" / "office.txt").write_text(line + "\n")
    refused(evaluate(*perfect), *words)


def test_sides_that_are_not_there_or_do_not_fit_are_refused(perfect, evaluate, tmp_path):
    run, truth = perfect
    refused(evaluate(tmp_path / "nowhere", truth), "no predictions at", "nowhere")
    refused(evaluate(run, tmp_path / "nowhere"), "no ground truth at", "nowhere")
    (tmp_path / "empty").mkdir()
    refused(evaluate(tmp_path / "empty", truth), "holds no <scene>.txt", "--on-points")
    refused(evaluate(run, tmp_path / "empty"), "holds no <scene>.txt with the truth")
    refused(evaluate(run, truth, "--vocabulary", tmp_path / "no.txt"), "no vocabulary file")
    write_scannet_submission(run / "scannet", "attic", PERFECT)
    refused(evaluate(run, truth), "no truth in", "for attic")
    (truth / "office.txt").write_text("")
    refused(evaluate(run / "scannet" / "office.txt", truth), "office.txt is empty")
    (truth / "office.txt").write_text("a chair\n")
    refused(evaluate(run / "scannet" / "office.txt", truth), "office.txt is not one integer a line")
    wrong = evaluate(run, truth, "--protocol", "bogus")
    assert wrong.code == 2 and "scannet20" in wrong.err


def test_a_truth_without_a_valid_class_has_nothing_to_find(perfect, evaluate):
    write_truth(perfect[1] / "office.txt", np.repeat([1001, 3002, 999001, 0, 0], SIDE))
    said = evaluate(*perfect, "--json")
    assert figures(json.loads(said.out)) == [None, None, None]
    assert "nothing to find" in said.err
    assert evaluate(*perfect).code == 0


def test_the_classes_are_those_of_the_benchmarks():
    classes = scannet200_classes()
    sizes = {group: len(ids) for group, ids in classes.groups.items()}
    assert sizes == {"head": 64, "common": 68, "tail": 66, "base": 51, "novel": 147}
    assert len(classes.names) == 198 and len(scannet20_classes().names) == 18
    own = vocabulary_classes(Vocabulary(name="own", names=("Wall", "Chair", "cup"), ids=(1, 2, 3)))
    assert own.names == {2: "Chair", 3: "cup"} and own.groups["head"] == frozenset({2})


def test_help_shows_examples(evaluate):
    said = evaluate("--help")
    assert said.code == 0 and "Examples" in said.out and "ovseg3r evaluate predictions scannet200_val" in said.out


@pytest.mark.slow
def test_perfect_masks_of_a_furnished_room_find_nearly_everything(evaluate, tmp_path):
    try:
        find_model("minilm-l6-v2")
        room = build_room(RoomConfig(seed=7))
    except (MissingModel, MissingFurnitureError) as missing:
        pytest.skip(str(missing))
    folder, run = tmp_path / "room", tmp_path / "run"
    walk = WalkConfig(frames=16, width_px=240, height_px=180, focal_px=196.0)
    save_room(RoomSequence(room, walk), folder)
    command = ["segment", folder, "--out", run, "--masks", f"files:{folder}", "--device", "cpu", "--scene", "room7"]
    command += ["--vocabulary", folder / "vocabulary.txt", "--on-points", folder / "truth.ply"]
    done = subprocess.run(
        [sys.executable, "-m", "ovseg3r_core", *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    said = evaluate(run, folder, "--vocabulary", folder / "vocabulary.txt", "--json")
    content = json.loads(said.out)
    assert (said.code, content["scenes"], content["top_k"]["overall"]["classes"]) == (0, 1, 18)
    assert content["ap25"] > 0.9 and 0.3 < content["ap"] < content["ap50"] <= content["ap25"]
