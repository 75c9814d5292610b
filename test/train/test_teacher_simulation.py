"""The simulated teacher: perfect without noise, the same every time, with the errors it is told to make."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ovseg3r_core.language.coco import COCO_CLASSES
from ovseg3r_core.masks.proposer import MaskProposer
from ovseg3r_core.types import Camera, Frame, Mask
from ovseg3r_train.teacher.estimates import agreement, estimate
from ovseg3r_train.teacher.measure import FrameMeasure, measure_frame
from ovseg3r_train.teacher.noise_model import TeacherNoise, default_masks, open_vocabulary, read_noise
from ovseg3r_train.teacher.outlines import across_image, across_space, cut_piece, smooth_field
from ovseg3r_train.teacher.simulated_masks import SimulatedMasks

SHAPE = (120, 160)
CAMERA = Camera(fx=130.0, fy=130.0, cx=79.5, cy=59.5, width=160, height=120)
NAMES = {1: "chair", 2: "vase", 3: "desk", 4: "trash can"}


def ids(index: int = 0) -> np.ndarray:
    image = np.zeros(SHAPE, np.uint16)
    image[20:60, 10:50] = 1
    image[30:60, 50:65] = 2
    image[20:70, 90:150] = 3
    image[80:110, 30:60] = 4
    return image


def frame(index: int = 0) -> Frame:
    depth = np.full(SHAPE, 2.0, np.float32)
    color = np.zeros((*SHAPE, 3), np.uint8)
    return Frame(index=index, stamp_s=0.0, color=color, depth_m=depth, camera=CAMERA, T_map_camera=np.eye(4))


def nothing() -> np.ndarray:
    return np.zeros(SHAPE, bool)


def propose(noise: TeacherNoise, seed: int = 0, index: int = 0) -> list[Mask]:
    return SimulatedMasks(ids, NAMES, noise, seed).propose(frame(index), nothing())


def perfect(**changes: object) -> TeacherNoise:
    return replace(default_masks().scale(0.0), **changes)


def measures(noise: TeacherNoise, seeds: int = 20, frames: int = 5) -> list[FrameMeasure]:
    return [
        measure_frame(str(seed), frame(index), propose(noise, seed, index), ids(), NAMES)
        for seed in range(seeds)
        for index in range(frames)
    ]


# A perfect teacher, and one that repeats itself


def test_without_noise_every_thing_is_outlined_exactly_under_its_own_name():
    masks = propose(perfect())
    assert [mask.score for mask in masks] == [1.0] * 4
    assert [mask.label for mask in masks] == ["chair", "vase", "dining table", "trash can"]  # COCO calls a desk so
    assert all((mask.pixels == (ids() == id)).all() for mask, id in zip(masks, NAMES, strict=True))


def test_it_is_a_proposer_and_gives_the_same_masks_for_the_same_seed_and_frame():
    assert isinstance(SimulatedMasks(ids, NAMES, default_masks(), 0), MaskProposer)
    first, again = propose(default_masks(), 3, 5), propose(default_masks(), 3, 5)
    assert [(m.label, m.score, m.pixels.sum()) for m in first] == [(m.label, m.score, m.pixels.sum()) for m in again]
    other = propose(default_masks(), 4, 5)
    assert [mask.pixels.sum() for mask in first] != [mask.pixels.sum() for mask in other]


# The errors come back at the rates that were asked for


def test_states_names_and_extras_are_measured_as_they_were_asked_for():
    noise = perfect(missed=(0.2,) * 6, in_parts=(0.1,) * 6, parts_of_split=2.0, nameless=0.3, wrong=0.25, repeats=0.2)
    found = {name: value for name, (value, _) in estimate(measures(noise)).items()}
    states = np.array([thing.state for frame in measures(noise) for thing in frame.things])
    assert (states == "missed").mean() == pytest.approx(0.2, abs=0.06)
    assert (states == "parts").mean() == pytest.approx(0.1, abs=0.05)
    assert found["nameless"] == pytest.approx(0.3, abs=0.08)
    assert found["wrong"] == pytest.approx(0.25, abs=0.1)
    assert found["repeats"] == pytest.approx(0.2, abs=0.06)


def test_outlines_err_by_the_mean_and_the_spread_that_were_asked_for():
    noise = perfect(outline_mean=0.04, outline_spread=0.03, outline_reach=0.15, outline_spread_factor=1.0)
    found = {name: value for name, (value, _) in estimate(measures(noise)).items()}
    assert found["outline_mean"] == pytest.approx(0.04, abs=0.015)
    assert found["outline_spread"] == pytest.approx(0.03, abs=0.01)
    assert found["outline_reach"] == pytest.approx(0.15, abs=0.06)


def test_a_lumped_thing_lies_in_the_mask_of_its_larger_neighbour_or_of_structure():
    only_small = tuple(1.0 if share < 0.03 else 0.0 for share in (0.0006, 0.0017, 0.0055, 0.017, 0.055, 0.2))
    frames = measures(perfect(lumped=only_small), seeds=3, frames=3)
    vases = [thing for frame in frames for thing in frame.things if thing.name == "vase"]
    assert sum(vase.state == "lumped" for vase in vases) >= 0.5 * len(vases)


def test_false_masks_lie_on_structure_and_need_depth():
    noise = perfect(false_masks=4.0, false_share=0.03, false_whole=0.3)
    masks = propose(noise)[4:]
    assert masks and all((ids()[mask.pixels] == 0).mean() > 0.9 for mask in masks)
    blind = replace(frame(), depth_m=np.zeros(SHAPE, np.float32))
    assert len(SimulatedMasks(ids, NAMES, noise, 0).propose(blind, nothing())) == 4


def test_a_thing_that_is_missed_in_one_view_is_missed_in_others():
    noise = perfect(missed=(0.5,) * 6, state_agreement=0.6)
    frames = measures(noise, seeds=40, frames=6)
    keys = [(frame.place, thing.id) for frame in frames for thing in frame.things]
    gone = np.array([thing.state == "missed" for frame in frames for thing in frame.things])
    assert agreement(gone, np.full(len(gone), 0.5), keys) == pytest.approx(0.6, abs=0.12)


def test_what_the_map_explains_is_not_told_again_without_a_name():
    masks = SimulatedMasks(ids, NAMES, perfect(nameless=1.0), 0).propose(frame(), ids() == 1)
    assert [mask.label for mask in masks] == [None, None, "trash can"]  # the chair is explained


def test_a_thing_is_cut_along_the_same_plane_of_the_map_in_every_view():
    turned = np.diag([-1.0, -1.0, 1.0, 1.0])  # the camera upside down: the image is turned by half
    seen, again = frame(), replace(frame(), T_map_camera=turned)
    piece = cut_piece(ids() == 3, across_space(seen, np.random.default_rng(1)), 0.3)
    other = cut_piece(ids()[::-1, ::-1] == 3, across_space(again, np.random.default_rng(1)), 0.3)
    assert (piece == other[::-1, ::-1]).all()
    unread = replace(seen, depth_m=np.zeros(SHAPE, np.float32))
    assert not cut_piece(ids() == 3, across_space(unread, np.random.default_rng(1)), 0.3).any()


# Names


def test_a_coco_teacher_has_no_word_for_a_trash_can_and_an_open_one_has():
    strict = replace(perfect(), nameless_foreign=1.0)
    assert propose(strict)[3].label is None
    open_one = replace(strict, naming="open")
    assert [mask.label for mask in propose(open_one)] == ["chair", "vase", "desk", "trash can"]
    assert open_vocabulary().missed == default_masks().missed


def test_wrong_names_are_words_of_the_teacher_and_not_the_thing_itself():
    labels = {mask.label for seed in range(20) for mask in propose(perfect(wrong=1.0), seed)[:1]}
    assert labels <= set(COCO_CLASSES) - {"chair"}
    of_two = SimulatedMasks(ids, NAMES, perfect(wrong=1.0), 0, vocabulary=["chair", "bed"])
    assert of_two.propose(frame(), nothing())[0].label == "bed"


# Parameters and files


def test_scaling_makes_errors_rarer_and_keeps_them_shares():
    noise = default_masks()
    half, much = noise.scale(0.5), noise.scale(20.0)
    assert half.missed == pytest.approx([0.5 * rate for rate in noise.missed])
    assert max(map(sum, zip(much.missed, much.lumped, much.in_parts, strict=True))) <= 1 + 1e-9
    assert noise.scale(1.0) == noise
    with pytest.raises(ValueError, match="factor is -1"):
        noise.scale(-1.0)


def test_a_rate_out_of_range_or_a_file_without_a_parameter_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"nameless is 1.5; it must lie in 0..1"):
        replace(default_masks(), nameless=1.5)
    with pytest.raises(ValueError, match="missed has 2 rates"):
        replace(default_masks(), missed=(0.1, 0.2))
    (tmp_path / "noise.json").write_text('{"parameters": {"nameless": 0.1}}')
    with pytest.raises(ValueError, match="are missing or unknown: fit it again"):
        read_noise(tmp_path / "noise.json")


def test_errors_mean_the_same_at_every_resolution():
    assert smooth_field((60, 80), 9.0, np.random.default_rng(0)).std() == pytest.approx(1.0, abs=0.25)
    region = ids() == 3
    line = across_image(SHAPE, np.random.default_rng(0))
    assert cut_piece(region, line, 0.3).sum() == pytest.approx(0.3 * region.sum(), rel=0.1)
