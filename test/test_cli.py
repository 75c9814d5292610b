"""The command line on a tiny recording: the files of the contract, the answers, the refusals in one line."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import recordings
import torch
from commands import Command, Said
from PIL import Image
from plyfile import PlyData, PlyElement
from scenes import AnalyticScene, box_room
from segmenter_files import save_random_weights

from ovseg3r_core import cli, models, shipped
from ovseg3r_core.geometry import back_project, transform
from ovseg3r_core.language.vocabulary import default_vocabulary
from ovseg3r_core.mapping.storage import load_map
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.types import Frame

ROOT = Path(__file__).parents[1]
VERBS = [
    "segment",
    "query",
    "demo",
    "bag",
    "view",
    "evaluate",
    "superpoints",
    "models list",
    "models fetch",
    "models verify",
]
NAMES = {3: "dining table", 4: "cup", 5: "cabinet", 6: "sports ball"}
"""What the solids of the box room are called, by their place."""
VOCABULARY = ("cup", "table", "sports ball", "plate")
"""Has another word for the dining table, and none for the cabinet."""
LABEL_ID = {"object": 0, "cup": 1, "table": 2, "sports ball": 3}
RECORD = {
    "id",
    "label",
    "score",
    "centre",
    "box",
    "points",
    "observations",
    "first_seen",
    "last_seen",
    "state",
    "name_score",
}


@pytest.fixture
def ovseg3r(monkeypatch, capsys) -> Command:
    return Command(cli.main, ("ovseg3r",), monkeypatch, capsys)


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=5)


@pytest.fixture(scope="module")
def sequence(room, tmp_path_factory) -> Path:
    """The room as a folder, its exact masks beside the frames, and one frame whose pose is broken."""
    folder = tmp_path_factory.mktemp("recordings") / "office"
    depth_mm = [np.rint(frame.depth_m * 1000).astype(np.uint16) for frame in room.frames]
    shots = [
        recordings.Shot(color=frame.color, depth_mm=depth, pose=frame.T_map_camera)
        for frame, depth in zip(room.frames, depth_mm, strict=True)
    ]
    broken = recordings.Shot(color=shots[0].color, depth_mm=depth_mm[0], pose=np.full((4, 4), np.nan))
    recordings.write_posed_folder(folder, [*shots, broken])
    recordings.write_matrix(folder / "camera-intrinsics.txt", room.frames[0].camera.K)
    for index, ids in enumerate(room.ids):
        kept = np.where(np.isin(ids, list(NAMES)), ids, 0).astype(np.uint16)
        cv2.imwrite(str(folder / f"{index:06d}.instances.png"), kept)
    (folder / "labels.json").write_text(json.dumps(NAMES))
    return folder


@pytest.fixture(scope="module")
def text_model() -> None:
    try:
        models.find("minilm-l6-v2")
    except models.MissingModel as missing:
        pytest.skip(str(missing))


@dataclass(frozen=True)
class Run:
    """One run of `segment` and what it was given."""

    said: Said
    folder: Path
    vertices: np.ndarray


@pytest.fixture(scope="module")
def run(room, sequence, text_model, tmp_path_factory) -> Run:
    """`segment` in a process of its own, as a user runs it, with every option that adds a file."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "names.txt").write_text("\n".join(VOCABULARY) + "\n")
    vertices = write_points(folder / "points.ply", room.frames)
    arguments = [
        sequence,
        "--out",
        folder / "out",
        "--masks",
        f"files:{sequence}",
        "--vocabulary",
        folder / "names.txt",
    ]
    arguments += [
        "--no-segmenter",
        "--on-points",
        folder / "points.ply",
        "--scene",
        "scene0042_00",
        "--device",
        "cpu",
        "--json",
    ]
    command = [sys.executable, "-m", "ovseg3r_core", "segment", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    return Run(Said(done.returncode, done.stdout, done.stderr), folder / "out", vertices)


def write_points(path: Path, frames: list[Frame]) -> np.ndarray:
    """What the frames see, thinned, and ten vertices far from everything."""
    seen = [
        transform(f.T_map_camera, back_project(f.depth_m, f.camera))[::4, ::4][f.depth_m[::4, ::4] > 0] for f in frames
    ]
    xyz = np.concatenate([*seen, np.full((10, 3), 50.0)]).astype(np.float32)
    vertices = np.array([tuple(row) for row in xyz], dtype=[(axis, "f4") for axis in "xyz"])
    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(path))
    return xyz


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def test_segment_ends_well_and_writes_every_file_of_the_contract(run):
    assert run.said.code == 0, run.said.err
    written = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    clouds = {name for name in written if re.fullmatch(r"map/cloud-[0-9a-f]{16}\.safetensors", name)}
    masks = {name for name in written if re.fullmatch(r"scannet/predicted_masks/scene0042_00_\d{3}\.txt", name)}
    views = {name for name in written if re.fullmatch(r"map/view-[0-9a-f]{16}\.safetensors", name)}
    assert len(clouds) == 1 and len(masks) == 4
    assert len(views) == read_json(run.folder / "report.json")["keyframes"]
    named = {"objects.json", "scene.ply", "report.json", "preview.png", "recording.rrd", "map/map.json"}
    assert written == named | clouds | views | masks | {"scannet/scene0042_00.txt"}


