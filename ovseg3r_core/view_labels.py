"""What every view makes of every point: hidden, background, or one of the view's masks.

Masks are not associated between views: two points are compared in the views that see both of them, each on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Int32, Int64, Integer, UInt64
from numpy import ndarray
from scipy.sparse import csr_array

from ovseg3r_core.compiled import compiled, in_chunks
from ovseg3r_core.graph.clustering import VALUE_BITS, Exclusive
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask

BACKGROUND = -1
UNSEEN = -2


@dataclass(frozen=True, kw_only=True)
class ViewLabels:
    """The views that see each point, as compressed rows: those of point p are `offsets[p]` to `offsets[p + 1]`."""

    offsets: Int64[ndarray, " rows"]
    """One more than there are points."""
    view: Int32[ndarray, " pairs"]
    """Ascending in each row."""
    mask: Int32[ndarray, " pairs"]
    """The mask of that view that the point lies in, -1 for background."""

    def __len__(self) -> int:
        """The number of points."""
        return len(self.offsets) - 1

    @classmethod
    def none(cls, points: int) -> "ViewLabels":
        """No view sees anything."""
        nothing = np.zeros(0, np.int32)
        return cls(offsets=np.zeros(points + 1, np.int64), view=nothing, mask=nothing)

    @classmethod
    def of_masks(cls, seen: Incidence, lifted: Sequence[LiftedMask], points: int) -> "ViewLabels":
        """From what views see and their lifted masks; a point of a mask counts as seen by its view."""
        masks_of: list[list[LiftedMask]] = [[] for _ in range(len(seen))]
        for mask in lifted:
            masks_of[mask.view].append(mask)
        label = np.full(points, UNSEEN, np.int32)
        members, labels = [], []
        for view, masks in enumerate(masks_of):
            label[seen.view(view).points] = BACKGROUND
            for mask in masks:
                label[mask.points] = mask.mask
            members.append(np.flatnonzero(label != UNSEEN))
            labels.append(label[members[-1]])
            label[members[-1]] = UNSEEN
        return cls._of_views(members, labels, points)

    @classmethod
    def of_array(cls, labels: Integer[ndarray, "views points"]) -> "ViewLabels":
        """From a mask number a view and point, -1 for background, -2 for unseen.

        Raises:
            ValueError: there are other numbers below 0, or one that 31 bits cannot hold.
        """
        low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
        if low < UNSEEN or high > np.iinfo(np.int32).max:
            raise ValueError(f"mask ids are {low} to {high}: give 0 to 2147483647, -1 for background, -2 for unseen")
        members = [np.flatnonzero(row != UNSEEN) for row in labels]
        return cls._of_views(
            members, [row[m].astype(np.int32) for row, m in zip(labels, members, strict=True)], labels.shape[1]
        )

    @classmethod
    def _of_views(
        cls, members: Sequence[Int64[ndarray, " _"]], labels: Sequence[Int32[ndarray, " _"]], points: int
    ) -> "ViewLabels":
        offsets = np.cumsum([0, *(len(m) for m in members)], dtype=np.int64)
        columns = np.concatenate([np.zeros(0, np.int64), *members])
        values = np.concatenate([np.zeros(0, np.int32), *labels])
        rows = csr_array((values, columns, offsets), (len(members), points)).tocsc()
        return cls(offsets=rows.indptr.astype(np.int64), view=rows.indices.astype(np.int32), mask=rows.data)

    def masks_of(self, points: Int64[ndarray, " nodes"]) -> Exclusive:
        """The masks that some of the points lie in: one of a view excludes the others."""
        counts = np.zeros(len(points), np.int64)
        in_chunks(_count, len(points), points, self.offsets, self.mask, counts)
        offsets = np.append(0, np.cumsum(counts))
        facts = np.empty(offsets[-1], np.int64)
        in_chunks(_fill, len(points), points, self.offsets, self.view, self.mask, offsets, facts)
        return Exclusive(offsets=offsets, facts=facts)

    def signature(self) -> UInt64[ndarray, " points"]:
        """A number for each point that tells different labels apart (but for one case in 10^19)."""
        signature = np.zeros(len(self), np.uint64)
        in_chunks(_mix, len(self), self.offsets, self.view, self.mask, signature)
        return signature

    def compare(
        self, a: Int64[ndarray, " edges"], b: Int64[ndarray, " edges"]
    ) -> tuple[Int32[ndarray, " edges"], Int32[ndarray, " edges"]]:
        """For pairs of points the number of views that have both in one mask, and of those that tell them apart.

        A view that has both in the background says neither.
        """
        together, apart = np.zeros(len(a), np.int32), np.zeros(len(a), np.int32)
        in_chunks(_compare, len(a), a, b, self.offsets, self.view, self.mask, together, apart)
        return together, apart


@compiled
@no_type_check
def _count(start, stop, points, offsets, mask, counts):
    for i in range(start, stop):
        for n in range(offsets[points[i]], offsets[points[i] + 1]):
            counts[i] += mask[n] >= 0


@compiled
@no_type_check
def _fill(start, stop, points, offsets, view, mask, to, facts):
    for i in range(start, stop):
        at = to[i]
        for n in range(offsets[points[i]], offsets[points[i] + 1]):
            if mask[n] >= 0:
                facts[at] = np.int64(view[n]) << VALUE_BITS | mask[n]
                at += 1


@compiled
@no_type_check
def _mix(start, stop, offsets, view, mask, signature):
    for i in range(start, stop):
        h = np.uint64(1)
        for n in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(view[n] + 1)) * np.uint64(0x9E3779B97F4A7C15)  # splitmix64's constants
            h = (h ^ (h >> np.uint64(29)) ^ np.uint64(mask[n] + 2)) * np.uint64(0xBF58476D1CE4E5B9)
            h ^= h >> np.uint64(32)
        signature[i] = h


@compiled
@no_type_check
def _compare(start, stop, a, b, offsets, view, mask, together, apart):
    for e in range(start, stop):
        p, p_end, q, q_end = offsets[a[e]], offsets[a[e] + 1], offsets[b[e]], offsets[b[e] + 1]
        while p < p_end and q < q_end:
            if view[p] < view[q]:
                p += 1
            elif view[p] > view[q]:
                q += 1
            else:
                if mask[p] != mask[q]:
                    apart[e] += 1
                elif mask[p] != -1:
                    together[e] += 1
                p += 1
                q += 1
