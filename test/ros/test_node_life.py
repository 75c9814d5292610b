"""A thing is taken out of the room while the node runs: events, topics, services and diagnostics tell of it."""

from harness_camera import THINGS, walk
from harness_perception import LATCHED
from harness_robot import Robot
from scenes import BOX_ROOM

from ovseg3r_ros.msg import ObjectEvent

BALL = "sports ball"
MOST_S = 120.0
WITHOUT = walk(solids=tuple(solid for solid in BOX_ROOM if solid.name != "ball"))
SOON = {"life.evidence.every_s": 0.1, "life.missing_after": 3, "life.removed_after": 10}


def test_what_is_taken_away_is_missing_then_removed_and_can_still_be_asked_for(robot: Robot):
    node, camera = robot.perception(SOON), robot.camera()
    events = node.client.listen(ObjectEvent, "/object_events", LATCHED)
    camera.wait_until_heard()
    with camera.run():
        node.wait_for_objects(THINGS, timeout_s=MOST_S)
        events.wait_for("ball", lambda event: event.label == BALL, timeout_s=MOST_S)
    node.wait_until_settled(timeout_s=MOST_S)
    ball = node.objects()[BALL]
    assert {event.kind for event in events.messages} == {ObjectEvent.APPEARED}
    assert ball.id in {event.id for event in events.messages}

    camera.show(WITHOUT)
    with camera.run():
        missing = events.wait_for("missing", lambda event: event.kind == ObjectEvent.MISSING, timeout_s=MOST_S)
        removed = events.wait_for("removed", lambda event: event.kind == ObjectEvent.REMOVED, timeout_s=MOST_S)
    node.wait_until_settled(timeout_s=MOST_S)
    for event, state in ((missing, "missing"), (removed, "removed")):
        assert (event.id, event.label, event.state) == (ball.id, BALL, state)
        assert abs(event.place.x - ball.centroid.x) < 0.1 and event.previous_place == event.place
        assert event.header.frame_id == "map" and f"{BALL}: {state} (object {ball.id} at" in event.summary
    assert missing.header.stamp.sec <= removed.header.stamp.sec

    assert BALL not in node.objects()
    assert BALL not in {it.label for it in node.instances.messages[-1].instances}
    listed = {it.label: it for it in node.list_objects(include_removed=True).objects}
    assert (listed[BALL].id, listed[BALL].state) == (ball.id, "removed")
    got = node.get_object(ball.id)
    assert got.success and got.object.state == "removed" and got.object.cloud_size == 0
    assert node.query("ball").verdict == "none"
    (found,) = node.query("ball", include_removed=True).objects
    assert found.id == ball.id
    node.wait_for_status(
        "one object removed", lambda it: {v.key: v.value for v in it.values}["objects removed"] == "1", name=": map"
    )
    assert node.counts()["objects removed"] == 1
