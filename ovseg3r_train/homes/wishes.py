"""What a plan is made of: wishes, each a kind of thing and a place for it, with wishes for what stands on or at it."""

from dataclasses import KW_ONLY, dataclass
from typing import Literal

Place = Literal[
    "wall",  # back to a wall, facing the room
    "corner",
    "centre",
    "anywhere",  # on free floor, turned at random
    "around",  # at a side of the anchor, facing it
    "before",  # in front of the anchor, facing it
    "next to",  # left or right of the anchor, backs in line
    "on",  # on the anchor's largest level
    "on back",
    "on front",
    "in",  # on any level of the anchor, as in a shelf
    "under",  # on the floor below the anchor
    "lying",  # flat on the floor, where other things may stand on it; below the anchor if there is one
    "hung",  # on a wall
    "above",  # on the wall over the anchor
    "over",  # before the anchor, as blinds hang before a window
    "beside",  # on the wall left or right of the anchor, as curtains hang
    "below",  # on the wall under the anchor
    "ceiling",
    "facade",  # in an outer wall, which gets a gap for it
]


@dataclass(frozen=True)
class Wish:
    """One thing that a room should hold, or several of a kind."""

    kind: str
    """A kind of `stock.py`, or several with bars between, of which one is drawn each time."""
    place: Place
    _: KW_ONLY
    chance: float = 1.0
    count: tuple[int, int] = (1, 1)
    """At least and at most."""
    clear_m: float = 0.0
    """How far the floor before it stays free."""
    gap_m: float = 0.05
    """Distance from the anchor, for "before" and "above"."""
    turn: float = 0.0
    """How far it may be turned where it stands, radians."""
    alike: bool = False
    """Whether all of the count are one model, as the chairs round a table are."""
    middle_m: tuple[float, float] = (1.4, 1.65)
    """Height of the middle of what hangs on a wall and has no height in its catalogue."""
    things: tuple["Wish", ...] = ()
    """What stands on or at each of them."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One use of a room."""

    area_m2: tuple[float, float]
    weight: float
    """How often homes have such a room, against the others."""
    wishes: tuple[Wish, ...]
    """In this order: large things first."""