def test_objects_json_has_the_contracts_keys_and_the_things_of_the_room(run):
    content = read_json(run.folder / "objects.json")
    assert set(content) == {"map_frame", "scale_known", "vocabulary", "objects", "structure", "removed"}
    assert (content["map_frame"], content["vocabulary"]) == ("map", list(VOCABULARY))
    assert content["scale_known"] is True
    assert all(set(entry) == RECORD for entry in content["objects"])
    assert all(set(entry["box"]) == {"centre", "size", "yaw"} for entry in content["objects"])
    labels = {entry["label"]: entry for entry in content["objects"]}
    assert set(labels) == set(LABEL_ID)
    assert labels["sports ball"]["centre"] == pytest.approx((0.75, -0.4, 0.25), abs=0.12)
    for entry in content["objects"]:
        assert isinstance(entry["id"], int) and 0 < entry["score"] <= 1
        assert len(entry["centre"]) == len(entry["box"]["centre"]) == len(entry["box"]["size"]) == 3
        assert entry["observations"] <= 5 and entry["first_seen"] <= entry["last_seen"]


def test_scene_ply_agrees_with_objects_json(run):
    vertex = PlyData.read(str(run.folder / "scene.ply"))["vertex"]
    types = {prop.name: prop.val_dtype for prop in vertex.properties}
    assert [types[name] for name in ("x", "y", "z")] == ["f4"] * 3
    assert [types[name] for name in ("red", "green", "blue")] == ["u1"] * 3
    assert (types["instance"], types["label"]) == ("i4", "i4")
    objects = read_json(run.folder / "objects.json")["objects"]
    assert set(np.unique(vertex["instance"]).tolist()) == {-1} | {entry["id"] for entry in objects}
    for entry in objects:
        mine = vertex["instance"] == entry["id"]
        assert np.count_nonzero(mine) == entry["points"]
        assert set(vertex["label"][mine].tolist()) == {LABEL_ID[entry["label"]]}


def test_report_adds_up(run):
    report = read_json(run.folder / "report.json")
    assert json.loads(run.said.out) == report
    assert report["frames"] == {"read": 6, "fused": 5}
    assert report["drops"] == {"bad_pose": 1}
    assert report["keyframes"] == 5
    assert report["masks"] == 5 * len(NAMES)
    assert (report["objects"], report["named_objects"], report["structure"]) == (4, 3, 0)
    assert report["points"] == len(PlyData.read(str(run.folder / "scene.ply"))["vertex"])
    seconds = dict(report["seconds"])
    total = seconds.pop("total")
    assert set(seconds) == {"fuse", "witness", "extract", "masks", "lift", "associate", "refine", "write"}
    assert min(seconds.values()) > 0 and sum(seconds.values()) <= total
    assert report["fused_frames_per_second"] == pytest.approx(5 / seconds["fuse"])
    assert 50 < report["peak_memory_mb"] < 20_000
    assert (report["segmenter"]["used"], report["segmenter"]["reason"]) == (False, "switched_off")


def test_pictures_are_pictures(run):
    with Image.open(run.folder / "preview.png") as picture:
        assert picture.size == (1600, 900)
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 100
    assert (run.folder / "recording.rrd").read_bytes()[:3] == b"RRF"


