"""Walks of a camera through all rooms of a home: as a person carries it, or a robot."""

import logging
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.synthetic.trajectory import look_at
from ovseg3r_train.homes.floor_plan import FloorPlan
from ovseg3r_train.sensor.paths import WalkableFloor
from ovseg3r_train.sensor.stops import Look, choose_looks

_log = logging.getLogger(__name__)

_EYE_M = {"human": (1.35, 1.7), "robot": (0.4, 1.1)}
_UNDER_CEILING_M = 0.3
_TURN_STEP_RAD = 0.05
_TOO_NEAR_M, _HASTE = 0.8, 2.5
_SWAY_HZ = (0.21, 0.47, 0.83)


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """How a camera goes through a home."""

    style: Literal["human", "robot"] = "human"
    """A person looks round and nods while walking; a robot looks where it drives, level, and turns in place."""
    frames: Annotated[int, Within(2, 100_000)] = 100
    """Poses of the walk, shared by all rooms."""
    radius_m: Annotated[float, Within(0.05, 1.0)] = 0.25
    """Distance that the camera keeps from walls and furniture; less only where a room could not be entered else."""
    frames_a_look: Annotated[float, Within(1.0, 1000.0)] = 8.0
    """One pose in so many is chosen for what it shows, of a robot half as many; the others lie on the way."""
    field_of_view_rad: Annotated[float, Within(0.3, 3.0)] = 1.09
    """Of the camera, from left to right; that of a Kinect is 1.09 (62.5 degrees)."""
    speed_m_s: Annotated[float, Within(0.01, 10.0)] = 0.7
    """Speed of walking."""
    turn_rad_s: Annotated[float, Within(0.01, 10.0)] = 0.9
    """Speed of turning."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True, kw_only=True)
class _Track:
    """A walk in small steps."""

    xy: Float64[ndarray, "steps 2"]
    heading_rad: Float64[ndarray, " steps"]
    """Unwrapped."""


def walk(plan: FloorPlan, config: WalkConfig, seed: int) -> list[Float64[ndarray, "4 4"]]:
    """Camera poses T_map_camera (optical frame) of a walk through every room that can be entered.

    In each room the places and directions are chosen so that together they show most of it (`stops.py`).

    Raises:
        ValueError: nowhere is the floor free enough.
    """
    rng = np.random.default_rng([seed, 0x3A1C])
    floor = WalkableFloor(plan, config.radius_m)
    closed = set(np.unique(plan.room[plan.free & (plan.room >= 0)]).tolist()) - floor.rooms
    if closed:
        _log.warning("no way into room %s: the walk leaves it out", ", ".join(map(str, sorted(closed))))
    wanted = config.frames / config.frames_a_look / (2 if config.style == "robot" else 1)  # it turns twice for each
    looks = choose_looks(floor, round(wanted), config.field_of_view_rad, rng)
    track = _track(floor, _from_a_random_room(looks, rng), config)
    low_m, high_m = _EYE_M[config.style]
    eye_m = min(float(rng.uniform(low_m, high_m)), plan.height_m - _UNDER_CEILING_M)
    time_s, xy, heading_rad = _at_even_times(track, _haste(floor, track, config), config)
    if config.style == "robot":
        pitch_rad = float(np.deg2rad(rng.uniform(-12.0, -2.0)))
        return [_pose(np.array([*p, eye_m]), h, pitch_rad, 0.0) for p, h in zip(xy, heading_rad, strict=True)]
    return _handheld(floor, time_s, xy, heading_rad, eye_m, rng)


def _from_a_random_room(looks: dict[int, list[Look]], rng: np.random.Generator) -> list[Look]:
    first = list(looks)[rng.integers(len(looks))]
    return looks[first] + [look for room, others in looks.items() if room != first for look in others]


def _track(floor: WalkableFloor, looks: list[Look], config: WalkConfig) -> _Track:
    order, ways = floor.tour(np.array([look.cell for look in looks]))
    headings = [looks[index].heading_rad for index in order]
    leg = _driven if config.style == "robot" else _strolled
    xy, heading = [ways[0][:1] if ways else floor.xy(np.array([looks[0].cell]))], [np.array(headings[:1])]
    for way, after in zip(ways, headings[1:], strict=True):
        leg_xy, leg_heading = leg(way, float(heading[-1][-1]), after)
        xy.append(leg_xy)
        heading.append(leg_heading)
    if len(looks) == 1:  # nothing else to do than to turn round once
        heading.append(headings[0] + np.arange(0, 2 * np.pi, _TURN_STEP_RAD))
        xy.append(np.repeat(xy[0], len(heading[-1]), axis=0))
    return _Track(xy=np.concatenate(xy), heading_rad=np.concatenate(heading))


def _strolled(way: Float64[ndarray, "_ 2"], before: float, after: float) -> tuple[ndarray, ndarray]:
    """Walking and turning at once; on a long way a glance ahead in the middle."""
    steps = max(len(way), int(abs(_turn(before, after)) / _TURN_STEP_RAD), 2)
    done = np.linspace(0, 1, steps)
    xy = np.stack([np.interp(done, np.linspace(0, 1, len(way)), way[:, axis]) for axis in (0, 1)], axis=1)
    length_m = np.linalg.norm(np.diff(way, axis=0), axis=1).sum()
    if length_m < 2:
        return xy, before + _turn(before, after) * _eased(done)
    ahead = _bearing(way[len(way) // 2 :])
    first = before + _turn(before, ahead) * _eased(2 * done)
    return xy, first + _turn(ahead, after) * _eased(2 * done - 1)


def _driven(way: Float64[ndarray, "_ 2"], before: float, after: float) -> tuple[ndarray, ndarray]:
    """Turning to the way, driving along it, turning to what is to be looked at."""
    if len(way) < 3:
        turn = _turned(before, after)
        return np.repeat(way[-1:], len(turn), axis=0), turn
    ahead = np.gradient(way, axis=0)
    along = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
    start = _turned(before, float(along[0]))
    along = along + start[-1] - along[0]
    end = _turned(float(along[-1]), after)
    xy = [np.repeat(way[:1], len(start), axis=0), way, np.repeat(way[-1:], len(end), axis=0)]
    return np.concatenate(xy), np.concatenate([start, along, end])


def _haste(floor: WalkableFloor, track: _Track, config: WalkConfig) -> Float64[ndarray, " steps"]:
    """How much faster it turns where there is nothing to see but what stands right before the camera.

    For a robot that may be furniture; a person looks over it, and only walls count.
    """
    ahead = np.stack([np.cos(track.heading_rad), np.sin(track.heading_rad)], axis=1)
    before_it = track.xy + _TOO_NEAR_M * ahead
    near = floor.is_wall(before_it) if config.style == "human" else floor.clearance_m(before_it) <= 0
    return np.where(near, _HASTE, 1.0)


def _at_even_times(
    track: _Track, haste: Float64[ndarray, " steps"], config: WalkConfig
) -> tuple[ndarray, ndarray, ndarray]:
    """Times, places and headings of the frames."""
    metres = np.linalg.norm(np.diff(track.xy, axis=0), axis=1)
    turns = np.abs(np.diff(track.heading_rad))
    seconds = np.maximum(metres / config.speed_m_s, turns / (config.turn_rad_s * np.minimum(haste[1:], haste[:-1])))
    times = np.concatenate([[0], np.cumsum(seconds)])
    at = np.linspace(0, times[-1], config.frames)
    xy = np.stack([np.interp(at, times, track.xy[:, axis]) for axis in (0, 1)], axis=1)
    return at, xy, np.interp(at, times, track.heading_rad)


def _handheld(
    floor: WalkableFloor, time_s: ndarray, xy: ndarray, heading_rad: ndarray, eye_m: float, rng: np.random.Generator
) -> list[Float64[ndarray, "4 4"]]:
    """A person's sway, glances and nods on top of a way."""
    swayed = xy + np.stack([_sway(time_s, 0.03, rng) for _ in range(2)], axis=1)
    xy = np.where((floor.clearance_m(swayed) >= floor.radius_m)[:, None], swayed, xy)
    z = np.minimum(eye_m + _sway(time_s, 0.05, rng), floor.plan.height_m - _UNDER_CEILING_M)
    heading = heading_rad + _sway(time_s, np.deg2rad(8), rng)
    pitch = np.deg2rad(-16) + _sway(time_s, np.deg2rad(13), rng)
    roll = _sway(time_s, np.deg2rad(2.5), rng)
    return [
        _pose(np.array([*xy[i], z[i]]), float(heading[i]), float(pitch[i]), float(roll[i])) for i in range(len(time_s))
    ]


