"""`ovseg3r-train`: scenes made, gone on with and listed; refusals in one line."""

import json
import re

import pytest
from boxed_scenes import make_boxes
from commands import Command
from PIL import Image

from ovseg3r_core.language.vocabulary import scannet200_split
from ovseg3r_core.synthetic.furniture import MissingFurnitureError, furniture_folder
from ovseg3r_train import cli, home_scenes
from ovseg3r_train.commands.scenes import sensor_of
from ovseg3r_train.make_scenes import SceneJob, run_jobs
from ovseg3r_train.scene_files import load_scene
from ovseg3r_train.scene_set import SceneSet


@pytest.fixture
def train(monkeypatch, capsys) -> Command:
    return Command(cli.main, ("ovseg3r-train",), monkeypatch, capsys)


@pytest.fixture
def boxes(monkeypatch):
    """Every home is the box room; gives the jobs that were run, with the sources of masks that were asked of them."""
    ran: list[tuple[str, tuple[str, ...]]] = []

    def make(job, sources):
        ran.append((job.world, tuple(sources)))
        return make_boxes(job, sources)

    monkeypatch.setattr(home_scenes, "make", make)
    return ran


def test_scenes_are_made_listed_and_attributed(train, boxes, tmp_path):
    said = train("scenes", tmp_path / "set", "--count", 2, "--split", "val", "--masks", "perfect,none")
    assert said.code == 0, said.err
    assert boxes == [("val-00000-human100", ("perfect", "none")), ("val-00001-robot100", ("perfect", "none"))]
    scenes = SceneSet(tmp_path / "set", split="val")
    assert scenes.names == (
        "val-00000-human100-none",
        "val-00000-human100-perfect",
        "val-00001-robot100-none",
        "val-00001-robot100-perfect",
    )
    assert {entry.masks for entry in scenes.entries} == {"perfect", "none"}
    owed = json.loads((tmp_path / "set" / "attribution.json").read_text())
    assert owed == {f"model{i}": {"creator": "someone", "licence": "CC0"} for i in range(2)}
    counted = json.loads((tmp_path / "set" / "classes.json").read_text())
    assert counted == {"worlds": 2, "instances": {"ball": 2, "cabinet": 2, "cup": 2, "dining table": 2}}
    with Image.open(tmp_path / "set" / "classes.png") as picture:
        assert picture.size[0] > 300
    assert "4 scenes in" in said.out


def test_what_is_there_and_whole_is_not_made_again(train, boxes, tmp_path):
    train("scenes", tmp_path, "--count", 3)
    boxes.clear()
    (tmp_path / "test-00001-robot100-perfect.safetensors").write_bytes(b"damaged")
    said = train("scenes", tmp_path, "--count", 3, "--masks", "perfect,none")
    assert boxes == [
        ("test-00000-human100", ("none",)),
        ("test-00001-robot100", ("perfect", "none")),
        ("test-00002-human100", ("none",)),
    ]
    assert all(SceneSet(tmp_path).is_whole(name) for name in SceneSet(tmp_path).names)
    boxes.clear()
    said = train("scenes", tmp_path, "--count", 3)
    assert boxes == []
    assert "3 homes were there already, 0 were made, 0 failed" in said.out


def test_a_home_that_fails_is_told_and_the_others_are_made(train, boxes, tmp_path):
    said = train("scenes", tmp_path, "--count", 4, "--seed", 2, "--style", "robot")
    assert said.code == 1
    assert "failed: test-00003-robot100: RuntimeError: this home [3] has no door" in said.err
    assert "3 were made, 1 failed" in said.out
    assert len(SceneSet(tmp_path)) == 3
    boxes.clear()
    assert train("scenes", tmp_path, "--count", 4, "--seed", 2, "--style", "robot").code == 1
    assert boxes == [("test-00003-robot100", ("perfect",))]


def test_another_sensor_makes_other_scenes_of_the_same_homes(train, boxes, tmp_path):
    train("scenes", tmp_path, "--count", 1)
    train("scenes", tmp_path, "--count", 1, "--depth-noise", 2, "--pose-jitter", 0.03, "--drop", 0.5)
    assert SceneSet(tmp_path).names == (
        "test-00000-human100-noise2_jitter0.03_drop0.5-perfect",
        "test-00000-human100-perfect",
    )
    sensor = sensor_of(2.0, 0.0, 0.03, 0.5)
    assert (sensor.depth.scale, sensor.pose.jitter_m, sensor.drop_share) == (2.0, 0.03, 0.5)


