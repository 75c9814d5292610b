"""The masks of one frame against the true instance ids: what was found, cut, lumped, invented, and how it was named.

Every mask is one of
    whole      it overlaps one thing with an IoU of a half or more
    part       most of it lies on one thing, of which it leaves too much out
    structure  most of it lies on what is no thing: walls, floor, ceiling
    lump       the rest: it lies on several things, none of which it outlines
and every visible thing is
    whole      a mask outlines it
    lumped     no mask outlines it, but one that lies elsewhere for the most part covers half of it
    in parts   there are only parts of it
    missed     nothing of the kind
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt16
from numpy import ndarray

from ovseg3r_core.types import Frame, Mask
from ovseg3r_train.teacher.boundary import BoundaryError, boundary_error
from ovseg3r_train.teacher.structure_planes import StructurePlanes

MIN_SHARE = 100 / (640 * 480)
"""Share of the image that the visible part of a thing must have to count: 100 pixels at 640x480."""
MUCH_SMALLER = 0.5
"""Size of a neighbour, as a share of a thing, below which the mask of the thing may take it in and still outline it."""
_WHOLE_IOU = 0.5
_MOST = 0.5
_SMALLEST_PART = 0.05  # share of the thing
_REACHED = 0.02  # share of a thing inside a slightly grown mask on structure from which it borders on it

State = Literal["whole", "lumped", "parts", "missed"]


@dataclass(frozen=True, kw_only=True)
class SeenThing:
    """What the masks made of one visible thing."""

    id: int
    name: str
    share: float
    """Visible pixels as a share of the image."""
    state: State
    in_structure: bool
    """Whether what it is lumped with is structure."""
    iou: float
    """Of the best mask."""
    recall: float
    """Share of the thing that the surest mask covers; 0 where none outlines it."""
    label: str | None
    """What the surest named mask that outlines it calls it."""
    score: float
    """Of that mask; without one, of the best nameless one; 0 where none outlines it."""
    repeats: int
    """Further masks that outline it."""
    parts: tuple[float, ...]
    """Share of the thing that each part of it covers."""
    named_parts: int
    outline: BoundaryError | None
    """None where it is not whole, or where the mask took in a neighbour."""


@dataclass(frozen=True, kw_only=True)
class FalseMask:
    """A mask on structure."""

    share: float
    """Its pixels as a share of the image."""
    fills: bool
    """Whether it is a wall, floor or ceiling as a whole, as far as it is seen; needs depth."""
    label: str | None
    score: float


@dataclass(frozen=True, kw_only=True)
class FrameMeasure:
    """What the masks made of one frame."""

    place: str
    """The room or home; ids and names mean the same in all its frames."""
    frame: int
    things: tuple[SeenThing, ...]
    false_masks: tuple[FalseMask, ...]
    lumps: int
    """Masks on several things."""
    absorbed: tuple[int, int]
    """Of how many neighbours much smaller than the thing, how many were taken in by the mask that outlines it."""
    swallowed: tuple[int, int]
    """Of how many things at the border of a mask on structure, how many were taken in by it."""


def measure_frame(
    place: str,
    frame: Frame,
    masks: Sequence[Mask],
    instances: UInt16[ndarray, "height width"],
    names: Mapping[int, str],
) -> FrameMeasure:
    """Compare the masks of a frame with its true instance ids; ids without a name are structure."""
    seen = _Seen.of(instances, names)
    table = _Table.of(masks, seen)
    structure = np.flatnonzero(table.kind == "structure")
    planes = StructurePlanes(seen.place == 0, frame)
    return FrameMeasure(
        place=place,
        frame=frame.index,
        things=tuple(_thing(i, masks, seen, table) for i in range(len(seen.ids))),
        false_masks=tuple(
            FalseMask(
                share=float(table.area[m] / instances.size),
                fills=planes.is_filled_by(masks[m].pixels),
                label=masks[m].label,
                score=masks[m].score,
            )
            for m in structure.tolist()
        ),
        lumps=int((table.kind == "lump").sum()),
        absorbed=_absorbed(seen, table),
        swallowed=_swallowed(structure, masks, seen, table),
    )


@dataclass(frozen=True)
class _Seen:
    """The visible things of a frame; in `place`, 0 is structure and a thing is its row + 1, small bits come last."""

    ids: Int64[ndarray, " instances"]
    names: tuple[str, ...]
    place: Int64[ndarray, "height width"]
    area: Int64[ndarray, " places"]
    touching: Bool[ndarray, "instances instances"]

    @classmethod
    def of(cls, instances: UInt16[ndarray, "height width"], names: Mapping[int, str]) -> "_Seen":
        ids, counts = np.unique(instances, return_counts=True)
        thing = np.isin(ids, list(names)) & (ids > 0)
        visible = ids[thing & (counts >= MIN_SHARE * instances.size)].astype(np.int64)
        table = np.zeros(65536, np.int64)
        table[ids[thing]] = len(visible) + 1
        table[visible] = np.arange(len(visible)) + 1
        place = table[instances]
        area = np.bincount(place.ravel(), minlength=len(visible) + 2)
        return cls(visible, tuple(names[i] for i in visible.tolist()), place, area, _touching(place, len(visible)))


def _touching(place: Int64[ndarray, "height width"], things: int) -> Bool[ndarray, "instances instances"]:
    """Which things have pixels side by side."""
    pairs = np.concatenate(
        [
            np.stack([place[:, :-1].ravel(), place[:, 1:].ravel()], axis=1),
            np.stack([place[:-1].ravel(), place[1:].ravel()], axis=1),
        ]
    )
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    side = things + 2
    border = np.bincount(pairs[:, 0] * side + pairs[:, 1], minlength=side**2).reshape(side, side)
    return (border + border.T)[1:-1, 1:-1] > 2


@dataclass(frozen=True)
class _Table:
    """Every mask against every visible thing."""

    area: Int64[ndarray, " masks"]
    precision: Float64[ndarray, "masks instances"]
    recall: Float64[ndarray, "masks instances"]
    iou: Float64[ndarray, "masks instances"]
    kind: ndarray
    """Of each mask: whole, part, structure or lump."""

    @classmethod
    def of(cls, masks: Sequence[Mask], seen: _Seen) -> "_Table":
        columns = len(seen.area)
        shared = np.array([np.bincount(seen.place[mask.pixels], minlength=columns) for mask in masks])
        shared = shared.reshape(len(masks), columns).astype(np.int64)
        area, on_things, things = shared.sum(axis=1), shared[:, 1:-1], seen.area[1:-1]
        precision = on_things / np.maximum(area, 1)[:, None]
        recall = on_things / np.maximum(things, 1)
        iou = on_things / np.maximum(area[:, None] + things - on_things, 1)
        whole = (iou >= _WHOLE_IOU).any(axis=1)
        part = (precision >= _MOST).any(axis=1)
        structure = (shared[:, 0] + shared[:, -1]) >= _MOST * area
        kind = np.select([whole, part, structure], ["whole", "part", "structure"], "lump")
        return cls(area, precision, recall, iou, kind)


def _thing(i: int, masks: Sequence[Mask], seen: _Seen, table: _Table) -> SeenThing:
    wholes = np.flatnonzero(table.iou[:, i] >= _WHOLE_IOU)
    parts = np.flatnonzero(
        (table.kind == "part") & (table.precision[:, i] >= _MOST) & (table.recall[:, i] >= _SMALLEST_PART)
    )
    covers = np.flatnonzero((table.recall[:, i] >= _MOST) & (table.precision[:, i] < _MOST))
    state: State = "whole" if len(wholes) else "lumped" if len(covers) else "parts" if len(parts) else "missed"
    surest = max(wholes.tolist(), key=lambda m: (masks[m].label is not None, masks[m].score), default=None)
    return SeenThing(
        id=int(seen.ids[i]),
        name=seen.names[i],
        share=float(seen.area[i + 1] / seen.place.size),
        state=state,
        in_structure=state == "lumped" and bool((table.kind[covers] == "structure").any()),
        iou=float(table.iou[:, i].max(initial=0.0)),
        recall=0.0 if surest is None else float(table.recall[surest, i]),
        label=None if surest is None else masks[surest].label,
        score=0.0 if surest is None else masks[surest].score,
        repeats=max(len(wholes) - 1, 0),
        parts=tuple(table.recall[parts, i].tolist()),
        named_parts=sum(masks[m].label is not None for m in parts.tolist()),
        outline=None if surest is None else _outline(i, surest, masks, seen, table),
    )


def _outline(i: int, m: int, masks: Sequence[Mask], seen: _Seen, table: _Table) -> BoundaryError | None:
    others = np.delete(table.recall[m], i)
    return None if (others >= _MOST).any() else boundary_error(masks[m].pixels, seen.place == i + 1)


def _best(table: _Table) -> dict[int, int]:
    """The best mask of each thing that a mask outlines."""
    if not len(table.iou):
        return {}
    return {i: int(table.iou[:, i].argmax()) for i in np.flatnonzero(table.iou.max(axis=0) >= _WHOLE_IOU).tolist()}


def _absorbed(seen: _Seen, table: _Table) -> tuple[int, int]:
    size, best = seen.area[1:-1], _best(table)
    chances = events = 0
    for i, m in best.items():
        # a neighbour without an outline of its own is lumped, and is counted as that
        small = [j for j in best if j != i and seen.touching[i, j] and size[j] < MUCH_SMALLER * size[i]]
        chances += len(small)
        events += int((table.recall[m, small] >= _MOST).sum())
    return chances, events


def _swallowed(
    structure: Int64[ndarray, " false_masks"], masks: Sequence[Mask], seen: _Seen, table: _Table
) -> tuple[int, int]:
    owned = np.array(sorted(_best(table)), np.int64)
    width = max(3, round(seen.place.shape[1] / 80)) | 1
    chances = events = 0
    for m in structure.tolist():
        grown = cv2.dilate(masks[m].pixels.astype(np.uint8), np.ones((width, width), np.uint8)) > 0
        reached = np.bincount(seen.place[grown], minlength=len(seen.area))[1:-1] >= _REACHED * seen.area[1:-1]
        near = owned[reached[owned]]
        chances += len(near)
        events += int((table.recall[m, near] >= _MOST).sum())
    return chances, events
