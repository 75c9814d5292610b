"""Which masks of all views show the same thing: clustering by view consensus.

Two masks belong together when the *other* views say so: in nearly every view that sees both, one single
mask holds both. That is robust to what one view got wrong, needs no thresholds on overlap between the
two (they may show opposite sides of a sofa), and finds masks that swallowed two things, because other
views split them. The idea is MaskClustering's (Yan et al., CVPR 2024); three rules are ours:

- a view whose masks cover little of a thing has no opinion on it, since our proposers do not mask again
  what the map already explains;
- a mask that a detector *named* is a whole thing. Views that cut it into nameless parts abstain instead of
  voting against it, so the parts join the whole, as long as at least as many views hold it in one named
  mask; views that cut it into other named masks do vote;
- a much larger nameless mask does not hold a named thing: a desk top that took in the cup says nothing of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64
from numpy import ndarray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.mapping.wilson import surely
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask


@dataclass(frozen=True, kw_only=True)
class ConsensusConfig:
    """What counts as seen, held and agreed."""

    min_visible: Annotated[float, Within(0.001, 1.0)] = 0.3
    """A view has an opinion on a mask when it sees at least this share of its points and min_masked holds."""
    min_masked: Annotated[float, Within(0.001, 1.0)] = 0.5
    """A view has an opinion on a mask when its own masks cover at least this share of what it sees of it."""
    min_held: Annotated[float, Within(0.001, 1.0)] = 0.75
    """A mask of that view holds the mask when it covers this share of its covered points."""
    min_named_share: Annotated[float, Within(0.001, 1.0)] = 1.0
    """Views that hold a thing in one named mask must be this share of those that cut it into nameless parts, for
    the latter to abstain; one wrong name for half a room would silence everything else."""
    min_shared: Annotated[float, Within(0.001, 1.0)] = 0.3
    """A nameless mask holds a named one only if this share of its own points belong to that one."""
    max_split: Annotated[float, Within(0.001, 1.0)] = 0.35
    """A mask that more than this share of the views split holds several things and is left out."""
    min_agreement: Annotated[float, Within(0.001, 1.0)] = 0.6
    """Masks merge when this share of the views that have an opinion on both hold both in one mask."""
    min_same_extent: Annotated[float, Within(0.001, 1.0)] = 0.5
    """Clusters whose points overlap by this IoU are one thing, however the views voted."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class Evidence:
    """All that the views say: their masks, and what they see."""

    masks: sparse.csr_array
    """(masks, points): which points each mask covers."""
    named: Bool[ndarray, " masks"]
    view_of: Int64[ndarray, " masks"]
    masked_by: sparse.csr_array
    """(points, masks): the same from the points' side."""
    seen_by: sparse.csr_array
    """(points, views): which views see each point."""

    @classmethod
    def of(cls, masks: Sequence[LiftedMask], seen: Incidence, points: int) -> "Evidence":
        """Gather the masks and views as sparse matrices."""
        covers = _membership([mask.points for mask in masks], points)
        in_view = sparse.csr_array(
            (np.ones(len(seen.points), np.float32), seen.points, seen.offsets), (len(seen), points)
        )
        return cls(
            masks=covers,
            named=np.array([mask.label is not None for mask in masks], bool),
            view_of=np.array([mask.view for mask in masks], np.int64),
            masked_by=sparse.csr_array(covers.T),
            seen_by=sparse.csr_array(in_view.T),
        )

    def only(self, which: Bool[ndarray, " masks"]) -> "Evidence":
        """Some of the masks, and all views."""
        masks = self.masks[which]
        return Evidence(masks, self.named[which], self.view_of[which], sparse.csr_array(masks.T), self.seen_by)


