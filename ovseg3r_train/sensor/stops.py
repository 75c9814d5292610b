"""Where to stand in each room, and which way to look, so that together the views show most of it.

The floor plan says what stands where, not how high it is. Its surfaces are taken to be the rims of what is not free,
each with the side it faces; furniture is looked over, walls are not.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from ovseg3r_train.homes.floor_plan import FloorPlan
from ovseg3r_train.sensor.paths import WalkableFloor

_HEADINGS = 12
_SPACING_M = 0.4  # of the places that are considered
_SAMPLES = 40  # along a line of sight
_NEAR_M, _FAR_M = 0.6, 4.5
_AGAIN = 0.5  # what a second look at a surface is worth, a third is worth half of that


@dataclass(frozen=True, kw_only=True)
class Look:
    """A place to stand and a direction to look, radians from the map's x axis."""

    cell: tuple[int, int]
    heading_rad: float


@dataclass(frozen=True, kw_only=True)
class Rims:
    """The surfaces of a plan, as seen from above."""

    xy: Float64[ndarray, "rims 2"]
    facing: Float64[ndarray, "rims 2"]
    """Unit vectors into the free floor."""
    room: Int64[ndarray, " rims"]
    """The room that each faces."""


def rims(plan: FloorPlan) -> Rims:
    """Every side of a cell that is not free which a free cell touches; at most one in 10 cm."""
    free, xy, facing, room = plan.free & (plan.room >= 0), [], [], []
    every = max(round(0.1 / plan.cell_m), 1)
    wide, shape = np.pad(plan.free, 1), plan.free.shape
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        blocked = ~wide[1 + down : 1 + down + shape[0], 1 + right : 1 + right + shape[1]]
        cells = np.argwhere(free & blocked)
        cells = cells[cells[:, 0 if right else 1] % every == 0]
        xy.append(np.array(plan.origin_m) + (cells[:, ::-1] + (right / 2, down / 2)) * plan.cell_m)
        facing.append(np.tile((-float(right), -float(down)), (len(cells), 1)))
        room.append(plan.room[cells[:, 0], cells[:, 1]].astype(np.int64))
    return Rims(xy=np.concatenate(xy), facing=np.concatenate(facing), room=np.concatenate(room))


def choose_looks(
    floor: WalkableFloor, looks: int, field_of_view_rad: float, rng: np.random.Generator
) -> dict[int, list[Look]]:
    """For each room that can be entered, looks that show much of it, from several sides.

    Args:
        looks: how many in all; rooms share them by how much there is to see, and each gets at least three.
        field_of_view_rad: from the left to the right of the image.
    """
    surfaces = rims(floor.plan)
    total = max(np.isin(surfaces.room, list(floor.rooms)).sum(), 1)
    return {
        room: _looks_of_room(
            floor,
            surfaces,
            room,
            max(round(looks * float((surfaces.room == room).sum() / total)), 3),
            field_of_view_rad,
            rng,
        )
        for room in sorted(floor.rooms)
    }


def _looks_of_room(
    floor: WalkableFloor, surfaces: Rims, room: int, count: int, field_of_view_rad: float, rng: np.random.Generator
) -> list[Look]:
    cells = _places(floor, room, rng)
    here = surfaces.room == room
    to_rims = surfaces.xy[here][None] - floor.xy(cells)[:, None]
    seen = _in_sight(floor, cells, to_rims, surfaces.facing[here])
    headings = 2 * np.pi * (np.arange(_HEADINGS) + rng.random()) / _HEADINGS
    bearing = np.arctan2(to_rims[..., 1], to_rims[..., 0])
    off = np.abs(np.angle(np.exp(1j * (bearing[:, None] - headings[:, None]))))
    shown = (seen[:, None] & (off < 0.45 * field_of_view_rad)).reshape(len(cells) * _HEADINGS, -1)
    chosen = _cover(shown, min(count, len(shown)))
    places, turns = np.divmod(chosen, _HEADINGS)
    return [
        Look(cell=(int(row), int(column)), heading_rad=float(headings[turn]))
        for (row, column), turn in zip(cells[places], turns, strict=True)
    ]


def _places(floor: WalkableFloor, room: int, rng: np.random.Generator) -> Int64[ndarray, "places 2"]:
    """Cells of a room about `_SPACING_M` apart, at least one."""
    cells = np.argwhere(floor.cells & (floor.plan.room == room))
    every = max(round(_SPACING_M / floor.plan.cell_m), 1)
    _, first = np.unique((cells + rng.integers(every, size=2)) // every, axis=0, return_index=True)
    return cells[np.sort(first)]


def _in_sight(
    floor: WalkableFloor, cells: ndarray, to_rims: Float64[ndarray, "places rims 2"], facing: Float64[ndarray, "rims 2"]
) -> Bool[ndarray, "places rims"]:
    """Whether a place sees the front of a rim, from a fair distance, with no wall between."""
    plan = floor.plan
    away = np.linalg.norm(to_rims, axis=-1)
    fair = (away > _NEAR_M) & (away < _FAR_M) & (-(to_rims * facing).sum(axis=-1) > 0.3 * away)
    place, rim = np.nonzero(fair)
    along = np.linspace(0, 1, _SAMPLES, endpoint=False)[:, None]
    columns = np.rint(cells[place, 1] + along * to_rims[place, rim, 0] / plan.cell_m).astype(np.int64)
    rows = np.rint(cells[place, 0] + along * to_rims[place, rim, 1] / plan.cell_m).astype(np.int64)
    rows, columns = rows.clip(0, plan.room.shape[0] - 1), columns.clip(0, plan.room.shape[1] - 1)
    last = along >= 1 - 1.5 * plan.cell_m / away[place, rim]  # the rim itself may be a wall's
    fair[place, rim] = ((plan.room[rows, columns] >= 0) | last).all(axis=0)
    return fair


def _cover(shown: Bool[ndarray, "looks rims"], count: int) -> Int64[ndarray, " chosen"]:
    """Greedily the looks that add most; what was seen before counts less each time, but counts."""
    worth = np.ones(shown.shape[1])
    left = np.ones(len(shown), dtype=bool)
    chosen = []
    for _ in range(count):
        best = int(np.argmax(np.where(left, shown @ worth, -1.0)))
        chosen.append(best)
        left[best] = False
        worth[shown[best]] *= _AGAIN
    return np.array(chosen, dtype=np.int64)
