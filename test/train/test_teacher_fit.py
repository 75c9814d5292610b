"""Fitting: rendered frames on disk, measured, fitted, corrected, written and read back."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_train.teacher.estimates import Estimate, corrected, estimate, noise_from
from ovseg3r_train.teacher.fit import (
    RenderedPlace,
    facts_of,
    measure_places,
    measure_simulation,
    report_table,
    write_fit,
)
from ovseg3r_train.teacher.noise_model import TeacherNoise, default_masks, read_noise
from ovseg3r_train.teacher.simulated_masks import SimulatedMasks


def rendered(folder: Path, frames: int = 3) -> Path:
    """A chair and a bed on a wall, the camera going nowhere."""
    ids = np.zeros((120, 160), np.uint16)
    ids[20:60, 10:50], ids[50:100, 80:140] = 1, 2
    folder.mkdir()
    for number in range(frames):
        stem = f"{folder}/{number:06d}"
        cv2.imwrite(f"{stem}.color.jpg", np.full((120, 160, 3), 90, np.uint8))
        cv2.imwrite(f"{stem}.depth.png", np.full((120, 160), 2000, np.uint16))
        cv2.imwrite(f"{stem}.instances.png", ids)
        np.savetxt(f"{stem}.pose.txt", np.eye(4))
    np.savetxt(folder / "camera-intrinsics.txt", [[130, 0, 79.5], [0, 130, 59.5], [0, 0, 1]])
    (folder / "labels.json").write_text(json.dumps({"1": "chair", "2": "bed"}))
    (folder / "render.json").write_text(json.dumps({"name": "room", "frames": frames, "facts": {"seed": 3}}))
    return folder


def teacher(noise: TeacherNoise, place: RenderedPlace) -> MaskProposer:
    return SimulatedMasks(place.instances, place.names, noise, 1)


def test_a_perfect_teacher_is_fitted_as_perfect(tmp_path: Path):
    places = [RenderedPlace.open(rendered(tmp_path / "room"))]
    measures = measure_places(places, partial(teacher, default_masks().scale(0.0)))
    found = {name: value for name, (value, _) in estimate(measures).items()}
    assert len(measures) == 3
    assert (found["missed"], found["wrong"], found["truncated"], found["false_masks"]) == ((0.0,) * 6, 0, 0, 0)
    assert found["outline_spread"] == pytest.approx(0.001)  # the finest that is told apart
    assert found["score_right"] == (1.0, 0.0)


def test_a_fit_is_written_with_what_it_was_made_on_and_read_back(tmp_path: Path):
    places = [RenderedPlace.open(rendered(tmp_path / "room", frames=8))]
    measures = measure_places(places, partial(teacher, default_masks()), every=2)
    assert len(measures) == 4
    real = estimate(measures)
    noise = noise_from(real)
    again = estimate(measure_simulation(places, noise, every=2))
    noise = corrected(noise, real, again)
    write_fit(tmp_path / "fit" / "noise.json", noise, real, again, facts_of(measures, "default"))
    assert read_noise(tmp_path / "fit" / "noise.json") == noise
    facts = json.loads((tmp_path / "fit" / "noise.json").read_text())["fitted_on"]
    assert (facts["frames"], facts["visible_things"]) == ({"room": 4}, {"chair": 4, "bed": 4})
    assert "nameless" in report_table(real, again)


def test_the_correction_moves_a_rate_by_what_the_simulation_has_too_much():
    noise = replace(default_masks(), truncated=0.2)
    real: dict[str, Estimate] = {
        name: (getattr(noise, name), 9) for name in noise.__dataclass_fields__ if name != "naming"
    }
    assert corrected(noise, real, real) == noise
    too_much: dict[str, Estimate] = real | {"truncated": (0.35, 9)}
    assert corrected(noise, real, too_much).truncated == pytest.approx(0.05)


def test_a_rendering_that_was_not_finished_is_refused(tmp_path: Path):
    folder = rendered(tmp_path / "room")
    (folder / "000001.pose.txt").unlink()
    with pytest.raises(ValueError, match="holds 2 of 3 frames"):
        RenderedPlace.open(folder)


def test_nothing_outlined_is_nothing_to_fit():
    with pytest.raises(ValueError, match="0 visible things, none outlined"):
        estimate([])
