"""One room filled after its plan: each wish finds a place, or is left out.

Works in the room's own frame: its middle is the origin, the floor is z = 0. Upright boxes round things never share
space. Three kinds of contact are meant: what stands on or in a thing lies within that thing's box, rugs lie under what
stands on them, and doors and windows reach into the wall.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from ovseg3r_core.synthetic.placement import Floor, Pose, Standing, in_frame_of
from ovseg3r_train.homes.free_floor import WalkableRoom, blocks_floor
from ovseg3r_train.homes.layout import Layout, Rect
from ovseg3r_train.homes.solids import block
from ovseg3r_train.homes.stock import Stock, Thing, thing_of_parts
from ovseg3r_train.homes.supports import Support
from ovseg3r_train.homes.walls import Opening, wall_extent
from ovseg3r_train.homes.wishes import Place, Plan, Wish

_FACADE_M = 0.04  # how far doors and windows stand out of their wall
_TRIES = 3  # other models, where the first finds no place
_DOOR_CLEAR_M = 0.7
_GAP_M = 0.01
_ON_LIMIT_M = 1.6  # higher tops are for wishes "in" and things that ask for them


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A thing in its place, and everything it stands on or in."""

    thing: Thing
    standing: Standing
    pose: Pose
    """Where the model goes; of doors and windows, deeper in the wall than `standing`."""
    within: tuple[Standing, ...] = ()
    place: Place = "anywhere"
    anchor: "Placed | None" = None
    """The thing that it was placed on, in or at."""


