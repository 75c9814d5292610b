"""Which predictions of one scene are right and which are wrong, by the rules of the ScanNet benchmark.

The one loop is over true instances, since the benchmark matches greedily in their order; predictions and overlaps are
array axes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from numpy import ndarray

from ovseg3r_core.evaluation.scene_pair import TrueInstances

OVERLAPS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.25)
"""Intersection over union that a match must exceed; AP is the mean over all but the last."""
MIN_REGION = 100
"""Vertices that a prediction or a true instance needs to be looked at."""
_BLOCK_CELLS = 1 << 20  # of the mask matrix at a time: 1 MB of it and 8 MB of keys stay in the cache


@dataclass(frozen=True, kw_only=True)
class SharedVertices:
    """How many vertices each prediction of a scene shares with each valid true instance, and with none."""

    shared: Int64[ndarray, "predictions truths"]
    void: Int64[ndarray, " predictions"]
    truth_sizes: Int64[ndarray, " truths"]
    truth_labels: Int64[ndarray, " truths"]

    @classmethod
    def of(
        cls, masks: Bool[ndarray, "predictions points"], truth: TrueInstances, class_ids: Collection[int]
    ) -> "SharedVertices":
        """Count them; `class_ids` are the valid classes, and vertices of others are void."""
        ids, place = np.unique(truth.instance, return_inverse=True)
        labels = np.array([truth.labels[id_] if id_ >= 0 else -1 for id_ in ids.tolist()], np.int64)
        valid = (ids >= 0) & np.isin(labels, list(class_ids))
        column = np.where(valid, np.cumsum(valid) - 1, valid.sum())  # the last one is "no valid instance"
        column_of_point = column[place]
        shared = _counts(masks, column_of_point, int(valid.sum()) + 1)
        return cls(
            shared=shared[:, :-1],
            void=shared[:, -1],
            truth_sizes=np.bincount(column_of_point, minlength=int(valid.sum()) + 1)[:-1],
            truth_labels=labels[valid],
        )

    @property
    def sizes(self) -> Int64[ndarray, " predictions"]:
        """Vertices of each prediction."""
        return self.shared.sum(axis=1) + self.void

    def rows_to_judge(
        self, labels: Int64[ndarray, " predictions"], class_ids: Collection[int]
    ) -> Int64[ndarray, " chosen"]:
        """The predictions that the benchmark looks at: large enough, and of a valid class."""
        return np.flatnonzero((self.sizes >= MIN_REGION) & np.isin(labels, list(class_ids)))

    def of_predictions(self, rows: Int64[ndarray, " chosen"]) -> "SharedVertices":
        """The same for some of the predictions."""
        return replace(self, shared=self.shared[rows], void=self.void[rows])

    def one_class(self, class_id: int) -> "SharedVertices":
        """The same with one class for every valid true instance."""
        return replace(self, truth_labels=np.full_like(self.truth_labels, class_id))


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What became of the predictions of one scene at each of `OVERLAPS`."""

    labels: Int64[ndarray, " predictions"]
    scores: Float64[ndarray, " predictions"]
    right: Int64[ndarray, "overlaps predictions"]
    """How many true instances each prediction stands for: below an overlap of 0.5 it can be more than one."""
    wrong: Int64[ndarray, "overlaps predictions"]
    """How often each prediction counts as a mistake."""
    truth_labels: Int64[ndarray, " truths"]
    """Of the true instances that are large enough to be looked for."""
    missed: Bool[ndarray, "overlaps truths"]
    """Whether nothing found them."""

    @classmethod
    def together(cls, scenes: Sequence["Verdicts"]) -> "Verdicts":
        """Those of several scenes as of one; an empty one where there is no scene."""
        nothing = np.zeros((len(OVERLAPS), 0))
        return cls(
            labels=np.concatenate([np.zeros(0, np.int64), *(scene.labels for scene in scenes)]),
            scores=np.concatenate([np.zeros(0), *(scene.scores for scene in scenes)]),
            right=np.concatenate([nothing.astype(np.int64), *(scene.right for scene in scenes)], axis=1),
            wrong=np.concatenate([nothing.astype(np.int64), *(scene.wrong for scene in scenes)], axis=1),
            truth_labels=np.concatenate([np.zeros(0, np.int64), *(scene.truth_labels for scene in scenes)]),
            missed=np.concatenate([nothing.astype(bool), *(scene.missed for scene in scenes)], axis=1),
        )


