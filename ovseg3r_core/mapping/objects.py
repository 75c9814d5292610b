"""What is known of one thing: its observations, and the name and confidence they add up to."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import fit_box
from ovseg3r_core.language.vocabulary import UNNAMED
from ovseg3r_core.mapping.recognition import Recognition
from ovseg3r_core.mapping.sighting import Sighting
from ovseg3r_core.types import LiftedMask, ObjectRecord

SameName = Callable[[str, str], bool]

Placed = tuple[int, int]
"""A mask by its view and its place there."""


@dataclass(frozen=True, kw_only=True)
class NamingConfig:
    """When views that name a thing outweigh the views that do not."""

    unnamed_vote: Annotated[float, Within(0.0, 10.0)] = 0.25
    """What a view that found the thing but did not name it weighs against every name."""
    min_share: Annotated[float, Within(0.0, 1.0)] = 0.3
    """Share of all votes that the best name needs, else the thing stays "object"."""
    min_votes: Annotated[float, Within(0.0, 100.0)] = 0.5
    """What the detector scores of the best name must add up to, else the thing stays "object"."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """One mask of one view that shows the object."""

    view: int
    mask: int
    stamp_s: float
    score: float
    label: str | None
    embedding: Float32[ndarray, " channels"] | None = None

    @classmethod
    def of(cls, mask: LiftedMask, stamp_s: float) -> "Observation":
        """A lifted mask, and when its view was taken."""
        return cls(
            view=mask.view,
            mask=mask.mask,
            stamp_s=stamp_s,
            score=mask.score,
            label=mask.label,
            embedding=mask.embedding,
        )


@dataclass
class MapObject:
    """One thing of the map while its evidence is still growing; readers get an `ObjectRecord` of it."""

    id: int
    observations: list[Observation] = field(default_factory=list)
    past: list[Observation] = field(default_factory=list)
    """Those of a place that it left: they still say what it is called and looks like, and no more where it is."""
    sighting: Sighting = field(default_factory=Sighting)
    recognition: Recognition | None = None
    """What the segmenter said of it; an object without an observation has one."""
    structure: str | None = None
    """"wall", "floor" or "ceiling" where geometry says it is part of the room and not a thing in it."""

    @property
    def ever(self) -> list[Observation]:
        """All observations, wherever it was."""
        return [*self.past, *self.observations]

    @property
    def views(self) -> int:
        """In how many views it was observed."""
        return len({observation.view for observation in self.observations})

    def leave(self, before_view: int) -> None:
        """Take the views before one for those of a place that it left."""
        self.past = [o for o in self.observations if o.view < before_view]
        self.observations = [o for o in self.observations if o.view >= before_view]

    def record(self, xyz_map: Float32[ndarray, "points 3"], config: NamingConfig, same_name: SameName) -> ObjectRecord:
        """The object as readers see it, given the points it owns."""
        label, agreement, sure = self.name(config, same_name)
        if self.structure:
            label, sure = self.structure, 1.0
        box = fit_box(xyz_map)
        centre = xyz_map.mean(axis=0)
        stamps = [observation.stamp_s for observation in self.ever]
        if self.recognition and not stamps:
            stamps = [self.recognition.first_seen, self.recognition.last_seen]
        return ObjectRecord(
            id=self.id,
            label=label,
            score=self.sighting.sureness * agreement,
            centre=(float(centre[0]), float(centre[1]), float(centre[2])),
            box=box,
            points=len(xyz_map),
            observations=len(self.ever),
            first_seen=min(stamps),
            last_seen=max(stamps),
            state="present",
            name_score=sure,
        )

    def name(self, config: NamingConfig, same_name: SameName) -> tuple[str, float, float]:
        """What it is called, how far those agree that name it, and the probability that the name is right.

        The views go first: what a detector named in them is called so. The segmenter names what is left.
        """
        label, agreement = vote_name(self.ever, config, same_name)
        if label == UNNAMED and self.recognition and self.recognition.label:
            return self.recognition.label, self.recognition.name_score, self.recognition.name_score
        return label, agreement, name_score(label, self.ever, config, same_name)

    def embedding(self) -> Float32[ndarray, " channels"] | None:
        """The mean direction of its views' image embeddings, where an image-text encoder gave some."""
        found = [observation.embedding for observation in self.ever if observation.embedding is not None]
        if not found:
            return None
        total = np.sum(found, axis=0)
        norm = float(np.linalg.norm(total))
        return (total / norm).astype(np.float32) if 1e-6 < norm < np.inf else None  # opposites, or not finite


def vote_name(observations: Sequence[Observation], config: NamingConfig, same_name: SameName) -> tuple[str, float]:
    """The name with the largest sum of detector scores, and the share of all such scores that agree, 0..1.

    Names that mean the same vote together, under the spelling that has most votes of its own. A name that
    few of the views support is not believed: the detector also names corners of things it cannot know. What is left
    without a name is surely an "object".
    """
    votes = _Votes.of(observations)
    best = votes.best(same_name)
    if best is None:
        return UNNAMED, 1.0
    pooled, named = votes.pooled(best, same_name), sum(votes.total.values())
    if pooled >= config.min_votes and pooled >= config.min_share * (named + config.unnamed_vote * votes.nameless_views):
        return best, min(pooled / named, 1.0)
    return UNNAMED, 1.0


def guess_name(observations: Sequence[Observation], same_name: SameName) -> str | None:
    """The best name even where few views support it; None where no view has one.

    For benchmarks, which rank guesses by their scores and have no word for "nobody knows".
    """
    return _Votes.of(observations).best(same_name)


def name_score(label: str, observations: Sequence[Observation], config: NamingConfig, same_name: SameName) -> float:
    """The probability 0..1 that a label is right: its share of all votes, times the root of its best detector score.

    On labelled homes, with simulated and with real masks, this is right as often as it says (docs/queries.md); how
    many views there are, and how large the object is, adds nothing to it.
    """
    votes = _Votes.of(observations)
    surest = max((score for name, score in votes.surest.items() if same_name(label, name)), default=0.0)
    total = sum(votes.total.values()) + config.unnamed_vote * votes.nameless_views
    return float(min(votes.pooled(label, same_name) / max(total, 1e-9) * surest**0.5, 1.0))


@dataclass(frozen=True)
class _Votes:
    """What the views called one object, summed up by spelling: objects have many observations and few names."""

    total: Mapping[str, float]
    """Sum of the detector scores of each name."""
    surest: Mapping[str, float]
    """Highest detector score of each name."""
    nameless_views: int
    """Views that found the object and did not name it."""

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> "_Votes":
        total: defaultdict[str, float] = defaultdict(float)
        surest: defaultdict[str, float] = defaultdict(float)
        naming_views = set()
        for observation in observations:
            if observation.label is not None:
                total[observation.label] += observation.score
                surest[observation.label] = max(surest[observation.label], observation.score)
                naming_views.add(observation.view)
        views = {observation.view for observation in observations}
        return cls(total, surest, len(views) - len(naming_views))

    def pooled(self, name: str, same_name: SameName) -> float:
        """The votes of all spellings of a name."""
        return sum((vote for other, vote in self.total.items() if same_name(name, other)), 0.0)

    def best(self, same_name: SameName) -> str | None:
        """The name with most votes, under its commonest spelling; None where there are no votes."""
        return max(self.total, key=lambda name: (self.pooled(name, same_name), self.total[name]), default=None)
