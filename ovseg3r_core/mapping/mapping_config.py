"""The settings of how masks become objects."""

from dataclasses import dataclass, field

from ovseg3r_core.checks import require_positive, require_shares
from ovseg3r_core.mapping.association import AssociationConfig
from ovseg3r_core.mapping.consensus import ConsensusConfig
from ovseg3r_core.mapping.objects import NamingConfig


@dataclass(frozen=True, kw_only=True)
class MappingConfig:
    """How masks become objects."""

    association: AssociationConfig = field(default_factory=AssociationConfig)
    consensus: ConsensusConfig = field(default_factory=ConsensusConfig)
    naming: NamingConfig = field(default_factory=NamingConfig)
    carry_radius_m: float = 0.03
    """How far a point may have moved between two extractions of the surface and still be the same."""
    part_gap_m: float = 0.08
    """Parts of an object that lie further apart than this are different things."""
    min_part_of_mask: float = 0.2
    """A mask shows a part when at least this share of its points lies there."""
    min_points: int = 20
    """Smaller objects are not kept: a cup shows about 30 points at 2 cm."""
    named_weight: float = 2.5
    """What a mask with a name counts in the vote on a point, against 1 of a mask without one."""
    min_vote_share: float = 0.3
    """A point goes to an object that has this share of the votes on it."""
    min_view_share: float = 0.2
    """An object must be masked in this share of the views that see it ..."""
    trusted_score: float = 0.5
    """... and in two views at least, unless only one could see it or a detector named it this surely."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "carry_radius_m", "part_gap_m", "min_points", "named_weight")
        require_shares(self, "min_part_of_mask", "min_vote_share", "min_view_share", "trusted_score")