@pytest.mark.slow
def test_several_processes_make_what_one_makes(tmp_path):
    jobs = [SceneJob(folder=tmp_path, split="train", seed=seed) for seed in (1, 2, 3)]
    outcomes = {outcome.job.seed: outcome for outcome in run_jobs(jobs, make_boxes, workers=2)}
    assert outcomes[1].made == ("train-00001-human100-perfect",)
    assert outcomes[3].error == "RuntimeError: this home [3] has no door"
    assert SceneSet(tmp_path).names == ("train-00001-human100-perfect", "train-00002-human100-perfect")
    assert [scene.name for scene in SceneSet(tmp_path).read()] == list(SceneSet(tmp_path).names)


def test_renders_go_unless_they_are_kept(tmp_path):
    for seed, keep in ((1, True), (2, False)):
        job = SceneJob(folder=tmp_path, split="train", seed=seed, keep_renders=keep)
        job.renders.mkdir(parents=True)
        (job.renders / "000000.depth.png").write_bytes(b"x")
        list(run_jobs([job], make_boxes))
        assert job.renders.is_dir() is keep


def test_show_lists_a_set_and_tells_of_one_scene(train, boxes, tmp_path):
    train("scenes", tmp_path, "--count", 2, "--masks", "perfect,none")
    said = train("show", tmp_path)
    assert said.code == 0, said.err
    (row,) = [line for line in said.out.splitlines() if "test-00000-human100-perfect" in line]
    scene = load_scene(tmp_path / "test-00000-human100-perfect.safetensors")
    numbers = [int(number) for number in re.findall(r"(?<=│)\s*(\d+)\s*(?=│)", row)]
    assert numbers == [len(scene.cloud), len(scene.views), len(scene.lifted), 4]
    assert "none" not in train("show", tmp_path, "--masks", "perfect").out
    said = train("show", tmp_path / "test-00000-human100-perfect.safetensors")
    assert "1 cabinet" in said.out
    assert '"creator": "someone"' in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scenes", "OUT", "--masks", "prefect"], "there is no source 'prefect'"),
        (["scenes", "OUT", "--masks", "default", "--sampled"], "'default' needs images"),
        (["show", "OUT"], "missing"),
        (["show", "FILE"], "is no scene that can be used"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(train, tmp_path, arguments, said):
    (tmp_path / "file.safetensors").write_bytes(b"no scene")
    paths = {"OUT": tmp_path / "out", "FILE": tmp_path / "file.safetensors"}
    answer = train(*(paths.get(argument, argument) for argument in arguments))
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert said in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "verb", ["scenes", "sheet", "show", "evaluate", "calibrate", "convert", "train", "export", "ablate"]
)
def test_every_verb_explains_itself_with_examples(train, verb):
    said = train(verb, "--help")
    assert said.code == 0
    assert f"ovseg3r-train {verb} " in said.out.partition("Examples:")[2]


@pytest.mark.slow
@pytest.mark.parametrize("path", [["--frames", 8], ["--frames", 8, "--sampled"]])
def test_a_real_home_becomes_scenes(train, tmp_path, path):
    try:
        furniture_folder()
    except MissingFurnitureError as missing:
        pytest.skip(str(missing))
    said = train("scenes", tmp_path, "--count", 1, "--masks", "perfect,simulated,none", "--style", "robot", *path)
    assert said.code == 0, said.err
    scenes = {entry.masks: SceneSet(tmp_path).load(entry.name) for entry in SceneSet(tmp_path).entries}
    assert set(scenes) == {"perfect", "simulated", "none"}
    perfect = scenes["perfect"]
    assert perfect.truth is not None and perfect.clean is not None
    assert len(perfect.truth.names) >= 5
    assert len(perfect.lifted) >= 5
    assert scenes["none"].lifted == ()
    assert (scenes["none"].cloud.xyz == perfect.cloud.xyz).all()
    assert perfect.facts["attribution"]
    assert not (tmp_path / "renders").exists() or not list((tmp_path / "renders").iterdir())


@pytest.mark.slow
def test_scenes_for_training_do_not_tell_the_truth_of_novel_classes(train, tmp_path):
    try:
        furniture_folder()
    except MissingFurnitureError as missing:
        pytest.skip(str(missing))
    command = ["scenes", tmp_path, "--count", 1, "--split", "train", "--sampled", "--frames", 6]
    assert train(*command).code == 0
    (entry,) = SceneSet(tmp_path).entries
    scene = SceneSet(tmp_path).load(entry.name)
    assert scene.truth is not None
    assert entry.classes and not set(scene.truth.names.values()) & scannet200_split("novel")
    assert scene.facts["hidden"]["instances"] > 0
    assert {mask.label for mask in scene.lifted} & scannet200_split("novel")