class RoomFurnisher:
    """A room that fills up."""

    def __init__(self, layout: Layout, room: int, stock: Stock, rng: np.random.Generator, openings: Sequence[Opening]):
        """Begin empty, with the floor before doorways kept free.

        Args:
            openings: the doorways of all rooms.
        """
        self._space = layout.spaces[room].floor
        self._height_m = layout.height_m
        self._room = room
        self._stock, self._rng = stock, rng
        self._floor = Floor(self._space.width, self._space.depth, rng)
        gaps = [doorway.gap for doorway in layout.doorways if room in doorway.rooms]
        self._walkable = WalkableRoom(self._space, gaps)
        self._outer = [side for side in range(4) if _is_outside(layout, room, side)]
        self._rugs: list[Standing] = []
        self.placed: list[Placed] = []
        self.openings: list[Opening] = []
        for opening in openings:
            if opening.room == room:
                self._floor.keep(_kept_free(self._space, opening))

    def furnish(self, plan: Plan, limit: int) -> None:
        """Grant the wishes of a plan, in order, up to a number of things."""
        for wish in plan.wishes:
            self.grant(wish, None, limit)

    def grant(self, wish: Wish, anchor: Placed | None, limit: int) -> None:
        """One wish, and those for what stands on and at its things."""
        if self._rng.random() >= wish.chance:
            return
        model: Thing | None = None
        for _ in range(int(self._rng.integers(wish.count[0], wish.count[1] + 1))):
            placed = None
            for _ in range(_TRIES):
                if len(self.placed) >= limit:
                    return
                model = model if wish.alike and model else self._draw(wish, anchor)
                placed = self._place(wish, model, anchor) if model else None
                if placed is not None or model is None:
                    break
            if placed is None:
                return
            placed = replace(placed, place=wish.place, anchor=anchor)
            self.placed.append(placed)
            for inner in wish.things:
                self.grant(inner, placed, limit)

    def _draw(self, wish: Wish, anchor: Placed | None) -> Thing | None:
        if wish.kind == "windowsill" and anchor is not None:
            width = anchor.thing.size_m[0] + 0.04
            sill = block((width, 0.14, 0.03), np.array([[[238, 236, 230, 255]]], dtype=np.uint8))
            return thing_of_parts("windowsill", sill)
        thing = self._stock.draw(wish.kind, self._rng)
        return thing if thing is None or thing.size_m[2] < self._height_m - 0.05 else None

    def _place(self, wish: Wish, thing: Thing, anchor: Placed | None) -> Placed | None:
        if wish.place == "lying":
            return self._lay(thing, anchor)
        if wish.place == "facade":
            return self._let_in(thing)
        on_thing = wish.place in ("on", "on back", "on front", "in", "under")
        standing = self._floor.put(
            self._poses(wish, thing, anchor),
            thing.size_m,
            clear_m=wish.clear_m,
            on=anchor.standing if anchor else None,
            within=anchor.within if anchor else (),
            accept=lambda s: self._in_height(s) and (on_thing or self._leaves_a_way(s)),
        )
        if standing is None:
            return None
        if blocks_floor(standing.box()):
            self._walkable.put([standing.box()])
        within = (*anchor.within, anchor.standing) if anchor and on_thing else ()
        return Placed(thing=thing, standing=standing, pose=standing.pose, within=within)

    def _in_height(self, standing: Standing) -> bool:
        box = standing.box()
        return bool(box[0, 2] >= -1e-6 and box[1, 2] <= self._height_m - 0.005)

    def _leaves_a_way(self, standing: Standing) -> bool:
        box = standing.box()
        return not blocks_floor(box) or self._walkable.stays_open([box])

    def _poses(self, wish: Wish, thing: Thing, anchor: Placed | None) -> Iterator[Pose]:
        size, floor = thing.size_m, self._floor
        if wish.place == "wall":
            return floor.against_wall(size)
        if wish.place == "corner":
            return floor.in_corner(size)
        if wish.place == "centre":
            return floor.in_centre(0.25 * min(self._space.width, self._space.depth))
        if wish.place == "anywhere":
            return self._anywhere(wish.turn)
        if wish.place == "hung":
            return self._hung(wish, thing)
        if wish.place == "ceiling":
            return self._under_ceiling(thing)
        if anchor is None:
            raise ValueError(
                f"a plan wants {wish.kind!r} {wish.place!r} nothing; put the wish among the things of another"
            )
        if wish.place == "around":
            return _turned(floor.around(anchor.standing, size), wish.turn, self._rng)
        if wish.place == "before":
            return _turned(floor.before(anchor.standing, size, wish.gap_m), wish.turn, self._rng)
        if wish.place == "next to":
            return floor.next_to(anchor.standing, size)
        if wish.place in ("above", "over", "beside", "below"):
            return self._on_wall_at(wish, thing, anchor)
        return self._supported(wish, thing, anchor)

    def _anywhere(self, turn: float) -> Iterator[Pose]:
        half = np.array([self._space.width, self._space.depth]) / 2
        while True:
            x, y = self._rng.uniform(-half, half)
            quarter = float(self._rng.integers(4)) * np.pi / 2
            yield Pose(x=x, y=y, z=0.0, yaw=quarter + float(self._rng.uniform(-turn, turn)))

    def _hung(self, wish: Wish, thing: Thing) -> Iterator[Pose]:
        """On any wall, at the height of its catalogue, or with its middle where the wish says."""
        for pose in self._floor.against_wall(thing.size_m):
            z = thing.elevation_m or max(float(self._rng.uniform(*wish.middle_m)) - thing.size_m[2] / 2, 0.02)
            yield _flush(replace(pose, z=z))

    def _under_ceiling(self, thing: Thing) -> Iterator[Pose]:
        half = np.array([self._space.width, self._space.depth]) / 2
        while True:
            x, y = self._rng.uniform(-0.35, 0.35, 2) * half
            yield Pose(
                x=x, y=y, z=self._height_m - thing.size_m[2] - 0.006, yaw=float(self._rng.integers(2)) * np.pi / 2
            )

    def _on_wall_at(self, wish: Wish, thing: Thing, anchor: Placed) -> Iterator[Pose]:
        """On the wall that the anchor is at, in its frame."""
        (aw, ad, ah), (w, d, h) = anchor.standing.size_m, thing.size_m
        back = ad / 2 - d / 2
        sides = [1.0, -1.0] if self._rng.random() < 0.5 else [-1.0, 1.0]
        low = anchor.standing.pose.z
        for attempt in range(24):
            jitter = float(self._rng.uniform(-1, 1)) * max(aw - w, 0.0) / 2 if attempt else 0.0
            if wish.place == "above":
                yield in_frame_of(anchor.standing, jitter, back, ah + wish.gap_m, 0.0)
            elif wish.place == "over":
                yield in_frame_of(anchor.standing, 0.0, -ad / 2 - d / 2 - 0.005, ah - h + 0.02, 0.0)
            elif wish.place == "below":
                z = max(-h - wish.gap_m, -low) if wish.kind != "windowsill" else -h - 0.001
                yield in_frame_of(anchor.standing, 0.0, back, z, 0.0)
            else:
                side = sides[attempt % 2]
                z = max(ah + 0.1 - h, 0.02 - low)
                yield in_frame_of(anchor.standing, side * (aw + w + 0.13) / 2, back, z, 0.0)

    def _supported(self, wish: Wish, thing: Thing, anchor: Placed) -> Iterator[Pose]:
        """On a level of the anchor, wholly on it and with room above."""
        for _ in range(4):
            yaw = float(self._rng.uniform(-wish.turn, wish.turn))
            size = _turned_size(thing.size_m, yaw)
            for level in self._levels(wish, anchor.thing):
                places = self._in_order(level.places(size), wish, anchor.thing)
                for x, y, z in places[:25]:
                    yield in_frame_of(anchor.standing, float(x), float(y), float(z) + 0.001, yaw)

    def _levels(self, wish: Wish, thing: Thing) -> list[Support]:
        if wish.place == "under":
            return [thing.below]
        levels = list(thing.supports)
        if wish.place == "in":
            self._rng.shuffle(levels)  # pyright: ignore[reportArgumentType]
            return levels
        return [level for level in levels if level.z_m <= _ON_LIMIT_M][:3] or levels[:1]

    def _in_order(self, places: np.ndarray, wish: Wish, thing: Thing) -> np.ndarray:
        """At random, but at the back or front where the wish says so."""
        random = self._rng.random(len(places))
        if wish.place == "on back":
            random = random + 12 * (thing.size_m[1] / 2 - places[:, 1]) / thing.size_m[1]
        elif wish.place == "on front":
            random = random + 6 * np.abs(places[:, 1] / thing.size_m[1] + 0.25) + 2 * np.abs(places[:, 0])
        elif wish.place == "under":
            random = random + 4 * (1 - np.abs(places[:, 0]) * 2 / thing.size_m[0])
        return places[np.argsort(random)]

    def _lay(self, thing: Thing, anchor: Placed | None) -> Placed | None:
        """A rug: it gives way to nothing but walls and other rugs."""
        half = np.array([self._space.width, self._space.depth]) / 2
        for _ in range(40):
            if anchor is not None:
                dx, dy = self._rng.uniform(-0.15, 0.15, 2)
                pose = in_frame_of(anchor.standing, float(dx), float(dy), 0.0, 0.0)
            else:
                x, y = self._rng.uniform(-half, half)
                pose = Pose(x=x, y=y, z=0.0, yaw=float(self._rng.integers(2)) * np.pi / 2)
            rug = Standing(pose=replace(pose, z=0.001), size_m=thing.size_m, top_m=None, clear_m=0.0)
            box = rug.box()
            inside = (np.abs(box[:, :2]) < half - 0.03).all()
            if inside and not any(_share_floor(box, other.box()) for other in self._rugs):
                self._rugs.append(rug)
                return Placed(thing=thing, standing=rug, pose=rug.pose)
        return None

    def _let_in(self, thing: Thing) -> Placed | None:
        """A door or window in an outer wall."""
        width, depth, height = thing.size_m
        is_door = thing.class_name == "door"
        size = (width, _FACADE_M + 0.01, height)
        if height + thing.elevation_m > self._height_m - 0.1:
            return None
        poses = (
            replace(pose, z=thing.elevation_m)
            for pose in islice(self._floor.against_wall(size), 100)
            if round(pose.yaw / (np.pi / 2)) % 4 in self._outer
        )
        standing = self._floor.put(poses, size, clear_m=_DOOR_CLEAR_M if is_door else 0.0)
        if standing is None:
            return None
        side = round(standing.pose.yaw / (np.pi / 2)) % 4
        along = _along(standing.pose, side)
        edge = 0.015
        self.openings.append(
            Opening(
                room=self._room,
                side=side,
                along_m=(along - width / 2 + edge, along + width / 2 - edge),
                height_m=(
                    max(standing.pose.z + (edge if standing.pose.z else 0.0), 0.0),
                    standing.pose.z + height - edge,
                ),
            )
        )
        pose = in_frame_of(standing, 0.0, (depth - size[1]) / 2, 0.0, 0.0)
        return Placed(thing=thing, standing=standing, pose=pose)


