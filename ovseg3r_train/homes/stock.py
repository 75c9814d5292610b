"""What homes can be furnished with: models of the libraries by kind, and things made by code.

A kind is a ScanNet200 class name, or such a name with a variety behind a slash: "lamp/floor" is a lamp that stands on
the floor. `furniture_classes.json` holds the models of each kind, each looked at by a person, and groups of models that
look alike.

The three splits share no model of a class that has three or more; of a class with one or two, they share all.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import resources
from itertools import cycle, repeat
from pathlib import Path
from typing import Literal

import numpy as np

from ovseg3r_core.synthetic.furniture import CatalogueEntry, furniture_folder, load_model, read_catalogue
from ovseg3r_core.synthetic.mesh import Part, bounds
from ovseg3r_train.homes.made_flat import FLAT_THINGS, Maker
from ovseg3r_train.homes.made_large import LARGE_THINGS
from ovseg3r_train.homes.made_small import SMALL_THINGS
from ovseg3r_train.homes.supports import Support, find_supports, floor_below

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

MADE_BY = "ovseg3r_ros"
MADE_LICENCE = "Apache-2.0"
MADE_THINGS: Mapping[str, Maker] = {**FLAT_THINGS, **SMALL_THINGS, **LARGE_THINGS}
_CACHED_MODELS = 300  # about 1 MB each
_SHARE = 0.2  # of the models of a kind that go to validation, and as many to test


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A model or a made thing, ready to be placed: foot at z = 0, front towards -y."""

    kind: str
    model: str
    """Catalogue id, or "made" and the kind."""
    creator: str
    licence: str
    size_m: tuple[float, float, float]
    elevation_m: float
    parts: tuple[Part, ...]

    @property
    def class_name(self) -> str:
        """ScanNet200 name."""
        return class_of(self.kind)

    @cached_property
    def supports(self) -> tuple[Support, ...]:
        """Where others can stand on it."""
        return find_supports(self.parts)

    @cached_property
    def below(self) -> Support:
        """The floor under it."""
        return floor_below(self.parts)


def class_of(kind: str) -> str:
    """The class name of a kind."""
    return kind.split("/")[0]


@cache
def kinds_of_models() -> dict[str, tuple[str, ...]]:
    """Kind -> catalogue ids, as the table has them."""
    return {kind: tuple(ids) for kind, ids in _table()["kinds"].items()}


def home_classes() -> dict[str, str]:
    """Catalogue id -> ScanNet200 name of every model that may occur."""
    return {id: class_of(kind) for kind, ids in kinds_of_models().items() for id in ids}


def class_names() -> tuple[str, ...]:
    """All ScanNet200 names that can occur, doors and fittings of the building included."""
    fittings = ("door", "doorframe", "windowsill")
    return tuple(sorted({class_of(kind) for kind in (*kinds_of_models(), *MADE_THINGS)} | set(fittings)))


@cache
def split_of_models() -> dict[str, tuple[Split, ...]]:
    """Catalogue id -> the splits that it may occur in."""
    by_class: dict[str, dict[str, tuple[str, ...]]] = {}
    for kind, ids in kinds_of_models().items():
        by_class.setdefault(class_of(kind), {})[kind] = ids
    splits: dict[str, tuple[Split, ...]] = {}
    for kinds in by_class.values():
        if sum(len(ids) for ids in kinds.values()) < 3:
            splits |= {id: SPLITS for ids in kinds.values() for id in ids}
            continue
        turns: Iterator[Split] = cycle(("train", "test", "val"))  # for varieties with a single model
        for kind, ids in kinds.items():
            splits |= _divide(kind, ids) if len(ids) > 1 else {id: (next(turns),) for id in ids}
    return splits


def _divide(kind: str, ids: tuple[str, ...]) -> dict[str, tuple[Split, ...]]:
    groups = _groups(ids)
    order = np.random.default_rng(zlib.crc32(kind.encode())).permutation(len(groups))
    held_out = max(1, round(_SHARE * len(groups))) if len(groups) >= 3 else 0
    held: tuple[Split, ...] = ("test",) if len(groups) == 2 else (*repeat("val", held_out), *repeat("test", held_out))
    names: tuple[Split, ...] = (*held, *repeat("train", len(groups) - len(held)))
    return {id: (name,) for place, name in zip(order, names, strict=True) for id in groups[place]}


def _groups(ids: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Models that look alike stay together, unless fewer than three groups would remain of three or more models."""
    leader = {id: group[0] for group in _table()["twins"] for id in group}
    groups: dict[str, tuple[str, ...]] = {}
    for id in ids:
        groups[leader.get(id, id)] = (*groups.get(leader.get(id, id), ()), id)
    return list(groups.values()) if len(groups) >= 3 or len(ids) < 3 else [(id,) for id in ids]


@cache
def _table() -> dict:
    text = resources.files("ovseg3r_train.homes").joinpath("furniture_classes.json").read_text("utf-8")
    return json.loads(text)


class Stock:
    """The things of one split."""

    def __init__(self, split: Split, folder: Path | None = None) -> None:
        """Find the libraries.

        Raises:
            MissingFurnitureError: there are none; the text says how to get them.
        """
        self._folder = folder or furniture_folder()
        catalogue, splits = _catalogue(self._folder), split_of_models()
        self._ids = {
            kind: [id for id in ids if split in splits[id] and id in catalogue]
            for kind, ids in kinds_of_models().items()
        }

    def draw(self, kinds: str, rng: np.random.Generator) -> Thing | None:
        """A thing of a kind, or of one of several between bars; None where this split has none."""
        known = [kind for kind in kinds.split("|") if self._ids.get(kind) or kind in MADE_THINGS]
        if not known:
            return None
        kind = known[rng.integers(len(known))]
        ids = self._ids.get(kind, [])
        made_share = 0.0 if kind not in MADE_THINGS else 1 / (1 + len(ids)) if len(ids) > 1 else 1 - 0.3 * len(ids)
        if rng.random() < made_share:
            return made_thing(kind, rng)
        return library_thing(self._folder, ids[rng.integers(len(ids))], kind)


def made_thing(kind: str, rng: np.random.Generator) -> Thing:
    """A thing made by code."""
    return thing_of_parts(kind, MADE_THINGS[kind](rng))


def thing_of_parts(kind: str, parts: list[Part]) -> Thing:
    """Parts made by code, as a thing."""
    low, high = bounds(parts)
    half = np.maximum(np.abs(low), np.abs(high))
    return Thing(
        kind=kind,
        model=f"made:{kind}",
        creator=MADE_BY,
        licence=MADE_LICENCE,
        size_m=(float(2 * half[0]), float(2 * half[1]), float(high[2])),
        elevation_m=0.0,
        parts=tuple(parts),
    )


@lru_cache(maxsize=_CACHED_MODELS)
def library_thing(folder: Path, id: str, kind: str) -> Thing:
    """A model of a library; the last few hundred stay in memory."""
    entry = _catalogue(folder)[id]
    return Thing(
        kind=kind,
        model=entry.id,
        creator=entry.creator,
        licence=entry.licence,
        size_m=entry.size_m,
        elevation_m=entry.elevation_m,
        parts=load_model(entry, class_of(kind)).parts,
    )


@lru_cache(maxsize=4)
def _catalogue(folder: Path) -> dict[str, CatalogueEntry]:
    return read_catalogue(folder)
