"""The k nearest neighbours of each point, through a tree of boxes round runs of points along a curve.

Unlike a grid it needs no cell size, and takes clouds whose density varies a thousandfold.
"""

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from ovseg3r_core.compiled import compiled, in_chunks

NOBODY = -1
_LEAF = 8  # points a leaf of the tree
_DEPTH = 64  # more than a tree of 2^32 points can be deep


def nearest(xyz: Float32[ndarray, "nodes 3"], k: int) -> tuple[Int32[ndarray, "nodes k"], Float32[ndarray, "nodes k"]]:
    """The k nearest others of each point and their distances, near to far; -1 and infinity where there are no more.

    Args:
        xyz: in the order of `ordered_nodes`; any order is right, but slow.
    """
    near, distance = np.full((len(xyz), k), NOBODY, np.int32), np.full((len(xyz), k), np.inf, np.float32)
    if len(xyz):
        in_chunks(_search, len(xyz), xyz, _boxes(xyz), near, distance)
    return near, distance


def _boxes(xyz: Float32[ndarray, "nodes 3"]) -> Float32[ndarray, "boxes 6"]:
    """Of each node of a binary heap over the leaves the box round its points: three lower and three upper bounds."""
    leaves = 1
    while leaves * _LEAF < len(xyz):
        leaves *= 2
    box = np.full((2 * leaves, 6), np.inf, np.float32)
    box[:, 3:] = -np.inf
    _fill(xyz, box)
    return box


@compiled
@no_type_check
def _fill(xyz, box):
    leaves = len(box) // 2
    for i in range(len(xyz)):
        leaf = leaves + i // _LEAF
        for axis in range(3):
            box[leaf, axis] = min(box[leaf, axis], xyz[i, axis])
            box[leaf, axis + 3] = max(box[leaf, axis + 3], xyz[i, axis])
    for node in range(leaves - 1, 0, -1):
        for axis in range(3):
            box[node, axis] = min(box[2 * node, axis], box[2 * node + 1, axis])
            box[node, axis + 3] = max(box[2 * node, axis + 3], box[2 * node + 1, axis + 3])


@compiled
@no_type_check
def _search(start, stop, xyz, box, near, distance):
    """From the leaf of a point upwards: at each step the other half of the tree below, without what is too far."""
    k, leaves = near.shape[1], len(box) // 2
    todo = np.empty(_DEPTH, np.int64)
    who, squared = np.empty(k, np.int32), np.empty(k, np.float32)
    for i in range(start, stop):
        x, y, z = xyz[i, 0], xyz[i, 1], xyz[i, 2]
        who[:], squared[:] = NOBODY, np.inf
        furthest = np.float32(np.inf)
        up = todo[0] = leaves + i // _LEAF
        while True:
            left = 1
            while left:
                left -= 1
                node = todo[left]
                dx = _gap(box[node, 0], x, box[node, 3])
                dy = _gap(box[node, 1], y, box[node, 4])
                dz = _gap(box[node, 2], z, box[node, 5])
                if dx * dx + dy * dy + dz * dz >= furthest:
                    continue
                if node < leaves:
                    todo[left], todo[left + 1] = 2 * node, 2 * node + 1
                    left += 2
                    continue
                first = (node - leaves) * _LEAF
                for other in range(first, min(first + _LEAF, len(xyz))):
                    dx, dy, dz = xyz[other, 0] - x, xyz[other, 1] - y, xyz[other, 2] - z
                    d = dx * dx + dy * dy + dz * dz
                    if d < furthest and other != i:
                        place = k - 1
                        while place > 0 and squared[place - 1] > d:
                            squared[place], who[place] = squared[place - 1], who[place - 1]
                            place -= 1
                        squared[place], who[place] = d, other
                        furthest = squared[k - 1]
            if up <= 1:
                break
            todo[0] = up ^ 1
            up >>= 1
        for place in range(k):
            near[i, place], distance[i, place] = who[place], np.sqrt(squared[place])


@compiled
@no_type_check
def _gap(low, value, high):
    """How far a coordinate lies outside an interval; written so that it compiles to no jump."""
    below, above = low - value, value - high
    gap = below if below > above else above
    return gap if gap > 0 else np.float32(0)
