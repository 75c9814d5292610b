"""A checkpoint at work in a whole run: through the map, its files and its report. Random weights: plumbing alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenes import AnalyticScene, box_room
from segmenter_files import RANDOM, save_random_weights
from test_object_map import grid_cloud, see_all
from test_perception import exact

from ovseg3r_core import models
from ovseg3r_core.checks import Rejected
from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.minilm import MiniLm
from ovseg3r_core.language.vocabulary import STRUCTURE
from ovseg3r_core.mapping.fusion import Segmented
from ovseg3r_core.mapping.instances import FindsInstances, Instance
from ovseg3r_core.mapping.storage import load_both, save_map
from ovseg3r_core.mapping.structure import StructureConfig
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.segmenter import inputs
from ovseg3r_core.segmenter.postprocess import PostprocessConfig
from ovseg3r_core.segmenter.whole_scene import WholeSceneSegmenter, load_whole_scene_segmenter, names_to_ask
from ovseg3r_core.segmenter_choice import SegmenterChoice
from ovseg3r_core.types import SceneCloud


@pytest.fixture(scope="module")
def room() -> AnalyticScene:
    return box_room(frames=4)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> WholeSceneSegmenter:
    try:
        models.find(MiniLm.name)
    except models.MissingModel as missing:
        pytest.skip(str(missing))
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    save_random_weights(path)
    return load_whole_scene_segmenter(path, ["my chair"], encoder=MiniLm(), post=PostprocessConfig(min_points=20))


def looked_at(room: AnalyticScene) -> Perception:
    perception = Perception(exact(room), same_name, config_of(online=False))
    for frame in room.frames:
        perception.integrate(frame)
    return perception


class Says:
    """A segmenter that always finds the points above a height."""

    def __init__(self, low_m: float) -> None:
        self.low_m = low_m

    def find(self, cloud: SceneCloud, seen: Incidence, lifted: object) -> tuple[Instance, ...]:
        above = np.flatnonzero(cloud.xyz[:, 2] > self.low_m)
        return (Instance(points=above, score=1.0, label="shelf", name_score=0.9),)


def without_walls(perception: Perception) -> Perception:
    """No plane is large enough to be a wall: what is found is not thrown away for being one."""
    perception.configure(replace(perception.config, structure=StructureConfig(min_area_m2=1000.0)))
    return perception


def refine_with(perception: Perception, segmenter: FindsInstances) -> None:
    perception.segmenter = segmenter
    perception.refine()


def test_the_names_asked_for_are_the_users_and_all_that_are_known():
    names = names_to_ask(["my chair", "object", "COUCH"]).names
    assert {"my chair", "COUCH", "kitchen cabinet", *STRUCTURE} <= set(names)
    assert "object" not in names and len({name.casefold() for name in names}) == len(names)


def test_instances_are_told_surest_first_by_names_of_things(segmenter):
    cloud = grid_cloud()
    found = segmenter.find(cloud, Incidence.build([see_all(cloud)]), [])
    assert all(len(it.points) >= 20 and it.label not in STRUCTURE for it in found)
    assert [it.score for it in found] == sorted((it.score for it in found), reverse=True)


def test_the_report_of_a_run_names_the_weights(room, segmenter):
    perception = looked_at(room)
    refine_with(perception, segmenter)
    report = SegmenterChoice(segmenter=segmenter).report(perception.segmented, perception.clock.seconds["segmenter"])
    assert report["used"] and report["instances"] >= 0 and report["seconds"] > 0
    assert report["sha256"] == segmenter.card.sha256 and report["flavour"] == "cpu"
    assert (report["text_encoder"], report["checkpoint"]) == (MiniLm.name, str(segmenter.path))
    json.dumps(report, allow_nan=False)


def test_a_scene_beyond_the_segmenter_is_mapped_from_masks_and_told(room, segmenter, monkeypatch):
    plain, refused = looked_at(room), looked_at(room)
    plain.refine()
    monkeypatch.setattr(inputs, "MAX_POINTS", 100)
    refine_with(refused, segmenter)
    assert refused.snapshot().objects == plain.snapshot().objects
    assert dict(refused.drops) == {"too_many_points": 1}
    report = SegmenterChoice(segmenter=segmenter).report(refused.segmented, 0.1)
    assert (report["used"], report["reason"]) == (False, "too_many_points")
    assert "at most 100 are segmented at once: thin it" in report["detail"]


def test_too_many_superpoints_are_told_too(segmenter, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_SUPERPOINTS", 0)
    cloud = grid_cloud()
    with pytest.raises(Rejected, match=r"superpoints; at most 0 a scene"):
        segmenter.find(cloud, Incidence.build([see_all(cloud)]), [])


def test_an_empty_map_has_nothing_to_segment(segmenter):
    perception = Perception(exact(box_room(frames=1)), same_name)
    refine_with(perception, segmenter)
    assert isinstance(perception.segmented, Rejected) and perception.segmented.reason == "empty_cloud"
    assert not perception.drops
    assert perception.snapshot().objects == ()


def test_an_instance_of_everything_swallows_nothing_that_masks_show(room):
    plain, fused = without_walls(looked_at(room)), without_walls(looked_at(room))
    plain.refine()
    refine_with(fused, Says(-1.0))  # the whole cloud, walls and all, is one shelf
    kept = {r.label: r.points for r in fused.snapshot().objects}
    for thing in plain.snapshot().objects:  # some of the rims go to the shelf
        assert kept[thing.label] > 0.7 * thing.points


def test_a_map_with_what_only_the_segmenter_found_is_saved_and_goes_on(room, tmp_path: Path):
    perception = Perception(exact(replace(room, ids=[np.full_like(i, -1) for i in room.ids])), same_name)
    for frame in room.frames:
        perception.integrate(frame)
    refine_with(without_walls(perception), Says(0.55))
    snapshot, memory = perception.state()
    assert isinstance(perception.segmented, Segmented) and snapshot.objects and len(memory.members) == 0
    assert {(r.label, r.observations) for r in snapshot.objects} == {("shelf", 0)}
    save_map(snapshot, tmp_path, memory)
    again = Perception(exact(room), same_name)
    again.resume(*load_both(tmp_path))
    assert again.snapshot().objects == snapshot.objects
    assert again.memory().recognitions == memory.recognitions


def test_weights_that_want_2d_features_are_refused(tmp_path: Path, segmenter):
    path = tmp_path / "random.safetensors"
    save_random_weights(path, replace(RANDOM, image_channels=3))
    with pytest.raises(ValueError, match=r"asks for 2D features \(3 channels a point, 0 a 2D object\)"):
        load_whole_scene_segmenter(path, encoder=MiniLm())
