"""Which masks of all views show the same thing: clustering by view consensus.

Two masks belong together when the *other* views say so: in nearly every view that sees both, one single
mask holds both. That is robust to what one view got wrong, needs no thresholds on overlap between the
two (they may show opposite sides of a sofa), and finds masks that swallowed two things, because other
views split them. The idea is MaskClustering's (Yan et al., CVPR 2024); two rules are ours:

- a view whose masks cover little of a thing has no opinion on it, since our proposers do not mask again
  what the map already explains;
- a mask that a detector *named* is a whole thing. Views that cut it into nameless parts abstain instead
  of voting against it, so the parts join the whole; views that cut it into other named masks do vote.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ovseg3r_core.types import LiftedMask, ViewIncidence


@dataclass(frozen=True, kw_only=True)
class ConsensusConfig:
    """What counts as seen, held and agreed."""

    min_visible: float = 0.3
    """A view has an opinion on a mask when it sees at least this share of its points ..."""
    min_masked: float = 0.5
    """... and its own masks cover at least this share of what it sees of it."""
    min_held: float = 0.75
    """A mask of that view holds the mask when it covers this share of its covered points."""
    max_split: float = 0.35
    """A mask that more than this share of the views split holds several things and is left out."""
    min_agreement: float = 0.6
    """Masks merge when this share of the views that have an opinion on both hold both in one mask."""
    min_same_extent: float = 0.5
    """Clusters whose points overlap by this IoU are one thing, however the views voted."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= 1:
                raise ValueError(f"{name} is {value}; it is a share, in (0, 1]")


@dataclass(frozen=True)
class Opinions:
    """What every view says of every mask."""

    held_by: sparse.csr_array
    """(masks, masks) bool: column n is set where mask n, of its own view, holds the row's mask."""
    views: sparse.csr_array
    """(masks, views) bool: the views that have an opinion on the row's mask."""
    whole: Bool[ndarray, " masks"]
    """False where too many views split the mask."""

    def of(self, members: Int64[ndarray, " kept"]) -> "Opinions":
        """The same, of some masks only."""
        return Opinions(self.held_by[members], self.views[members], self.whole[members])


def cluster_masks(
    masks: Sequence[LiftedMask], seen: Sequence[ViewIncidence], points: int, config: ConsensusConfig
) -> Int64[ndarray, " masks"]:
    """The cluster each lifted mask belongs to, numbered from 0; -1 where the mask holds several things.

    Args:
        masks: the partial labels of all views; `mask.view` indexes `seen`.
        seen: what each view sees of the scene cloud.
        points: the size of the scene cloud.
    """
    if not masks:
        return np.empty(0, dtype=np.int64)
    opinions = gather_opinions(masks, seen, points, config)
    whole = np.flatnonzero(opinions.whole)
    cluster = np.full(len(masks), -1, dtype=np.int64)
    agreed = _merge_by_agreement(opinions.of(whole), config.min_agreement)
    covers = _membership([masks[index].points for index in whole], points)
    cluster[whole] = _merge_same_extent(agreed, covers, config.min_same_extent)
    return cluster


def gather_opinions(
    masks: Sequence[LiftedMask], seen: Sequence[ViewIncidence], points: int, config: ConsensusConfig
) -> Opinions:
    """Let every view judge every mask: no opinion, held by one of its masks, or split."""
    view_of = np.array([mask.view for mask in masks])
    named = np.array([mask.label is not None for mask in masks])
    covers = _membership([mask.points for mask in masks], points)
    in_view = _membership([view.points for view in seen], points)
    in_masks_of = sparse.csr_array((np.ones(len(masks)), (np.arange(len(masks)), view_of)), (len(masks), len(seen)))

    size = covers.sum(axis=1)
    visible = (covers @ in_view.T).toarray()  # (masks, views): points of the mask that the view sees
    shared = (covers @ covers.T).tocoo()  # (masks, masks): points that lie in both
    shared_by_view = sparse.csr_array((shared.data, (shared.row, view_of[shared.col])), visible.shape)
    masked = shared_by_view.toarray()  # ... that the view's masks cover
    opinion = (visible >= config.min_visible * size[:, None]) & (masked >= config.min_masked * visible) & (masked > 0)

    row, col = shared.row, shared.col
    holds = shared.data >= config.min_held * masked[row, view_of[col]]
    holds &= opinion[row, view_of[col]]
    held_by = sparse.csr_array((np.ones(holds.sum(), np.float32), (row[holds], col[holds])), shared.shape)
    held = (held_by @ in_masks_of).toarray() > 0
    split = opinion & ~held

    by_named = named[col]
    masked_by_named = sparse.csr_array((shared.data[by_named], (row[by_named], view_of[col[by_named]])), visible.shape)
    forgiven = split & named[:, None] & (masked_by_named.toarray() < 0.5 * masked)
    opinion &= ~forgiven
    split &= ~forgiven
    whole = split.sum(axis=1) <= config.max_split * np.maximum(opinion.sum(axis=1), 1)

    keep = sparse.diags_array(whole.astype(np.float32))  # a mask that holds several things holds nothing for others
    return Opinions((held_by @ keep).tocsr(), sparse.csr_array(opinion.astype(np.float32)), whole)


