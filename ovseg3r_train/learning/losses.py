"""What the predictions of all layers cost, given the truth (method 2.4).

Every layer is matched anew and pays for the names of all queries, and for the masks and boxes of those that match. The
last layer pays for semantics too, and its dice counts four times, as it does in effect in SegDINO3D and OneFormer3D.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_train.learning.matching import Matches, MatchingConfig, match
from ovseg3r_train.learning.targets import NOT_ASKED, Targets


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """How much each part counts; the weights are SegDINO3D's."""

    matching: MatchingConfig = field(default_factory=MatchingConfig)
    """How queries are matched with instances."""
    name_weight: Annotated[float, Within(0.0, 100.0)] = 0.5
    """Of the cross-entropy of names."""
    nothing_weight: Annotated[float, Within(0.0, 100.0)] = 0.1
    """Of a query that should say "nothing", within that cross-entropy."""
    bce_weight: Annotated[float, Within(0.0, 100.0)] = 1.0
    """Of the binary cross-entropy of masks, mean over superpoints and matched queries."""
    dice_weight: Annotated[float, Within(0.0, 100.0)] = 1.0
    """Of the dice loss of masks, mean over matched queries."""
    last_dice_factor: Annotated[float, Within(0.0, 100.0)] = 4.0
    """Times the dice loss of the last layer."""
    centre_weight: Annotated[float, Within(0.0, 100.0)] = 0.5
    """Of the metres between the middles of boxes."""
    size_weight: Annotated[float, Within(0.0, 100.0)] = 0.5
    """Of the metres between the sizes of boxes."""
    semantic_weight: Annotated[float, Within(0.0, 100.0)] = 0.5
    """Of the cross-entropy of what the seeds are made of."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Losses:
    """The parts, weighted and summed over the layers; `total` is what to descend."""

    name: Float[Tensor, ""]
    bce: Float[Tensor, ""]
    dice: Float[Tensor, ""]
    centre: Float[Tensor, ""]
    size: Float[Tensor, ""]
    semantic: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """Their sum."""
        return self.name + self.bce + self.dice + self.centre + self.size + self.semantic

    def __add__(self, other: "Losses") -> "Losses":
        return Losses(
            name=self.name + other.name,
            bce=self.bce + other.bce,
            dice=self.dice + other.dice,
            centre=self.centre + other.centre,
            size=self.size + other.size,
            semantic=self.semantic + other.semantic,
        )


def segmenter_losses(
    layers: Sequence[Prediction],
    targets: Targets,
    seeds: Int64[Tensor, "problems queries"],
    config: LossConfig | None = None,
    *,
    boxes: bool = True,
) -> Losses:
    """The losses of what the decoder says with `every_layer`.

    Args:
        seeds: the superpoint that each query started from, -1 for padding.
        boxes: whether the targets have boxes; partial masks have none.
    """
    config = config or LossConfig()
    zero = layers[-1].mask_logits.new_zeros((), dtype=torch.float32)
    name, bce, dice, centre, size = zero, zero, zero, zero, zero
    for number, said in enumerate(layers):
        with_boxes, last = boxes and number > 0, number == len(layers) - 1
        matches = match(said, targets, seeds, config.matching, with_boxes=with_boxes)
        name = name + config.name_weight * _name_loss(said, targets, seeds, matches, config.nothing_weight)
        layer_bce, layer_dice = _mask_losses(said, targets, matches)
        bce = bce + config.bce_weight * layer_bce
        dice = dice + config.dice_weight * layer_dice * (config.last_dice_factor if last else 1.0)
        if with_boxes:
            layer_centre, layer_size = _box_losses(said, targets, matches)
            centre, size = centre + config.centre_weight * layer_centre, size + config.size_weight * layer_size
    semantic = config.semantic_weight * _semantic_loss(layers[-1], targets, seeds)
    return Losses(name=name, bce=bce, dice=dice, centre=centre, size=size, semantic=semantic)


def _name_loss(
    said: Prediction,
    targets: Targets,
    seeds: Int64[Tensor, "problems queries"],
    matches: Matches,
    nothing_weight: float,
) -> Float[Tensor, ""]:
    """Cross-entropy of every query: its instance's name where it matches, else "nothing"; mean over problems.

    A query that nobody can judge, and one whose instance has no name, cost nothing.
    """
    logits = said.name_logits.float()
    nothing = logits.shape[-1] - 1
    problem = torch.arange(len(seeds), device=seeds.device)[:, None].expand_as(matches.query)
    judged = (seeds >= 0) & targets.nothing.gather(1, seeds.clamp(min=0))
    target = torch.where(judged, nothing, NOT_ASKED)
    target[problem[matches.found], matches.query[matches.found]] = targets.name[matches.found]
    weight = torch.where(target == nothing, nothing_weight, 1.0) * (target != NOT_ASKED)
    each = cross_entropy(logits.flatten(0, 1), target.clamp(min=0).flatten(), reduction="none").view_as(weight)
    return ((each * weight).sum(1) / weight.sum(1).clamp(min=1e-6)).mean()


def _mask_losses(said: Prediction, targets: Targets, matches: Matches) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Binary cross-entropy and dice of the masks of matched queries; mean over problems that have any."""
    logits, seen = _of_matches(said.mask_logits, matches).float(), targets.superpoint_real[:, None].float()
    truth = targets.masks.float()
    bce = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    bce = (bce * seen).sum(-1) / seen.sum(-1).clamp(min=1)
    covered = logits.sigmoid() * seen
    dice = 1 - (2 * (covered * truth).sum(-1) + 1) / (covered.sum(-1) + truth.sum(-1) + 1)
    weight = matches.found * targets.weight
    return _mean_of_problems(bce, weight), _mean_of_problems(dice, weight)