def test_scannet_files_carry_each_instance_onto_the_given_vertices(room, run):
    true = room.nearest(run.vertices)
    solid_of = {LABEL_ID["table"]: 3, LABEL_ID["cup"]: 4, LABEL_ID["object"]: 5, LABEL_ID["sports ball"]: 6}
    lines = [line.split() for line in (run.folder / "scannet" / "scene0042_00.txt").read_text().splitlines()]
    assert {int(label) for _, label, _ in lines} == set(solid_of)
    for file, label, score in lines:
        text = (run.folder / "scannet" / file).read_text()
        assert set(text) == {"0", "1", "\n"} and text.endswith("\n")
        mask = np.array(text.split()) == "1"
        assert len(mask) == len(run.vertices) and not mask[-10:].any()
        assert 0 < float(score) <= 1
        assert (true[mask] == solid_of[int(label)]).mean() > 0.8


def test_the_saved_map_is_the_one_of_objects_json(run):
    snapshot = load_map(run.folder)
    told = {entry["id"]: tuple(entry["centre"]) for entry in read_json(run.folder / "objects.json")["objects"]}
    assert {record.id: record.centre for record in snapshot.objects} == told


def test_segment_again_into_the_same_folder_replaces_the_files(sequence, text_model, tmp_path, ovseg3r):
    options = ["--out", tmp_path, "--masks", f"files:{sequence}", "--device", "cpu"]
    first = ovseg3r("segment", sequence, *options, "--frames", "0:3")
    again = ovseg3r("segment", sequence, *options, "--frames", "::2", "--mode", "online")
    assert (first.code, again.code) == (0, 0), again.err
    assert read_json(tmp_path / "report.json")["frames"] == {"read": 3, "fused": 3}
    keyframes = read_json(tmp_path / "report.json")["keyframes"]
    assert len(list((tmp_path / "map").iterdir())) == 2 + keyframes
    words = read_json(tmp_path / "objects.json")["vocabulary"]
    assert words == [*default_vocabulary().names, "cabinet"]  # the one name of the masks that the default lacks
    for told in ("dining table", "cup", "sports ball", "3 of 3 frames", "objects.json"):
        assert told in again.out.replace("\n", " ")


def test_names_and_paths_that_look_like_markup_are_printed_as_they_are(sequence, text_model, tmp_path, ovseg3r):
    folder = Path(shutil.copytree(sequence, tmp_path / "[red]office[" / "b"))
    (folder / "labels.json").write_text(json.dumps(NAMES | {4: "cup [/] :mug:"}))
    (tmp_path / "names.txt").write_text("cup [/] :mug:\nplate\n")
    options = ["--masks", f"files:{folder}", "--vocabulary", tmp_path / "names.txt", "--frames", "0:3"]
    said = ovseg3r("segment", folder.parent / "b", "--out", tmp_path / "[/out]", *options)
    assert said.code == 0, said.err
    assert "cup [/] :mug:" in said.out and "[/out]/preview.png" in said.out
    assert "cup [/] :mug:" in ovseg3r("query", tmp_path / "[/out]", "cup [/] :mug:").out
    assert "[/out]/bag" in ovseg3r("bag", folder, tmp_path / "[/out]" / "bag").out


def test_a_recording_of_which_no_frame_can_be_used_gives_an_empty_map(sequence, text_model, tmp_path, ovseg3r):
    said = ovseg3r("segment", sequence, "--out", tmp_path, "--masks", f"files:{sequence}", "--frames", "5:")
    assert said.code == 0, said.err
    assert read_json(tmp_path / "report.json")["drops"] == {"bad_pose": 1}
    assert read_json(tmp_path / "objects.json")["objects"] == []
    assert json.loads(ovseg3r("query", tmp_path, "cup", "--json").out) == {
        "verdict": "blind",
        "explanation": "",
        "objects": [],
        "scale_known": True,
    }


@pytest.mark.parametrize(
    ("text", "verdict", "label"),
    [
        ("cup", "found", "cup"),
        ("something to drink from", "found", "cup"),
        ("the cup on the table", "found", "cup"),
        ("giraffe", "none", None),
        ("the cup under the table", "none", None),
    ],
)
def test_query_answers_in_the_contracts_form(run, ovseg3r, text, verdict, label):
    said = ovseg3r("query", run.folder, text, "--json")
    answer = json.loads(said.out)
    assert (said.code, answer["verdict"]) == (0, verdict)
    assert all(set(hit) == {"id", "label", "score", "centre", "box"} for hit in answer["objects"])
    if label is None:
        assert answer["objects"] == []
    else:
        best = answer["objects"][0]
        ids = {entry["id"]: entry["label"] for entry in read_json(run.folder / "objects.json")["objects"]}
        assert best["label"] == label == ids[best["id"]]


