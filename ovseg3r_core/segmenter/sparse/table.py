"""Who reads whom in a sparse convolution.

Every convolution of the U-Net is one operation: output row r is the sum over kernel offsets k of
`features[index[k, r]] @ weight[k]`, where -1 in the index means that there is nothing. A submanifold convolution reads
the 27 neighbours of a voxel, a strided one the 8 children of a coarse voxel, its inverse the parent of a fine voxel.
"""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Int32, Int64
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class GatherTable:
    """For every output row and kernel offset the input row, or -1."""

    index: Int32[Tensor, "offsets rows"]
    back: Int32[Tensor, "offsets sources"] | None = None
    """The table of the opposite direction, for gradients: for every input row and offset the output row that reads it.
    None for a submanifold table, which is its own with the offsets reversed."""

    @property
    def offsets(self) -> int:
        """Kernel positions."""
        return self.index.shape[0]

    @property
    def rows(self) -> int:
        """Output rows."""
        return self.index.shape[1]

    @property
    def sources(self) -> int:
        """Input rows."""
        return self.rows if self.back is None else self.back.shape[1]

    @cached_property
    def transposed(self) -> "GatherTable":
        """The same pairs read from the other side; gradients flow along it."""
        if self.back is None:
            return GatherTable(index=self.index.flip(0))
        return GatherTable(index=self.back, back=self.index)

    @cached_property
    def pairs(self) -> tuple[tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]], ...]:
        """For every offset the input rows and the output rows that it joins."""
        joined = []
        for index in self.index:
            rows = (index >= 0).nonzero().squeeze(1)
            joined.append((index[rows].long(), rows))
        return tuple(joined)