def _box_losses(said: Prediction, targets: Targets, matches: Matches) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Metres that middles and sizes are off, summed over the axes; mean over problems that have matches."""
    centre = (_of_matches(said.boxes.centre, matches) - targets.boxes.centre).abs().sum(-1)
    size = (_of_matches(said.boxes.size, matches) - targets.boxes.size).abs().sum(-1)
    weight = matches.found * targets.weight
    return _mean_of_problems(centre, weight), _mean_of_problems(size, weight)


def _semantic_loss(said: Prediction, targets: Targets, seeds: Int64[Tensor, "problems queries"]) -> Float[Tensor, ""]:
    """Cross-entropy of what the seed of each query is made of; mean over problems."""
    assert said.semantic_logits is not None, "the last layer says what seeds are made of"
    problem = torch.arange(len(seeds), device=seeds.device)[:, None]
    target = torch.where(seeds >= 0, targets.semantic[problem, seeds.clamp(min=0)], NOT_ASKED)
    asked = (target != NOT_ASKED).float()
    logits = said.semantic_logits.float().flatten(0, 1)
    each = cross_entropy(logits, target.clamp(min=0).flatten(), reduction="none").view_as(asked)
    return ((each * asked).sum(1) / asked.sum(1).clamp(min=1)).mean()


def _of_matches(
    rows: Float[Tensor, "problems queries channels"], matches: Matches
) -> Float[Tensor, "problems instances channels"]:
    """The rows of the queries that answer for each instance."""
    return rows.gather(1, matches.query[..., None].expand(-1, -1, rows.shape[-1]))


def _mean_of_problems(
    each: Float[Tensor, "problems instances"], weight: Float[Tensor, "problems instances"]
) -> Float[Tensor, ""]:
    """The weighted mean over instances, 0 for those that nobody answers for; then over problems that have any."""
    sums = weight.sum(1)
    mean = torch.where(weight > 0, each * weight, 0.0).sum(1) / sums.clamp(min=1e-6)
    return mean.sum() / (sums > 0).sum().clamp(min=1)
