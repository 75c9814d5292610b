"""Which query answers for which true instance, in all problems of a batch at once (method 2.4).

Sparse matching: an instance may only be answered for by a query whose seed lies inside it, and the cheapest one does.
That ties a query to the thing its seed belongs to, which VIP relies on (method 1.2). Hungarian matching lets any query
answer for any instance; it is there to compare with.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import logsigmoid

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.segmenter.heads import Prediction
from ovseg3r_train.learning.targets import NOT_ASKED, Targets

_FORBIDDEN = 1e8


@dataclass(frozen=True, kw_only=True)
class MatchingConfig:
    """How matches are found; the weights are SegDINO3D's."""

    matcher: Literal["sparse", "hungarian"] = "sparse"
    """sparse: the cheapest query whose seed lies in the instance; hungarian: the cheapest assignment of all."""
    name_weight: Annotated[float, Within(0.0, 100.0)] = 0.5
    """Of one minus the probability of the right name."""
    bce_weight: Annotated[float, Within(0.0, 100.0)] = 1.0
    """Of the binary cross-entropy of the masks, mean over superpoints."""
    dice_weight: Annotated[float, Within(0.0, 100.0)] = 1.0
    """Of the dice loss of the masks."""
    centre_weight: Annotated[float, Within(0.0, 100.0)] = 0.5
    """Of the metres between the middles of the boxes, summed over the axes."""
    size_weight: Annotated[float, Within(0.0, 100.0)] = 0.5
    """Of the metres between the sizes of the boxes, summed over the axes."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """The query that answers for each instance."""

    query: Int64[Tensor, "problems instances"]
    """0 where there is none."""
    found: Bool[Tensor, "problems instances"]
    """Whether any query does."""


@torch.no_grad()
def match(
    said: Prediction,
    targets: Targets,
    seeds: Int64[Tensor, "problems queries"],
    config: MatchingConfig,
    *,
    boxed: Bool[Tensor, " problems"],
) -> Matches:
    """The matches of predictions.

    Args:
        seeds: the superpoint that each query started from, -1 for padding.
        boxed: in which problems boxes cost something; before the first layer nobody has predicted one.
    """
    cost = matching_cost(said, targets, config, boxed=boxed)
    allowed = (seeds >= 0)[..., None] & targets.real[:, None]
    if config.matcher == "sparse":
        allowed = allowed & seed_inside(targets, seeds)
        cost = torch.where(allowed, cost, _FORBIDDEN)
        return Matches(query=cost.argmin(1), found=allowed.any(1))
    return _hungarian(torch.where(allowed, cost, _FORBIDDEN), allowed)


def seed_inside(
    targets: Targets, seeds: Int64[Tensor, "problems queries"]
) -> Bool[Tensor, "problems queries instances"]:
    """Whether the seed of each query lies inside each instance."""
    problem = torch.arange(len(seeds), device=seeds.device)[:, None]
    return targets.masks.transpose(1, 2)[problem, seeds.clamp(min=0)]


def matching_cost(
    said: Prediction, targets: Targets, config: MatchingConfig, *, boxed: Bool[Tensor, " problems"]
) -> Float[Tensor, "problems queries instances"]:
    """What it costs each query to answer for each instance."""
    truth = targets.masks.float()
    logits = torch.where(targets.superpoint_real[:, None], said.mask_logits.float(), 0.0)
    weight = targets.superpoint_real[:, None].float()
    yes, no = -logsigmoid(logits) * weight, -logsigmoid(-logits) * weight
    superpoints = weight.sum(-1, keepdim=True).clamp(min=1)
    bce = (yes @ truth.transpose(1, 2) + no.sum(-1, keepdim=True) - no @ truth.transpose(1, 2)) / superpoints
    covered = logits.sigmoid() * weight
    common = covered @ truth.transpose(1, 2)
    dice = 1 - (2 * common + 1) / (covered.sum(-1, keepdim=True) + truth.sum(-1)[:, None] + 1)
    probability = said.name_logits.float().softmax(-1)
    name = targets.name.clamp(min=0)[:, None].expand(-1, probability.shape[1], -1)
    right = probability.gather(2, name) * (targets.name != NOT_ASKED)[:, None]
    cost = config.bce_weight * bce + config.dice_weight * dice - config.name_weight * right
    off = config.centre_weight * torch.cdist(said.boxes.centre, targets.boxes.centre, p=1)
    off = off + config.size_weight * torch.cdist(said.boxes.size, targets.boxes.size, p=1)
    return cost + off * boxed[:, None, None]


def _hungarian(
    cost: Float[Tensor, "problems queries instances"], allowed: Bool[Tensor, "problems queries instances"]
) -> Matches:
    query = torch.zeros(cost.shape[0], cost.shape[2], dtype=torch.int64)
    found = torch.zeros_like(query, dtype=torch.bool)
    for problem, (costs, may) in enumerate(zip(cost.cpu().numpy(), allowed.cpu().numpy(), strict=True)):
        rows, columns = linear_sum_assignment(costs)
        good = may[rows, columns]
        query[problem, columns[good]] = torch.from_numpy(rows[good])
        found[problem, columns[good]] = True
    return Matches(query=query.to(cost.device), found=found.to(cost.device))