def _is_outside(layout: Layout, room: int, side: int) -> bool:
    """Whether a wall of a room is one of the home's four outer walls."""
    floor, outside = layout.spaces[room].floor, layout.outside
    gap = (outside.y1 - floor.y1, floor.x0 - outside.x0, floor.y0 - outside.y0, outside.x1 - floor.x1)[side]
    return gap < 0.3


def _kept_free(floor: Rect, opening: Opening) -> Standing:
    """The floor before a doorway, as a thing that others keep away from."""
    _, away = wall_extent(floor, opening.side)
    low, high = opening.along_m
    depth, turn = 0.6, opening.side * np.pi / 2
    s, distance = (low + high) / 2, away - depth / 2
    pose = Pose(
        x=np.cos(turn) * s - np.sin(turn) * distance, y=np.sin(turn) * s + np.cos(turn) * distance, z=0.0, yaw=turn
    )
    return Standing(pose=pose, size_m=(high - low, depth, opening.height_m[1]), top_m=None, clear_m=0.0)


def _along(pose: Pose, side: int) -> float:
    """Place along a wall, in the wall's own direction."""
    turn = side * np.pi / 2
    return float(np.cos(turn) * pose.x + np.sin(turn) * pose.y)


def _flush(pose: Pose) -> Pose:
    """The same with its back on the wall, where furniture keeps a centimetre off."""
    return replace(pose, x=pose.x - np.sin(pose.yaw) * (_GAP_M - 0.002), y=pose.y + np.cos(pose.yaw) * (_GAP_M - 0.002))


def _turned(poses: Iterator[Pose], turn: float, rng: np.random.Generator) -> Iterator[Pose]:
    for pose in poses:
        yield replace(pose, yaw=pose.yaw + float(rng.uniform(-turn, turn)))


def _turned_size(size_m: tuple[float, float, float], yaw: float) -> tuple[float, float, float]:
    """The box round a turned box."""
    cos, sin = abs(np.cos(yaw)), abs(np.sin(yaw))
    return float(size_m[0] * cos + size_m[1] * sin), float(size_m[0] * sin + size_m[1] * cos), size_m[2]


def _share_floor(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a[0, :2] < b[1, :2]).all() and (b[0, :2] < a[1, :2]).all())
