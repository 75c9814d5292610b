"""More images than the node can take: the oldest go, each is counted, and what is asked meanwhile is answered."""


import pytest
from harness_camera import ScriptedCamera, WallClock, walk
from harness_perception import Perception
from harness_robot import Robot

RATE_HZ = 60.0  # far more than what is left of two cores for this scene
FRAMES = 500


@pytest.fixture(scope="module")
def flooded(shared_robot: Robot) -> tuple[Perception, ScriptedCamera]:
    """A node that got far more than it could look at and has worked off the rest, and the camera that sent it."""
    node = shared_robot.perception({})
    camera = shared_robot.camera(walk(frames=96), clock=WallClock(period_s=1 / RATE_HZ))
    camera.wait_until_heard()
    with camera.run(RATE_HZ):
        camera.client.until(lambda: camera.sent["color"] >= FRAMES, "all frames", timeout_s=60)
    node.wait_until_settled()
    return node, camera


def test_every_image_is_mapped_or_counted(flooded: tuple[Perception, ScriptedCamera]):
    node, camera = flooded
    counts = node.counts()
    for stream in ("color", "depth"):
        assert counts[f"{stream}.received"] + counts[f"{stream}.missed"] == camera.sent[stream]
