"""Walls, floor and ceiling are no instances: what our map leaves out, left out of what any method found."""

import numpy as np

from ovseg3r_core.mapping.structure import StructureConfig, find_structure, structure_kind, up_direction
from ovseg3r_core.reconstruction.tsdf import TsdfConfig
from ovseg3r_train.scene import FoundInstances, LabelledScene


def without_structure(
    scene: LabelledScene,
    found: FoundInstances,
    config: StructureConfig | None = None,
    voxel_m: float = TsdfConfig().voxel_size_m,
) -> FoundInstances:
    """The instances that are not pieces of walls, floor or ceiling, by the rule of our map.

    Args:
        voxel_m: distance of the cloud's points.
    """
    config = config or StructureConfig()
    camera_up = np.array([-view.T_map_camera[:3, 1] for view in scene.views], dtype=np.float64).reshape(-1, 3)
    planes = find_structure(scene.cloud, voxel_m, up_direction(scene.cloud.normal, camera_up), config)
    kept = [
        i
        for i, points in enumerate(found.points)
        if structure_kind(points, scene.cloud, planes, named=found.names[i] is not None, config=config) is None
    ]
    return FoundInstances(
        points=tuple(found.points[i] for i in kept),
        names=tuple(found.names[i] for i in kept),
        scores=found.scores[kept],
        name_scores=found.name_scores[kept],
    )