def judge(
    counted: SharedVertices, labels: Int64[ndarray, " predictions"], scores: Float[ndarray, " predictions"]
) -> Verdicts:
    """Match greedily in the order of the true instances, then tell which of the other predictions are wrong.

    Args:
        counted: of predictions that have `MIN_REGION` vertices and a valid class.
        labels: class of each prediction.
    """
    shared, sizes = counted.shared, counted.sizes
    same = labels[:, None] == counted.truth_labels
    iou = np.where(same, shared / (sizes[:, None] + counted.truth_sizes - shared), 0.0)
    good = iou.T[:, None, :] > np.array(OVERLAPS)[:, None]  # truths, overlaps, predictions
    large = counted.truth_sizes >= MIN_REGION
    right, wrong, missed = _match(good[large], scores.astype(np.float64))
    on_small = np.where(same & ~large, shared, 0).sum(axis=1)
    forgiven = (counted.void + on_small) / sizes  # the share on vertices where nothing can be wrong
    wrong += ~good.any(axis=0) & (forgiven <= np.array(OVERLAPS)[:, None])
    return Verdicts(
        labels=labels,
        scores=scores.astype(np.float64),
        right=right,
        wrong=wrong,
        truth_labels=counted.truth_labels[large],
        missed=missed,
    )


def _match(
    good: Bool[ndarray, "truths overlaps predictions"], scores: Float64[ndarray, " predictions"]
) -> tuple[
    Int64[ndarray, "overlaps predictions"], Int64[ndarray, "overlaps predictions"], Bool[ndarray, "overlaps truths"]
]:
    """What counts as right, what as wrong beside something better, and what was missed."""
    truths, overlaps, predictions = good.shape
    right, wrong = (np.zeros((overlaps, predictions), np.int64) for _ in range(2))
    taken, missed = np.zeros((overlaps, predictions), bool), np.ones((overlaps, truths), bool)
    for truth in np.flatnonzero(good.any(axis=(1, 2))):
        rows = np.flatnonzero(good[truth].any(axis=0))
        candidates = good[truth][:, rows] & ~taken[:, rows]
        at = np.flatnonzero(candidates.any(axis=1))
        missed[at, truth] = False
        # The first is used up; the others may still match a later instance, as in the benchmark. The true instance
        # takes the best confidence of them all, whichever came first.
        taken[at, rows[candidates.argmax(axis=1)][at]] = True
        best = rows[np.where(candidates, scores[rows], -np.inf).argmax(axis=1)][at]
        right[at, best] += 1
        wrong[:, rows] += candidates
        wrong[at, best] -= 1
    return right, wrong, missed


def _counts(
    masks: Bool[ndarray, "predictions points"], column_of_point: Int64[ndarray, " points"], columns: int
) -> Int64[ndarray, "predictions columns"]:
    """Vertices of each mask in each column, a block of masks at a time."""
    rows = max(1, min(len(masks), _BLOCK_CELLS // max(1, len(column_of_point))))
    keys = (np.arange(rows)[:, None] * columns + column_of_point).ravel()
    blocks = [masks[start : start + rows] for start in range(0, len(masks), rows)]
    counts = [np.bincount(keys[_set_cells(block)], minlength=len(block) * columns) for block in blocks]
    return np.concatenate([*counts, np.zeros(0, np.int64)]).astype(np.int64).reshape(len(masks), columns)


def _set_cells(block: Bool[ndarray, "rows points"]) -> Int64[ndarray, " cells"]:
    """Places of the set cells in the flat block; most are empty, so eight at a time are asked for any."""
    flat = np.ascontiguousarray(block).reshape(-1)
    whole = len(flat) // 8 * 8
    some = np.flatnonzero(flat[:whole].view(np.uint64) != 0)
    cells = np.append((8 * some[:, None] + np.arange(8)).ravel(), np.arange(whole, len(flat)))
    return cells[flat[cells]]
