"""The object map: one owner a point, stable ids, names by vote, structure apart."""

import numpy as np
import pytest

from ovseg3r_core.mapping import operator
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.objects import NamingConfig, Observation, vote_name
from ovseg3r_core.mapping.ownership import Ownership, connected_parts, vote_owners
from ovseg3r_core.mapping.redraw import redraw
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, SceneCloud, ViewIncidence


def grid_cloud(shift_m: float = 0.0) -> SceneCloud:
    """A table top of 100 x 40 points, 2 cm apart."""
    x, y = np.meshgrid(np.arange(100) * 0.02, np.arange(40) * 0.02, indexing="ij")
    xyz = np.stack([x.ravel() + shift_m, y.ravel(), np.full(4000, 1.0)], axis=-1).astype(np.float32)
    normal = np.tile(np.float32([0, 0, 1]), (4000, 1))
    return SceneCloud(xyz=xyz, color=np.full((4000, 3), 128, np.uint8), normal=normal)


def columns(cloud: SceneCloud, low: float, high: float) -> np.ndarray:
    return np.flatnonzero((cloud.xyz[:, 0] >= low - 1e-4) & (cloud.xyz[:, 0] < high - 1e-4)).astype(np.int64)


def see_all(cloud: SceneCloud) -> ViewIncidence:
    return ViewIncidence(points=np.arange(len(cloud)), pixels=np.zeros((len(cloud), 2), np.int32))


def mask(view: int, points: np.ndarray, index: int = 0, label: str | None = None, score: float = 0.9) -> LiftedMask:
    return LiftedMask(view=view, mask=index, points=points, score=score, label=label)


def same_word(a: str, b: str) -> bool:
    return a == b


def look_at_all(object_map: ObjectMap, lifted: list[LiftedMask], seen: Incidence, stamps_s: list[float]) -> None:
    object_map.adopt(redraw(lifted, seen, object_map.cloud, object_map.config), stamps_s)


@pytest.fixture
def object_map() -> ObjectMap:
    return ObjectMap(MappingConfig(), same_word)