@dataclass(frozen=True)
class Candidates:
    """Sets of points that may be things, and how the views meet them."""

    covers: sparse.csr_array
    """(candidates, points)."""
    named: Bool[ndarray, " candidates"]
    """Those that a detector has named."""
    seen: sparse.csr_array
    """(candidates, views): points of the candidate that the view sees."""
    shared: sparse.csr_array
    """(candidates, masks): points of the candidate that the mask covers."""

    @classmethod
    def of(cls, covers: sparse.csr_array, named: Bool[ndarray, " candidates"], evidence: Evidence) -> "Candidates":
        """Count the points that views and masks share with each."""
        return cls(covers, named, covers @ evidence.seen_by, covers @ evidence.masked_by)

    def of_masks(self, which: Bool[ndarray, " masks"]) -> "Candidates":
        """Some of the candidates that are a mask each, met by these masks alone."""
        shared = sparse.csr_array(self.shared[which][:, which])
        return Candidates(self.covers[which], self.named[which], self.seen[which], shared)

    def joined(self, group: Int64[ndarray, " candidates"], evidence: Evidence) -> "Candidates":
        """One candidate a group. Those that stay alone are not counted anew: late rounds join a few of thousands."""
        covers, named = _pool(group, self.covers), np.bincount(group, weights=self.named) > 0
        several = np.bincount(group) > 1
        new = Candidates.of(covers[several], named[several], evidence)
        kept = np.flatnonzero(~several[group])
        order = np.argsort(np.concatenate([group[kept], np.flatnonzero(several)]))

        def rows(old: sparse.csr_array, counted: sparse.csr_array) -> sparse.csr_array:
            return sparse.csr_array(sparse.vstack([old[kept], counted], format="csr"))[order]

        return Candidates(covers, named, rows(self.seen, new.seen), rows(self.shared, new.shared))


@dataclass(frozen=True)
class _Looks:
    """An entry for each candidate and view that sees a point of it, sorted."""

    key: Int64[ndarray, " looks"]
    candidate: Int64[ndarray, " looks"]
    view: Int64[ndarray, " looks"]
    visible: Float32[ndarray, " looks"]
    """Points of the candidate that the view sees."""
    views: int

    @classmethod
    def of(cls, candidates: Candidates) -> "_Looks":
        seen = sparse.coo_array(candidates.seen)
        assert seen.shape is not None
        views = int(seen.shape[1])
        key = seen.row.astype(np.int64) * views + seen.col
        order = np.argsort(key)
        return cls(
            key[order], seen.row[order].astype(np.int64), seen.col[order].astype(np.int64), seen.data[order], views
        )

    def find(self, candidate: Int64[ndarray, " _"], view: Int64[ndarray, " _"]) -> Int64[ndarray, " _"]:
        """The entries of some candidates and views."""
        return np.searchsorted(self.key, candidate * self.views + view)

    def sum(self, entry: Int64[ndarray, " _"], values: ndarray) -> Float64[ndarray, " looks"]:
        """Values by their entries."""
        return np.bincount(entry, weights=values, minlength=len(self.key))

    def per_candidate(self, flags: Bool[ndarray, " looks"], candidates: int) -> Int64[ndarray, " candidates"]:
        """How many views of each candidate are flagged."""
        return np.bincount(self.candidate[flags], minlength=candidates)


@dataclass(frozen=True)
class Opinions:
    """What every view says of every candidate."""

    views: sparse.csr_array
    """(candidates, views): the views that have an opinion on the candidate."""
    held_by: sparse.csr_array
    """(candidates, masks): which mask holds it, in each view where one does."""
    split: Int64[ndarray, " candidates"]
    """How many views cut it up."""


def cluster_masks(
    masks: Sequence[LiftedMask], seen: Incidence, points: int, config: ConsensusConfig
) -> Int64[ndarray, " masks"]:
    """The cluster each lifted mask belongs to, numbered from 0; -1 where the mask holds several things.

    Args:
        masks: the partial labels of all views; `mask.view` indexes `seen`.
        seen: what each view sees of the scene cloud.
        points: the size of the scene cloud.
    """
    if not masks:
        return np.empty(0, dtype=np.int64)
    evidence = Evidence.of(masks, seen, points)
    candidates = Candidates.of(evidence.masks, evidence.named, evidence)
    opinions = ask_views(evidence, candidates, config)
    whole = opinions.split <= config.max_split * np.maximum(opinions.views.sum(axis=1), 1)
    evidence, candidates = evidence.only(whole), candidates.of_masks(whole)
    agreed = _merge_by_agreement(evidence, candidates, config)
    cluster = np.full(len(masks), -1, dtype=np.int64)
    cluster[whole] = _merge_same_extent(agreed, evidence.masks, config.min_same_extent)
    return cluster


