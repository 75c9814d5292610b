"""`ovseg3r reconstruct`, and the poses that `segment` may be given: as a user would call them."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import Command
from hostile import crossed_by_a_person, renumbered
from rich.console import Console
from speckled import Shots, blank, round_the_room, shoot, without_pose_files

from ovseg3r_core.checks import Rejected
from ovseg3r_core.cli import main
from ovseg3r_core.odometry.choice import Placed, Recovery, with_poses
from ovseg3r_core.scene_files import read_cloud_ply
from ovseg3r_core.sequences.sequence import Recording, open_sequence
from ovseg3r_core.sequences.trajectory_file import read_trajectory, write_trajectory
from ovseg3r_core.synthetic.saving import save_camera, save_frame
from ovseg3r_core.types import Frame

POSES = round_the_room(12, 0, 30)


def posed(recording: Recording, poses: str, folder: Path) -> Placed:
    return with_poses(recording, poses, Console(quiet=True), Recovery(folder=folder, identity="it"))


@pytest.fixture
def ovseg3r(monkeypatch, capsys) -> Command:
    return Command(main, ("ovseg3r",), monkeypatch, capsys)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A recording of the speckled room with poses."""
    path = tmp_path_factory.mktemp("walk")
    for i, T in enumerate(POSES):
        frame = shoot(T, i)
        save_frame(frame, np.zeros(frame.depth_m.shape, np.uint16), path)
    save_camera(frame.camera, path)
    return path


def test_a_recording_becomes_a_trajectory_a_cloud_and_a_report(ovseg3r: Command, folder: Path, tmp_path: Path):
    said = ovseg3r("reconstruct", folder, "--out", tmp_path)
    assert said.code == 0 and "12 of 12 frames placed" in said.out and "against the recorded poses: ATE" in said.out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["frames"] == {"read": 12, "posed": 12} and report["fused"] == 12 and report["scale_known"]
    assert report["against_recorded_poses"]["ate_m"] < 0.02
    assert len(read_cloud_ply(tmp_path / "cloud.ply").xyz) == report["points"] > 1000
    assert len(read_trajectory(tmp_path / "trajectory.txt", 1.0)) == 12
    assert (tmp_path / "preview.png").stat().st_size > 10_000
    placed = posed(open_sequence(folder), str(tmp_path), tmp_path / "unused")  # by the folder that this run left
    found = [it for it in placed.sequence.read() if isinstance(it, Frame)]
    assert len(found) == 12 and placed.scale_known and not (tmp_path / "unused").exists()
    said = ovseg3r("reconstruct", folder, "--out", tmp_path, "--camera-height", 1.5)
    assert said.code == 2 and "--from colour" in said.err


def test_a_recording_without_poses_can_be_mapped_and_says_so(ovseg3r: Command, folder: Path, tmp_path: Path):
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in folder.iterdir():
        (bare / path.name).write_bytes(path.read_bytes())
    assert without_pose_files(bare) == 12
    recording = open_sequence(bare)
    assert not recording.has_poses and all(isinstance(it, Rejected) for it in recording.read())
    said = ovseg3r("reconstruct", bare, "--out", tmp_path / "out", "--json")
    report = json.loads(said.out)
    assert report["frames"]["posed"] == 12 and report["against_recorded_poses"] is None
    placed = posed(recording, "auto", tmp_path)
    assert placed.by == "odometry" and placed.scale_known and placed.sequence.name == "bare"
    assert [isinstance(it, Frame) for it in placed.sequence.read()] == [True] * 12 == [True] * len(placed.sequence)
    with pytest.raises(ValueError, match="--poses odometry"):
        posed(recording, "recorded", tmp_path)


def test_poses_of_a_file_are_taken_where_it_has_them(folder: Path, tmp_path: Path):
    recording, path = open_sequence(folder), tmp_path / "some.txt"
    recorded = [it for it in recording.read() if isinstance(it, Frame)]
    own = posed(recording, "auto", tmp_path).sequence.read()
    assert [it.T_map_camera.tolist() for it in own if isinstance(it, Frame)] == [
        it.T_map_camera.tolist() for it in recorded
    ]
    shifted = {it.stamp_s: it.T_map_camera + np.eye(4, k=3) for it in recorded[:6]}
    write_trajectory(path, shifted)
    items = list(posed(recording, str(path), tmp_path).sequence.read())
    assert [isinstance(it, Frame) for it in items] == [True] * 6 + [False] * 6
    first = items[0]
    assert isinstance(first, Frame) and np.allclose(first.T_map_camera, shifted[recorded[0].stamp_s], atol=1e-8)
    path.write_text("nothing here\n")
    with pytest.raises(Rejected, match="holds no pose"):
        posed(recording, str(path), tmp_path)
    with pytest.raises(ValueError, match="no such file"):
        posed(recording, "nowhere.txt", tmp_path)


def test_a_camera_that_is_lost_most_of_the_way_is_a_warning(ovseg3r: Command, monkeypatch, tmp_path: Path):
    shots = Shots([shoot(POSES[0], 0), *[blank(i) for i in range(1, 6)]], has_poses=False)
    monkeypatch.setattr("ovseg3r_core.sequences.sequence.open_sequence", lambda *_: shots)
    (tmp_path / "anything").touch()
    said = ovseg3r("reconstruct", tmp_path / "anything", "--out", tmp_path / "out")
    assert said.code == 0 and "1 of 6 frames placed; without a pose: 5 lost" in said.out
    assert "lost most of the way" in said.err


def test_a_person_who_walks_by_is_a_warning(ovseg3r: Command, monkeypatch, tmp_path: Path):
    frames = renumbered([shoot(T) for T in round_the_room(6, 0, 22)])
    crossed, _ = crossed_by_a_person(frames, (0.5, -0.8), (0.9, 0.9))
    monkeypatch.setattr("ovseg3r_core.sequences.sequence.open_sequence", lambda *_: Shots(crossed, has_poses=False))
    (tmp_path / "anything").touch()
    said = ovseg3r("reconstruct", tmp_path / "anything", "--out", tmp_path / "out")
    assert said.code == 0 and "something moves through the scene" in said.err
    assert json.loads((tmp_path / "out" / "report.json").read_text())["moving"]["doubtful"]
