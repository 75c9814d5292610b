"""The settings of how masks become objects."""

from dataclasses import dataclass, field
from typing import Annotated

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.mapping.association import AssociationConfig
from ovseg3r_core.mapping.consensus import ConsensusConfig
from ovseg3r_core.mapping.objects import NamingConfig


@dataclass(frozen=True, kw_only=True)
class MappingConfig:
    """How masks become objects."""

    association: AssociationConfig = field(default_factory=AssociationConfig)
    """How masks of one view are placed on the objects."""
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    """How the masks of all views are joined."""
    naming: NamingConfig = field(default_factory=NamingConfig)
    """How an object gets its name."""
    carry_radius_m: Annotated[float, Within(0.001, 1.0)] = 0.03
    """How far a point may have moved between two extractions of the surface and still be the same."""
    part_gap_m: Annotated[float, Within(0.001, 5.0)] = 0.08
    """Parts of an object that lie further apart than this are different things."""
    outline_m: Annotated[float, Within(0.0, 5.0)] = 0.15
    """Points that nobody owns are an object's rim, which lifting took off, where they lie this near to it and within
    the outlines of its masks in a share of the views that see them, min_vote_share."""
    rim_m: Annotated[float, Within(0.0, 1.0)] = 0.03
    """So are those that lie this near to it, whatever the outlines: one and a half voxels."""
    min_part_of_mask: Annotated[float, Within(0.0, 1.0)] = 0.2
    """A mask shows a part when at least this share of its points lies there."""
    min_points: Annotated[int, Within(1, 10_000)] = 20
    """Smaller objects are not kept: a cup shows about 30 points at 2 cm."""
    named_weight: Annotated[float, Within(0.01, 100.0)] = 2.5
    """What a mask with a name counts in the vote on a point, against 1 of a mask without one."""
    min_vote_share: Annotated[float, Within(0.0, 1.0)] = 0.3
    """A point goes to an object that has this share of the votes on it; see outline_m."""
    min_view_share: Annotated[float, Within(0.0, 1.0)] = 0.2
    """An object must be masked in this share of the views that see it, and in two at least; see trusted_score."""
    trusted_score: Annotated[float, Within(0.0, 1.0)] = 0.5
    """One view is enough where only one could see the object, or a detector named it this surely."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
