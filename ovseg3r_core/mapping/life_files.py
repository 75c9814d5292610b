"""What a saved map says of the lives of its objects: JSON for the records, arrays for the points of their places."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from ovseg3r_core.checks import POSITION_LIMIT_M
from ovseg3r_core.mapping.life import Departure, Life, Lives, Place
from ovseg3r_core.types import ObjectRecord

_MOST_LOOKS = 10_000


def lives_json(lives: Lives, record_json: Callable[[ObjectRecord], Any]) -> dict[str, Any]:
    """The lives as JSON can hold them; the points of the places are in `place_arrays`, in the same order."""
    return {
        "doubted": [
            {"against": life.against, "missing": life.missing} | _place(life.place, record_json)
            for _, life in sorted(lives.doubted.items())
        ],
        "departures": [
            {"before_view": departure.before_view} | _place(departure.place, record_json)
            for departure in lives.departures
        ],
        "gone": sorted(lives.gone),
    }


def place_arrays(lives: Lives) -> dict[str, ndarray]:
    """The points of all places, one after the other: of what is doubted, by id and with those that are watched, and of
    what left."""
    parts = [xyz for _, life in sorted(lives.doubted.items()) for xyz in (life.place.xyz, life.samples)]
    parts += [departure.place.xyz for departure in lives.departures]
    if not parts:
        return {}
    return {"place_xyz": np.concatenate(parts), "place_size": np.array([len(xyz) for xyz in parts], np.int64)}


def lives_of(entry: dict[str, Any], arrays: dict[str, ndarray], record_of: Callable[[Any], ObjectRecord]) -> Lives:
    """The lives that `lives_json` and `place_arrays` wrote; raises ValueError, KeyError or TypeError for others."""
    parts = iter(_parts(arrays, 2 * len(entry["doubted"]) + len(entry["departures"])))
    doubted = [_life(it, next(parts), next(parts), record_of) for it in entry["doubted"]]
    departures = [
        Departure(place=_place_of(it, next(parts), record_of), before_view=_count(it["before_view"], 2**31))
        for it in entry["departures"]
    ]
    return Lives(
        doubted={life.place.record.id: life for life in doubted},
        departures=tuple(departures),
        gone=frozenset(_count(id_, 2**31) for id_ in entry["gone"]),
    )


def check_lives(lives: Lives, views: int, next_id: int) -> None:
    """Refuse lives that do not belong to a map, or contradict themselves; raises ValueError."""
    left = {departure.place.record.id for departure in lives.departures}
    if not lives.gone <= left:
        raise ValueError(f"objects {sorted(lives.gone - left)[:5]} are gone, and left no place")
    if lives.gone & lives.doubted.keys():
        raise ValueError(f"objects {sorted(lives.gone & lives.doubted.keys())[:5]} are gone, and doubted")
    unknown = {id_ for id_ in left | lives.doubted.keys() if not 1 <= id_ < next_id}
    if unknown:
        raise ValueError(f"ids {sorted(unknown)[:5]} were never given: the next new one is {next_id}")
    if any(departure.before_view > views for departure in lives.departures):
        raise ValueError(f"an object left before a view that is not there: there are {views}")


def _place(place: Place, record_json: Callable[[ObjectRecord], Any]) -> dict[str, Any]:
    return {"record": record_json(place.record), "color": [float(value) for value in place.color]}


def _life(entry: dict[str, Any], xyz: ndarray, samples: ndarray, record_of: Callable[[Any], ObjectRecord]) -> Life:
    missing, against = entry["missing"], _count(entry["against"], _MOST_LOOKS)
    if type(missing) is not bool or not against:
        raise ValueError(f"missing is {missing!r} after {against} views; it is true or false, after 1 at least")
    return Life(place=_place_of(entry, xyz, record_of), samples=samples, against=against, missing=missing)


def _place_of(entry: dict[str, Any], xyz: ndarray, record_of: Callable[[Any], ObjectRecord]) -> Place:
    color = np.array(entry["color"], np.float32)
    if color.shape != (3,) or not (color.min() >= 0 and color.max() <= 255):
        raise ValueError(f"{entry['color']!r} is no colour of three numbers from 0 to 255")
    return Place(record=record_of(entry["record"]), xyz=xyz, color=color)


def _parts(arrays: dict[str, ndarray], places: int) -> list[ndarray]:
    """The points of each place."""
    if not places:
        return []
    xyz, size = arrays["place_xyz"], arrays["place_size"]
    if xyz.dtype != np.float32 or xyz.ndim != 2 or xyz.shape[1] != 3 or size.dtype != np.int64 or size.ndim != 1:
        raise ValueError(f"places are {xyz.dtype} {xyz.shape} and {size.dtype} {size.shape}")
    if len(size) != places or size.min() < 0 or int(size.sum()) != len(xyz):
        raise ValueError(f"{places} places have {len(size)} sizes, and {len(xyz)} points")
    if not (np.abs(xyz) <= POSITION_LIMIT_M).all():  # also for NaN
        raise ValueError(f"a point of a place is further than {POSITION_LIMIT_M:.0f} m away")
    return np.split(xyz, np.cumsum(size)[:-1])


def _count(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:  # True is an int to isinstance
        raise ValueError(f"{value!r} is no count from 0 to {most}")
    return value
