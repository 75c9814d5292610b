"""Predictions and truth on the same vertices: what every comparison of this package starts from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from ovseg3r_core.types import Instances

ANY_CLASS = 1
"""The only class of a class-agnostic comparison."""
_VOID_CLASS = 0
_INSTANCES_A_CLASS = 1000


@dataclass(frozen=True, kw_only=True)
class TrueInstances:
    """The truth on the vertices of one scene."""

    instance: Int64[ndarray, " points"]
    """Id of the instance that a vertex belongs to, -1 for none."""
    labels: Mapping[int, int]
    """Label id of each instance."""

    @classmethod
    def of_values(cls, values: Int64[ndarray, " points"]) -> "TrueInstances":
        """From the benchmark's `1000 * label id + instance` a vertex; what has no label is no instance.

        The ids grow with the instance number and then with the label. The benchmark matches in the order of its
        values, which is that of the instance numbers within a class and also where all classes are made one.
        """
        found, place = np.unique(values, return_inverse=True)
        label, number = np.divmod(found, _INSTANCES_A_CLASS)
        ids = np.where(label > 0, number * (int(label.max(initial=0)) + 1) + label, -1)
        labels = dict(zip(ids[ids >= 0].tolist(), label[ids >= 0].tolist(), strict=True))
        return cls(instance=ids[place], labels=labels)

    def class_agnostic(self, among: Collection[int] | None = None) -> "TrueInstances":
        """The same with one class for everything.

        Args:
            among: the classes that count as something; instances of others become void. Default: all of them.
        """
        labels = {
            id_: ANY_CLASS if among is None or label in among else _VOID_CLASS for id_, label in self.labels.items()
        }
        return TrueInstances(instance=self.instance, labels=labels)


@dataclass(frozen=True, kw_only=True)
class ScenePair:
    """Predictions and truth on the same vertices."""

    predicted: Instances
    truth: TrueInstances

    def __post_init__(self) -> None:
        """Check that both sides speak of the same vertices, and that predictions can be ordered."""
        if self.predicted.masks.shape[1] != len(self.truth.instance):
            raise ValueError(
                f"predictions are on {self.predicted.masks.shape[1]} vertices but the truth on "
                f"{len(self.truth.instance)}: give both on the vertices of one cloud"
            )
        if not np.isfinite(self.predicted.scores).all():
            bad = np.flatnonzero(~np.isfinite(self.predicted.scores))
            raise ValueError(f"{len(bad)} scores are not finite, the first at {bad[0]}: give every prediction a number")

    def class_agnostic(self, among: Collection[int] | None = None) -> "ScenePair":
        """The same with one class for everything; see `TrueInstances.class_agnostic`."""
        ones = np.full(len(self.predicted.labels), ANY_CLASS, np.int64)
        predicted = Instances(masks=self.predicted.masks, labels=ones, scores=self.predicted.scores)
        return ScenePair(predicted=predicted, truth=self.truth.class_agnostic(among))
