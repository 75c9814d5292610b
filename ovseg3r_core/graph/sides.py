"""Which of its two sides a surface shows: signs of normals that go together."""

from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from ovseg3r_core.compiled import compiled, in_chunks
from ovseg3r_core.graph.edges import Edges, light_first


def orient(
    normal: Float32[ndarray, "nodes 3"], fixed: Bool[ndarray, " nodes"], edges: Edges
) -> Float32[ndarray, "nodes 3"]:
    """The normals with the signs that go best together: along the flattest edges, neighbours face the same way.

    These edges are a minimum spanning tree (Hoppe et al., 1992); 1 - |cosine| is taken in steps of 1/64, so that what
    is about as flat goes along memory. What hangs together with nodes of `fixed` sign follows them; any other connected
    part faces up (z) on the whole, as what a robot sees of floors and tables does.
    """
    if fixed.all():
        return normal
    cosine, turn = np.zeros(len(edges), np.float32), np.zeros(len(edges), np.float32)
    in_chunks(_turns, len(edges), normal, edges.a, edges.b, cosine, turn)
    flattest = light_first(turn)
    part, turned = np.arange(len(normal)), np.zeros(len(normal), bool)
    part[fixed] = np.argmax(fixed)  # all in one part, with the signs they have
    _spread_signs(edges.a, edges.b, cosine < 0, flattest, part, turned)
    normal = np.where(turned[:, None], -normal, normal)
    turns = np.bincount(part, weights=normal[:, 2], minlength=len(part)) < 0
    turns[part[fixed]] = turned[fixed]
    return np.where(turns[part][:, None], -normal, normal)


@compiled
@no_type_check
def _turns(start, stop, normal, a, b, cosine, turn):
    for e in range(start, stop):
        for axis in range(3):
            cosine[e] += normal[a[e], axis] * normal[b[e], axis]
        turn[e] = np.floor(64 * (1 - min(abs(cosine[e]), np.float32(1))))


@compiled
@no_type_check
def _spread_signs(a, b, opposed, order, part, turned):
    """Make one part of what hangs together; fill in which nodes must turn to face as the rest of their part does."""
    for e in order:
        i, i_turned = _root(part, turned, a[e])
        j, j_turned = _root(part, turned, b[e])
        if i != j:
            part[j] = i
            turned[j] = i_turned ^ j_turned ^ opposed[e]
    for i in range(len(part)):
        part[i], turned[i] = _root(part, turned, i)


@compiled
@no_type_check
def _root(part, turned, i):
    """The root of a node and whether the node is turned against it; halves the way there."""
    turn = False
    while part[i] != i:
        up = part[i]
        turned[i] ^= turned[up]
        part[i] = part[up]
        turn ^= turned[i]
        i = part[i]
    return i, turn
