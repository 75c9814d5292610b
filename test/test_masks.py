"""The proposers on a painted picture, with a SAM that answers by colour and so makes no mistakes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray

from ovseg3r_core import models
from ovseg3r_core.checks import Rejected
from ovseg3r_core.masks.build import build_proposer, embedded_detector
from ovseg3r_core.masks.candidates import (
    Candidates,
    QualityConfig,
    bounding_boxes,
    good_candidates,
    iou,
    one_each,
    stability,
    without_repeats,
)
from ovseg3r_core.masks.detector_sam import DetectorSam, DetectorSamConfig
from ovseg3r_core.masks.everything import Everything, EverythingConfig
from ovseg3r_core.masks.gaps import gap_centres
from ovseg3r_core.masks.proposer import Detections
from ovseg3r_core.masks.sam import Embedding, PromptedMasks, Sam
from ovseg3r_core.masks.sam_decoder import ImageTokens
from ovseg3r_core.masks.yolox import YoloxConfig
from ovseg3r_core.types import Camera, Frame, Mask

HEIGHT, WIDTH = 192, 256
CUP, BOOK = (slice(40, 80), slice(30, 70)), (slice(60, 140), slice(150, 210))


class ColourSam(Sam):
    """Answers each prompt with the pixels that have the colour in its middle."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.points: list[tuple[float, float]] = []

    def encode(self, color: UInt8[ndarray, "height width 3"]) -> Embedding:
        self._color = torch.from_numpy(color.astype(np.int64)).sum(-1)
        none = torch.zeros(1, 1, 1)
        image = ImageTokens(
            grid=(1, 1),
            vectors=none[0],
            position=none[0],
            first_keys=none,
            first_values=none,
            first_queries=none,
        )
        return Embedding(image=image, height=color.shape[0], width=color.shape[1], scale=4.0)

    def masks_at(self, embedding: Embedding, points: Float[ndarray, "prompts 2"]) -> PromptedMasks:
        self.points += [(float(u), float(v)) for u, v in points]
        masks = [self._color == self._color[round(float(v)), round(float(u))] for u, v in points]
        same = torch.stack(masks) if masks else torch.zeros(0, *self._color.shape, dtype=torch.bool)
        logits = torch.where(same, 10.0, -10.0)[:, None].expand(-1, 4, -1, -1)
        return PromptedMasks(logits=logits, iou=torch.full(logits.shape[:2], 0.95))

    def masks_in(self, embedding: Embedding, boxes: Float[ndarray, "prompts 4"]) -> PromptedMasks:
        answers = self.masks_at(embedding, (boxes[:, :2] + boxes[:, 2:]) / 2)
        del self.points[len(self.points) - len(boxes) :]
        return answers


class FixedDetector:
    def __init__(self, *found: tuple[str, float, tuple[float, float, float, float]]) -> None:
        self.found = found

    def detect(self, color: UInt8[ndarray, "height width 3"]) -> Detections:
        return Detections(
            boxes=np.array([box for _, _, box in self.found], dtype=np.float32).reshape(-1, 4),
            scores=np.array([score for _, score, _ in self.found], dtype=np.float32),
            names=tuple(name for name, _, _ in self.found),
        )


CUP_FOUND = ("cup", 0.8, (30.0, 40.0, 70.0, 80.0))


@pytest.fixture
def frame() -> Frame:
    """A cup and a book in front of a wall."""
    color = np.full((HEIGHT, WIDTH, 3), 200, dtype=np.uint8)
    color[CUP], color[BOOK] = 10, 90
    return frame_of(color)


def frame_of(color: UInt8[ndarray, "height width 3"]) -> Frame:
    height, width = color.shape[:2]
    return Frame(
        index=7,
        stamp_s=0.0,
        color=color,
        depth_m=np.ones((height, width), np.float32),
        camera=Camera(fx=200.0, fy=200.0, cx=width / 2, cy=height / 2, width=width, height=height),
        T_map_camera=np.eye(4),
    )


def nothing() -> ndarray:
    return np.zeros((HEIGHT, WIDTH), dtype=bool)


def sizes(masks: list[Mask]) -> dict[str | None, list[int]]:
    found: dict[str | None, list[int]] = {}
    for mask in masks:
        found.setdefault(mask.label, []).append(int(mask.pixels.sum()))
    return {name: sorted(areas) for name, areas in found.items()}


CUP_PX, BOOK_PX = 40 * 40, 80 * 60
WALL_PX = HEIGHT * WIDTH - CUP_PX - BOOK_PX


def test_named_boxes_and_unnamed_gaps_are_both_masked(frame: Frame) -> None:
    masks = DetectorSam(FixedDetector(CUP_FOUND), ColourSam()).propose(frame, nothing())
    assert sizes(masks) == {"cup": [CUP_PX], None: [BOOK_PX, WALL_PX]}
    assert next(mask for mask in masks if mask.label == "cup").score == pytest.approx(0.8)