def test_query_reads_the_map_folder_itself_and_prints_a_table(run, ovseg3r):
    said = ovseg3r("query", run.folder / "map", "cup", "--top-k", "1")
    assert said.code == 0
    assert "found" in said.out and "cup" in said.out
    said = ovseg3r("query", run.folder, "the cup on the piano")
    assert "none" in said.out and "nothing in the map is called 'the piano'" in said.out.replace("\n", " ")


def test_bag_holds_the_frames_and_says_what_it_left_out(sequence, tmp_path, ovseg3r):
    said = ovseg3r("bag", sequence, tmp_path / "office_bag")
    assert said.code == 0
    assert "5 frames" in said.out and "1 bad_pose" in said.err
    frames = list(open_sequence(tmp_path / "office_bag").read())
    assert len(frames) == 5 and all(isinstance(frame, Frame) for frame in frames)
    again = ovseg3r("bag", sequence, tmp_path / "office_bag")
    assert_refused(again, "office_bag exists already")


def assert_refused(said: Said, *words: str) -> None:
    """Exit code 2, and an explanation in place of a traceback."""
    assert said.code == 2, said.out + said.err
    assert said.err.startswith("error: ") and "Traceback" not in said.err
    assert said.out == ""
    for word in words:
        assert word in said.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "bogus"], ['unknown format "bogus"', "7scenes", "rosbag"]),
        (["--format", "tum"], ["rgb.txt"]),
        (["--frames", "a:b"], ["--frames 'a:b'", "A:B:STEP"]),
        (["--frames", "1:2:3:4"], ["--frames '1:2:3:4'"]),
        (["--frames", "0:5:0"], ["step of at least 1"]),
        (["--frames", "5:0:-1"], ["step of at least 1"]),
        (["--frames", "100:"], ["no frame is left"]),
        (["--masks", "bogus"], ["no masks are called 'bogus'", "everything", "files:FOLDER"]),
        (["--masks", "files:"], ["no masks are called 'files:'"]),
        (["--masks", "files:nowhere"], ["nowhere is no folder of masks"]),
        (["--masks", "sam:nowhere.pth"], ["nowhere.pth"]),
        (["--vocabulary", "nowhere.txt"], ["no vocabulary file nowhere.txt", "scannet200"]),
        (["--on-points", "nowhere.ply"], ["nowhere.ply"]),
        (["--on-points", "damaged.ply"], ["damaged.ply: not a PLY"]),
        (["--device", "cuda"], ["--device cuda", "use --device cpu"]),
    ],
)
def test_what_segment_cannot_use_is_refused_before_any_work(sequence, tmp_path, ovseg3r, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Path("damaged.ply").write_text("ply\nformat ascii 1.0\nelement vertex 3\n")
    said = ovseg3r("segment", sequence, "--out", "out", *options)
    assert_refused(said, *words)
    assert not Path("out").exists()


@pytest.mark.parametrize("verb", ["segment", "bag"])
def test_a_sequence_that_is_not_there_or_is_none_is_refused(verb, tmp_path, ovseg3r):
    target = ["--out", tmp_path / "out"] if verb == "segment" else [tmp_path / "out"]
    assert_refused(ovseg3r(verb, tmp_path / "nowhere", *target), "nowhere does not exist")
    (tmp_path / "papers").mkdir()
    assert_refused(ovseg3r(verb, tmp_path / "papers", *target), "no sequence of a known format", "scannet", "tum")
    assert not (tmp_path / "out").exists()


def test_plain_mistakes_are_told_in_one_line(sequence, tmp_path, ovseg3r, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["segment", "nowhere", "--out", "out"],
        ["segment", sequence, "--out", "out", "--frames", "x"],
        ["segment", sequence, "--out", "out", "--masks", "files:nowhere"],
        ["query", "nowhere", "cup"],
        ["view", "nowhere"],
    ):
        said = ovseg3r(*arguments)
        assert_refused(said)
        assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["segment", "office"], ["query", "office"], ["bogus"], ["query", "a", "b", "--top"]]
)
def test_wrong_usage_ends_with_2_and_points_at_help(ovseg3r, arguments):
    said = ovseg3r(*arguments)
    assert said.code == 2 and "--help" in said.err


