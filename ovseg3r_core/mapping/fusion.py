"""The segmenter's voice among the masks: its instances vote as masks of views that see just them.

A look at all views asks every view which masks belong together, and lets their masks vote on the points. An instance
takes part as if some more views had each masked it, and saw nothing else: `worth` times its score, for each view that
sees a point of it on the average. With that and no further rule it joins masks that no view shows together, cuts up
those that hold two things, begins a thing where no mask is, and moves outlines; where views agree against it, they
outvote it. What the segmenter does not find is not held against anything.

Its names come second: what no detector has a name for is called as the segmenter says, if it is sure (`Recognition`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from jaxtyping import Int32, Int64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.mapping.instances import Instance, RecognitionConfig, painted
from ovseg3r_core.mapping.recognition import Recognition
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import LiftedMask, ViewIncidence


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """How much the segmenter has to say."""

    worth: Annotated[float, Within(0.0, 10.0)] = 0.75
    """Views that a sure instance counts for, a view that sees it. From about 0.7 on it may cut what all views hold
    together (60 % of all is enough for them, and `max_split` 35 %), and below 1 it joins nothing that they all keep
    apart."""
    min_score: Annotated[float, Within(0.0, 1.0)] = 0.3
    """An instance that is less sure has no vote: half of what the network thinks of is there, and drawn twice."""
    min_masked: Annotated[float, Within(0.0, 1.0)] = 0.2
    """An instance with a smaller share of its points under masks is what the masks missed, and no more: those that they
    show are taken out of it. No view has an opinion on such a thing, and so none could keep it from the others."""
    min_looks: Annotated[float, Within(0.0, 1.0)] = 0.1
    """A point is under masks when this share of the views that see it have one there."""
    recognition: RecognitionConfig = field(default_factory=RecognitionConfig)
    """Which instances count, and how sure a name must be."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """The instances of a scene, and when its views were taken."""

    instances: tuple[Instance, ...]
    stamps_s: tuple[float, ...]
    """Of the views that were looked at."""
    config: FusionConfig = field(default_factory=FusionConfig)


def with_instances(
    lifted: Sequence[LiftedMask], seen: Incidence, points: int, segmented: Segmented
) -> tuple[list[LiftedMask], Incidence]:
    """The masks and what the views see, and behind them the views that the instances count for.

    A mask of those has the number of its instance in place of a mask's.

    Args:
        points: the size of the scene cloud.
    """
    looks = seen.looks(points)
    instances = _beside_masks(segmented.instances, lifted, looks, segmented.config)
    worth = _worth(instances, looks, segmented.config)
    counted = [i for i, views in enumerate(worth) if views]
    things = dict(zip(counted, painted([instances[i] for i in counted], points), strict=True))
    masks, views = list(lifted), [seen.view(v) for v in range(len(seen))]
    for look in range(max(worth, default=0)):
        shown = {i: it for i, it in things.items() if worth[i] > look and len(it.points)}
        masks += [_mask(len(views), i, it, segmented.config.recognition.sure_name) for i, it in shown.items()]
        together = np.sort(np.concatenate([it.points for it in shown.values()])) if shown else np.zeros(0, np.int64)
        views.append(ViewIncidence(points=together, pixels=np.zeros((len(together), 2), np.int32)))
    return masks, Incidence.build(views)


def recognitions(
    members: Mapping[int, Sequence[LiftedMask]],
    owner: Int32[ndarray, " points"],
    seen: Incidence,
    segmented: Segmented,
) -> dict[int, Recognition]:
    """What the segmenter says of the things that its instances are among: the instance that is most of each.

    Args:
        members: the masks of each thing, those of `with_instances` among them.
        seen: what the real views see.
    """
    said: dict[int, Recognition] = {}
    for thing, masks in members.items():
        votes = Counter({m.mask: 0 for m in masks if m.view >= len(seen)})
        for mask in masks:
            if mask.view >= len(seen):
                votes[mask.mask] += int(np.count_nonzero(owner[mask.points] == thing))
        if votes:
            best = segmented.instances[votes.most_common(1)[0][0]]
            first, last = _span(np.flatnonzero(owner == thing), seen, segmented.stamps_s)
            sure = best.name_score >= segmented.config.recognition.sure_name
            said[thing] = Recognition(
                label=best.label if sure else None,
                score=best.score,
                name_score=best.name_score,
                first_seen=first,
                last_seen=last,
            )
    return said


def _beside_masks(
    instances: Sequence[Instance], lifted: Sequence[LiftedMask], looks: Int64[ndarray, " points"], config: FusionConfig
) -> list[Instance]:
    """The instances, those that lie mostly where no masks are without what the masks show.

    Args:
        looks: how many views see each point.
    """
    shown = np.bincount(np.concatenate([np.zeros(0, np.int64), *(m.points for m in lifted)]), minlength=len(looks))
    masked = (shown > 0) & (shown >= config.min_looks * looks)
    return [
        it
        if np.count_nonzero(masked[it.points]) >= config.min_masked * len(it.points)
        else replace(it, points=it.points[~masked[it.points]])
        for it in instances
    ]


def _worth(instances: Sequence[Instance], looks: Int64[ndarray, " points"], config: FusionConfig) -> list[int]:
    """The views that each instance counts for."""
    votes = [len(it.points) > 0 and it.score >= config.min_score for it in instances]
    return [
        round(config.worth * it.score * float(looks[it.points].mean())) if vote else 0
        for it, vote in zip(instances, votes, strict=True)
    ]


def _mask(view: int, instance: int, thing: Instance, sure_name: float) -> LiftedMask:
    label = thing.label if thing.name_score >= sure_name else None
    return LiftedMask(view=view, mask=instance, points=thing.points, score=thing.score, label=label)


def _span(points: Int64[ndarray, " members"], seen: Incidence, stamps_s: Sequence[float]) -> tuple[float, float]:
    """When the first and the last view was taken that sees one of the points."""
    pairs = np.flatnonzero(np.isin(seen.points, points))
    views = np.unique(np.searchsorted(seen.offsets, pairs, side="right") - 1)
    stamps = [stamps_s[v] for v in views.tolist()] or list(stamps_s)
    return min(stamps), max(stamps)
