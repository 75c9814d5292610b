"""Morton codes of voxels: neighbours in space are near in memory, and the code of a parent is that of its child >> 3.

A code holds 18 bits an axis, interleaved with x highest, and the number of the scene above them.
"""

import torch
from jaxtyping import Int64
from torch import Tensor

AXIS_BITS = 18
MAX_CELL = (1 << AXIS_BITS) - 1
MAX_SCENES = 1 << (63 - 3 * AXIS_BITS)

# Steps that put two zero bits between all bits of a number of up to 21 bits: shift, then keep the bits of the mask.
_SPREAD = ((32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3))
_LAST = (2, 0x1249249249249249)


def encode(scene: Int64[Tensor, " voxels"], cell: Int64[Tensor, "voxels 3"]) -> Int64[Tensor, " voxels"]:
    """The code of each voxel; cells are 0 to `MAX_CELL`, scenes below `MAX_SCENES`."""
    bits = cell
    for shift, mask in (*_SPREAD, _LAST):
        bits = (bits | (bits << shift)) & mask
    x, y, z = bits.unbind(1)
    return (scene << (3 * AXIS_BITS)) | (x << 2) | (y << 1) | z


def decode(code: Int64[Tensor, " voxels"]) -> tuple[Int64[Tensor, " voxels"], Int64[Tensor, "voxels 3"]]:
    """Scene and cell of each code."""
    scene = code >> (3 * AXIS_BITS)
    inside = code & ((1 << (3 * AXIS_BITS)) - 1)
    bits = torch.stack([inside >> 2, inside >> 1, inside], dim=1) & _LAST[1]
    masks = [mask for _, mask in _SPREAD]
    for (shift, _), mask in zip((_LAST, *reversed(_SPREAD)), (*reversed(masks), MAX_CELL), strict=True):
        bits = (bits | (bits >> shift)) & mask
    return scene, bits