@pytest.mark.parametrize("damage", ["truncated cloud", "truncated map.json", "cloud gone", "altered map.json", "empty"])
def test_a_damaged_map_is_refused_by_name(run, tmp_path, ovseg3r, damage):
    folder = Path(shutil.copytree(run.folder / "map", tmp_path / "map"))
    (cloud,) = folder.glob("cloud-*")
    if damage == "truncated cloud":
        cloud.write_bytes(cloud.read_bytes()[:-1000])
    elif damage == "truncated map.json":
        (folder / "map.json").write_bytes((folder / "map.json").read_bytes()[:-30])
    elif damage == "cloud gone":
        cloud.unlink()
    elif damage == "altered map.json":
        text = (folder / "map.json").read_text()
        (folder / "map.json").write_text(text.replace('"cup"', '"cap"'))
    else:
        (folder / "map.json").write_bytes(b"")
    said = ovseg3r("query", folder, "cup")
    assert_refused(said, cloud.name if "cloud" in damage else "map.json")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "options", "word"), [("", [], "text"), ("cup", ["--top-k", "0"], "top_k is 0"), ("x" * 5000, [], "5000")]
)
def test_questions_that_make_no_sense_are_refused(run, ovseg3r, text, options, word):
    assert_refused(ovseg3r("query", run.folder, text, *options), word)


def test_missing_weights_name_the_command_that_fetches_them(sequence, tmp_path, ovseg3r, monkeypatch):
    monkeypatch.setenv("OVSEG3R_CACHE", str(tmp_path / "cache"))
    said = ovseg3r("segment", sequence, "--out", tmp_path / "out")
    assert_refused(said, "ovseg3r models fetch")
    assert not (tmp_path / "out").exists()


def test_segment_uses_the_checkpoint_that_is_asked_for(sequence, text_model, tmp_path, ovseg3r):
    """Random weights, for the plumbing alone."""
    card = save_random_weights(tmp_path / "random.safetensors")
    command = ["segment", sequence, "--out", tmp_path / "out", "--masks", f"files:{sequence}", "--device", "cpu"]
    said = ovseg3r(*command, "--segmenter", tmp_path / "random.safetensors", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)["segmenter"]
    assert told["used"] and (told["sha256"], told["flavour"]) == (card.sha256, "cpu") and told["seconds"] > 0
    assert_refused(ovseg3r(*command, "--segmenter", tmp_path / "none.safetensors"), "none.safetensors")


def test_models_list_names_every_weight_with_its_licence(ovseg3r):
    said = ovseg3r("models", "list")
    assert said.code == 0
    for model in models.MANIFEST:
        assert model.name in said.out and model.licence in said.out
    assert shipped.NAME in said.out and "this package" in said.out


def test_models_verify_reads_what_is_here_and_refuses_what_is_damaged(text_model, tmp_path, ovseg3r, monkeypatch):
    here = ovseg3r("models", "verify", "minilm-l6-v2")
    assert (here.code, here.out) == (0, "minilm-l6-v2: whole\n")
    shutil.copytree(models.find("minilm-l6-v2"), tmp_path / "minilm-l6-v2")
    largest = max((tmp_path / "minilm-l6-v2").iterdir(), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff" * 8)
    monkeypatch.setenv("OVSEG3R_CACHE", str(tmp_path))
    assert_refused(ovseg3r("models", "verify", "minilm-l6-v2"), largest.name)


def test_models_verify_tells_an_unknown_name_and_a_missing_file(tmp_path, ovseg3r, monkeypatch):
    assert_refused(ovseg3r("models", "verify", "bogus"), "bogus")
    monkeypatch.setenv("OVSEG3R_CACHE", str(tmp_path))
    assert_refused(ovseg3r("models", "verify"), "ovseg3r models fetch")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_shows_an_example(ovseg3r, verb):
    said = ovseg3r(*verb.split(), "--help")
    assert said.code == 0
    assert re.search(rf"Examples:\s.*ovseg3r {verb}", said.out, re.DOTALL)


def test_bare_command_lists_the_verbs(ovseg3r):
    said = ovseg3r("--help")
    assert said.code == 0
    for verb in {verb.split()[0] for verb in VERBS}:
        assert re.search(rf"\b{verb}\b", said.out)


def test_help_loads_nothing_heavy():
    code = (
        "import sys, ovseg3r_core.cli\nprint({'torch', 'open3d', 'transformers', 'rerun', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
