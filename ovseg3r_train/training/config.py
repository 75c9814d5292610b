"""What decides a training: the same settings, data and number of processes give the same weights."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_train.learning.example import SuperpointKind
from ovseg3r_train.learning.losses import LossConfig
from ovseg3r_train.training.augment import AugmentConfig


@dataclass(frozen=True, kw_only=True)
class LessonConfig:
    """What a step learns from; the switches of the ablations are here."""

    scenes: Annotated[int, Within(1, 1024)] = 4
    """A step, over all processes."""
    pseudo_scenes: Annotated[int, Within(0, 1024)] = 2
    """How many of them are learned from the views' masks; the others from the truth."""
    classes: Literal["base", "all"] = "base"
    """base hides the truth of ScanNet200's novel classes (the paper's standard setting); all is the upper bound."""
    partition: Literal["views", "none"] = "views"
    """views is VIP; none takes the views' masks for whole things (the ablation)."""
    superpoints: SuperpointKind = "ibsp"
    """ibsp keeps to the outlines of masks; geometry does not (the ablation)."""
    pseudo_share: Annotated[float, Within(0.0, 1.0)] = 1.0
    """Share of the scenes whose masks are used (the ablation)."""
    mix: bool = True
    """Draw any reconstruction of a video that was reconstructed in several ways; else always the first by name."""
    views: Annotated[int, Within(1, 1000)] = 12
    """Views drawn of a pseudo-labelled scene."""
    nameless_masks: Literal["leave", "learn"] = "leave"
    """leave: where a mask without a name lies, nobody is judged: most of them are pieces of walls and of things. learn:
    each is a thing too, for teachers with few words."""
    associate_views: bool = False
    """Tell each view what others saw of its things: see `learning/association.py`. Needs partition=views."""
    spare_matched: bool = False
    """No view teaches "nothing" to a query that another view of the step answers with. Needs partition=views."""
    weigh_masks: bool = False
    """Let a mask weigh as much as the teacher was sure of it."""
    doubt_silence: bool = False
    """Where a named mask of a scene whose masks are used holds what the truth does not name, do not teach "nothing"."""
    most_points: Annotated[int, Within(1000, 4_000_000)] = 120_000
    """A larger scene is cut round a place drawn at random."""

    def __post_init__(self) -> None:
        """Check the ranges, and what fits in what."""
        check_ranges(self)
        if self.pseudo_scenes > self.scenes:
            raise ValueError(f"pseudo_scenes is {self.pseudo_scenes}; a step has only {self.scenes} scenes")
        if self.associate_views and self.partition == "none":
            raise ValueError("associate_views tells views of each other: it needs partition=views")
        if self.spare_matched and self.partition == "none":
            raise ValueError("spare_matched is about what views say of each other's queries: it needs partition=views")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All of it."""

    lessons: LessonConfig = field(default_factory=LessonConfig)
    """What a step learns from."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """How scenes are changed."""
    losses: LossConfig = field(default_factory=LossConfig)
    """What mistakes cost."""
    size: Literal["small", "base", "wide"] = "small"
    """Of the network."""
    voxel_size_m: Annotated[float, Within(0.005, 0.5)] = 0.02
    """Of the network's finest level."""
    steps: Annotated[int, Within(1, 10_000_000)] = 20_000
    """How long it learns."""
    rate: Annotated[float, Within(0.0, 1.0)] = 1e-3
    """Learning rate at its highest, after the warm-up; at the end it falls to 0 by a power of 0.9."""
    warm_up: Annotated[int, Within(0, 1_000_000)] = 200
    """Steps until then."""
    fall: Annotated[float, Within(0.0, 1.0)] = 1.0
    """Share of the steps in which the rate falls, at the end; until then a training may be made longer or shorter."""
    weight_decay: Annotated[float, Within(0.0, 1.0)] = 0.05
    """AdamW's."""
    clip: Annotated[float, Within(0.0, 1e6)] = 10.0
    """Largest norm of the gradient."""
    average: Annotated[float, Within(0.0, 0.99999)] = 0.998
    """Of the running mean of the weights, which is what is validated and saved: how much of it stays each step, later
    on; early it follows faster."""
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"
    """What the U-Net computes in on a GPU, where the rest takes tf32; on CPU all is 32-true."""
    seed: Annotated[int, Within(0, 2**31)] = 0
    """Of the first weights and of every draw."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)

    @property
    def falls_from(self) -> float:
        """The step from which on the rate falls, and `steps` is settled."""
        return max(float(self.warm_up), self.steps * (1 - self.fall))
