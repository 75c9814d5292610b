"""Means over groups of rows: points to voxels, points to superpoints.

Sums are taken in fixed point: a sum of integers does not depend on the order in which a GPU, or the points of a cloud,
happen to come. So a run repeats exactly, and so does a cloud whose points were shuffled.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_ONE = float(1 << 24)  # four million rows of half precision's largest number still fit in 63 bits


def mean_by(
    rows: Float[Tensor, "rows channels"], group: Int64[Tensor, " rows"], groups: int
) -> Float[Tensor, "groups channels"]:
    """The mean of the rows of each group, to 2^-24; 0 for a group without any. Differentiable."""
    return _Mean.apply(rows, group, groups)  # pyright: ignore[reportReturnType]


def count_by(group: Int64[Tensor, " rows"], groups: int) -> Float[Tensor, " groups"]:
    """How many rows each group has."""
    ones = torch.ones(len(group), device=group.device)  # sums of whole numbers are exact up to 2^24
    return torch.zeros(groups, device=group.device).index_add_(0, group, ones)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, group: Tensor, groups: int) -> Tensor:
        whole = (rows.float() * _ONE).round().long()
        sums = torch.zeros(groups, rows.shape[1], dtype=torch.int64, device=rows.device).index_add_(0, group, whole)
        share = 1 / count_by(group, groups).clamp(min=1)
        ctx.save_for_backward(group, share)
        return (sums.double() / _ONE * share[:, None]).to(rows.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        group, share = ctx.saved_tensors
        return (grads[0] * share[:, None].to(grads[0].dtype))[group], None, None
