"""A labelled scene: what methods are compared on and what the segmenter learns from.

The one currency of this package: generators, dataset readers and pseudo-labelling make scenes; baselines, the benchmark
and the trainer take them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from numpy import ndarray

from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import Camera, LiftedMask, SceneCloud

NO_INSTANCE = -1


@dataclass(frozen=True, kw_only=True)
class SceneView:
    """Where a view was taken from, as the reconstruction believes it."""

    camera: Camera
    T_map_camera: Float64[ndarray, "4 4"]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What things are truly there, one id a point of some cloud."""

    instance: Int32[ndarray, " points"]
    """Id of the thing that a point belongs to; -1 for none, for walls, floor and ceiling, and for what is
    unlabelled."""
    names: Mapping[int, str]
    """Class name of every id that occurs."""


@dataclass(frozen=True, kw_only=True)
class CleanTruth:
    """The truth on vertices that no reconstruction has moved, for the second kind of table."""

    xyz: Float32[ndarray, "points 3"]
    truth: Truth


@dataclass(frozen=True, kw_only=True)
class LabelledScene:
    """A reconstructed cloud, the views that saw it, their partial labels and, where it is known, the truth."""

    name: str
    cloud: SceneCloud
    views: tuple[SceneView, ...]
    seen: Incidence
    """What each of the views sees of the cloud."""
    lifted: tuple[LiftedMask, ...]
    """Partial labels: `mask.view` is the place of its view in `views`."""
    truth: Truth | None = None
    clean: CleanTruth | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from, as JSON: generator and seed or dataset, source of the masks, licences."""

    def __post_init__(self) -> None:
        """Check that the parts speak of the same points and views."""
        if len(self.seen) != len(self.views):
            raise ValueError(f"{self.name}: {len(self.views)} views but an incidence of {len(self.seen)}")
        if self.truth is not None and len(self.truth.instance) != len(self.cloud):
            raise ValueError(f"{self.name}: {len(self.cloud)} points but truth for {len(self.truth.instance)}")
        highest = max((mask.view for mask in self.lifted), default=-1)
        if highest >= len(self.views):
            raise ValueError(f"{self.name}: a mask of view {highest} but only {len(self.views)} views")


@dataclass(frozen=True, kw_only=True)
class FoundInstances:
    """What a method found in one scene; instances may share points."""

    points: tuple[Int64[ndarray, " _"], ...]
    """The points of each, indices into the scene's cloud, sorted, each once."""
    names: tuple[str | None, ...]
    """What the masks called each; None where no mask had a name."""
    scores: Float64[ndarray, " instances"]
    """Confidence 0..1 that there is such a thing."""
    name_scores: Float64[ndarray, " instances"]
    """Confidence 0..1 that it carries the right name, given that it is there; 1 where a method does not tell."""

    def __post_init__(self) -> None:
        """Check that there is a name and a score for each."""
        counts = len(self.points), len(self.names), len(self.scores), len(self.name_scores)
        if len(set(counts)) > 1:
            raise ValueError(f"{counts[0]} instances, {counts[1]} names, {counts[2]} scores, {counts[3]} name scores")

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def empty(cls) -> "FoundInstances":
        """Nothing found."""
        return cls(points=(), names=(), scores=np.zeros(0), name_scores=np.zeros(0))
