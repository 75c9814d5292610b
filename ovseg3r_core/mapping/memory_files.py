"""What a saved map says of the memory beside the keyframes, and what must hold between the two and the snapshot."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import POSITION_LIMIT_M, check_pose
from ovseg3r_core.language.vocabulary import MAX_NAME
from ovseg3r_core.mapping.edits import Cut, Edits
from ovseg3r_core.mapping.life_files import check_lives
from ovseg3r_core.mapping.memory import Memory
from ovseg3r_core.mapping.recognition import Recognition
from ovseg3r_core.mapping.sighting import Sighting
from ovseg3r_core.views import View

MAX_ID = 2**31 - 2  # what owns points is written as int32, and mapping counts one beyond


def edits_json(edits: Edits) -> dict[str, Any]:
    """The edits as JSON can hold them: its keys are texts, so pairs stand in for dictionaries."""
    return {
        "labels": sorted(edits.labels.items()),
        "hidden": sorted(edits.hidden),
        "united": sorted(edits.united),
        "cuts": [{"ids": cut.ids, "seeds": cut.seeds} for cut in edits.cuts],
        "redirects": sorted(edits.redirects.items()),
    }


def edits_of(entry: dict[str, Any]) -> Edits:
    """The edits that `edits_json` wrote; raises ValueError, KeyError or TypeError for anything else."""
    return Edits(
        labels={_id(id_): _label(label) for id_, label in entry["labels"]},
        hidden=frozenset(map(_id, entry["hidden"])),
        united=frozenset(map(_id, entry["united"])),
        cuts=tuple(
            Cut(ids=tuple(map(_id, cut["ids"])), seeds=tuple(map(_seed, cut["seeds"]))) for cut in entry["cuts"]
        ),
        redirects={_id(gone): _id(into) for gone, into in entry["redirects"]},
    )


def sightings_json(sightings: Mapping[int, Sighting]) -> list[Any]:
    """The sightings as rows that JSON can hold, by id."""
    return [[id_, it.seen, it.masked, it.overlap] for id_, it in sorted(sightings.items())]


def sightings_of(rows: list[Any]) -> dict[int, Sighting]:
    """The sightings that `sightings_json` wrote; raises ValueError or TypeError for anything else."""
    return {_id(id_): _sighting(seen, masked, overlap) for id_, seen, masked, overlap in rows}


def recognitions_json(recognitions: Mapping[int, Recognition]) -> list[Any]:
    """What the segmenter said, as rows that JSON can hold, by id."""
    return [
        [id_, it.label, it.score, it.name_score, it.first_seen, it.last_seen]
        for id_, it in sorted(recognitions.items())
    ]


def recognitions_of(rows: list[Any]) -> dict[int, Recognition]:
    """The recognitions that `recognitions_json` wrote; raises ValueError or TypeError for anything else."""
    return {_id(id_): _recognition(*rest) for id_, *rest in rows}


def poses_json(views: Sequence[View]) -> list[Any]:
    """The poses of the keyframes that were corrected since they were taken, as rows that JSON can hold."""
    return [[view.index, view.T_map_camera.tolist()] for view in views if view.T_map_taken is not None]


def poses_of(rows: list[Any], views: int) -> dict[int, Float64[ndarray, "4 4"]]:
    """The poses that `poses_json` wrote, by keyframe; raises ValueError or TypeError for anything else."""
    return {_place(place, views): check_pose(np.array(T, np.float64)) for place, T in rows}


def check_memory(memory: Memory, owner: ndarray, records: set[int]) -> None:
    """Refuse a memory that does not belong to a snapshot, or that contradicts itself.

    Args:
        owner: of the snapshot.
        records: ids of its objects and its structure.

    Raises:
        ValueError: says what does not fit. Snapshot and memory of different moments do not fit.
    """
    if [view.index for view in memory.views] != list(range(len(memory.views))):
        raise ValueError("the keyframes are not numbered from 0 on")
    channels = {tag.embedding.shape for view in memory.views for tag in view.tags if tag.embedding is not None}
    if len(channels) > 1:
        raise ValueError(f"the masks were embedded by different encoders: shapes {sorted(channels)}")
    _check_members(memory)
    _check_anchor(memory, len(owner))
    _check_ids(memory)
    check_lives(memory.lives, len(memory.views), memory.next_id)
    placed = {*memory.members[:, 2].tolist(), *memory.recognitions}
    unplaced = (records | set(np.unique(owner).tolist()) - {-1}) - placed
    if unplaced:
        raise ValueError(f"no mask belongs to {_some(unplaced)}, which own points: are map and memory of one moment?")


def _check_members(memory: Memory) -> None:
    members = memory.members
    if members.dtype != np.int32 or members.ndim != 2 or members.shape[1] != 3:
        raise ValueError(f"members are {members.dtype} {members.shape}, not int32 (members, 3)")
    masks = np.array([len(view.tags) for view in memory.views], np.int64)
    view, mask = members[:, 0], members[:, 1]
    if len(members) and not (view.min() >= 0 and view.max() < len(masks)):
        raise ValueError(f"members name views {view.min()} to {view.max()}; there are {len(masks)}")
    if not ((mask >= 0) & (mask < masks[view])).all():
        raise ValueError("members name masks that their views do not have")


def _check_anchor(memory: Memory, points: int) -> None:
    anchor, views = memory.anchor, len(memory.views)
    if anchor.dtype != np.int32 or anchor.shape not in ((0,), (points,)):
        raise ValueError(f"anchors are {anchor.dtype} {anchor.shape}, not int32 ({points},)")
    if len(anchor) and not (anchor.min() >= -1 and anchor.max() < views):
        raise ValueError(f"points hang on views {anchor.min()} to {anchor.max()}; there are {views}")


def _check_ids(memory: Memory) -> None:
    edits = memory.edits
    if not 1 <= _id(memory.next_id) <= MAX_ID:
        raise ValueError(f"the next id is {memory.next_id}; ids go from 1 to {MAX_ID}")
    used = {*memory.members[:, 2].tolist(), *edits.labels, *edits.hidden, *edits.united}
    used |= memory.sightings.keys() | memory.recognitions.keys()
    used |= {id_ for cut in edits.cuts for id_ in cut.ids} | {*edits.redirects, *edits.redirects.values()}
    unknown = {id_ for id_ in used if not 1 <= id_ < memory.next_id}
    if unknown:
        raise ValueError(f"ids {_some(unknown)} were never given: the next new one is {memory.next_id}")
    for gone in edits.redirects:
        _check_end(gone, edits.redirects)


def _check_end(gone: int, redirects: dict[int, int]) -> None:
    passed = set()
    while gone in redirects:
        if gone in passed:
            raise ValueError(f"the ids of merged objects {_some(passed)} lead in a circle")
        passed.add(gone)
        gone = redirects[gone]


def _id(value: object) -> int:
    if type(value) is not int:  # True is an int to isinstance
        raise ValueError(f"{value!r} is not an id")
    return value


def _place(value: object, views: int) -> int:
    if type(value) is not int or not 0 <= value < views:
        raise ValueError(f"{value!r} is none of the {views} keyframes")
    return value


def _sighting(seen: object, masked: object, overlap: float) -> Sighting:
    if type(seen) is not int or type(masked) is not int or min(seen, masked) < 0 or not 0 <= overlap <= masked:
        raise ValueError(f"{seen!r} views that see, {masked!r} that masked and an overlap of {overlap!r} fit no object")
    return Sighting(seen=seen, masked=masked, overlap=float(overlap))


def _recognition(label: object, score: float, name_score: float, first_seen: float, last_seen: float) -> Recognition:
    if not (0 <= score <= 1 and 0 <= name_score <= 1 and -math.inf < first_seen <= last_seen < math.inf):
        raise ValueError(f"scores {score!r}, {name_score!r} and stamps {first_seen!r}, {last_seen!r} fit no object")
    return Recognition(
        label=None if label is None else _label(label),
        score=float(score),
        name_score=float(name_score),
        first_seen=float(first_seen),
        last_seen=float(last_seen),
    )


def _label(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise ValueError(f"{value!r} is no label of 1 to {MAX_NAME} printable characters")
    return value


def _seed(values: list[float]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    if max(abs(x), abs(y), abs(z)) > POSITION_LIMIT_M:
        raise ValueError(f"the seed ({x}, {y}, {z}) of a split is further than {POSITION_LIMIT_M:.0f} m away")
    return x, y, z


def _some(ids: set[int]) -> str:
    listed = ", ".join(map(str, sorted(ids)[:5]))
    return f"{listed} and {len(ids) - 5} more" if len(ids) > 5 else listed
