"""From a network's bets to instances with one name each: sums, synonyms, repeats, and nothing of the room."""

from collections.abc import Sequence

import numpy as np
import pytest
from test_object_map import columns, grid_cloud

from ovseg3r_core.language.vocabulary import Vocabulary
from ovseg3r_core.mapping.instances import Instance, RecognitionConfig, painted, recognised, without_structure
from ovseg3r_core.mapping.structure import StructureConfig, find_structure
from ovseg3r_core.types import Instances

NAMES = Vocabulary(name="mine", names=("couch", "sofa", "bed", "wall"), ids=(3, 5, 7, 9))
ID = NAMES.id_by_name


def synonyms(a: str, b: str) -> bool:
    return a == b or {a, b} == {"couch", "sofa"}


def bets(*rows: tuple[Sequence[int], str, float]) -> Instances:
    """Rows of points, name and score, on ten points."""
    masks = np.zeros((len(rows), 10), bool)
    for mask, (points, _, _) in zip(masks, rows, strict=True):
        mask[list(points)] = True
    return Instances(
        masks=masks,
        labels=np.array([ID[name] for _, name, _ in rows], np.int64),
        scores=np.array([score for _, _, score in rows], np.float64),
    )


def told(found: Instances, config: RecognitionConfig | None = None) -> list[tuple[list[int], str, float, float]]:
    things = recognised(found, NAMES, synonyms, config or RecognitionConfig())
    return [(it.points.tolist(), it.label, it.score, it.name_score) for it in things]


def test_bets_on_one_mask_say_together_that_it_is_there_and_synonyms_what_it_is():
    found = bets((range(5), "couch", 0.25), (range(5), "bed", 0.125), (range(5), "sofa", 0.125))
    assert told(found) == [([0, 1, 2, 3, 4], "couch", 0.5, 0.75)]


def test_the_surest_thing_comes_first_and_nothing_is_surer_than_one():
    found = bets((range(5), "bed", 0.25), (range(6, 9), "couch", 0.75), (range(6, 9), "bed", 0.75))
    assert told(found) == [([6, 7, 8], "couch", 1.0, 0.5), ([0, 1, 2, 3, 4], "bed", 0.25, 1.0)]


def test_a_repeat_is_left_out_whatever_its_name():
    found = bets((range(6), "bed", 0.9), (range(5), "couch", 0.5), (range(3), "sofa", 0.4))
    assert [points for points, *_ in told(found, RecognitionConfig(max_overlap=0.6))] == [[*range(6)], [*range(3)]]


def test_walls_and_what_is_next_to_nothing_are_left_out():
    assert told(bets((range(5), "wall", 0.9), (range(6, 9), "bed", 0.09))) == []


def test_nothing_found_is_nothing():
    assert told(bets()) == []


def test_each_point_lies_in_the_smallest_instance():
    large, small = (Instance(points=np.arange(n), score=0.5, label="bed", name_score=1.0) for n in (6, 2))
    assert [it.points.tolist() for it in painted([small, large], 8)] == [[0, 1], [2, 3, 4, 5]]
    assert painted([], 8) == []


@pytest.mark.parametrize(("name_score", "kept"), [(0.9, 0), (0.2, 0)])
def test_pieces_of_the_room_are_no_instances(name_score: float, kept: int):
    """All of the cloud is one plane, with nothing behind it."""
    cloud = grid_cloud()
    piece = Instance(points=columns(cloud, 0.0, 1.2), score=0.9, label="table", name_score=name_score)
    up = np.array([0.0, 0.0, 1.0])
    planes = find_structure(cloud, 0.02, up, StructureConfig())
    assert len(without_structure([piece], cloud, planes, StructureConfig())) == kept
