"""The settings of the whole method, and how its parts work together."""

from dataclasses import dataclass, field, replace
from typing import Annotated

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.lifting import LiftingConfig
from ovseg3r_core.mapping.life import LifeConfig
from ovseg3r_core.mapping.mapping_config import MappingConfig
from ovseg3r_core.mapping.structure import StructureConfig
from ovseg3r_core.reconstruction.incidence import IncidenceConfig
from ovseg3r_core.reconstruction.keyframes import KeyframeConfig
from ovseg3r_core.reconstruction.tsdf import TsdfConfig

NEVER = 10**9


@dataclass(frozen=True, kw_only=True)
class PerceptionConfig:
    """The settings of every part, and how they work together."""

    tsdf: TsdfConfig = field(default_factory=TsdfConfig)
    """How depth is fused."""
    incidence: IncidenceConfig = field(default_factory=IncidenceConfig)
    """When a view counts as seeing a point."""
    keyframes: KeyframeConfig = field(default_factory=KeyframeConfig)
    """Which frames are looked at for objects."""
    lifting: LiftingConfig = field(default_factory=LiftingConfig)
    """How masks are cleaned on their way onto points."""
    mapping: MappingConfig = field(default_factory=MappingConfig)
    """How masks become objects."""
    structure: StructureConfig = field(default_factory=StructureConfig)
    """What belongs to the room."""
    life: LifeConfig = field(default_factory=LifeConfig)
    """When objects are missing, removed or moved."""
    explained_after_views: Annotated[int, Within(1, 10**9)] = 4
    """An object masked in this many views explains its pixels: nothing there is masked for its own sake again."""
    explained_sureness: Annotated[float, Within(0.0, 1.0)] = 0.7
    """If its masks agree so well on it: what is masked now so, now so may be several things, and is looked at again."""
    refine_every: Annotated[int, Within(0, 10**6)] = 15
    """Keyframes between two looks at all views together, at least; 0 leaves it to the caller."""
    refine_share: Annotated[float, Within(0.0, 10.0)] = 0.1
    """And at least this share of those that the last one looked at: each costs in step with all views, and so the looks
    of a long run cost no more a keyframe than those of a short one."""
    max_views: Annotated[int, Within(1, 10**6)] = 500
    """Keyframes kept at most, half a megabyte each; beyond that, of the two most alike the older makes room."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


def config_of(*, online: bool, voxel_size_m: float = 0.02) -> PerceptionConfig:
    """The settings of a run: two modes, and one length that all others follow.

    The modes are the same code, and two numbers that differ. Online, what the map explains is not masked again, and
    all views are looked at together now and then. Offline there is time to mask every keyframe in full, and one look
    at the end. A smaller voxel is for smaller scenes: a bin of goods wants 5 mm and ends at 1.25 m.
    """
    scale = voxel_size_m / TsdfConfig().voxel_size_m
    lifting, mapping, incidence, life = LiftingConfig(), MappingConfig(), IncidenceConfig(), LifeConfig()
    evidence = life.evidence
    config = PerceptionConfig(
        tsdf=TsdfConfig(voxel_size_m=voxel_size_m, depth_max_m=TsdfConfig().depth_max_m * min(scale, 1.0)),
        keyframes=KeyframeConfig(translation_m=KeyframeConfig().translation_m * min(scale, 1.0)),
        incidence=replace(incidence, tolerance_m=incidence.tolerance_m * scale),
        lifting=replace(lifting, link_m=lifting.link_m * scale),
        mapping=replace(
            mapping,
            carry_radius_m=mapping.carry_radius_m * scale,
            part_gap_m=mapping.part_gap_m * scale,
            rim_m=mapping.rim_m * scale,
            outline_m=mapping.outline_m * scale,
        ),
        life=replace(
            life,
            clear_m=life.clear_m * scale,
            apart_m=life.apart_m * scale,
            evidence=replace(evidence, margin_m=evidence.margin_m * scale, reach_m=evidence.reach_m * scale),
        ),
    )
    return config if online else replace(config, explained_after_views=NEVER, refine_every=0)