def test_a_thing_seen_again_keeps_its_id_and_gathers_observations(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    object_map.associate([mask(0, columns(cloud, 0.0, 0.4), label="book")], see_all(cloud), 1.0)
    (first,) = object_map.records()
    object_map.associate([mask(1, columns(cloud, 0.02, 0.44), label="book")], see_all(cloud), 2.0)
    (again,) = object_map.records()
    assert again.id == first.id
    assert (again.observations, again.label, again.first_seen, again.last_seen) == (2, "book", 1.0, 2.0)


def test_two_things_side_by_side_get_two_ids(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    masks = [mask(0, columns(cloud, 0.0, 0.4), 0), mask(0, columns(cloud, 0.5, 0.9), 1)]
    object_map.associate(masks, see_all(cloud), 1.0)
    assert len({record.id for record in object_map.records()}) == 2


def test_a_named_cup_on_a_named_table_is_its_own_object(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    object_map.associate([mask(0, columns(cloud, 0.0, 2.0), label="dining table")], see_all(cloud), 1.0)
    cup = columns(cloud, 0.5, 0.6)
    object_map.associate([mask(1, cup, label="cup")], see_all(cloud), 2.0)
    object_map.associate([mask(2, cup, label="cup")], see_all(cloud), 3.0)
    assert {record.label for record in object_map.records()} == {"dining table", "cup"}


def test_ownership_follows_the_surface_to_a_new_extraction(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    object_map.associate([mask(0, columns(cloud, 0.0, 0.4))], see_all(cloud), 1.0)
    before = object_map.records()[0]
    object_map.follow(grid_cloud(shift_m=0.008))
    after = object_map.records()[0]
    assert after.id == before.id
    assert after.points == pytest.approx(before.points, rel=0.1)
    assert after.centre == pytest.approx(before.centre, abs=0.02)


def test_refining_keeps_the_ids_of_what_was_there(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    parts = (columns(cloud, 0.0, 0.4), columns(cloud, 0.5, 0.9))
    lifted = [mask(v, part, i, label=("book", "cup")[i]) for v in range(4) for i, part in enumerate(parts)]
    for v in range(4):
        object_map.associate([m for m in lifted if m.view == v], see_all(cloud), float(v))
    before = {record.label: record.id for record in object_map.records()}
    look_at_all(object_map, lifted, Incidence.build([see_all(cloud)] * 4), [0.0, 1.0, 2.0, 3.0])
    assert {record.label: record.id for record in object_map.records()} == before


def test_refining_joins_what_the_first_look_split(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    whole = columns(cloud, 0.0, 0.8)
    halves = [mask(0, columns(cloud, 0.0, 0.4), 0), mask(0, columns(cloud, 0.4, 0.8), 1)]
    wholes = [mask(v, whole, 0, "couch") for v in range(1, 4)]
    object_map.associate(halves, see_all(cloud), 0.0)
    for m in wholes:
        object_map.associate([m], see_all(cloud), float(m.view))
    look_at_all(object_map, halves + wholes, Incidence.build([see_all(cloud)] * 4), [0.0, 1.0, 2.0, 3.0])
    (couch,) = object_map.records()
    assert couch.label == "couch"
    assert couch.points == len(whole) + 40  # and one row of the table, which is its rim


def test_refining_cuts_apart_what_does_not_hang_together(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    apart = np.concatenate([columns(cloud, 0.0, 0.3), columns(cloud, 1.0, 1.3)])
    lifted = [mask(v, apart) for v in range(3)]
    look_at_all(object_map, lifted, Incidence.build([see_all(cloud)] * 3), [0.0, 1.0, 2.0])
    assert len(object_map.records()) == 2


def test_a_small_part_that_no_mask_shows_alone_is_a_piece_of_the_large_one(object_map):
    """The end of a table behind a chair belongs to the table."""
    cloud = grid_cloud()
    object_map.follow(cloud)
    both = np.concatenate([columns(cloud, 0.0, 0.5), columns(cloud, 1.0, 1.1)])
    look_at_all(object_map, [mask(v, both) for v in range(3)], Incidence.build([see_all(cloud)] * 3), [0.0, 1.0, 2.0])
    (record,) = object_map.records()
    assert record.points >= len(both)


def test_what_one_of_many_views_saw_is_not_believed(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    lifted = [mask(0, columns(cloud, 0.0, 0.4))]
    look_at_all(object_map, lifted, Incidence.build([see_all(cloud)] * 10), [float(v) for v in range(10)])
    assert object_map.records() == ()


def test_no_masks_in_any_view_leave_an_empty_map(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    object_map.associate([], see_all(cloud), 0.0)
    look_at_all(object_map, [], Incidence.build([see_all(cloud)]), [0.0])
    assert object_map.records() == ()


def test_owners_are_the_majority_of_the_masks():
    points = np.arange(10)
    masks = [mask(v, points) for v in range(3)] + [mask(3, points[:5])]
    votes = vote_owners(masks, np.array([0, 0, 1, 1]), 12, named_weight=2.5, min_share=0.3)
    assert set(votes.owner[5:10]) == {0}
    assert set(votes.owner[10:]) == {-1}


def test_a_named_mask_outvotes_two_without_a_name():
    points = np.arange(10)
    masks = [mask(0, points), mask(1, points), mask(2, points[:5], label="cup")]
    votes = vote_owners(masks, np.array([0, 0, 1]), 10, named_weight=2.5, min_share=0.3)
    assert votes.owner.tolist() == [1] * 5 + [0] * 5


def test_a_claim_is_lost_only_to_a_majority():
    points = np.arange(4)
    ownership = Ownership.empty(4).claim([(points, 1)]).claim([(points, 1)]).claim([(points, 2)])
    assert ownership.owner.tolist() == [1] * 4
    ownership = ownership.claim([(points, 2), (points, 2)])
    assert ownership.owner.tolist() == [2] * 4


def test_the_largest_connected_part_comes_first():
    xyz = np.zeros((10, 3), np.float32)
    xyz[:, 0] = [0, 0.01, 1, 1.01, 1.02, 1.03, 2, 2.01, 2.02, 5]
    assert connected_parts(xyz, 0.05).tolist() == [2, 2, 0, 0, 0, 0, 1, 1, 1, 3]


def observe(label: str | None, score: float, view: int) -> Observation:
    return Observation(view=view, mask=0, stamp_s=0.0, score=score, label=label)


def test_names_that_mean_the_same_vote_together():
    def synonyms(a: str, b: str) -> bool:
        return a == b or {a, b} == {"sofa", "couch"}

    seen = [observe("sofa", 0.5, 0), observe("couch", 0.6, 1), observe("bed", 0.8, 2)]
    assert vote_name(seen, NamingConfig(), synonyms)[0] == "couch"


def test_a_name_that_few_views_support_is_not_believed():
    seen = [observe("bear", 0.5, 0)] + [observe(None, 0.9, view) for view in range(1, 20)]
    assert vote_name(seen, NamingConfig(), same_word)[0] == "object"


def test_a_name_is_as_sure_as_the_views_that_give_one_agree():
    names = ["cup", "cup", "cup", "vase", None]
    assert vote_name([observe(name, 0.5, v) for v, name in enumerate(names)], NamingConfig(), same_word) == (
        "cup",
        0.75,
    )
    assert vote_name([observe(None, 0.5, v) for v in range(3)], NamingConfig(), same_word) == ("object", 1.0)


def test_confidence_grows_with_the_views_that_mask_a_thing(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    scores = []
    for view in range(4):
        object_map.associate([mask(view, columns(cloud, 0.0, 0.4), label="book")], see_all(cloud), float(view))
        scores.append(object_map.records()[0].score)
    assert 0 < scores[0] < scores[1] < scores[2] < scores[3] <= 1


def test_confidence_falls_with_views_that_see_a_thing_and_mask_nothing(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    object_map.associate([mask(0, columns(cloud, 0.0, 0.4))], see_all(cloud), 0.0)
    before = object_map.records()[0].score
    object_map.associate([], see_all(cloud), 1.0)
    assert object_map.records()[0].score < before


def test_a_fragment_ranks_below_the_thing_whose_masks_agree(object_map):
    """Half of the views mask the whole book, all of them the cup."""
    cloud = grid_cloud()
    object_map.follow(cloud)
    cup, book = columns(cloud, 0.0, 0.4), columns(cloud, 1.0, 1.6)
    lifted = [mask(v, cup, 0, "cup") for v in range(6)] + [mask(v, book, 1, "book") for v in range(3)]
    look_at_all(object_map, lifted, Incidence.build([see_all(cloud)] * 6), [float(v) for v in range(6)])
    score = {record.label: record.score for record in object_map.records()}
    assert score["book"] < score["cup"]


def test_the_parts_of_a_split_object_gather_observations_each_for_itself(object_map):
    cloud = grid_cloud()
    object_map.follow(cloud)
    object_map.associate([mask(0, columns(cloud, 0.0, 1.2))], see_all(cloud), 1.0)
    (whole,) = object_map.records()
    seeds = [(0.2, 0.4, 1.0), (0.6, 0.4, 1.0), (1.0, 0.4, 1.0)]
    object_map.edit(operator.split(whole.id, seeds)(object_map).edits)
    object_map.associate([mask(1, columns(cloud, 0.84, 1.2))], see_all(cloud), 2.0)
    assert [record.observations for record in object_map.records()] == [1, 1, 2]
