"""A furnished home with exact truth: rooms, doorways, furniture; the same seed gives the same home.

A home is drawn in two steps. `lay_out` decides rooms, models and places; `build_home` adds walls and triangles. Where
a drawing comes out with too few things or a room that cannot be reached, the next one of the same seed is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.geometry import fit_box
from ovseg3r_core.synthetic.mesh import Part
from ovseg3r_core.synthetic.room import TruthObject
from ovseg3r_train.homes.doors import doorframe
from ovseg3r_train.homes.floor_plan import FloorPlan
from ovseg3r_train.homes.free_floor import all_reachable, floor_plan
from ovseg3r_train.homes.furnish import Placed, RoomFurnisher
from ovseg3r_train.homes.layout import Layout, draw_layout
from ovseg3r_train.homes.plans import PLANS
from ovseg3r_train.homes.stock import SPLITS, Split, Stock, Thing
from ovseg3r_train.homes.walls import Opening, build_walls, doorway_openings
from ovseg3r_train.homes.wishes import Place, Wish

_ATTEMPTS = 30
_MIN_THINGS = 20
_FRONT_DOOR = Wish("door", "facade")


@dataclass(frozen=True, kw_only=True)
class HomeConfig:
    """What decides a home."""

    seed: Annotated[int, Within(0, 2**31)] = 0
    """Homes of different splits differ for the same seed."""
    split: Split = "train"
    """Which models may occur: "train", "val" or "test"."""
    max_rooms: Annotated[int, Within(1, 4)] = 4
    """Rooms at most; one to this many are drawn."""
    max_area_m2: Annotated[float, Within(8.0, 120.0)] = 50.0
    """Floor area at most, walls included."""
    max_things: Annotated[int, Within(20, 200)] = 120
    """Instances at most."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class PlacedThing:
    """A thing in the map."""

    thing: Thing
    T_map_model: Float64[ndarray, "4 4"]
    box: Float64[ndarray, "2 3"]
    """Lowest and highest corner; of doors and windows, of what stands out of the wall."""
    room: int
    place: Place = "anywhere"
    anchor: int | None = None
    """Instance id of the thing that it was placed on, in or at."""


@dataclass(frozen=True, kw_only=True)
class HomePlan:
    """A home before its triangles are made: what stands where."""

    name: str
    layout: Layout
    openings: tuple[Opening, ...]
    things: tuple[PlacedThing, ...]
    """In the order of the instance ids, from 1."""
    floor_plan: FloorPlan
    attempt: int
    """How many drawings of this seed were thrown away before."""


@dataclass(frozen=True, kw_only=True)
class Home:
    """A furnished home, its middle at the map's origin, the floor at z = 0."""

    name: str
    size_m: tuple[float, float, float]
    parts: tuple[tuple[int, Part], ...] = field(repr=False)
    """(instance id, triangles); 0 is the shell: floors, walls, ceilings."""
    objects: tuple[TruthObject, ...]
    """Instance ids from 1."""
    floor_plan: FloorPlan = field(repr=False)
    rooms: tuple[str, ...]
    """What each room is used for, in the order of the floor plan's room numbers."""
    places: Mapping[int, tuple[Place, int]] = field(repr=False)
    """How things were placed at others: by instance id the place, and the instance id of the other."""

    @property
    def names(self) -> dict[int, str]:
        """ScanNet200 name by instance id."""
        return {thing.id: thing.class_name for thing in self.objects}


def build_home(config: HomeConfig, folder: Path | None = None) -> Home:
    """The home of a seed.

    Raises:
        MissingFurnitureError: there are no libraries; the text says how to get them.
    """
    plan = lay_out(config, folder)
    rng = np.random.default_rng([config.seed, SPLITS.index(config.split), 99])
    parts = [(0, part) for part in build_walls(plan.layout, plan.openings, rng)]
    objects: list[TruthObject] = []
    for id, placed in enumerate(plan.things, start=1):
        moved = [part.moved(placed.T_map_model) for part in placed.thing.parts]
        parts += [(id, part) for part in moved]
        objects.append(_truth(id, placed.thing, moved))
    outside = plan.layout.outside
    return Home(
        name=plan.name,
        size_m=(outside.width, outside.depth, plan.layout.height_m),
        parts=tuple(parts),
        objects=tuple(objects),
        floor_plan=plan.floor_plan,
        rooms=tuple(space.use for space in plan.layout.spaces),
        places={id: (it.place, it.anchor) for id, it in enumerate(plan.things, start=1) if it.anchor is not None},
    )


