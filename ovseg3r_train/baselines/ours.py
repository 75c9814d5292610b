"""Our own map's look at all views together, as one more way to join the masks of a scene."""

import numpy as np

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.objects import guess_name, name_score
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
    """The objects of a map as instances of its cloud, each under its best name, however few views gave it that."""
    points, records = objects.ownership.points_of(), objects.records()
    shown = [objects.objects[record.id].observations for record in records]
    guesses = [guess_name(observations, objects.same_name) for observations in shown]
    return FoundInstances(
        points=tuple(points[record.id] for record in records),
        names=tuple(guesses),
        scores=np.array([record.score for record in records], dtype=np.float64),
        name_scores=np.array(
            [
                name_score(guess, observations, objects.config.naming, objects.same_name) if guess else 1.0
                for guess, observations in zip(guesses, shown, strict=True)
            ],
            dtype=np.float64,
        ),
    )
