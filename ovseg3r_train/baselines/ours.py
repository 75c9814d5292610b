"""Our own map's look at all views together, as one more way to join the masks of a scene."""

import numpy as np

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.objects import guess_name, name_score, vote_name
from ovseg3r_core.mapping.redraw import redraw
from ovseg3r_train.scene import FoundInstances, LabelledScene


def ours_offline(scene: LabelledScene, config: MappingConfig | None = None) -> FoundInstances:
    """What the map would hold after one look at all views, with its own names and scores."""
    return found_in(map_of_all_views(scene, config or MappingConfig()))


def map_of_all_views(scene: LabelledScene, config: MappingConfig) -> ObjectMap:
    """Our map of a scene after one look at all views."""
    objects = ObjectMap(config, same_name)
    if scene.lifted:
        objects.adopt(redraw(scene.lifted, scene.seen, scene.cloud, config), [0.0] * len(scene.views))
    return objects


def found_in(objects: ObjectMap) -> FoundInstances:
    """The objects of a map as instances of its cloud, each under its best name, however few views gave it that.

    What has no name in the map, or had none from its views, goes by the segmenter's where that is sure.
    """
    points = objects.ownership.points_of
    records = [record for record in objects.records() if record.id in points]  # what is missing may have none
    guesses = [_guess(objects, record.id) for record in records]
    return FoundInstances(
        points=tuple(points[record.id] for record in records),
        names=tuple(name for name, _ in guesses),
        scores=np.array([record.score for record in records], dtype=np.float64),
        name_scores=np.array([score for _, score in guesses], dtype=np.float64),
    )


def _guess(objects: ObjectMap, id_: int) -> tuple[str | None, float]:
    """The best name of an object, and how sure it is; 1 for none."""
    obj, naming = objects.objects[id_], objects.config.naming
    if (
        obj.recognition
        and obj.recognition.label
        and vote_name(obj.observations, naming, objects.same_name)[0] == UNNAMED
    ):
        return obj.recognition.label, obj.recognition.name_score
    guess = guess_name(obj.observations, objects.same_name)
    return guess, name_score(guess, obj.observations, naming, objects.same_name) if guess else 1.0