def lay_out(config: HomeConfig, folder: Path | None = None) -> HomePlan:
    """What stands where in the home of a seed, without walls and triangles.

    Raises:
        RuntimeError: 30 drawings in a row were no good.
    """
    stock = Stock(config.split, folder)
    for attempt in range(_ATTEMPTS):
        rng = np.random.default_rng([config.seed, SPLITS.index(config.split), attempt])
        plan = _attempt(config, stock, rng, attempt)
        if plan is not None:
            return plan
    raise RuntimeError(f"no home for seed {config.seed} ({config.split}) after {_ATTEMPTS} drawings; allow more area")


def _attempt(config: HomeConfig, stock: Stock, rng: np.random.Generator, attempt: int) -> HomePlan | None:
    uses, areas = _draw_rooms(config, rng)
    layout = draw_layout(uses, areas, rng)
    if layout is None:
        return None
    openings = doorway_openings(layout)
    things = _doorway_things(layout, rng)
    for room, space in enumerate(layout.spaces):
        furnisher = RoomFurnisher(layout, room, stock, rng, openings)
        if room == 0:
            furnisher.grant(_FRONT_DOOR, None, config.max_things)
        furnisher.furnish(PLANS[space.use], config.max_things - len(things))
        openings = [*openings, *furnisher.openings]
        ids = {id(placed): number for number, placed in enumerate(furnisher.placed, start=len(things) + 1)}
        things += [_in_map(placed, layout, room, ids) for placed in furnisher.placed]
    plan = floor_plan(layout, [placed.box for placed in things if placed.thing.class_name != "doorframe"])
    if len(things) < _MIN_THINGS or not all_reachable(plan, len(layout.spaces)):
        return None
    return HomePlan(
        name=f"home_{config.split}_{config.seed:06d}",
        layout=layout,
        openings=tuple(openings),
        things=tuple(things),
        floor_plan=plan,
        attempt=attempt,
    )


def _draw_rooms(config: HomeConfig, rng: np.random.Generator) -> tuple[list[str], list[float]]:
    """Uses and areas of one to four rooms that fit the area allowed; no use twice, but for bedrooms and offices."""
    wanted = int(rng.choice([1, 2, 3, 4], p=[0.3, 0.35, 0.25, 0.1]))
    uses: list[str] = []
    areas: list[float] = []
    names = list(PLANS)
    weights = np.array([PLANS[name].weight for name in names])
    for _ in range(4 * wanted):
        if len(uses) == min(wanted, config.max_rooms):
            break
        use = names[rng.choice(len(names), p=weights / weights.sum())]
        area = float(rng.uniform(*PLANS[use].area_m2))
        if (use in uses and use not in ("bedroom", "office")) or sum(areas) + area > config.max_area_m2:
            continue
        uses.append(use)
        areas.append(area)
    return (uses, areas) if sum(areas) >= 8 else (["bedroom"], [min(14.0, config.max_area_m2)])


def _doorway_things(layout: Layout, rng: np.random.Generator) -> list[PlacedThing]:
    """Frames in most doorways."""
    things = []
    for doorway in layout.doorways:
        if rng.random() < 0.7:
            thing, T = doorframe(doorway, rng)
            things.append(_placed(thing, T, doorway.rooms[0]))
    return things


def _in_map(placed: Placed, layout: Layout, room: int, ids: Mapping[int, int]) -> PlacedThing:
    """A thing of a room; `ids` are the instance ids of all of its things, by their identity."""
    x, y = layout.spaces[room].floor.centre
    T = np.eye(4)
    T[:2, 3] = x, y
    box = placed.standing.box() + np.array([x, y, 0.0])
    return PlacedThing(
        thing=placed.thing,
        T_map_model=T @ placed.pose.matrix(),
        box=box,
        room=room,
        place=placed.place,
        anchor=None if placed.anchor is None else ids[id(placed.anchor)],
    )


def _placed(thing: Thing, T_map_model: Float64[ndarray, "4 4"], room: int) -> PlacedThing:
    corners = np.array(thing.size_m) / 2 * np.array([[-1, -1, 0], [1, 1, 2]])
    moved = corners @ T_map_model[:3, :3].T + T_map_model[:3, 3]
    return PlacedThing(
        thing=thing, T_map_model=T_map_model, box=np.stack([moved.min(axis=0), moved.max(axis=0)]), room=room
    )


def _truth(id: int, thing: Thing, moved: Sequence[Part]) -> TruthObject:
    return TruthObject(
        id=id,
        class_name=thing.class_name,
        model=thing.model,
        creator=thing.creator,
        licence=thing.licence,
        box=fit_box(np.concatenate([part.vertices for part in moved]), trim=0.0),
    )
