"""A map against the truth: which things were found, which twice, which are not there, which carry the right name.

Both sides are one instance id a point of the reconstructed cloud, -1 for none. A thing is there when the cloud holds
enough points of it: what no view saw cannot be found. Pairs are matched one to one, best overlap first, whatever
their names; the names are counted on the pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float64, Int32, Int64
from numpy import ndarray
from scipy.optimize import linear_sum_assignment

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.language.coco import same_name


@dataclass(frozen=True, kw_only=True)
class MapMetricsConfig:
    """What counts as there and as found."""

    min_points: Annotated[int, Within(1, 1_000_000)] = 50
    """Points a true thing needs in the cloud to count as there; 50 are 2 dm2 at 2 cm."""
    found_iou: Annotated[float, Within(0.001, 0.999)] = 0.25
    """Overlap (IoU) from which a thing counts as found."""
    duplicate_share: Annotated[float, Within(0.001, 0.999)] = 0.5
    """Overlap (IoU, or share of the prediction inside the thing) that makes an extra prediction a duplicate."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class ObjectMatch:
    """What became of one true thing."""

    truth_id: int
    truth_name: str
    points: int
    predicted_id: int | None
    """None where it was not found."""
    predicted_name: str | None
    iou: float
    """0 where it was not found."""
    right_name: bool
    duplicates: tuple[int, ...]
    """Further predictions that are this thing again."""


@dataclass(frozen=True, kw_only=True)
class MapMetrics:
    """The whole comparison; counts are of things."""

    objects: tuple[ObjectMatch, ...]
    """The true things that are there, by id."""
    ghosts: tuple[int, ...]
    """Predictions that are neither a match nor a duplicate."""

    @property
    def there(self) -> int:
        """True things with enough points in the cloud."""
        return len(self.objects)

    @property
    def found(self) -> int:
        """Things with a prediction of their own."""
        return sum(thing.predicted_id is not None for thing in self.objects)

    def found_at(self, iou: float) -> int:
        """Things whose prediction overlaps them at least so much."""
        return sum(thing.iou >= iou for thing in self.objects)

    @property
    def right_names(self) -> int:
        """Found things that carry a name of theirs."""
        return sum(thing.right_name for thing in self.objects)

    @property
    def duplicates(self) -> int:
        """Predictions that are a found thing again."""
        return sum(len(thing.duplicates) for thing in self.objects)

    @property
    def mean_iou(self) -> float:
        """Over the things found; 0 where none was."""
        return sum(thing.iou for thing in self.objects) / max(self.found, 1)


def compare_maps(
    truth_instance: Int32[ndarray, " points"],
    truth_names: Mapping[int, str],
    predicted_instance: Int32[ndarray, " points"],
    predicted_names: Mapping[int, str],
    config: MapMetricsConfig | None = None,
    same: Callable[[str, str], bool] = same_name,
) -> MapMetrics:
    """Compare a map with the truth on the same points.

    Args:
        truth_instance: id of the true thing a point belongs to, -1 for none.
        predicted_instance: id of the mapped object a point belongs to, -1 for none.
        same: whether a true and a predicted name mean the same kind of thing.

    Raises:
        ValueError: an id that occurs has no name.
    """
    config = config or MapMetricsConfig()
    truth_ids, truth_of = _ids(truth_instance, truth_names, "truth")
    predicted_ids, predicted_of = _ids(predicted_instance, predicted_names, "map")
    shared = _count_shared(truth_of, predicted_of, (len(truth_ids), len(predicted_ids)))
    truth_size = np.bincount(truth_of[truth_of >= 0], minlength=len(truth_ids))
    predicted_size = np.bincount(predicted_of[predicted_of >= 0], minlength=len(predicted_ids))
    there = truth_size >= config.min_points
    iou = shared / np.maximum(truth_size[:, None] + predicted_size - shared, 1)
    inside = shared / np.maximum(predicted_size, 1)
    match = _match(np.where(there[:, None], iou, 0), config.found_iou)
    extra = _extra(iou, inside, match, config.duplicate_share)
    objects = [
        ObjectMatch(
            truth_id=int(id),
            truth_name=truth_names[int(id)],
            points=int(truth_size[row]),
            predicted_id=(found := int(predicted_ids[match[row]]) if row in match else None),
            predicted_name=(name := None if found is None else predicted_names[found]),
            iou=float(iou[row, match[row]]) if row in match else 0.0,
            right_name=name is not None and same(truth_names[int(id)], name),
            duplicates=tuple(int(predicted_ids[column]) for column, owner in extra.items() if owner == row),
        )
        for row, id in enumerate(truth_ids)
        if there[row]
    ]
    # a prediction that lies on a thing too little seen to count is neither right nor wrong
    forgiven = {column for column in range(len(predicted_ids)) if inside[~there, column].sum() > config.duplicate_share}
    ghosts = set(range(len(predicted_ids))) - set(match.values()) - set(extra) - forgiven
    return MapMetrics(objects=tuple(objects), ghosts=tuple(int(predicted_ids[column]) for column in sorted(ghosts)))


def _ids(
    instance: Int32[ndarray, " points"], names: Mapping[int, str], side: str
) -> tuple[Int32[ndarray, " instances"], Int64[ndarray, " points"]]:
    """The ids that occur, and for each point the place of its id among them, -1 for none."""
    ids = np.unique(instance[instance >= 0])
    if nameless := [int(id) for id in ids if int(id) not in names]:
        raise ValueError(f"the {side} has points of instances {nameless[:5]} but no name for them")
    place = np.full(len(instance), -1, dtype=np.int64)
    place[instance >= 0] = np.searchsorted(ids, instance[instance >= 0])
    return ids, place


def _count_shared(
    a: Int64[ndarray, " points"], b: Int64[ndarray, " points"], shape: tuple[int, int]
) -> Int64[ndarray, "truths predictions"]:
    both = (a >= 0) & (b >= 0)
    return np.bincount(a[both] * shape[1] + b[both], minlength=shape[0] * shape[1]).reshape(shape)


def _match(iou: Float64[ndarray, "truths predictions"], found_iou: float) -> dict[int, int]:
    """One-to-one pairs of at least `found_iou`: as many as can be, and among those the best overlaps."""
    good = iou >= found_iou
    rows, columns = linear_sum_assignment(np.where(good, 1000 + iou, 0), maximize=True)
    return {int(row): int(column) for row, column in zip(rows, columns, strict=True) if good[row, column]}


def _extra(
    iou: Float64[ndarray, "truths predictions"],
    inside: Float64[ndarray, "truths predictions"],
    match: dict[int, int],
    share: float,
) -> dict[int, int]:
    """Unmatched prediction -> the matched thing that it is again."""
    if not match:
        return {}
    used = set(match.values())
    best = np.maximum(iou, inside)
    return {
        column: int(row)
        for column, row in enumerate(best.argmax(axis=0))
        if column not in used and int(row) in match and best[row, column] > share
    }
