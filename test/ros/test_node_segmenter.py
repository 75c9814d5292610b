"""The learned segmenter in the live map: loaded aside, exchanged while the node runs, refused with the reason."""

from pathlib import Path

import pytest
from harness_camera import ScriptedCamera
from harness_perception import Perception, values_of
from segmenter_files import save_random_weights

from ovseg3r_core import models
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.shipped import NAME

try:
    models.find(MiniLm.name)
except models.MissingModel as missing:
    pytest.skip(f"no names without weights: {missing}", allow_module_level=True)


def wait_for_segmenter(node: Perception, *words: str) -> None:
    node.wait_for_status(
        f"segmenter: {', '.join(words)}",
        lambda it: all(word in values_of(it).get("segmenter", "") for word in words),
        name=": pipeline",
        timeout_s=60.0,
    )


def test_other_weights_take_part_from_the_next_look(mapped: Perception, scene_camera: ScriptedCamera, tmp_path: Path):
    wait_for_segmenter(mapped, "none")
    mine = tmp_path / "mine.safetensors"
    sha256 = save_random_weights(mine).sha256
    for weights, words in (("default", (NAME,)), (str(mine), ("mine", sha256[:12]))):
        assert mapped.set_parameter("segmenter", weights).successful
        wait_for_segmenter(mapped, *words)
        with scene_camera.run():
            mapped.wait_for_more_keyframes(2)
        wait_for_segmenter(mapped, *words, "in the last look", "instances")
    assert mapped.set_parameter("segmenter", "none").successful
    wait_for_segmenter(mapped, "none")


def test_what_is_no_checkpoint_is_refused_and_the_old_one_stays(mapped: Perception, tmp_path: Path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    for path in (tmp_path / "absent.safetensors", broken):
        result = mapped.set_parameter("segmenter", str(path))
        assert not result.successful and path.name in result.reason
    wait_for_segmenter(mapped, "none")
