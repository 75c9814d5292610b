"""The distinct points of a cloud in an order of their own: that of a Hilbert curve, whatever order they came in.

Everything after that is computed on the ordered points, so that it cannot depend on the order they were given in; and
what lies near in space lies near in memory.
"""

from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int64, UInt64
from numpy import ndarray

from ovseg3r_core.compiled import compiled, in_chunks

_BITS = 21  # of each coordinate: a hundredth of a millimetre in a house, a centimetre in a cloud of 20 km


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Points that differ in something; points that are alike in everything are one node."""

    point: Int64[ndarray, " nodes"]
    """One of the points of each node."""
    count: Int64[ndarray, " nodes"]
    """How many points are alike."""
    of_point: Int64[ndarray, " points"]
    """The node of each point."""

    def __len__(self) -> int:
        return len(self.point)


def ordered_nodes(xyz: Float32[ndarray, "points 3"], *more: ndarray) -> Nodes:
    """The nodes of a cloud in their own order.

    Args:
        xyz: finite coordinates.
        more: whatever else points may differ in: arrays with a row a point.
    """
    xyz = xyz + np.float32(0)  # no -0.0, which is equal to 0.0 and has other bytes
    curve = _curve(xyz)
    order = np.argsort(curve, kind="stable")
    columns = [column for array in (xyz, *more) for column in np.atleast_2d(array.T)]
    tied = _tied(curve[order])
    if tied.any():
        some = order[tied]
        order[tied] = some[np.lexsort([*(column[some] for column in reversed(columns)), curve[some]])]
    new = np.ones(len(xyz), bool)
    alike = np.flatnonzero(tied[1:] & (curve[order[1:]] == curve[order[:-1]])) + 1
    new[alike] = np.any([column[order[alike]] != column[order[alike - 1]] for column in columns], axis=0)
    of_point = np.empty(len(xyz), np.int64)
    of_point[order] = np.cumsum(new) - 1
    return Nodes(point=order[new], count=np.bincount(of_point).astype(np.int64), of_point=of_point)


def _tied(curve: UInt64[ndarray, " points"]) -> ndarray:
    """Which of the sorted places on the curve are shared."""
    same = curve[1:] == curve[:-1]
    return np.append(same, False) | np.append(False, same)


def _curve(xyz: Float32[ndarray, "points 3"]) -> UInt64[ndarray, " points"]:
    """How far along the Hilbert curve through the cloud's box each point lies."""
    curve = np.zeros(len(xyz), np.uint64)
    if len(xyz):
        columns = xyz.T.copy()  # numpy is ten times as fast along memory
        low = columns.min(axis=1).astype(np.float64)
        extent = float((columns.max(axis=1) - low).max())
        in_chunks(_hilbert, len(xyz), xyz, low, ((1 << _BITS) - 1) / extent if extent > 0 else 0.0, curve)
    return curve


@compiled
@no_type_check
def _hilbert(start, stop, xyz, low, scale, curve):
    """Skilling's transform of coordinates to the bits of the place on the curve (Programming the Hilbert curve, 2004).

    Runs of a Hilbert curve hang together, where those of the simpler Morton curve jump: boxes round them are smaller,
    and a search through these looks at half as many.
    """
    for i in range(start, stop):
        x = np.int64((xyz[i, 0] - low[0]) * scale)
        y = np.int64((xyz[i, 1] - low[1]) * scale)
        z = np.int64((xyz[i, 2] - low[2]) * scale)
        for level in range(_BITS - 1, 0, -1):
            below = (1 << level) - 1
            x ^= below & -(x >> level & 1)  # all ones where the bit is set: no jumps
            for_y = -(y >> level & 1)
            swap = (x ^ y) & below & ~for_y
            x ^= swap | (below & for_y)
            y ^= swap
            for_z = -(z >> level & 1)
            swap = (x ^ z) & below & ~for_z
            x ^= swap | (below & for_z)
            z ^= swap
        y ^= x
        z ^= y
        turn = 0
        for level in range(_BITS - 1, 0, -1):
            turn ^= ((1 << level) - 1) & -(z >> level & 1)
        curve[i] = _spread(x ^ turn) << 2 | _spread(y ^ turn) << 1 | _spread(z ^ turn)


@compiled
@no_type_check
def _spread(v):
    """The bits of a number, two zeros between each and the next."""
    v = (v | v << 32) & 0x1F00000000FFFF
    v = (v | v << 16) & 0x1F0000FF0000FF
    v = (v | v << 8) & 0x100F00F00F00F00F
    v = (v | v << 4) & 0x10C30C30C30C30C3
    return (v | v << 2) & 0x1249249249249249
