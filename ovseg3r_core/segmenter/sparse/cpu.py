"""The CPU's flavour: gather, multiply and add in compiled loops, nothing stored in between.

Blocks of output rows are small enough for their sums to stay in the cache of a core while the weights of one offset
after the other are applied, to four rows at a time: what is loaded of the weights serves all four. A block is one
thread's, so runs repeat to the bit, whatever the number of threads.
"""

from typing import no_type_check

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from ovseg3r_core.compiled import compiled_sums, in_chunks
from ovseg3r_core.segmenter.sparse.table import GatherTable

_BLOCK = 64


def convolve(
    features: Float32[Tensor, "sources inputs"], weight: Float32[Tensor, "offsets inputs outputs"], table: GatherTable
) -> Float32[Tensor, "rows outputs"]:
    """As the twin's."""
    out = torch.zeros(table.rows, weight.shape[2])
    blocks = -(-table.rows // _BLOCK)
    given = (features.contiguous().numpy(), weight.contiguous().numpy(), table.index.numpy(), out.numpy())
    in_chunks(_convolve, blocks, *given, smallest=4)
    return out


def weight_gradient(
    features: Float32[Tensor, "sources inputs"], grad: Float32[Tensor, "rows outputs"], table: GatherTable
) -> Float32[Tensor, "offsets inputs outputs"]:
    """How the weights should change, given how the output should."""
    out = torch.zeros(table.offsets, features.shape[1], grad.shape[1])
    given = (features.contiguous().numpy(), grad.contiguous().numpy(), table.index.numpy(), out.numpy())
    in_chunks(_weight_gradient, table.offsets, *given, smallest=1)
    return out


@compiled_sums
@no_type_check
def _convolve(first_block, last_block, features, weight, index, out):
    offsets, rows = index.shape
    inputs, outputs = weight.shape[1:]
    even = inputs - inputs % 2
    place, source = np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32)
    for block in range(first_block, last_block):
        for k in range(offsets):
            there = 0
            for row in range(block * _BLOCK, min(rows, (block + 1) * _BLOCK)):
                if index[k, row] >= 0:
                    place[there], source[there] = row, index[k, row]
                    there += 1
            fours = there - there % 4
            for i in range(0, fours, 4):
                r0, r1, r2, r3 = place[i], place[i + 1], place[i + 2], place[i + 3]
                s0, s1, s2, s3 = source[i], source[i + 1], source[i + 2], source[i + 3]
                for c in range(0, even, 2):
                    a0, a1, a2, a3 = features[s0, c], features[s1, c], features[s2, c], features[s3, c]
                    b0, b1, b2, b3 = features[s0, c + 1], features[s1, c + 1], features[s2, c + 1], features[s3, c + 1]
                    for o in range(outputs):
                        a, b = weight[k, c, o], weight[k, c + 1, o]
                        out[r0, o] += a0 * a + b0 * b
                        out[r1, o] += a1 * a + b1 * b
                        out[r2, o] += a2 * a + b2 * b
                        out[r3, o] += a3 * a + b3 * b
                for c in range(even, inputs):
                    for o in range(outputs):
                        a = weight[k, c, o]
                        out[r0, o] += features[s0, c] * a
                        out[r1, o] += features[s1, c] * a
                        out[r2, o] += features[s2, c] * a
                        out[r3, o] += features[s3, c] * a
            for i in range(fours, there):
                for c in range(inputs):
                    for o in range(outputs):
                        out[place[i], o] += features[source[i], c] * weight[k, c, o]


@compiled_sums
@no_type_check
def _weight_gradient(first_offset, last_offset, features, grad, index, out):
    rows = index.shape[1]
    inputs, outputs = features.shape[1], grad.shape[1]
    place, source = np.empty(_BLOCK, np.int32), np.empty(_BLOCK, np.int32)
    for k in range(first_offset, last_offset):
        for first in range(0, rows, _BLOCK):
            there = 0
            for row in range(first, min(rows, first + _BLOCK)):
                if index[k, row] >= 0:
                    place[there], source[there] = row, index[k, row]
                    there += 1
            fours = there - there % 4
            for i in range(0, fours, 4):
                r0, r1, r2, r3 = place[i], place[i + 1], place[i + 2], place[i + 3]
                s0, s1, s2, s3 = source[i], source[i + 1], source[i + 2], source[i + 3]
                for c in range(inputs):
                    a, b, d, e = features[s0, c], features[s1, c], features[s2, c], features[s3, c]
                    for o in range(outputs):
                        out[k, c, o] += (a * grad[r0, o] + b * grad[r1, o]) + (d * grad[r2, o] + e * grad[r3, o])
            for i in range(fours, there):
                for c in range(inputs):
                    for o in range(outputs):
                        out[k, c, o] += features[source[i], c] * grad[place[i], o]
