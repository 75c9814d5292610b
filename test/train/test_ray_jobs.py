"""Jobs on Ray: what processes of a cluster make is what one process makes."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from boxed_scenes import make_boxes
from recorded_rooms import write_room

from ovseg3r_train import ray_jobs
from ovseg3r_train.make_scenes import SceneJob, run_job
from ovseg3r_train.scene_set import SceneSet

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'ovseg3r_ros[ray]'")


def test_without_ray_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    job = SceneJob(folder=tmp_path, split="train", seed=1)
    with pytest.raises(ImportError, match=r"pip install 'ovseg3r_ros\[ray\]'"):
        next(ray_jobs.run_on_ray([job], make_boxes, "auto"))


def test_a_job_can_leave_the_index_to_whoever_started_it(tmp_path):
    outcome = run_job(SceneJob(folder=tmp_path, split="train", seed=1), make_boxes, lists=False)
    assert outcome.made == ("train-00001-human100-perfect",)
    assert SceneSet(tmp_path).names == ()
    SceneSet(tmp_path).enlist(outcome.entries)
    assert SceneSet(tmp_path).is_whole("train-00001-human100-perfect")


def test_a_machine_that_does_not_share_the_folder_says_so(tmp_path):
    job = SceneJob(folder=tmp_path, split="train", seed=1)
    outcome = ray_jobs._do(job, make_boxes, 1, str(tmp_path / "elsewhere"))
    assert outcome.error is not None and "all machines must share it" in outcome.error


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:port"])
def test_a_cluster_that_is_not_there_is_told_at_once(tmp_path, address):
    job = SceneJob(folder=tmp_path, split="train", seed=1)
    with pytest.raises(ConnectionError, match="there is no Ray cluster that can be joined"):
        next(ray_jobs.run_on_ray([job], make_boxes, address))


@needs_ray
@pytest.mark.slow
def test_processes_of_ray_label_recordings(tmp_path):
    for name in ("a", "b", "c"):
        write_room(tmp_path / "recordings" / name)
    (tmp_path / "recordings" / "c" / "camera-intrinsics.txt").unlink()
    program = "from ovseg3r_train.cli import main; main()"
    command = [sys.executable, "-c", program, "pseudo-label", "recordings", "--out", "set", "--masks"]
    command += ["files:recordings", "--ray", "local", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 1, done.stderr
    assert "failed: c: Rejected: " in done.stderr
    scenes = SceneSet(tmp_path / "set")
    assert scenes.names == ("a-files_recordings", "b-files_recordings")
    one, other = (scenes.load(name) for name in scenes.names)
    assert (one.cloud.xyz == other.cloud.xyz).all() and len(one.lifted) == len(other.lifted) > 10
    assert json.loads((tmp_path / "set" / "pseudo_labels.json").read_text())["totals"]["scenes"] == 2