def test_explained_pixels_are_not_asked_about(frame: Frame) -> None:
    explained, sam = nothing(), ColourSam()
    explained[BOOK] = True
    masks = DetectorSam(FixedDetector(CUP_FOUND), sam).propose(frame, explained)
    assert sizes(masks) == {"cup": [CUP_PX], None: [WALL_PX]}
    assert sam.points and not any(explained[round(v), round(u)] for u, v in sam.points)


def test_a_view_that_is_all_explained_costs_no_points(frame: Frame) -> None:
    proposer = DetectorSam(FixedDetector(), ColourSam())
    assert proposer.propose(frame, ~nothing()) == []
    assert proposer.stats["points"] == 0 and proposer.stats["frames"] == 1


def test_named_things_are_seen_again_where_the_map_explains_them(frame: Frame) -> None:
    masks = DetectorSam(FixedDetector(CUP_FOUND), ColourSam()).propose(frame, ~nothing())
    assert sizes(masks) == {"cup": [CUP_PX]}


def test_explaining_more_costs_fewer_points(frame: Frame) -> None:
    explained = nothing()
    explained[:, : WIDTH // 2] = True
    asked = []
    for known in (nothing(), explained):
        proposer = DetectorSam(FixedDetector(), ColourSam())
        proposer.propose(frame, known)
        asked.append(proposer.stats["points"])
    assert asked[1] < 0.8 * asked[0]


def test_points_keep_to_their_budget(frame: Frame) -> None:
    sam = ColourSam()
    DetectorSam(FixedDetector(), sam, DetectorSamConfig(max_prompts=5, points_at_once=3)).propose(frame, nothing())
    assert len(sam.points) == 5


def test_no_point_is_asked_twice(frame: Frame) -> None:
    sam = ColourSam()
    DetectorSam(FixedDetector(), sam).propose(frame, nothing())
    assert len(set(sam.points)) == len(sam.points)


def test_a_mask_that_does_not_fill_its_box_is_refused(frame: Frame) -> None:
    too_wide = ("bench", 0.9, (0.0, 20.0, 100.0, 100.0))  # its middle is the cup
    proposer = DetectorSam(FixedDetector(too_wide), ColourSam())
    assert None in sizes(masks := proposer.propose(frame, nothing())) and "bench" not in sizes(masks)
    assert proposer.stats["boxes_refused"] == 1


def test_two_names_for_one_thing_leave_the_surer_one(frame: Frame) -> None:
    detector = FixedDetector(("bowl", 0.4, CUP_FOUND[2]), CUP_FOUND)
    assert "bowl" not in sizes(DetectorSam(detector, ColourSam()).propose(frame, nothing()))


def test_a_picture_of_one_colour_is_one_mask() -> None:
    blank = frame_of(np.full((HEIGHT, WIDTH, 3), 50, dtype=np.uint8))
    masks = DetectorSam(FixedDetector(), ColourSam()).propose(blank, nothing())
    assert sizes(masks) == {None: [HEIGHT * WIDTH]}


def test_a_picture_of_noise_has_no_masks() -> None:
    """Every answer is smaller than a thing can be."""
    ramp = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    color = np.stack([ramp % 251, ramp // 251 % 241, ramp // 17 % 239], axis=-1).astype(np.uint8)
    config = DetectorSamConfig(quality=QualityConfig(min_area_px=2000))
    assert DetectorSam(FixedDetector(), ColourSam(), config).propose(frame_of(color), nothing()) == []


def test_everything_mode_finds_each_region_once(frame: Frame) -> None:
    masks = Everything(ColourSam(), EverythingConfig(points_per_side=12)).propose(frame, ~nothing())
    assert sizes(masks) == {None: [CUP_PX, BOOK_PX, WALL_PX]}


def test_gap_centres_are_the_middles_of_gaps() -> None:
    covered = np.ones((60, 80), dtype=bool)
    covered[10:31, 10:31] = False
    covered[40:47, 50:57] = False
    assert gap_centres(covered, 5, 3.0).tolist() == [[20, 20], [53, 43]]
    assert gap_centres(covered, 1, 3.0).tolist() == [[20, 20]]
    assert len(gap_centres(covered, 5, 12.0)) == 0
    assert len(gap_centres(np.ones((60, 80), dtype=bool), 5, 1.0)) == 0


def blocks(*spans: tuple[int, int]) -> torch.Tensor:
    """Masks of some rows of a 20 x 20 image."""
    masks = torch.zeros(len(spans), 20, 20, dtype=torch.bool)
    for mask, (top, bottom) in zip(masks, spans, strict=True):
        mask[top:bottom] = True
    return masks


def test_the_whole_wins_over_a_part_that_is_hardly_surer() -> None:
    logits = torch.where(blocks((0, 4), (0, 12), (0, 20), (5, 6)), 1.0, -1.0)
    candidates = Candidates(
        logits=logits,
        score=torch.tensor([0.95, 0.92, 0.7, 0.8]),
        prompt=torch.tensor([0, 0, 0, 3]),
    )
    chosen = one_each(candidates, QualityConfig())
    assert (chosen.logits > 0).sum((1, 2)).tolist() == [240, 20] and chosen.prompt.tolist() == [0, 3]


def test_unsure_outlines_are_not_kept() -> None:
    sure = torch.where(blocks((0, 10)), 10.0, -10.0)
    faint = torch.where(blocks((0, 10)), 0.5, -0.5)
    logits = torch.stack([sure, sure, faint, sure], dim=1)
    answers = PromptedMasks(logits=logits, iou=torch.tensor([[0.9, 0.3, 0.9, 0.9]]))
    kept = good_candidates(answers, 1.0, QualityConfig())
    assert len(kept) == 1 and kept.score.item() == pytest.approx(0.9)
    assert stability(faint).item() == 0.0


def test_repeats_leave_the_best() -> None:
    kept = without_repeats(blocks((0, 10), (0, 11), (12, 20)), torch.tensor([0.5, 0.9, 0.1]), 0.7)
    assert kept.tolist() == [1, 2]


def test_a_thousand_masks_are_compared() -> None:
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(20, 192, 256, generator=generator) > 0.5
    kept = without_repeats(masks.repeat(50, 1, 1), torch.linspace(0, 1, 1000), 0.7)
    assert sorted(kept.tolist()) == list(range(980, 1000))


def test_empty_and_full_masks_are_harmless() -> None:
    masks = blocks((0, 0), (0, 0), (0, 20))
    assert iou(masks, masks).diag().tolist() == [0.0, 0.0, 1.0]
    assert bounding_boxes(masks).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 20, 20]]
    assert without_repeats(masks[:0], torch.zeros(0), 0.7).tolist() == []


def test_embedded_detector_names_what_stands_on_a_real_desk(shared_data: Path) -> None:
    import cv2

    try:
        detector = embedded_detector()
    except models.MissingModel as error:
        pytest.skip(str(error))
    color = cv2.imread(str(shared_data / "tum_fr1_rpy" / "000120.color.jpg"))[:, :, ::-1]
    found = detector.detect(np.ascontiguousarray(color))
    boxes = dict(zip(found.names[::-1], found.boxes[::-1].tolist(), strict=True))
    assert {"tv", "keyboard", "person", "chair", "cup"} <= set(boxes)
    left, top, right, bottom = boxes["tv"]
    assert left == pytest.approx(305, abs=25) and right == pytest.approx(618, abs=25)
    assert top == pytest.approx(80, abs=40) and bottom == pytest.approx(317, abs=25)
    assert found.scores.tolist() == sorted(found.scores, reverse=True)


def test_embedded_proposer_masks_a_real_desk(shared_data: Path) -> None:
    import cv2

    try:
        proposer = build_proposer("default")
    except models.MissingModel as error:
        pytest.skip(str(error))
    color = cv2.imread(str(shared_data / "tum_fr1_rpy" / "000120.color.jpg"))[:, :, ::-1]
    frame = frame_of(np.ascontiguousarray(color))
    masks = proposer.propose(frame, np.zeros((480, 640), dtype=bool))
    screen = max((mask for mask in masks if mask.label == "tv"), key=lambda mask: mask.score)
    assert screen.pixels[200, 450] and not screen.pixels[420, 500] and not screen.pixels[200, 260]
    assert 45_000 < screen.pixels.sum() < 70_000
    assert sum(mask.label is None for mask in masks) >= 10
    assert np.any([mask.pixels for mask in masks], axis=0).mean() > 0.7


@pytest.mark.parametrize("name", ["nonsense", "sam:", "hf:", "files:", "", "Default"])
def test_unknown_names_are_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match="everything"):
        build_proposer(name)


def test_names_that_point_nowhere_say_where(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="gone"):
        build_proposer(f"files:{tmp_path / 'gone'}")
    with pytest.raises(ValueError, match=r"gone|models fetch"):
        build_proposer(f"hf:{tmp_path / 'gone'}")


@pytest.mark.parametrize(
    ("config", "values"),
    [
        (QualityConfig, {"min_score": 1.5}),
        (QualityConfig, {"min_area_px": 0}),
        (DetectorSamConfig, {"reach": 0.0}),
        (DetectorSamConfig, {"points_at_once": 0}),
        (EverythingConfig, {"points_per_side": 0}),
        (YoloxConfig, {"min_score": 0.0}),
        (YoloxConfig, {"threads": 0}),
    ],
)
def test_settings_out_of_range_are_named(config: type, values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        config(**values)
