"""Floors, ceilings and walls of a home: walls of real thickness, with gaps for doorways, doors and windows."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part, quad
from ovseg3r_core.synthetic.surfaces import planks, plaster
from ovseg3r_train.homes.drawings import with_alpha
from ovseg3r_train.homes.layout import DOOR_HEIGHT_M, Doorway, Layout, Rect, Space
from ovseg3r_train.homes.solids import Texture, drawn_color

_BOARD_M = (0.08, 0.012)  # height and thickness of the skirting board
_PLANKS = ((176, 138, 96), (150, 112, 76), (196, 164, 122), (104, 74, 52))
_WHITE = (236, 236, 232)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """A gap in one wall of one room: `side` 0 is the wall at +y, then -x, -y, +x, as quarter turns go."""

    room: int
    side: int
    along_m: tuple[float, float]
    """From and to, from the middle of the wall, to the left of who stands in the room with the wall behind."""
    height_m: tuple[float, float]


def build_walls(layout: Layout, openings: Sequence[Opening], rng: np.random.Generator) -> tuple[Part, ...]:
    """The shell of a home, every face towards the room that sees it."""
    parts: list[Part] = []
    for room, space in enumerate(layout.spaces):
        paint = plaster(drawn_color(rng, 0.22, 190, 236), rng)
        white = plaster(_WHITE, rng)
        parts += _floor_and_ceiling(space, layout.height_m, _ground(space.use, rng), white)
        for side in range(4):
            gaps = [gap for gap in openings if gap.room == room and gap.side == side]
            parts += _wall(space.floor, side, layout.height_m, gaps, paint, white)
    for doorway in layout.doorways:
        parts += _jambs(doorway, plaster(_WHITE, rng))
    return tuple(parts)


def doorway_openings(layout: Layout) -> list[Opening]:
    """The gaps that doorways make in the walls of both their rooms."""
    return [_opening(layout, doorway, room) for doorway in layout.doorways for room in doorway.rooms]


def _opening(layout: Layout, doorway: Doorway, room: int) -> Opening:
    floor, gap = layout.spaces[room].floor, doorway.gap
    centre = floor.centre
    if doorway.along_x:
        side = 0 if gap.y0 > centre[1] else 2
        along = (gap.x0 - centre[0], gap.x1 - centre[0])
    else:
        side = 3 if gap.x0 > centre[0] else 1
        along = (gap.y0 - centre[1], gap.y1 - centre[1])
    if side in (2, 3):  # the wall's own x runs against the map's
        along = (-along[1], -along[0])
    return Opening(room=room, side=side, along_m=along, height_m=(0.0, DOOR_HEIGHT_M))


def wall_extent(floor: Rect, side: int) -> tuple[float, float]:
    """Half of a wall's length, and its distance from the middle of the room."""
    x, y = floor.width / 2, floor.depth / 2
    return (x, y) if side % 2 == 0 else (y, x)


def _ground(use: str, rng: np.random.Generator) -> tuple[Texture, float]:
    """The floor's texture, and how large it is laid."""
    if use in ("bathroom", "laundry") or (use == "kitchen" and rng.random() < 0.6):
        return _tiles(rng), 1.6
    if use in ("office", "classroom", "meeting room", "bedroom") and rng.random() < 0.5:
        return _carpet(rng), 2.0
    return planks(_PLANKS[rng.integers(len(_PLANKS))], rng), 2.0


def _tiles(rng: np.random.Generator) -> Texture:
    """Square tiles with joints."""
    base = np.array(drawn_color(rng, 0.2, 130, 225), dtype=np.float32)
    tone = np.kron(rng.normal(0, 5, (4, 4)), np.ones((64, 64)))[:, :, None]
    image = base + tone + rng.normal(0, 1.5, (256, 256, 1))
    image[::64] = image[:, ::64] = base - 45
    return with_alpha(image)


def _carpet(rng: np.random.Generator) -> Texture:
    """Short pile."""
    base = np.array(drawn_color(rng, 0.35, 80, 180), dtype=np.float32)
    fine = rng.normal(0, 7, (256, 256))
    coarse = cv2.resize(rng.normal(0, 4, (16, 16)), (256, 256), interpolation=cv2.INTER_CUBIC)
    return with_alpha(base + (fine + coarse)[:, :, None])


def _floor_and_ceiling(space: Space, height: float, ground: tuple[Texture, float], white: Texture) -> list[Part]:
    r = space.floor
    corners = np.array([[r.x0, r.y0, 0], [r.x1, r.y0, 0], [r.x1, r.y1, 0], [r.x0, r.y1, 0]], dtype=np.float32)
    above = corners[[0, 3, 2, 1]] + np.array([0, 0, height], dtype=np.float32)
    return [quad(corners, *ground), quad(above, white, 2.0)]


def _wall(floor: Rect, side: int, height: float, gaps: Sequence[Opening], paint: Texture, white: Texture) -> list[Part]:
    """One wall as pieces round its gaps, with a skirting board and the lining of the gaps that doorways do not line."""
    half, away = wall_extent(floor, side)
    edges = sorted({-half, half, *(end for gap in gaps for end in gap.along_m)})
    parts: list[Part] = []
    for left, right in itertools.pairwise(edges):
        open_here = [gap.height_m for gap in gaps if gap.along_m[0] < (left + right) / 2 < gap.along_m[1]]
        for low, high in _solid(open_here, height):
            parts.append(quad(_upright(floor, side, (left, right), (low, high), away), paint, 2.0))
            if low == 0.0:
                parts.append(
                    quad(_upright(floor, side, (left, right), (0.0, _BOARD_M[0]), away - _BOARD_M[1]), white, 2.0)
                )
    return parts


def _solid(gaps: Sequence[tuple[float, float]], height: float) -> list[tuple[float, float]]:
    """What is left of floor to ceiling."""
    solid, low = [], 0.0
    for bottom, top in sorted(gaps):
        if bottom > low:
            solid.append((low, bottom))
        low = max(low, top)
    return [*solid, (low, height)] if low < height else solid


def _upright(
    floor: Rect, side: int, along: tuple[float, float], z: tuple[float, float], away: float
) -> Float32[ndarray, "4 3"]:
    """Corners of a piece of wall, seen from within the room."""
    turn = side * np.pi / 2
    cos, sin = np.cos(turn), np.sin(turn)
    (x, y), (low, high) = floor.centre, z
    corners = [(along[0], low), (along[1], low), (along[1], high), (along[0], high)]
    return np.array(
        [(x + cos * s - sin * away, y + sin * s + cos * away, height) for s, height in corners], dtype=np.float32
    )


def _jambs(doorway: Doorway, paint: Texture) -> list[Part]:
    """The inside of a doorway: threshold, both sides and the lintel."""
    g, top = doorway.gap, DOOR_HEIGHT_M
    a, b, c, d = (np.array([x, y]) for x, y in ((g.x0, g.y0), (g.x1, g.y0), (g.x1, g.y1), (g.x0, g.y1)))
    floor = _corners([a, b, c, d], [0.0] * 4)
    lintel = _corners([a, d, c, b], [top] * 4)
    faces = [(b, c), (d, a)] if doorway.along_x else [(a, b), (c, d)]
    sides = [_corners([q, p, p, q], [0.0, 0.0, top, top]) for p, q in faces]
    return [quad(corners, paint, 2.0) for corners in (floor, lintel, *sides)]


def _corners(points: list[ndarray], z: list[float]) -> Float32[ndarray, "4 3"]:
    return np.array([(*point, height) for point, height in zip(points, z, strict=True)], dtype=np.float32)
