"""One furnished room with exact truth: models, placed by rules, in a shell; the same seed gives the same room.

What a room holds is a plan: a list of wishes, each a class of furniture and a place for it. Wishes that find no place
are left out, and logged.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from ovseg3r_core.geometry import fit_box
from ovseg3r_core.synthetic.furniture import (
    CatalogueEntry,
    FurnitureModel,
    demo_classes,
    furniture_folder,
    load_model,
    read_catalogue,
)
from ovseg3r_core.synthetic.mesh import Part
from ovseg3r_core.synthetic.placement import Floor, Pose, Standing
from ovseg3r_core.synthetic.surfaces import shell
from ovseg3r_core.types import Box

_log = logging.getLogger(__name__)

Place = Literal["wall", "centre", "corner", "around", "before", "next to", "on"]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """One thing a room should hold."""

    class_name: str
    place: Place
    anchor: str | None = None
    """Class of the thing it stands at, for the last four places."""
    clear_m: float = 0.0
    """How far the floor before it stays free."""
    gap_m: float = 0.05
    """Distance from the anchor, for "before"."""
    turn: float = 0.4
    """How far it may be turned on its anchor, radians."""


STUDIO = (
    Wish(class_name="dining table", place="centre"),
    Wish(class_name="bed", place="wall", clear_m=0.5),
    Wish(class_name="couch", place="wall", clear_m=0.7),
    Wish(class_name="desk", place="wall", clear_m=0.8),
    Wish(class_name="tv stand", place="wall", clear_m=0.6),
    Wish(class_name="refrigerator", place="wall", clear_m=0.6),
    Wish(class_name="kitchen cabinet", place="next to", anchor="refrigerator", clear_m=0.5),
    Wish(class_name="bookshelf", place="wall", clear_m=0.5),
    Wish(class_name="door", place="wall", clear_m=0.6),
    Wish(class_name="office chair", place="before", anchor="desk"),
    Wish(class_name="chair", place="around", anchor="dining table"),
    Wish(class_name="chair", place="around", anchor="dining table"),
    Wish(class_name="tv", place="on", anchor="tv stand", turn=0.05),
    Wish(class_name="laptop", place="on", anchor="desk", turn=0.2),
    Wish(class_name="cup", place="on", anchor="desk"),
    Wish(class_name="microwave", place="on", anchor="kitchen cabinet", turn=0.05),
    Wish(class_name="vase", place="on", anchor="dining table", turn=3.1),
    Wish(class_name="bottle", place="on", anchor="dining table", turn=3.1),
    Wish(class_name="potted plant", place="corner"),
    Wish(class_name="trash can", place="corner"),
)
"""A one-room flat."""


@dataclass(frozen=True, kw_only=True)
class RoomConfig:
    """What decides a room."""

    seed: int = 7
    width_m: float = 6.0
    depth_m: float = 5.0
    height_m: float = 2.6
    plan: tuple[Wish, ...] = field(default=STUDIO, repr=False)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("width_m", "depth_m"):
            if not 2.5 <= getattr(self, name) <= 20:
                raise ValueError(f"{name} is {getattr(self, name)}; a room measures 2.5 to 20 m")
        if not 2.2 <= self.height_m <= 6:
            raise ValueError(f"height_m is {self.height_m}; a room is 2.2 to 6 m high")


@dataclass(frozen=True, kw_only=True)
class TruthObject:
    """One thing that is there; `creator` and `licence` are those of its model."""

    id: int
    class_name: str
    model: str
    creator: str
    licence: str
    box: Box


@dataclass(frozen=True, kw_only=True)
class RoomScene:
    """A furnished room, centred at the map's origin, floor at z = 0."""

    name: str
    size_m: tuple[float, float, float]
    parts: tuple[tuple[int, Part], ...]
    """(instance id, triangles); 0 is the shell: floor, walls, ceiling."""
    objects: tuple[TruthObject, ...]
    """Instance ids from 1, in the order they were placed."""

    @property
    def names(self) -> dict[int, str]:
        """Class name by instance id."""
        return {thing.id: thing.class_name for thing in self.objects}


def build_room(config: RoomConfig | None = None, folder: Path | None = None) -> RoomScene:
    """A room furnished from the libraries in a folder.

    Raises:
        MissingFurnitureError: there are no libraries; the text says how to get them.
    """
    config = config or RoomConfig()
    rng = np.random.default_rng(config.seed)
    size_m = (config.width_m, config.depth_m, config.height_m)
    floor = Floor(config.width_m, config.depth_m, rng)
    parts = [(0, part) for part in shell(size_m, rng)]
    objects: list[TruthObject] = []
    placed: dict[str, Standing] = {}
    for wish, entry in zip(config.plan, _choose(config.plan, folder or furniture_folder(), rng), strict=True):
        standing = _place(wish, entry, floor, placed)
        if standing is None:
            _log.info("no place for %s (%s)", wish.class_name, entry.id)
            continue
        placed[wish.class_name] = standing
        model = load_model(entry, wish.class_name)
        moved = [part.moved(standing.pose.matrix()) for part in model.parts]
        parts += [(len(objects) + 1, part) for part in moved]
        objects.append(_truth(len(objects) + 1, model, moved))
    return RoomScene(name=f"room_{config.seed}", size_m=size_m, parts=tuple(parts), objects=tuple(objects))


def _choose(plan: tuple[Wish, ...], folder: Path, rng: np.random.Generator) -> Iterator[CatalogueEntry]:
    """A model for each wish; wishes of one class share it, as the chairs round a table do."""
    catalogue, classes = read_catalogue(folder), demo_classes()
    chosen: dict[str, CatalogueEntry] = {}
    for wish in plan:
        if wish.class_name not in chosen:
            ids = sorted(id for id, name in classes.items() if name == wish.class_name and id in catalogue)
            if not ids:
                raise ValueError(f"no model of class {wish.class_name!r} in {folder}")
            chosen[wish.class_name] = catalogue[ids[rng.integers(len(ids))]]
        yield chosen[wish.class_name]


def _place(wish: Wish, entry: CatalogueEntry, floor: Floor, placed: dict[str, Standing]) -> Standing | None:
    anchor = placed.get(wish.anchor) if wish.anchor else None
    if wish.anchor and anchor is None:
        return None
    poses = _poses(wish, entry.size_m, floor, anchor)
    return floor.put(poses, entry.size_m, top_m=entry.top_m, clear_m=wish.clear_m, on=anchor)


def _poses(wish: Wish, size_m: tuple[float, float, float], floor: Floor, anchor: Standing | None) -> Iterator[Pose]:
    if anchor is None:
        free = {"wall": floor.against_wall, "corner": floor.in_corner}
        return free[wish.place](size_m) if wish.place in free else floor.in_centre()
    if wish.place == "on":
        return floor.on_top(anchor, size_m, wish.turn)
    if wish.place == "before":
        return floor.before(anchor, size_m, wish.gap_m)
    return floor.around(anchor, size_m) if wish.place == "around" else floor.next_to(anchor, size_m)


def _truth(id: int, model: FurnitureModel, moved: list[Part]) -> TruthObject:
    return TruthObject(
        id=id,
        class_name=model.class_name,
        model=model.entry.id,
        creator=model.entry.creator,
        licence=model.entry.licence,
        box=fit_box(np.concatenate([part.vertices for part in moved]), trim=0.0),
    )
