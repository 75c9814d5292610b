"""What an operator corrects stays corrected: while mapping goes on, after a look at all views, saved and loaded."""

from collections.abc import Iterator

import pytest
from geometry_msgs.msg import Point
from harness_camera import THINGS, ScriptedCamera
from harness_clouds import points_of
from harness_perception import Perception, ids_of

from ovseg3r_ros.srv import EditObject

RELABEL, MERGE, SPLIT, DELETE = (getattr(EditObject.Request, name) for name in ("RELABEL", "MERGE", "SPLIT", "DELETE"))


@pytest.fixture
def node(mapped: Perception) -> Iterator[Perception]:
    """The node with the unedited map, which comes back afterwards."""
    assert mapped.save_map("unedited").success
    yield mapped
    assert mapped.load_map("unedited").success


@pytest.fixture
def go_on(node: Perception, scene_camera: ScriptedCamera):
    """Maps on until the new evidence has been looked at together with the old."""

    def go_on() -> None:
        before = max(item.observations for item in node.list_objects().objects)
        with scene_camera.run():
            node.instances.wait_for(
                "map with many more observations",
                lambda it: max((item.observations for item in it.instances), default=0) >= before + 6,
                after=len(node.instances.messages) - 1,
            )
        node.wait_until_settled()

    return go_on


def test_a_given_name_stays(node: Perception, go_on):
    ball = node.objects()["sports ball"]
    assert list(node.edit(RELABEL, ball.id, label="red football").ids) == [ball.id]
    assert node.objects()["red football"].id == ball.id
    go_on()
    objects = node.objects()
    assert objects["red football"].id == ball.id
    assert "sports ball" not in objects
    assert node.query("red football").objects[0].id == ball.id
    assert node.edit(RELABEL, ball.id, label="").success
    go_on()
    assert node.objects()["sports ball"].id == ball.id


def test_a_deleted_object_does_not_come_back(node: Perception, go_on):
    cup = node.objects()["cup"]
    assert list(node.edit(DELETE, cup.id).ids) == []
    go_on()
    assert "cup" not in node.objects()
    assert node.query("cup").verdict != "found"
    answer = node.get_object(cup.id)
    assert not answer.success
    assert "delete" in answer.message


def test_merged_objects_stay_one_and_the_old_id_leads_there(node: Perception, go_on):
    before = node.objects()
    table, cup = before["dining table"], before["cup"]
    assert list(node.edit(MERGE, table.id, other_ids=[cup.id]).ids) == [table.id]
    go_on()
    assert set(node.objects()) == {"sports ball", "cabinet", "dining table"}
    answer = node.get_object(cup.id, include_cloud=True)
    assert (answer.success, answer.object.id) == (True, table.id)
    assert points_of(answer.cloud)["z"].max() > 0.55  # the table ends at 0.5, and the cup stands on it


def test_a_split_object_stays_two(node: Perception, go_on):
    cabinet = node.objects()["cabinet"]
    seeds = [Point(x=-0.85, y=0.75, z=0.1), Point(x=-0.85, y=0.75, z=0.8)]
    answer = node.edit(SPLIT, cabinet.id, seeds=seeds)
    assert answer.success, answer.message
    low, high = answer.ids
    assert low == cabinet.id
    go_on()
    parts = {item.id: item for item in node.list_objects().objects}
    assert parts[low].centroid.z < 0.45 < parts[high].centroid.z
    assert parts[low].bbox.size.z < 0.6


def test_edits_are_saved_and_loaded_with_the_map(node: Perception):
    before = node.objects()
    assert node.edit(RELABEL, before["sports ball"].id, label="globe").success
    assert node.edit(DELETE, before["cup"].id).success
    assert node.save_map("edited").success
    assert node.load_map("unedited").success
    assert tuple(sorted(node.objects())) == THINGS
    assert node.load_map("edited").success
    assert set(node.objects()) == {"cabinet", "globe", "dining table"}


def test_an_edited_map_is_published_at_once(node: Perception):
    ball, before = node.objects()["sports ball"], len(node.instances.messages)
    assert node.edit(RELABEL, ball.id, label="moon").success
    node.instances.wait_for("map with a moon", lambda it: "moon" in {o.label for o in it.instances}, after=before)


@pytest.mark.parametrize(
    ("action", "fields", "says"),
    [
        (0, {}, "action"),
        (99, {}, "action"),
        (RELABEL, {"label": "x" * 100_000}, "label"),
        (MERGE, {}, "other"),
        (MERGE, {"other_ids": [4_000_000]}, "4000000"),
        (SPLIT, {}, "seed"),
        (SPLIT, {"seeds": [Point()]}, "seed"),
        (SPLIT, {"seeds": [Point(x=float("nan")), Point()]}, "seed"),
        (SPLIT, {"seeds": [Point(x=float(i)) for i in range(1000)]}, "seed"),
    ],
    ids=[
        "no action",
        "unknown action",
        "long name",
        "merge nothing",
        "merge unknown",
        "no seed",
        "one seed",
        "nan",
        "many",
    ],
)
def test_an_edit_that_means_nothing_is_refused_and_says_why(node: Perception, action: int, fields: dict, says: str):
    before = node.objects()
    answer = node.edit(action, before["sports ball"].id, **fields)
    assert not answer.success
    assert says in answer.message
    assert len(answer.message) < 2000
    assert ids_of(node.objects()) == ids_of(before)


def test_an_object_that_is_not_there_cannot_be_edited(node: Perception):
    for action in (RELABEL, MERGE, SPLIT, DELETE):
        answer = node.edit(action, 4_000_000, label="x", other_ids=[1], seeds=[Point(), Point(x=1.0)])
        assert not answer.success
        assert "4000000" in answer.message


def test_merging_an_object_with_itself_is_refused(node: Perception):
    ball = node.objects()["sports ball"]
    assert not node.edit(MERGE, ball.id, other_ids=[ball.id]).success
    assert node.objects()["sports ball"].id == ball.id
