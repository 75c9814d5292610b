"""The launch files and settings that we ship are whole: what they start, read, remap and show is there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_domain import CHECKOUT
from launch_programs import install

from ovseg3r_core.config import Setting, settings_of, with_settings
from ovseg3r_ros.camera_topics import read_remappings
from ovseg3r_ros.launch_lite.context import LaunchError, Process, ProcessExited
from ovseg3r_ros.launch_lite.stand_in import arguments_of, processes_of
from ovseg3r_ros.parameter_groups import GROUPS

LAUNCH, CONFIG = CHECKOUT / "launch", CHECKOUT / "config"
FILES = sorted(path.name for path in LAUNCH.glob("*.launch.py"))
CAMERAS = sorted(path.stem for path in (CONFIG / "cameras").glob("*.yaml"))
PRESETS = ("robot_cpu", "gpu", "small_scene")
GIVEN = {"replay.launch.py": {"bag": "office"}}
CONFIGS = [group.config for group in GROUPS]
"""Everything that is a parameter of the node perception."""
OURS = {"instances", "instance_cloud", "markers", "detections", "labels", "query_events", "diagnostics", "color/image"}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, installed as links into the checkout."""
    prefix = install(tmp_path / "prefix")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    return prefix


def launched(name: str, **arguments: str) -> dict[str, Process]:
    """What a launch file starts, by name."""
    processes = processes_of(LAUNCH / name, GIVEN.get(name, {}) | arguments)
    assert len({process.name for process in processes}) == len(processes)
    return {process.name: process for process in processes}


def after(process: Process, option: str) -> list[str]:
    """The words that come behind each of an option's occurrences."""
    words = process.command
    return [words[i + 1] for i, word in enumerate(words) if word == option]


