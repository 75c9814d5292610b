"""Maps against truth: what counts as found, twice, ghost and rightly named."""

import numpy as np
import pytest

from ovseg3r_core.evaluation.map_metrics import MapMetrics, MapMetricsConfig, compare_maps


def compare(truth: str, predicted: str, names: dict[int, str], predicted_names: dict[int, str]) -> MapMetrics:
    """Each letter is ten points: digits are ids, a dot is none."""

    def ids(text: str) -> np.ndarray:
        return np.repeat([-1 if letter == "." else int(letter) for letter in text], 10).astype(np.int32)

    return compare_maps(ids(truth), names, ids(predicted), predicted_names, MapMetricsConfig(min_points=20))


def test_a_perfect_map_finds_everything_once():
    result = compare("1122..33", "7788..99", {1: "chair", 2: "tv", 3: "bed"}, {7: "chair", 8: "tv", 9: "bed"})
    assert (result.there, result.found, result.duplicates, result.right_names) == (3, 3, 0, 3)
    assert result.ghosts == ()
    assert result.mean_iou == 1


def test_an_empty_map_finds_nothing():
    result = compare("1122", "....", {1: "chair", 2: "tv"}, {})
    assert (result.there, result.found, result.found_at(0.25), result.mean_iou) == (2, 0, 0, 0)


def test_an_empty_world_makes_every_prediction_a_ghost():
    result = compare("....", "77..", {}, {7: "chair"})
    assert result.there == 0
    assert result.ghosts == (7,)


def test_an_object_split_in_two_is_found_once_with_a_duplicate():
    result = compare("111111....", "777788....", {1: "bed"}, {7: "bed", 8: "bed"})
    assert (result.found, result.duplicates) == (1, 1)
    assert result.objects[0].duplicates == (8,)
    assert result.objects[0].predicted_id == 7
    assert result.ghosts == ()


def test_two_things_merged_into_one_count_as_one_found():
    result = compare("111222", "777777", {1: "chair", 2: "tv"}, {7: "chair"})
    assert (result.there, result.found, result.duplicates) == (2, 1, 0)


def test_a_prediction_on_the_wall_is_a_ghost():
    result = compare("1111......", "1111..8888", {1: "chair"}, {1: "chair", 8: "picture"})
    assert result.found == 1
    assert result.ghosts == (8,)


def test_overlap_between_quarter_and_half_counts_at_quarter_only():
    result = compare("111111", "777...", {1: "chair"}, {7: "chair"})
    assert result.mean_iou == pytest.approx(0.5)
    result = compare("11111111", "777.....", {1: "chair"}, {7: "chair"})
    assert (result.found_at(0.25), result.found_at(0.5)) == (1, 0)


def test_aliases_are_right_names_and_others_are_not():
    result = compare("1122", "1122", {1: "couch", 2: "tv"}, {1: "sofa", 2: "bed"})
    assert [thing.right_name for thing in result.objects] == [True, False]
    assert result.right_names == 1


def test_things_hardly_seen_are_not_there_and_their_predictions_no_ghosts():
    result = compare("1111.2", "1111.8", {1: "chair", 2: "cup"}, {1: "chair", 8: "cup"})
    assert result.there == 1
    assert result.ghosts == ()


def test_matching_is_one_to_one_and_finds_as_many_as_can_be():
    # 7 overlaps both things, 8 only the first: giving 7 to the first would lose the second
    result = compare("1111112222", "8877777777", {1: "chair", 2: "tv"}, {7: "tv", 8: "chair"})
    assert result.found == 2
    assert {thing.truth_id: thing.predicted_id for thing in result.objects} == {1: 8, 2: 7}


def test_ids_without_a_name_are_refused():
    one = np.array([1], dtype=np.int32)
    with pytest.raises(ValueError, match=r"instances \[1\] but no name"):
        compare_maps(one, {1: "chair"}, one, {})