def _sway(time_s: Float64[ndarray, " frames"], most: float, rng: np.random.Generator) -> Float64[ndarray, " frames"]:
    """A smooth coming and going within +-`most`."""
    waves = [np.sin(2 * np.pi * (rate * time_s + rng.random())) for rate in _SWAY_HZ]
    return most * np.average(waves, axis=0, weights=[3, 2, 1])


def _pose(eye: Float64[ndarray, "3"], heading: float, pitch: float, roll: float) -> Float64[ndarray, "4 4"]:
    gaze = np.array([np.cos(pitch) * np.cos(heading), np.cos(pitch) * np.sin(heading), np.sin(pitch)])
    T_map_camera = look_at(eye, eye + gaze)
    cos, sin = np.cos(roll), np.sin(roll)
    T_map_camera[:3, :3] = T_map_camera[:3, :3] @ [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]
    return T_map_camera


def _turn(before: float, after: float) -> float:
    """The shorter way round, radians."""
    return float((after - before + np.pi) % (2 * np.pi) - np.pi)


def _turned(before: float, after: float) -> Float64[ndarray, " steps"]:
    turn = _turn(before, after)
    return before + np.linspace(0, turn, int(abs(turn) / _TURN_STEP_RAD) + 2)


def _bearing(way: Float64[ndarray, "_ 2"]) -> float:
    dx, dy = way[-1] - way[0]
    return float(np.arctan2(dy, dx))


def _eased(done: Float64[ndarray, " steps"]) -> Float64[ndarray, " steps"]:
    """From 0 to 1, slow at both ends."""
    done = np.clip(done, 0, 1)
    return done * done * (3 - 2 * done)
