"""The learned segmenter as two more methods: alone, and its instances fused with our map's look at all views.

Alone it still uses the masks: its superpoints keep to their outlines. Names are its own; in the fused map those of the
masks go first.
"""

from functools import cache
from pathlib import Path

import numpy as np

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_core.mapping.fusion import FusionConfig, Segmented
from ovseg3r_core.mapping.instances import Instance, without_structure
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.object_map import ObjectMap
from ovseg3r_core.mapping.redraw import redraw
from ovseg3r_core.mapping.structure import StructureConfig, structure_of
from ovseg3r_core.reconstruction.tsdf import TsdfConfig
from ovseg3r_core.segmenter.whole_scene import WholeSceneSegmenter, load_whole_scene_segmenter
from ovseg3r_train.baselines.ours import found_in
from ovseg3r_train.scene import FoundInstances, LabelledScene


def segmenter_alone(scene: LabelledScene, checkpoint: Path) -> FoundInstances:
    """The instances of the segmenter, each under its likeliest name.

    Raises:
        Rejected: the scene is beyond what the network takes.
    """
    instances = segmenter_of(checkpoint).find(scene.cloud, scene.seen, scene.lifted)
    return FoundInstances(
        points=tuple(it.points for it in instances),
        names=tuple(it.label for it in instances),
        scores=np.array([it.score for it in instances], np.float64),
        name_scores=np.array([it.name_score for it in instances], np.float64),
    )


def fused_with_map(scene: LabelledScene, checkpoint: Path) -> FoundInstances:
    """What `ovseg3r segment` would hold: our map's look at all views, in which the instances vote.

    Raises:
        Rejected: the scene is beyond what the network takes.
    """
    return found_in(fused_map(scene, segmenter_of(checkpoint).find(scene.cloud, scene.seen, scene.lifted)))


def fused_map(
    scene: LabelledScene,
    instances: tuple[Instance, ...],
    mapping: MappingConfig | None = None,
    fusion: FusionConfig | None = None,
) -> ObjectMap:
    """Our map of a scene after one look at all views, in which some instances vote."""
    stamps_s, poses = (0.0,) * len(scene.views), [view.T_map_camera for view in scene.views]
    planes = structure_of(scene.cloud, poses, TsdfConfig().voxel_size_m, StructureConfig())
    things = without_structure(instances, scene.cloud, planes, StructureConfig())
    segmented = Segmented(instances=things, stamps_s=stamps_s, config=fusion or FusionConfig())
    objects = ObjectMap(mapping or MappingConfig(), same_name)
    objects.adopt(redraw(scene.lifted, scene.seen, scene.cloud, objects.config, segmented), stamps_s)
    return objects


@cache
def segmenter_of(checkpoint: Path) -> WholeSceneSegmenter:
    """One a process; names are ScanNet200's and the household's, as the rulers' are."""
    return load_whole_scene_segmenter(checkpoint, scannet200().names)
