"""The CPU's flavour: gather, multiply and add in one compiled loop, nothing stored in between.

Blocks of output rows are small enough for their sums to stay in the cache of a core while the weights of one offset
after the other are applied. Each row sums in a fixed order, so runs repeat exactly, whatever the number of threads.
"""

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float32
from numba import njit, prange
from torch import Tensor

from ovseg3r_core.segmenter.sparse.table import GatherTable

_ROWS = 64


def convolve(
    features: Float32[Tensor, "sources inputs"], weight: Float32[Tensor, "offsets inputs outputs"], table: GatherTable
) -> Float32[Tensor, "rows outputs"]:
    """As the twin's."""
    out = torch.empty(table.rows, weight.shape[2])
    _convolve(features.contiguous().numpy(), weight.contiguous().numpy(), table.index.numpy(), out.numpy())
    return out


def weight_gradient(
    features: Float32[Tensor, "sources inputs"], grad: Float32[Tensor, "rows outputs"], table: GatherTable
) -> Float32[Tensor, "offsets inputs outputs"]:
    """How the weights should change, given how the output should."""
    out = torch.zeros(table.offsets, features.shape[1], grad.shape[1])
    _weight_gradient(features.contiguous().numpy(), grad.contiguous().numpy(), table.index.numpy(), out.numpy())
    return out


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc"})
@no_type_check
def _convolve(features, weight, index, out):
    offsets, rows = index.shape
    inputs, outputs = weight.shape[1:]
    quads = inputs - inputs % 4
    for block in prange((rows + _ROWS - 1) // _ROWS):
        first, last = block * _ROWS, min(rows, (block + 1) * _ROWS)
        out[first:last] = 0
        for k in range(offsets):
            weight_k = weight[k]
            for row in range(first, last):
                source = index[k, row]
                if source < 0:
                    continue
                x, y = features[source], out[row]
                for c in range(0, quads, 4):  # four at a time: a sum is loaded and stored once for all of them
                    x0, x1, x2, x3 = x[c], x[c + 1], x[c + 2], x[c + 3]
                    for o in range(outputs):
                        y[o] += (x0 * weight_k[c, o] + x1 * weight_k[c + 1, o]) + (
                            x2 * weight_k[c + 2, o] + x3 * weight_k[c + 3, o]
                        )
                for c in range(quads, inputs):
                    for o in range(outputs):
                        y[o] += x[c] * weight_k[c, o]


@njit(parallel=True, cache=True, fastmath={"contract", "reassoc"})
@no_type_check
def _weight_gradient(features, grad, index, out):
    offsets, rows = index.shape
    inputs, outputs = features.shape[1], grad.shape[1]
    for k in prange(offsets):
        sums = np.zeros((inputs, outputs), np.float32)
        for row in range(rows):
            source = index[k, row]
            if source >= 0:
                x, y = features[source], grad[row]
                for c in range(inputs):
                    for o in range(outputs):
                        sums[c, o] += x[c] * y[o]
        out[k] = sums
