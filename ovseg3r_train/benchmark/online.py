"""Our map as it grows: the views of a scene come one by one, and now and then all views so far are looked at together.

What the node does live, with one difference: the surface is whole from the start. What the node drops when it is too
slow is not dropped here.
"""

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.mapping.object_map import NOWHERE, ObjectMap
from ovseg3r_core.mapping.redraw import redraw
from ovseg3r_core.perception_config import PerceptionConfig
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_train.baselines.ours import found_in
from ovseg3r_train.scene import FoundInstances, LabelledScene


def ours_online(scene: LabelledScene, config: PerceptionConfig | None = None) -> FoundInstances:
    """What the map holds as the last view has come, without a last look at all views."""
    config = config or PerceptionConfig()
    objects = ObjectMap(config.mapping, same_name)
    objects.follow(scene.cloud)
    seen = [scene.seen.view(view) for view in range(len(scene.views))]
    for view, what in enumerate(seen):
        objects.associate([mask for mask in scene.lifted if mask.view == view], what, float(view), NOWHERE)
        if config.refine_every and (view + 1) % config.refine_every == 0:
            so_far = [mask for mask in scene.lifted if mask.view <= view]
            drawing = redraw(so_far, Incidence.build(seen[: view + 1]), scene.cloud, config.mapping)
            objects.adopt(drawing, [float(v) for v in range(view + 1)])
    return found_in(objects)
