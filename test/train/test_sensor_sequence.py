"""A home rendered once, and read with the noise of a sensor."""

import os
from pathlib import Path

import numpy as np
import pytest
from sensor_homes import CAMERA, home, poses

from ovseg3r_core.sequences.sequence import Sequence, open_sequence
from ovseg3r_core.types import Frame
from ovseg3r_train.sensor.depth_noise import DepthNoiseConfig
from ovseg3r_train.sensor.pose_drift import PoseDriftConfig
from ovseg3r_train.sensor.rendered import PERFECT_SENSOR, NoisySequence, SensorConfig, render_home

FRAMES = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home")
    render_home(home(), poses(FRAMES), CAMERA, path, facts={"seed": 0})
    return path


def frames(folder: Path, config: SensorConfig | None = None, seed: int = 0) -> list[Frame]:
    read = list(NoisySequence(folder, config, seed).read())
    assert all(isinstance(frame, Frame) for frame in read)
    return read


def test_a_noisy_sequence_is_a_sequence_that_knows_the_truth(folder):
    sequence = NoisySequence(folder)
    assert isinstance(sequence, Sequence)
    assert (sequence.name, len(sequence), sequence.names) == ("box_room", FRAMES, {1: "box"})
    assert sequence.facts["facts"] == {"seed": 0}
    ids = sequence.instances(3)
    assert ids.dtype == np.uint16
    assert set(np.unique(ids)) == {0, 1}
    np.testing.assert_allclose(sequence.true_pose(3), poses(FRAMES)[3], atol=1e-8)


def test_a_perfect_sensor_gives_what_was_rendered(folder):
    saved = list(open_sequence(folder).read())
    for frame, clean in zip(frames(folder, PERFECT_SENSOR), saved, strict=True):
        np.testing.assert_array_equal(frame.depth_m, clean.depth_m)
        np.testing.assert_array_equal(frame.color, clean.color)
        np.testing.assert_allclose(frame.T_map_camera, clean.T_map_camera, atol=1e-12)


def test_the_noise_is_the_same_each_time_it_is_read_and_another_for_another_seed(folder):
    first, again, other = frames(folder, seed=1), frames(folder, seed=1), frames(folder, seed=2)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.depth_m, b.depth_m)
        np.testing.assert_array_equal(a.color, b.color)
        assert (a.depth_m != c.depth_m).any()


def test_dropped_frames_are_as_many_as_asked_for_and_leave_the_others_as_they_are(folder):
    whole = {frame.index: frame for frame in frames(folder)}
    kept_before = set(whole)
    for share, left in ((0.1, 9), (0.3, 7), (0.5, 5)):
        kept = frames(folder, SensorConfig(drop_share=share))
        indices = [frame.index for frame in kept]
        assert len(kept) == left
        assert indices == sorted(indices)
        assert indices[0] == 0
        assert set(indices) < kept_before  # a larger share drops what a smaller one drops, and more
        kept_before = set(indices)
        for frame in kept:
            np.testing.assert_array_equal(frame.depth_m, whole[frame.index].depth_m)
            np.testing.assert_array_equal(frame.color, whole[frame.index].color)


def test_frames_carry_the_drifted_pose_and_the_true_one_stays_known(folder):
    config = SensorConfig(pose=PoseDriftConfig(drift_m=0.05))
    sequence = NoisySequence(folder, config)
    errors = []
    for frame in frames(folder, config):
        errors.append(np.linalg.norm(frame.T_map_camera[:3, 3] - sequence.true_pose(frame.index)[:3, 3]))
    assert errors[0] == 0
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(0.05)


def test_a_sensor_that_loses_everything_is_told_and_does_not_stop_the_rest(folder):
    read = list(NoisySequence(folder, SensorConfig(depth=DepthNoiseConfig(farthest_m=0.5))).read())
    assert [item.reason for item in read] == ["empty_depth"] * FRAMES


def test_rendering_goes_on_where_it_was_interrupted(folder, tmp_path):
    rendered = []
    render_home(home(), poses(3), CAMERA, tmp_path)
    (tmp_path / "000001.pose.txt").unlink()
    before = (tmp_path / "000002.color.jpg").stat().st_mtime_ns
    with pytest.raises(ValueError, match="call render_home again"):
        NoisySequence(tmp_path)
    render_home(home(), poses(3), CAMERA, tmp_path, done=rendered.append)
    assert rendered == [2]
    assert (tmp_path / "000002.color.jpg").stat().st_mtime_ns == before
    assert len(NoisySequence(tmp_path)) == 3


def test_another_home_is_not_mixed_into_a_folder(tmp_path):
    render_home(home(), poses(2), CAMERA, tmp_path)
    for other in (lambda: (home(box_y=0.7), poses(2)), lambda: (home(), poses(3))):
        with pytest.raises(ValueError, match="holds another rendering"):
            render_home(*other(), CAMERA, tmp_path)


def test_no_half_written_file_is_left(folder):
    assert not [name for name in os.listdir(folder) if name.startswith(".")]
