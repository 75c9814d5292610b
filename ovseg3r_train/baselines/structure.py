"""Walls, floor and ceiling are no instances: what our map leaves out, left out of what any method found."""

from ovseg3r_core.mapping.structure import NamedBy, StructureConfig, structure_kinds, structure_of
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
    named: list[NamedBy] = ["nobody" if name is None else "detector" for name in found.names]
    config = config or StructureConfig()
    planes = structure_of(scene.cloud, [view.T_map_camera for view in scene.views], voxel_m, config)
    kinds = structure_kinds(found.points, named, scene.cloud, planes, config)
    kept = [i for i, kind in enumerate(kinds) if kind is None]
    return FoundInstances(
        points=tuple(found.points[i] for i in kept),
        names=tuple(found.names[i] for i in kept),
        scores=found.scores[kept],
        name_scores=found.name_scores[kept],
    )
