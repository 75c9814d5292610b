"""What the predictions of all layers cost, given the truth (method 2.4).

Every layer is matched anew and pays for the names of all queries, and for the masks and boxes of those that match. All
layers are compared at once, as problems one behind the other: on a GPU the number of operations is what costs. The last
layer pays for semantics too, and its dice counts four times, as it does in effect in SegDINO3D and OneFormer3D.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.segmenter.heads import Prediction, together
from ovseg3r_train.learning.matching import Matches, MatchingConfig, match
from ovseg3r_train.learning.partition import Partition
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
    name_softness: Annotated[float, Within(0.0, 1.0)] = 0.0
    """How far the names that views give are spread over names near by: `soft_names`; those of the truth never are."""

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
    soft: Float[Tensor, "names names"] | None = None,
    sparing: Partition | None = None,
) -> Losses:
    """The losses of what the decoder says with `every_layer`.

    Args:
        seeds: the superpoint that each query started from, -1 for padding.
        boxes: whether the targets have boxes; partial masks have none.
        soft: what each name should be answered with (`soft_names`); None for itself alone.
        sparing: of which views the problems are, where no view may teach "nothing" to a query that another one of the
            step answers with.
    """
    config, count = config or LossConfig(), len(layers)
    said, every, starts = together(layers), targets.repeated(count), seeds.repeat(count, 1)
    boxed = torch.full((count, len(seeds)), boxes, device=seeds.device)
    boxed[0] = False  # nobody has predicted a box before the first layer
    matches = match(said, every, starts, config.matching, boxed=boxed.flatten())
    weight = matches.found * every.weight
    silent = _unanswering(every, starts)
    if sparing is not None:
        silent &= ~sparing.in_any_view(_answering(matches, starts).unflatten(0, (count, -1))).flatten(0, 1)
    name = _name_loss(said, every, silent, matches, config.nothing_weight, soft, count)
    bce, dice = (_mean_in_layer(each, weight, count) for each in _mask_losses(said, every, matches))
    centre, size = (_mean_in_layer(each, weight, count)[1:] for each in _box_losses(said, every, matches))
    dice = torch.cat([dice[:-1], dice[-1:] * config.last_dice_factor])
    with_boxes = float(boxes)
    return Losses(
        name=config.name_weight * name.sum(),
        bce=config.bce_weight * bce.sum(),
        dice=config.dice_weight * dice.sum(),
        centre=config.centre_weight * with_boxes * centre.sum(),
        size=config.size_weight * with_boxes * size.sum(),
        semantic=config.semantic_weight * _semantic_loss(layers[-1], targets, seeds),
    )


def _unanswering(targets: Targets, seeds: Int64[Tensor, "problems queries"]) -> Bool[Tensor, "problems queries"]:
    """Queries that should say "nothing" unless they match."""
    return (seeds >= 0) & targets.nothing.gather(1, seeds.clamp(min=0))


def _answering(matches: Matches, seeds: Int64[Tensor, "problems queries"]) -> Bool[Tensor, "problems queries"]:
    """Queries that match."""
    count = torch.zeros_like(seeds)
    return count.scatter_add(1, matches.query, matches.found.long()) > 0


def _name_loss(
    said: Prediction,
    targets: Targets,
    silent: Bool[Tensor, "problems queries"],
    matches: Matches,
    nothing_weight: float,
    soft: Float[Tensor, "names names"] | None,
    layers: int,
) -> Float[Tensor, " layers"]:
    """Cross-entropy of every query: its instance's name where it matches, else "nothing".

    A query that nobody can judge, and one whose instance has no name, cost nothing.

    Args:
        silent: the queries that should say "nothing" unless they match.
    """
    logits = said.name_logits.float()
    nothing = logits.shape[-1] - 1
    target = torch.where(silent, nothing, NOT_ASKED)
    # Behind the last query there is room for what is not found.
    room = torch.cat([target, torch.full_like(target[:, :1], NOT_ASKED)], dim=1)
    place = torch.where(matches.found, matches.query, target.shape[1])
    target = room.scatter(1, place, targets.name)[:, :-1]
    weight = torch.where(target == nothing, nothing_weight, 1.0) * (target != NOT_ASKED)
    answer = target.clamp(min=0).flatten()
    each = cross_entropy(logits.flatten(0, 1), answer if soft is None else soft[answer], reduction="none")
    each = each.view_as(weight)
    return _mean_in_layer(each, weight, layers)


def _mask_losses(
    said: Prediction, targets: Targets, matches: Matches
) -> tuple[Float[Tensor, "problems instances"], Float[Tensor, "problems instances"]]:
    """Binary cross-entropy and dice of the mask of each instance's query."""
    logits, seen = _of_matches(said.mask_logits, matches).float(), targets.superpoint_real[:, None].float()
    truth = targets.masks.float()
    bce = binary_cross_entropy_with_logits(logits, truth, reduction="none")
    covered = logits.sigmoid() * seen
    dice = 1 - (2 * (covered * truth).sum(-1) + 1) / (covered.sum(-1) + truth.sum(-1) + 1)
    return (bce * seen).sum(-1) / seen.sum(-1).clamp(min=1), dice


def _box_losses(
    said: Prediction, targets: Targets, matches: Matches
) -> tuple[Float[Tensor, "problems instances"], Float[Tensor, "problems instances"]]:
    """Metres that middle and size of each instance's query are off, summed over the axes."""
    centre = (_of_matches(said.boxes.centre, matches) - targets.boxes.centre).abs().sum(-1)
    size = (_of_matches(said.boxes.size, matches) - targets.boxes.size).abs().sum(-1)
    return centre, size


def _semantic_loss(said: Prediction, targets: Targets, seeds: Int64[Tensor, "problems queries"]) -> Float[Tensor, ""]:
    """Cross-entropy of what the seed of each query is made of; mean over all that are asked."""
    assert said.semantic_logits is not None, "the last layer says what seeds are made of"
    target = torch.where(seeds >= 0, targets.semantic.gather(1, seeds.clamp(min=0)), NOT_ASKED)
    asked = (target != NOT_ASKED).float()
    logits = said.semantic_logits.float().flatten(0, 1)
    each = cross_entropy(logits, target.clamp(min=0).flatten(), reduction="none").view_as(asked)
    return (each * asked).sum() / asked.sum().clamp(min=1)


def _of_matches(
    rows: Float[Tensor, "problems queries channels"], matches: Matches
) -> Float[Tensor, "problems instances channels"]:
    """The rows of the queries that answer for each instance."""
    return rows.gather(1, matches.query[..., None].expand(-1, -1, rows.shape[-1]))


def _mean_in_layer(
    each: Float[Tensor, "problems items"], weight: Float[Tensor, "problems items"], layers: int
) -> Float[Tensor, " layers"]:
    """For each layer the weighted mean over the items of all its problems: a view that tells more counts more."""
    costs, weights = (it.unflatten(0, (layers, -1)).sum((1, 2)) for it in (each * weight, weight))
    return costs / weights.clamp(min=1e-6)
