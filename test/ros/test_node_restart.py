"""A node that is killed in the middle of its work takes up its map again: same objects, same ids, and goes on."""

from pathlib import Path

from harness_camera import THINGS
from harness_perception import Perception
from harness_robot import Robot

from ovseg3r_core.mapping.storage import load_map

AUTOSAVE_S = 0.5


def start(robot: Robot, maps: Path, **parameters: object) -> Perception:
    own = {"map_directory": str(maps), "autosave_period_s": AUTOSAVE_S, "load_autosave": True}
    return robot.perception(own | parameters)


def wait_until_saved(node: Perception, maps: Path) -> None:
    """Return once the autosave holds the map of now."""
    now = {item.id: item.observations for item in node.objects().values()}

    def saved() -> bool:
        folder = maps / "autosave"
        return folder.exists() and {it.id: it.observations for it in load_map(folder).objects} == now

    node.client.until(saved, "autosave")


def ids_of(node: Perception) -> dict[str, int]:
    return {label: item.id for label, item in node.objects().items()}


def test_a_killed_node_goes_on_from_its_autosaved_map(robot: Robot, tmp_path: Path):
    node = start(robot, tmp_path)
    camera = robot.camera()
    with camera.run():
        node.wait_for_objects(THINGS)
        node.wait_for_more_keyframes(3)
    node.wait_until_settled()
    before = node.objects()
    wait_until_saved(node, tmp_path)
    node.forget()
    node.program.kill()

    again = start(robot, tmp_path)
    assert {label: item.id for label, item in before.items()} == ids_of(again)
    assert again.query("cup").verdict == "found"
    with camera.run():
        again.wait_for_more_keyframes(5)
    again.wait_until_settled()
    after = again.objects()
    assert {label: item.id for label, item in after.items()} == {label: item.id for label, item in before.items()}
    assert all(after[label].observations > before[label].observations for label in THINGS)


def test_a_node_killed_while_it_saves_all_the_time_starts_again(robot: Robot, tmp_path: Path):
    camera = robot.camera()
    for _ in range(3):
        node = start(robot, tmp_path, autosave_period_s=0.05)
        with camera.run():
            node.wait_for_objects(THINGS)
            node.wait_for_more_keyframes(2)
            node.forget()
            node.program.kill()
    assert tuple(sorted(ids_of(start(robot, tmp_path)))) == THINGS


def test_a_clean_end_saves_the_map_too(robot: Robot, tmp_path: Path):
    node = start(robot, tmp_path, autosave_period_s=3600.0)
    with robot.camera().run():
        node.wait_for_objects(THINGS)
    node.wait_until_settled()
    before = ids_of(node)
    node.forget()
    assert node.program.terminate() == 0
    assert ids_of(start(robot, tmp_path)) == before


def test_a_damaged_autosave_is_said_and_does_not_keep_the_robot_from_starting(robot: Robot, tmp_path: Path):
    folder = tmp_path / "autosave"
    folder.mkdir()
    (folder / "map.json").write_text("{")
    node = start(robot, tmp_path)
    node.program.wait_for_line("autosave", timeout_s=5)
    assert node.query("cup").verdict == "blind"
    with robot.camera().run():
        node.wait_for_objects(THINGS)


def test_an_autosave_that_is_not_wanted_waits_on_the_disk(robot: Robot, tmp_path: Path):
    first = start(robot, tmp_path)
    with robot.camera().run():
        first.wait_for_objects(THINGS)
    first.wait_until_settled()
    wait_until_saved(first, tmp_path)
    first.forget()
    first.program.kill()
    again = start(robot, tmp_path, load_autosave=False, autosave_period_s=0.0)
    assert again.query("cup").verdict == "blind"
    assert again.load_map("").success
    assert tuple(sorted(ids_of(again))) == THINGS
