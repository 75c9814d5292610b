"""Average precision as the ScanNet benchmark computes it, on cases small enough to do by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from random_benchmark import CLASSES as RANDOM_CLASSES
from random_benchmark import random_scenes

from ovseg3r_core.evaluation.average_precision import (
    ANY_CLASS,
    OVERLAPS,
    AveragePrecision,
    ScenePair,
    TrueInstances,
    average_precision,
)
from ovseg3r_core.evaluation.matching import SharedVertices
from ovseg3r_core.types import Instances

CHAIR, TABLE, WALL = 3, 5, 1
CLASSES = (CHAIR, TABLE)
Prediction = tuple[str, int, float]


def scene(truth: str, labels: dict[int, int], *predictions: Prediction) -> ScenePair:
    """Each letter is fifty vertices: a digit is an instance, a dot is none; of a mask an x is a vertex in it."""
    instance = np.repeat([-1 if letter == "." else int(letter) for letter in truth], 50).astype(np.int64)
    masks = [np.repeat([letter == "x" for letter in mask], 50) for mask, _, _ in predictions]
    return ScenePair(
        predicted=Instances(
            masks=np.array(masks, bool).reshape(len(predictions), len(instance)),
            labels=np.array([label for _, label, _ in predictions], np.int64),
            scores=np.array([score for _, _, score in predictions], np.float64),
        ),
        truth=TrueInstances(instance=instance, labels=labels),
    )


def score(*scenes: ScenePair) -> AveragePrecision:
    return average_precision(scenes, CLASSES)


def test_perfect_predictions_score_one():
    result = score(scene("1122..", {1: CHAIR, 2: TABLE}, ("xx....", CHAIR, 0.9), ("..xx..", TABLE, 0.4)))
    assert (result.ap, result.ap50, result.ap25) == (1, 1, 1)


def test_nothing_predicted_scores_zero_and_nothing_there_scores_nothing():
    assert score(scene("11..", {1: CHAIR})).ap == 0
    empty = score(scene("....", {}, ("xx..", CHAIR, 0.9)))
    assert math.isnan(empty.ap) and math.isnan(empty.ap50) and math.isnan(empty.ap25)


def test_classes_without_a_true_instance_do_not_count():
    result = score(scene("11..", {1: CHAIR}, ("xx..", CHAIR, 0.9), ("..xx", TABLE, 0.9)))
    assert result.ap == 1
    assert np.isnan(result.by_class[TABLE]).all()


def test_one_of_two_chairs_is_half_of_the_area():
    # one point at (recall 0.5, precision 1), one artificial at (0, 1): the steps are 0.25 + 0.25
    result = score(scene("1122", {1: CHAIR, 2: CHAIR}, ("xx..", CHAIR, 0.9)))
    assert result.ap == pytest.approx(0.5)


def test_a_confident_mistake_costs_more_than_a_shy_one():
    truth, labels = "11112222", {1: CHAIR, 2: TABLE}
    right = ("xxxx....", CHAIR, 0.5)
    # curve (1, 1/2), (0, 0), (0, 1): recall steps 0.5, 0.5, 0
    assert score(scene(truth, labels, right, ("....xxxx", CHAIR, 0.9))).by_class[CHAIR][0] == pytest.approx(0.25)
    # curve (1, 1/2), (1, 1), (0, 1): recall steps 0, 0.5, 0.5
    assert score(scene(truth, labels, right, ("....xxxx", CHAIR, 0.1))).by_class[CHAIR][0] == pytest.approx(1.0)


def test_a_match_must_exceed_the_overlap():
    half = score(scene("1111", {1: CHAIR}, ("xx..", CHAIR, 0.9)))
    assert (half.ap50, half.ap25) == (0, 1)


def test_ap_is_the_mean_from_half_to_nine_tenths():
    # intersection over union is 3/4: above the five overlaps 0.5 to 0.7
    result = score(scene("1111", {1: CHAIR}, ("xxx.", CHAIR, 0.9)))
    assert result.by_class[CHAIR].tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 1]
    assert len(OVERLAPS) == 10
    assert result.ap == pytest.approx(5 / 9)


def test_of_two_predictions_on_one_thing_the_weaker_is_wrong():
    first = score(scene("1111....", {1: CHAIR}, ("xxxx....", CHAIR, 0.9), ("xxx.....", CHAIR, 0.3)))
    assert first.ap50 == pytest.approx(1.0)
    both = score(scene("1111....", {1: CHAIR}, ("xxxx....", CHAIR, 0.3), ("xxx.....", CHAIR, 0.9)))
    assert both.ap50 == pytest.approx(1.0)  # the thing takes the better confidence, whichever was listed first


def test_predictions_where_no_class_is_valid_are_forgiven():
    truth, labels = "1133.......", {1: CHAIR, 3: WALL}
    hit = ("xx.........", CHAIR, 0.1)
    assert score(scene(truth, labels, hit, ("..xx.......", CHAIR, 0.9))).ap == 1  # on a wall
    assert score(scene(truth, labels, hit, ("......xxx..", CHAIR, 0.9))).ap == 1  # on nothing
    split = score(scene("112222.....", {1: CHAIR, 2: TABLE}, hit, ("..xx.xx....", CHAIR, 0.9)))
    assert split.by_class[CHAIR][0] == pytest.approx(0.25)  # three quarters on a table: wrong at 0.5


def test_small_instances_and_small_predictions_are_left_out():
    small_truth = score(scene("1122.3", {1: CHAIR, 2: CHAIR, 3: CHAIR}, ("xx....", CHAIR, 0.9), ("..xx..", CHAIR, 0.9)))
    assert small_truth.ap == 1
    on_small = score(scene("11..3", {1: CHAIR, 3: CHAIR}, ("xx...", CHAIR, 0.1), ("...xx", CHAIR, 0.9)))
    assert on_small.ap50 == 1
    small_prediction = score(scene("1122", {1: CHAIR, 2: TABLE}, ("xx..", CHAIR, 0.1), ("..x.", CHAIR, 0.9)))
    assert small_prediction.by_class[CHAIR][0] == 1


def test_predictions_of_unknown_classes_are_left_out():
    assert score(scene("11..", {1: CHAIR}, ("xx..", CHAIR, 0.1), ("xx..", 77, 0.9))).ap == 1


def test_scenes_are_scored_together():
    good = scene("11..", {1: CHAIR}, ("xx..", CHAIR, 0.9))
    missed = scene("11..", {1: CHAIR})
    assert score(good, missed).ap == pytest.approx(0.5)


def test_without_classes_any_name_will_do():
    pair = scene("1122", {1: CHAIR, 2: TABLE}, ("xx..", TABLE, 0.9), ("..xx", 77, 0.9))
    assert score(pair).ap50 == 0
    assert average_precision([pair.class_agnostic()], [ANY_CLASS]).ap == 1


def test_masks_of_another_cloud_are_refused():
    with pytest.raises(ValueError, match="100 vertices but the truth on 200"):
        ScenePair(predicted=scene("..", {}, ("xx", CHAIR, 0.9)).predicted, truth=scene("....", {}).truth)


GOLDEN = json.loads((Path(__file__).parent / "data" / "average_precision_golden.json").read_text("utf-8"))
"""Made with a public reference evaluator: for each seed the scenes of `random_scenes(seed)` were given to
`assign_instances_for_scan` and `evaluate_matches` of IDEA-Research/SegDINO3D (evaluation/utils_instance_seg_3d_eval.py
at f08340c, a Python 3 copy of ScanNet's evaluate_semantic_instance.py) with the labels of `CLASSES`, and once more with
every truth of a valid class as 1000 + its instance number. `digest` tells whether the scenes are still the same."""


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: f"seed {golden['seed']}")
def test_random_scenes_score_as_with_the_reference_evaluator(golden):
    scenes = random_scenes(golden["seed"])
    assert [one.digest()[:16] for one in scenes] == golden["digest"], "the generator draws other scenes than it did"
    pairs = [one.pair() for one in scenes]
    named = average_precision(pairs, RANDOM_CLASSES).by_class
    unnamed = average_precision([pair.class_agnostic(among=RANDOM_CLASSES) for pair in pairs], [ANY_CLASS]).by_class
    for class_id in RANDOM_CLASSES:
        np.testing.assert_allclose(named[class_id], np.array(golden["by_class"][str(class_id)], float), atol=1e-6)
    np.testing.assert_allclose(unnamed[ANY_CLASS], np.array(golden["class_agnostic"], float), atol=1e-6)


def test_the_golden_scenes_reach_classes_without_truth_and_scenes_without_predictions():
    rows = [values for golden in GOLDEN for values in golden["by_class"].values()]
    assert any(None in values for values in rows) and any(0 < (values[0] or 0) < 1 for values in rows)
    scenes = [one for golden in GOLDEN for one in random_scenes(golden["seed"])]
    assert any(not len(one.labels) for one in scenes) and any(not one.values.any() for one in scenes)
    assert any(len(set(one.scores)) == 1 for one in scenes) and any(len(set(one.scores)) > 10 for one in scenes)


@pytest.mark.parametrize("points", [1, 7, 8, 1001, 1 << 20])
def test_shared_vertices_are_counted_whatever_the_size_of_the_cloud(points):
    rng = np.random.default_rng(points)
    instance, masks = rng.integers(-1, 4, points), rng.random((3, points)) < 0.1
    truth = TrueInstances(instance=instance, labels={0: CHAIR, 1: TABLE, 2: WALL, 3: CHAIR})
    counted = SharedVertices.of(masks, truth, CLASSES)
    there = [id_ for id_ in (0, 1, 3) if (instance == id_).any()]
    assert counted.shared.tolist() == [[(mask & (instance == id_)).sum() for id_ in there] for mask in masks]
    assert counted.void.tolist() == [(mask & np.isin(instance, (-1, 2))).sum() for mask in masks]
    assert counted.sizes.tolist() == masks.sum(axis=1).tolist()


def test_instances_of_two_classes_may_share_their_number():
    truth = TrueInstances.of_values(np.array([3001, 5001, 3001, 7, 0, -1]))
    assert sorted(truth.labels.values()) == [3, 5]
    assert truth.instance[0] == truth.instance[2] != truth.instance[1]
    assert truth.instance[3:].tolist() == [-1, -1, -1]


def test_scores_that_cannot_be_ordered_are_refused():
    with pytest.raises(ValueError, match="1 scores are not finite, the first at 1"):
        scene("11..", {1: CHAIR}, ("xx..", CHAIR, 0.5), ("xx..", CHAIR, math.nan))
