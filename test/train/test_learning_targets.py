"""The truth of scenes on their superpoints."""

import numpy as np
import pytest
import torch
from tiny_scenes import tiny_scene

from ovseg3r_train.learning.targets import collate_targets, scene_targets
from ovseg3r_train.scene import Truth

TEXTS = {"chair": 0, "desk": 1, "lamp": 2}


def test_a_superpoint_belongs_to_what_holds_more_than_half_of_it() -> None:
    instance = np.array([1, 1, 2, 2, 2, -1, -1, 3, -1, -1], np.int32)
    superpoint = np.array([0, 0, 0, 1, 1, 1, 2, 3, 3, 4])
    truth = Truth(instance=instance, names={1: "chair", 2: "desk", 3: "lamp"})
    targets = scene_targets(truth, np.zeros((10, 3), np.float32), superpoint, TEXTS)
    assert targets.masks.tolist() == [[True, False, False, False, False], [False, True, False, False, False]]
    assert targets.name.tolist() == [0, 1]  # the lamp has no superpoint of its own
    assert targets.semantic.tolist() == [0, 1, 3, 3, 3]


def test_boxes_are_of_the_points_as_they_are_given() -> None:
    scene = tiny_scene(floor_m=0)
    superpoint = scene.truth.instance.astype(np.int64) - 1
    targets = scene_targets(scene.truth, scene.cloud.xyz, superpoint, TEXTS)
    assert torch.allclose(
        targets.boxes.size, torch.tensor([[0.4, 0.4, 0.4], [0.6, 0.4, 0.5], [0.2, 0.2, 0.6]]), atol=0.04
    )
    moved = scene_targets(scene.truth, scene.cloud.xyz + np.float32(1), superpoint, TEXTS)
    assert torch.allclose(moved.boxes.centre, targets.boxes.centre + 1, atol=1e-5)


def test_a_name_that_the_vocabulary_lacks_is_told() -> None:
    scene = tiny_scene(floor_m=0)
    with pytest.raises(KeyError, match="lamp"):
        scene_targets(scene.truth, scene.cloud.xyz, scene.truth.instance.astype(np.int64) - 1, {"chair": 0, "desk": 1})


def test_scenes_are_padded_to_the_same_numbers() -> None:
    scene = tiny_scene(floor_m=0)
    full = scene_targets(scene.truth, scene.cloud.xyz, scene.truth.instance.astype(np.int64) - 1, TEXTS)
    nothing = Truth(instance=np.full(5, -1, np.int32), names={})
    empty = scene_targets(nothing, np.zeros((5, 3), np.float32), np.arange(5), TEXTS)
    both = collate_targets([full, empty])
    assert both.masks.shape == (2, 3, 5) and both.real.tolist() == [[True] * 3, [False] * 3]
    assert both.superpoint_real.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    assert both.semantic.tolist() == [[0, 1, 2, -1, -1], [3] * 5]
    with pytest.raises(ValueError, match="no scene to learn from"):
        collate_targets([])