def parameters(path: Path) -> dict[str, Any]:
    """The parameters of a file under their dotted names."""

    def flat(table: dict[str, Any], prefix: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in table.items():
            found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        return found

    return flat(yaml.safe_load(path.read_text())["/**"]["ros__parameters"], "")


def known_settings() -> dict[str, Setting]:
    return {setting.name: setting for config in CONFIGS for setting in settings_of(config)}


def test_there_are_the_launch_files_that_the_documentation_names() -> None:
    assert {"perception.launch.py", "replay.launch.py", "demo.launch.py"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_launch_file_starts_only_what_is_installed(name: str) -> None:
    install_list = (CHECKOUT / "CMakeLists.txt").read_text()
    processes = launched(name)
    assert processes
    for process in processes.values():
        program = next(Path(word) for word in process.command if f"lib{'/'}ovseg3r_ros/" in word)
        assert f"scripts/{program.name}\n" in install_list, f"{program.name} is not in the list of CMakeLists.txt"


@pytest.mark.parametrize("name", FILES)
def test_every_argument_says_what_it_is_for(name: str) -> None:
    assert all(argument.description for argument in arguments_of(LAUNCH / name))


@pytest.mark.parametrize("name", FILES)
def test_all_nodes_get_the_shared_memory_profile_unless_the_user_has_one(
    name: str, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = installed / "share" / "ovseg3r_ros" / "config" / "fastdds_shm.xml"
    assert profile.is_file()
    for process in launched(name).values():
        assert process.environment["FASTRTPS_DEFAULT_PROFILES_FILE"] == str(profile)
        assert process.environment["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert {each.environment["FASTRTPS_DEFAULT_PROFILES_FILE"] for each in launched(name).values()} == {"/mine.xml"}


def test_perception_is_brought_up_and_started_again() -> None:
    node = launched("perception.launch.py")["perception"]
    assert "autostart:=true" in after(node, "-p")
    assert node.respawn
    assert node.respawn_delay_s == 2.0
    left_alone = launched("perception.launch.py", autostart="false", respawn="false")["perception"]
    assert "autostart:=false" in after(left_alone, "-p")
    assert not left_alone.respawn


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_camera_preset_leads_every_topic_to_the_driver(camera: str) -> None:
    rules = dict(
        rule.split(":=") for rule in after(launched("perception.launch.py", camera=camera)["perception"], "-r")
    )
    assert {"color/image", "color/camera_info", "depth/image"} <= rules.keys()
    assert rules["color/image/compressed"] == f"{rules['color/image']}/compressed"
    assert rules["depth/image/compressedDepth"] == f"{rules['depth/image']}/compressedDepth"
    assert all(theirs.startswith("/") for ours, theirs in rules.items() if not ours.startswith("__"))


def test_a_camera_may_be_a_file_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("front/color/image: /nav/left/image\nrear/depth/image: /nav/rear/depth\n")
    rules = after(launched("perception.launch.py", camera=str(mine))["perception"], "-r")
    assert "front/color/image:=/nav/left/image" in rules
    assert "rear/depth/image/compressedDepth:=/nav/rear/depth/compressedDepth" in rules


def test_an_unknown_camera_is_refused_with_those_there_are() -> None:
    with pytest.raises(LaunchError, match=f"'kinect'.*none, {', '.join(CAMERAS)}"):
        launched("perception.launch.py", camera="kinect")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("colour/image: /a", "'colour/image' is no topic of ours"),
        ("color/image: 7", "color/image is 7"),
        ("- color/image", "no table of topics"),
        ("", "no table of topics"),
    ],
)
def test_a_camera_file_that_maps_something_else_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_remappings(tmp_path / "mine.yaml")


def test_a_namespace_is_that_of_all_nodes_and_of_what_rviz_shows(installed: Path) -> None:
    rviz = installed / "lib" / "rviz2" / "rviz2"
    rviz.parent.mkdir()
    rviz.write_text("#!/bin/sh\n")
    rviz.chmod(0o755)
    processes = launched("demo.launch.py", namespace="robot1", viewer="spawn", rviz="true")
    assert processes.keys() == {"perception", "viewer", "rviz2", "room_camera"}
    for process in processes.values():
        assert "__ns:=/robot1" in after(process, "-r")
    assert "/markers:=markers" in after(processes["rviz2"], "-r")
    assert after(processes["perception"], "--log-level") == ["robot1.perception:=info"]


def test_rviz_shows_the_images_of_the_camera_preset(installed: Path) -> None:
    test_a_namespace_is_that_of_all_nodes_and_of_what_rviz_shows(installed)
    rules = after(launched("perception.launch.py", rviz="true", camera="oak")["rviz2"], "-r")
    assert "/color/image:=/oak/rgb/image_raw" in rules


def test_what_is_given_comes_after_the_files_and_what_is_not_leaves_them_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("/**:\n  ros__parameters:\n    map_frame: odom\n")
    node = launched("perception.launch.py", preset="robot_cpu", params=str(mine))["perception"]
    assert [Path(path).name for path in after(node, "--params-file")] == ["robot_cpu.yaml", "mine.yaml"]
    assert not [word for word in node.command if word.startswith(("map_frame:=", "map_directory:=", "queries:="))]
    node = launched("perception.launch.py", params=str(mine), map_frame="world", queries="[red chair, cup]")[
        "perception"
    ]
    words = list(node.command)
    assert words.index('map_frame:="world"') > words.index(str(mine))
    assert 'queries:=["red chair", "cup"]' in words


def test_one_standing_text_needs_no_brackets() -> None:
    node = launched("perception.launch.py", queries="somewhere to sit")["perception"]
    assert 'queries:=["somewhere to sit"]' in after(node, "-p")
    with pytest.raises(LaunchError, match="YAML list of texts"):
        launched("perception.launch.py", queries="[1, 2]")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_holds_parameters_that_exist_with_values_in_range(preset: str) -> None:
    assert preset in next(
        each.choices for each in arguments_of(LAUNCH / "perception.launch.py") if each.name == "preset"
    )
    given = parameters(CONFIG / f"{preset}.yaml")
    assert given.keys() <= known_settings().keys()
    for config in CONFIGS:
        own = {setting.name for setting in settings_of(config)}
        with_settings(config, {name: value for name, value in given.items() if name in own})


def test_the_file_to_copy_from_says_the_defaults() -> None:
    given = parameters(CONFIG / "perception.yaml")
    defaults = {name: setting.default for name, setting in known_settings().items()}
    assert given == {name: defaults[name] for name in given}


def test_the_comments_of_the_file_to_copy_from_name_parameters_that_exist() -> None:
    commented = re.findall(r"^ +# (\w+): ", (CONFIG / "perception.yaml").read_text(), re.MULTILINE)
    assert {"cameras", "queries"} <= set(commented) <= known_settings().keys()


def test_rviz_gets_latched_topics_latched() -> None:
    displays = yaml.safe_load((CONFIG / "perception.rviz").read_text())["Visualization Manager"]["Displays"]
    topics = {each["Topic"]["Value"].lstrip("/"): each["Topic"] for each in displays if "Topic" in each}
    assert topics.keys() == {"instance_cloud", "markers", "color/image"}
    for name in ("instance_cloud", "markers"):
        assert topics[name]["Durability Policy"] == "Transient Local"
        assert topics[name]["Reliability Policy"] == "Reliable"


def test_foxglove_shows_our_topics_and_calls_our_service() -> None:
    layout = json.loads((CONFIG / "foxglove.json").read_text())
    panels = layout["configById"]
    assert set(re.findall(r'"(\w+!\w+)"', json.dumps(layout["layout"]))) == panels.keys()
    assert {name.lstrip("/") for name in panels["3D!map"]["topics"]} <= OURS
    assert panels["CallService!query"]["serviceName"] == "/query_objects"
    request = (CHECKOUT / "srv" / "QueryObjects.srv").read_text().partition("---")[0]
    assert all(f" {name}\n" in request for name in json.loads(panels["CallService!query"]["requestPayload"]))


def test_a_node_that_refuses_its_parameters_ends_the_launch_instead_of_starting_again() -> None:
    node = launched("perception.launch.py")["perception"]
    assert node.ends_launch(ProcessExited(process_name="perception", returncode=-9)) == ""
    with pytest.raises(RuntimeError, match="parameters"):
        node.ends_launch(ProcessExited(process_name="perception", returncode=2))


def test_a_replay_ends_everything_and_a_failed_one_fails_the_launch() -> None:
    processes = launched("replay.launch.py", bag="office", ground_truth="truth", rate="2", options="--min objects=5")
    assert processes.keys() == {"perception", "replay"}
    words = " ".join(processes["replay"].command)
    assert "office --node running --out metrics.json --rate 2 --ground-truth truth --min objects=5" in words
    given = after(processes["perception"], "-p")
    assert {"use_sim_time:=true", "load_autosave:=false", "cloud_background:=true"} <= set(given)
    assert not processes["perception"].respawn
    ended = processes["replay"].ends_launch
    assert ended(ProcessExited(process_name="replay", returncode=0)) == "the replay is over"
    with pytest.raises(RuntimeError, match="code 1"):
        ended(ProcessExited(process_name="replay", returncode=1))
