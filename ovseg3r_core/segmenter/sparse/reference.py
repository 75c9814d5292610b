"""The plain torch twin of every other flavour: slow, differentiable by torch itself, right on every device."""

from jaxtyping import Float
from torch import Tensor

from ovseg3r_core.segmenter.sparse.table import GatherTable


def convolve(
    features: Float[Tensor, "sources inputs"], weight: Float[Tensor, "offsets inputs outputs"], table: GatherTable
) -> Float[Tensor, "rows outputs"]:
    """Sum over kernel offsets of what each row reads there, times the weight of the offset."""
    out = features.new_zeros(table.rows, weight.shape[2])
    for (sources, rows), weight_k in zip(table.pairs, weight, strict=True):
        if len(rows):
            out = out.index_add(0, rows, features[sources] @ weight_k)
    return out
