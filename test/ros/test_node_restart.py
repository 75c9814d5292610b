"""A node that is killed in the middle of its work takes up its map again: same objects, same ids, and goes on."""

from pathlib import Path

import pytest
from harness_camera import THINGS
from harness_perception import Perception, ids_of
from harness_robot import Robot, map_scene

from ovseg3r_core.mapping.storage import load_map

pytestmark = pytest.mark.slow  # starting a node takes seconds, and each test here starts some


def start(robot: Robot, maps: Path, **parameters: object) -> Perception:
    own = {"map_directory": str(maps), "autosave_period_s": 0.5, "load_autosave": True}
    return robot.perception(own | parameters)


def wait_until_saved(node: Perception, maps: Path) -> None:
    """Return once the autosave holds the map of now."""
    now = {item.id: item.observations for item in node.objects().values()}

    def saved() -> bool:
        folder = maps / "autosave"
        return folder.exists() and {it.id: it.observations for it in load_map(folder).objects} == now

    node.client.until(saved, "autosave")


def test_a_killed_node_goes_on_from_its_autosaved_map(robot: Robot, tmp_path: Path):
    node, camera = start(robot, tmp_path), robot.camera()
    before = map_scene(node, camera)
    wait_until_saved(node, tmp_path)
    node.forget()
    node.program.kill()

    again = start(robot, tmp_path)
    assert ids_of(again.objects()) == ids_of(before)
    assert again.query("cup").verdict == "found"
    after = map_scene(again, camera)
    assert ids_of(after) == ids_of(before)
    assert all(after[label].observations > before[label].observations for label in THINGS)


def test_a_node_killed_while_it_saves_all_the_time_leaves_a_map_that_can_be_loaded(robot: Robot, tmp_path: Path):
    camera = robot.camera()
    for _ in range(2):
        node = start(robot, tmp_path, autosave_period_s=0.05)
        with camera.run():
            node.wait_for_objects(THINGS)
            node.wait_for_more_keyframes(2)
            node.forget()
            node.program.kill()

    last = start(robot, tmp_path, load_autosave=False, autosave_period_s=0.0)
    assert last.query("cup").verdict == "blind"  # an autosave that is not wanted waits on the disk
    assert last.load_map("").success
    assert set(THINGS) <= {item.label for item in last.list_objects().objects}


def test_a_clean_end_saves_the_map_too(robot: Robot, tmp_path: Path):
    node = start(robot, tmp_path, autosave_period_s=3600.0)
    before = map_scene(node, robot.camera())
    node.forget()
    assert node.program.terminate() == 0
    assert ids_of(start(robot, tmp_path).objects()) == ids_of(before)


def test_a_damaged_autosave_is_said_and_does_not_keep_the_robot_from_starting(robot: Robot, tmp_path: Path):
    (tmp_path / "autosave").mkdir()
    (tmp_path / "autosave" / "map.json").write_text("{")
    node = start(robot, tmp_path)
    node.program.wait_for_line("autosave", timeout_s=5)
    assert node.query("cup").verdict == "blind"
    with robot.camera().run():
        node.wait_for_objects(THINGS)