def _merge_by_agreement(opinions: Opinions, min_agreement: float) -> Int64[ndarray, " masks"]:
    """Merge the pairs that most views speak of first: what they build up is sure when few views decide."""
    cluster = np.arange(opinions.views.shape[0])
    held_by, views = opinions.held_by, opinions.views
    for least_views in _schedule(held_by, views):
        while True:
            i, j, agreeing, observing = _pair_votes(held_by, views)
            merge = (observing >= least_views) & (agreeing >= min_agreement * observing)
            if not merge.any():
                break
            group = _join(i[merge], j[merge], views.shape[0])
            held_by, views = _pool(group, held_by), _pool(group, views)
            cluster = group[cluster]
    return cluster


def _merge_same_extent(
    cluster: Int64[ndarray, " masks"], covers: sparse.csr_array, min_iou: float
) -> Int64[ndarray, " masks"]:
    """Merge clusters that cover the same points: few views each, and no third view to agree on them."""
    extent = _pool(cluster, covers)
    size = extent.sum(axis=1)
    shared = sparse.triu(extent @ extent.T, k=1).tocoo()
    same = shared.data >= min_iou * (size[shared.row] + size[shared.col] - shared.data)
    return _join(shared.row[same], shared.col[same], len(size))[cluster]


def _schedule(held_by: sparse.csr_array, views: sparse.csr_array) -> list[int]:
    """Falling numbers of observing views, from the best observed pairs down to one view."""
    _, _, _, observing = _pair_votes(held_by, views)
    if not len(observing):
        return []
    steps = np.quantile(observing, np.linspace(0.95, 0.0, 20)).astype(int)
    return sorted({max(int(step), 1) for step in steps} | {1}, reverse=True)


def _pair_votes(
    held_by: sparse.csr_array, views: sparse.csr_array
) -> tuple[Int64[ndarray, " pairs"], Int64[ndarray, " pairs"], ndarray, ndarray]:
    """Pairs that some mask holds together, how many masks do, and how many views have an opinion on both."""
    together = sparse.triu(held_by @ held_by.T, k=1).tocoo()
    both = (views @ views.T).tocsr()
    i, j = together.row.astype(np.int64), together.col.astype(np.int64)
    observing = np.asarray(both[i, j]).ravel() if len(i) else np.empty(0)
    return i, j, together.data, observing


def _membership(members: Sequence[Int64[ndarray, " _"]], points: int) -> sparse.csr_array:
    indptr = np.concatenate([[0], np.cumsum([len(m) for m in members])])
    indices = np.concatenate(members) if len(members) else np.empty(0, np.int64)
    return sparse.csr_array((np.ones(len(indices), np.float32), indices, indptr), (len(members), points))


def _join(i: Int64[ndarray, " pairs"], j: Int64[ndarray, " pairs"], nodes: int) -> Int64[ndarray, " nodes"]:
    """The group of each node when the pairs are joined."""
    links = sparse.coo_array((np.ones(len(i), bool), (i, j)), (nodes, nodes))
    return connected_components(links, directed=False)[1].astype(np.int64)


def _pool(group: Int64[ndarray, " nodes"], rows: sparse.csr_array) -> sparse.csr_array:
    """The union of the rows of each group; entries are 0 or 1."""
    pool = sparse.csr_array((np.ones(len(group), np.float32), (group, np.arange(len(group)))))
    union = (pool @ rows).tocsr()
    union.data = np.minimum(union.data, 1)
    return union
