"""A folder that COLMAP exported is a recording of colour alone whose cameras are known already."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from recordings import write_image
from speckled import CAMERA, Shots, round_the_room, shoot

from ovseg3r_core.checks import Rejected
from ovseg3r_core.evaluation.trajectory_error import trajectory_error
from ovseg3r_core.odometry.choice import Recovery, recover
from ovseg3r_core.photogrammetry import from_color
from ovseg3r_core.photogrammetry.dense import DenseConfig
from ovseg3r_core.photogrammetry.from_color import ColorConfig
from ovseg3r_core.photogrammetry.selection import SelectionConfig, select
from ovseg3r_core.photogrammetry.sparse import SparseConfig, structure_from_motion
from ovseg3r_core.sequences.colmap import ColmapRecording, calibration_of, load_pycolmap
from ovseg3r_core.sequences.sequence import open_sequence

POSES = round_the_room(6, 0, 20)
FRAMES = [shoot(T, i) for i, T in enumerate(POSES)]


@pytest.fixture(scope="module")
def export(tmp_path_factory) -> Path:
    """What COLMAP makes of the speckled room, and its images under names of their own."""
    work, folder = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("export")
    structure_from_motion(select(Shots(FRAMES), work, SelectionConfig()), work, SparseConfig())
    shutil.copytree(work / "models" / "0", folder / "sparse" / "0")
    (folder / "images").mkdir()
    for index, frame in enumerate(FRAMES):
        write_image(folder / "images" / f"{index:06d}.png", frame.color)
    return folder


def test_an_export_is_recognised_and_has_its_camera(export: Path):
    recording = open_sequence(export)
    assert isinstance(recording, ColmapRecording) and not recording.has_poses and not recording.has_depth
    (first, *others) = recording.read_color()
    assert not isinstance(first, Rejected) and first.camera == CAMERA and len(others) == 5
    assert np.array_equal(first.color, FRAMES[0].color)
    assert list(open_sequence(export, frames=slice(1, None, 2)).read_stamps()) == [1, 3, 5]
    with pytest.raises(FileNotFoundError, match="no model of COLMAP"):
        open_sequence(export / "images", "colmap")


def test_its_cameras_are_taken_and_no_others_are_sought(export: Path, tmp_path: Path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it was sought again")

    monkeypatch.setattr(from_color, "structure_from_motion", refuse)
    color = ColorConfig(dense=DenseConfig(width_px=160))
    recording = open_sequence(export)
    found = recover(recording, Recovery(folder=tmp_path, identity="", color=color), from_color=True)
    error = trajectory_error(found.poses, dict(enumerate(POSES)), scaled=True)
    assert error and error.frames == 6 and error.ate_m < 0.02
    assert not found.scale_known and len([it for it in found.of(recording).read() if not isinstance(it, Rejected)]) == 6


def test_a_damaged_model_is_refused(export: Path, tmp_path: Path):
    shutil.copytree(export, tmp_path / "cut")
    images = tmp_path / "cut" / "sparse" / "0" / "images.bin"
    images.write_bytes(images.read_bytes()[:50])
    with pytest.raises(Rejected):
        open_sequence(tmp_path / "cut")


def test_lenses_are_those_of_opencv():
    colmap = load_pycolmap()

    def camera(model: str, numbers: list[float]):
        return colmap.Camera(model=model, width=640, height=480, params=numbers)

    simple = calibration_of(camera("SIMPLE_RADIAL", [500, 320, 240, 0.1]))
    assert (simple.fx, simple.fy, simple.cx, simple.cy) == (500, 500, 319.5, 239.5)
    assert simple.distortion == (0.1, 0, 0, 0)
    full = calibration_of(camera("OPENCV", [500, 510, 320, 240, 0.1, 0.2, 0.3, 0.4]))
    assert (full.fx, full.fy) == (500, 510) and full.distortion == (0.1, 0.2, 0.3, 0.4)
    assert calibration_of(camera("OPENCV_FISHEYE", [500, 510, 320, 240, 1, 2, 3, 4])).model == "equidistant"
    with pytest.raises(Rejected, match="FOV is not known here"):
        calibration_of(camera("FOV", [500, 510, 320, 240, 0.9]))