def ask_views(evidence: Evidence, candidates: Candidates, config: ConsensusConfig) -> Opinions:
    """Let every view judge every candidate: no opinion, held by one of its masks, or split."""
    named, size, mask_size = candidates.named, candidates.covers.sum(axis=1), evidence.masks.sum(axis=1)
    looks = _Looks.of(candidates)
    shared = sparse.coo_array(candidates.shared)
    row, mask = shared.row.astype(np.int64), shared.col
    look = looks.find(row, evidence.view_of[mask])
    masked = looks.sum(look, shared.data)  # points of the candidate that masks of the view cover
    masked_by_named = looks.sum(look, shared.data * evidence.named[mask])
    opinion = looks.visible >= config.min_visible * size[looks.candidate]
    opinion &= (masked >= config.min_masked * looks.visible) & (masked > 0)

    holds = (shared.data >= config.min_held * masked[look]) & opinion[look]
    holds &= ~named[row] | evidence.named[mask] | (shared.data >= config.min_shared * mask_size[mask])
    split = opinion & (looks.sum(look, holds) == 0)
    forgiven = split & (masked_by_named < 0.5 * masked)
    whole_in = looks.per_candidate(looks.sum(look, holds & evidence.named[mask]) > 0, len(size))
    cut_in = looks.per_candidate(forgiven, len(size))
    forgiven &= ((whole_in >= config.min_named_share * cut_in) & (whole_in > 0))[looks.candidate]
    held_by = sparse.csr_array((np.ones(holds.sum(), np.float32), (row[holds], mask[holds])), shared.shape)
    judge = opinion & ~forgiven
    at = looks.candidate[judge], looks.view[judge]
    views = sparse.csr_array((np.ones(judge.sum(), np.float32), at), (len(size), looks.views))
    return Opinions(views=views, held_by=held_by, split=looks.per_candidate(split & ~forgiven, len(size)))


def _merge_by_agreement(
    evidence: Evidence, candidates: Candidates, config: ConsensusConfig
) -> Int64[ndarray, " masks"]:
    """Merge, round by round, the candidates that are each other's surest partner.

    After each round the views judge what was merged anew, as one thing. So a single mask that is cut short, and
    that a larger thing seems to hold, cannot chain its own thing to the larger one.
    """
    cluster = np.arange(len(evidence.named))
    while True:
        i, j, agreeing, observing = _pair_votes(ask_views(evidence, candidates, config))
        agree = agreeing >= config.min_agreement * observing
        i, j = _surest_partners(i[agree], j[agree], surely(agreeing[agree], observing[agree]), len(candidates.named))
        if not len(i):
            return cluster
        group = _join(i, j, len(candidates.named))
        candidates = candidates.joined(group, evidence)
        cluster = group[cluster]


def _surest_partners(
    i: Int64[ndarray, " pairs"], j: Int64[ndarray, " pairs"], sureness: Float64[ndarray, " pairs"], nodes: int
) -> tuple[Int64[ndarray, " kept"], Int64[ndarray, " kept"]]:
    """The pairs in which each is the surest partner of the other."""
    tie_break = np.random.default_rng(0).random(len(i))  # else one of many equals would take all partners in turn
    rank = np.empty(len(i), np.int64)
    rank[np.lexsort((tie_break, sureness))] = np.arange(len(i))
    best = np.full(nodes, -1, np.int64)
    np.maximum.at(best, i, rank)
    np.maximum.at(best, j, rank)
    mutual = (best[i] == rank) & (best[j] == rank)
    return i[mutual], j[mutual]


def _merge_same_extent(
    cluster: Int64[ndarray, " masks"], covers: sparse.csr_array, min_iou: float
) -> Int64[ndarray, " masks"]:
    """Merge clusters that cover the same points: few views each, and no third view to agree on them."""
    extent = _pool(cluster, covers)
    size = extent.sum(axis=1)
    shared = sparse.triu(extent @ extent.T, k=1).tocoo()
    same = shared.data >= min_iou * (size[shared.row] + size[shared.col] - shared.data)
    return _join(shared.row[same], shared.col[same], len(size))[cluster]


def _pair_votes(
    opinions: Opinions,
) -> tuple[Int64[ndarray, " pairs"], Int64[ndarray, " pairs"], ndarray, ndarray]:
    """Pairs that some view holds in one mask, how many views do, and how many have an opinion on both."""
    together = sparse.triu(opinions.held_by @ opinions.held_by.T, k=1).tocoo()
    both = (opinions.views @ opinions.views.T).tocsr()
    i, j = together.row.astype(np.int64), together.col.astype(np.int64)
    observing = np.asarray(both[i, j]).ravel() if len(i) else np.empty(0)
    return i, j, together.data.astype(np.float64), observing.astype(np.float64)


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
    union = sparse.csr_array(pool @ rows)
    union.data = np.minimum(union.data, 1)
    return union
