"""An object's life: seen, missing, removed, seen again, moved; the rules, without the map that they are applied to.

            looks that go through it          more of them              a like thing elsewhere, begun since
    present ───────────────────────► missing ─────────────► removed ──────────────────────────────────────► present,
       ▲                                │                      │                                            moved
       └──────────── met by a look ─────┘                      └── a like thing in its place ──► present

Only depth speaks against an object (`evidence.py`). What was not looked at stays as it was, however long.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.mapping.evidence import EvidenceConfig, Verdict
from ovseg3r_core.mapping.objects import SameName
from ovseg3r_core.types import ObjectRecord

State = Literal["present", "missing", "removed"]
EventKind = Literal["appeared", "missing", "removed", "moved", "seen again"]

_SURE_AFTER = 2  # masks


@dataclass(frozen=True, kw_only=True)
class LifeConfig:
    """When objects count as missing, removed or moved."""

    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    """When one view speaks for or against an object."""
    clear_m: Annotated[float, Within(0.001, 1.0)] = 0.03
    """Points of an object this near to something else are no evidence: behind them a ray ends soon in any case."""
    apart_m: Annotated[float, Within(0.0, 1.0)] = 0.1
    """Points of the room this near to an object, or to where one was, are not asked whether a pose is right: they may
    be rims of it that nobody owns, and go with it."""
    missing_after: Annotated[int, Within(1, 10_000)] = 3
    """Views in a row that see through an object before it is missing; a view that meets it starts the count anew."""
    removed_after: Annotated[int, Within(1, 10_000)] = 8
    """Views in a row that see through an object before it is removed."""
    same_place_m: Annotated[float, Within(0.0, 10.0)] = 0.3
    """A like thing this near to where one was removed is that thing, seen again; further away it was moved."""
    size_ratio: Annotated[float, Within(0.0, 1.0)] = 0.35
    """How far the two longest sides of like things may differ, as a share of the longer of a pair, beyond 5 cm: a thing
    seen from elsewhere looks a little larger or smaller. The third is not asked: one side of a thing does not show
    how deep it is."""
    color_difference: Annotated[float, Within(0.0, 255.0)] = 40.0
    """How far the mean colours of like things may differ, root mean square of red, green and blue, of 255."""
    min_alike: Annotated[float, Within(0.0, 1.0)] = 0.75
    """Cosine that the image embeddings of like things must have, where both have one."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)
        if self.missing_after > self.removed_after:
            raise ValueError(
                f"missing_after is {self.missing_after} and removed_after {self.removed_after}; "
                f"the first must not be more"
            )


@dataclass(frozen=True, kw_only=True)
class Place:
    """A thing where it stood when nothing spoke against it."""

    record: ObjectRecord
    xyz: Float32[ndarray, "points 3"]
    """Its points, map frame."""
    color: Float32[ndarray, "3"]
    """Their mean colour, 0..255."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """What speaks for and against one object of the map."""

    place: Place
    samples: Float32[ndarray, "samples 3"]
    """The points of it that are watched; none where it is too flat or too small to be seen through."""
    against: int = 0
    """Views in a row that saw through it."""
    missing: bool = False

    @property
    def state(self) -> State:
        """Its word in records."""
        return "missing" if self.missing else "present"

    def after(self, verdict: Verdict, config: LifeConfig) -> "Life":
        """One more view that judged it."""
        if verdict == "there":
            return replace(self, against=0, missing=False)
        against = self.against + 1
        return replace(self, against=against, missing=against >= config.missing_after)


@dataclass(frozen=True, kw_only=True)
class Departure:
    """An object that left a place. Views older than that show it there, and must not bring it back."""

    place: Place
    before_view: int
    """The view that was to come next when it was removed: those before it are older."""


def left_before(departures: Iterable[Departure], object_id: int) -> int:
    """The first view that is younger than the last departure of an object; 0 where there was none."""
    return max((it.before_view for it in departures if it.place.record.id == object_id), default=0)


@dataclass(frozen=True, kw_only=True)
class Lives:
    """What a saved map keeps of the lives of its objects; what nothing speaks against needs no entry."""

    doubted: Mapping[int, Life] = field(default_factory=dict)
    """Objects that the last view which judged them saw through, or whose surface went away."""
    departures: tuple[Departure, ...] = ()
    gone: frozenset[int] = frozenset()
    """Objects that were removed and did not come back."""


@dataclass(frozen=True, kw_only=True)
class LifeEvent:
    """Something that became of an object."""

    kind: EventKind
    stamp_s: float
    """When it was noticed."""
    record: ObjectRecord
    """The object from now on; of one that is missing or removed, with its last place."""
    previous_place: tuple[float, float, float]
    """Where its middle was before; that of the record unless it moved."""


def appeared(known: Set[int], records: Iterable[ObjectRecord], stamp_s: float) -> tuple[LifeEvent, ...]:
    """The objects that nobody was told of yet; one that a single mask shows may be no thing, and waits for a second.

    Args:
        known: the ids of those that were told of, or loaded.
    """
    return tuple(
        LifeEvent(kind="appeared", stamp_s=stamp_s, record=record, previous_place=record.centre)
        for record in records
        if record.id not in known and record.observations >= _SURE_AFTER
    )


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a thing is known by when it stands elsewhere."""

    name: str | None
    look: Float32[ndarray, " channels"] | None
    size: tuple[float, float, float]
    color: Float32[ndarray, "3"]


def are_alike(a: Traits, b: Traits, same_name: SameName, config: LifeConfig) -> bool:
    """Whether two things may be one: of one name, or without names of one look; of about one size and colour."""
    if a.name is not None and b.name is not None:
        known = same_name(a.name, b.name)
    else:
        known = a.look is not None and b.look is not None
    if not known:
        return False
    if a.look is not None and b.look is not None and float(a.look @ b.look) < config.min_alike:
        return False
    difference = float(np.sqrt(np.mean((a.color - b.color) ** 2)))
    return difference <= config.color_difference and _about_as_large(a.size, b.size, config.size_ratio)


def _about_as_large(a: tuple[float, float, float], b: tuple[float, float, float], ratio: float) -> bool:
    """Whether two boxes are; a thing may lie on another side than it stood."""
    sides = np.sort(a)[1:], np.sort(b)[1:]
    return bool(np.all(np.abs(sides[0] - sides[1]) <= 0.05 + ratio * np.maximum(*sides)))
