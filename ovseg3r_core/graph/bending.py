"""How much the surface turns along each edge of the neighbourhood graph."""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.compiled import compiled, in_chunks
from ovseg3r_core.graph.edges import Edges


def bending(
    xyz: Float32[ndarray, "nodes 3"], normal: Float32[ndarray, "nodes 3"], edges: Edges
) -> Float32[ndarray, " edges"]:
    """The weight of the ScanNet segmentator: 1 - cosine of the normals, squared where the surface bulges outwards.

    Things bulge, and meet each other and the floor in hollows: an edge that bulges joins sooner. It bulges where the
    normals spread apart, from whichever end it is looked at. An edge to a point without a normal weighs 1.
    """
    weight = np.ones(len(edges), np.float32)
    in_chunks(_bend, len(edges), xyz, normal, edges.a, edges.b, weight)
    return weight


@compiled
@no_type_check
def _bend(start, stop, xyz, normal, a, b, weight):
    for e in range(start, stop):
        turn = along = a_length = b_length = 0.0
        for axis in range(3):
            n_a, n_b = np.float64(normal[a[e], axis]), np.float64(normal[b[e], axis])
            turn += (n_b - n_a) ** 2 / 2  # 1 - cosine of unit vectors, without the loss of digits
            along += (n_b - n_a) * (xyz[b[e], axis] - xyz[a[e], axis])
            a_length, b_length = a_length + n_a * n_a, b_length + n_b * n_b
        if a_length > 0 and b_length > 0:
            weight[e] = turn * turn if along > 0 else turn
