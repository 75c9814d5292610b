"""What the labels of one recording come to, in numbers that tell whether they are any good."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from ovseg3r_core.checks import Rejected
from ovseg3r_core.views import View
from ovseg3r_train.scene import LabelledScene

FACT = "pseudo_labels"
"""Among the facts of a scene."""


@dataclass(frozen=True, kw_only=True)
class LabelFigures:
    """Counts, shares and seconds of one scene."""

    points: int
    views: int
    seen: float
    """Share of the points that a view sees."""
    covered: float
    """Share of the points that lie inside a lifted mask of at least one view."""
    masks_proposed: int
    """Masks that the teacher gave, in all views."""
    masks_lifted: int
    masks_named: int
    """Of those lifted."""
    masks_left_out: Mapping[str, int]
    """Masks that were not lifted: `no_pixels` lost all of their pixels to other masks, to depth jumps and to the
    rims that are taken off (the rules of `overlaps.py`); `few_points` had too few points left on the cloud."""
    frames_read: int
    frames_fused: int
    frames_left_out: Mapping[str, int]
    """By the reason why; a keyframe whose masks could not be used is fused, and listed here as well."""
    seconds: Mapping[str, float]
    """By stage. Fusion counts with every teacher that shares it, and reading is part of it."""

    @property
    def masks_a_view(self) -> float:
        """Lifted masks."""
        return self.masks_lifted / max(1, self.views)

    @property
    def named(self) -> float:
        """Share of the lifted masks that have a name."""
        return self.masks_named / max(1, self.masks_lifted)

    def told_by(self, scene: LabelledScene) -> LabelledScene:
        """The scene with these figures among its facts."""
        return replace(scene, facts={**scene.facts, FACT: asdict(self)})

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {"masks_a_view": self.masks_a_view, "named": self.named}


def figures_of(
    scene: LabelledScene,
    views: Sequence[View],
    *,
    frames_read: int,
    frames_fused: int,
    frames_left_out: Mapping[str, int],
    seconds: Mapping[str, float],
) -> LabelFigures:
    """The figures of a scene and of the masked keyframes that it was made of."""
    points = len(scene.cloud)
    covered = np.zeros(points, bool)
    for mask in scene.lifted:
        covered[mask.points] = True
    proposed = sum(len(view.tags) for view in views)
    with_pixels = sum(len(np.unique(ids[ids >= 0])) for ids in (view.open().ids for view in views))
    left_out = {"no_pixels": proposed - with_pixels, "few_points": with_pixels - len(scene.lifted)}
    return LabelFigures(
        points=points,
        views=len(scene.views),
        seen=len(np.unique(scene.seen.points)) / max(1, points),
        covered=float(np.count_nonzero(covered)) / max(1, points),
        masks_proposed=proposed,
        masks_lifted=len(scene.lifted),
        masks_named=sum(mask.label is not None for mask in scene.lifted),
        masks_left_out={reason: count for reason, count in left_out.items() if count},
        frames_read=frames_read,
        frames_fused=frames_fused,
        frames_left_out=dict(frames_left_out),
        seconds={stage: round(duration, 2) for stage, duration in seconds.items()},
    )


def figures_told_by(scene: LabelledScene) -> LabelFigures | None:
    """The figures among the facts of a scene; None where it was made in another way.

    Raises:
        Rejected: `bad_scene`; what stands there are no such figures.
    """
    told = scene.facts.get(FACT)
    if told is None:
        return None
    return read_figures(told, scene.name)


def read_figures(told: Any, name: str) -> LabelFigures:
    """Figures from JSON; what else it holds is passed over. Raises `Rejected` (`bad_scene`) with the name."""
    try:
        figures = LabelFigures(**{field.name: told[field.name] for field in fields(LabelFigures)})
        tables = (figures.masks_left_out, figures.frames_left_out, figures.seconds)
        plain = [getattr(figures, field.name) for field in fields(figures)]
        numbers = [value for value in plain if value not in tables]
        numbers += [value for table in tables for value in table.values()]
        if not all(type(number) in (int, float) and number >= 0 for number in numbers):
            raise ValueError(f"they hold what is no number: {numbers}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Rejected("bad_scene", f"{name}: its figures of pseudo-labels cannot be used: {error!r:.300}") from error
    return figures


def total(figures: Sequence[LabelFigures]) -> LabelFigures:
    """All scenes as one: counts and seconds are added up, a share is that of all points."""

    def summed(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        counted = Counter[str]()
        for table in tables:
            counted.update(table)
        return dict(counted)

    points = sum(it.points for it in figures)
    return LabelFigures(
        points=points,
        views=sum(it.views for it in figures),
        seen=sum(it.seen * it.points for it in figures) / max(1, points),
        covered=sum(it.covered * it.points for it in figures) / max(1, points),
        masks_proposed=sum(it.masks_proposed for it in figures),
        masks_lifted=sum(it.masks_lifted for it in figures),
        masks_named=sum(it.masks_named for it in figures),
        masks_left_out=summed([it.masks_left_out for it in figures]),
        frames_read=sum(it.frames_read for it in figures),
        frames_fused=sum(it.frames_fused for it in figures),
        frames_left_out=summed([it.frames_left_out for it in figures]),
        seconds=summed([it.seconds for it in figures]),
    )
