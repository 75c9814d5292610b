"""The surface of a volume that goes on growing, read again only where something was fused since.

Reading a whole room takes a second, and the larger the map, the longer. A frame touches what it sees; the points of a
block depend on its neighbours' voxels too, and on no others.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from ovseg3r_core.cloud_blocks import CloudBlocks
from ovseg3r_core.reconstruction.surface import VoxelBlocks, extract_cloud
from ovseg3r_core.types import SceneCloud


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A copy of that part of a field which its surface is to be read from again."""

    field: VoxelBlocks
    """With the neighbours of the blocks that are read."""
    keys: Int64[ndarray, " blocks"] | None
    """The blocks that are read, sorted; None for all."""


class GrowingSurface:
    """The surface as it was last read. Readings must be taken in, all of them, in their order."""

    def __init__(self) -> None:
        self.cloud = SceneCloud.empty()

    def take(self, reading: Reading) -> SceneCloud:
        """The surface with what was read anew; point for point that of reading everything."""
        fresh = extract_cloud(reading.field, reading.keys)
        self.cloud = fresh if reading.keys is None else replaced(self.cloud, fresh, reading.keys)
        return self.cloud


def replaced(old: SceneCloud, fresh: SceneCloud, keys: Int64[ndarray, " blocks"]) -> SceneCloud:
    """A cloud whose points in some blocks come from another one, which has points in no other blocks.

    Args:
        keys: the blocks, sorted.
    """
    kept, new = (_blocks_of(cloud) for cloud in (old, fresh))
    keep = ~_among(kept.key, keys)
    key = np.concatenate([kept.key[keep], new.key])
    order = np.argsort(key, kind="stable")
    sizes = np.concatenate([kept.sizes[keep], new.sizes])[order]
    blocks = CloudBlocks(
        key=key[order],
        start=np.concatenate([[0], np.cumsum(sizes)]),
        reading=np.concatenate([kept.reading[keep], new.reading])[order],
    )
    is_new = (order >= np.count_nonzero(keep)).repeat(sizes)

    def joined(before: ndarray, after: ndarray) -> ndarray:
        values = np.empty((len(is_new), 3), before.dtype)
        values[~is_new] = np.concatenate([before[:0], *(before[a:b] for a, b in kept.runs(keep))])
        values[is_new] = after
        return values

    return SceneCloud(
        xyz=joined(old.xyz, fresh.xyz),
        color=joined(old.color, fresh.color),
        normal=joined(old.normal, fresh.normal),
        blocks=blocks,
    )


def _blocks_of(cloud: SceneCloud) -> CloudBlocks:
    return cloud.blocks or CloudBlocks.read_now(np.zeros(0, np.int64), np.zeros(0, np.int64))


def _among(keys: Int64[ndarray, " keys"], some: Int64[ndarray, " some"]) -> Bool[ndarray, " keys"]:
    """Which keys are among some sorted ones."""
    if not len(some):
        return np.zeros(len(keys), bool)
    return some[np.searchsorted(some, keys).clip(max=len(some) - 1)] == keys
