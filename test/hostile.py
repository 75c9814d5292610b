"""What a camera meets outside the laboratory, made of any room that can be rendered: blur, people, repeats, walls."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.geometry import back_project
from ovseg3r_core.sequences.poses import interpolate
from ovseg3r_core.types import Frame

Shoot = Callable[[Float64[ndarray, "4 4"]], Frame]
"""Renders what a camera sees from T_map_camera."""
_PERSON_M = np.array([0.25, 0.25, 0.875])  # semi-axes
_EXPOSURES = 8


def blurred(shoot: Shoot, frames: Sequence[Frame], exposure: float) -> list[Frame]:
    """The frames as of a shutter that is open for this share of the time between two of them; depth stays sharp."""
    poses = [frame.T_map_camera for frame in frames]
    blurry = []
    for frame, here, there in zip(frames, poses, [*poses[1:], poses[-1]], strict=True):
        shares = np.linspace(0, exposure, _EXPOSURES)
        seen = [shoot(interpolate(here, there, share)).color.astype(np.float32) for share in shares]
        blurry.append(replace(frame, color=np.mean(seen, axis=0).round().astype(np.uint8)))
    return blurry


def crossed_by_a_person(
    frames: Sequence[Frame], start_m: tuple[float, float], end_m: tuple[float, float]
) -> tuple[list[Frame], float]:
    """A person of 1.75 m in a patterned dress walks through the room; and the largest share of an image they take."""
    along = np.linspace(start_m, end_m, len(frames))
    crossed, shares = zip(*(_with_person(frame, at) for frame, at in zip(frames, along, strict=True)), strict=True)
    return list(crossed), max(shares)


def repeated(frames: Sequence[Frame], times: int) -> list[Frame]:
    """Each frame several times, as of a camera that is slower than its recorder."""
    return renumbered([frame for frame in frames for _ in range(times)])


def renumbered(frames: Sequence[Frame]) -> list[Frame]:
    """The frames as one recording: numbered, 30 a second."""
    return [replace(frame, index=index, stamp_s=(index + 1) / 30) for index, frame in enumerate(frames)]


def with_focal_length(frames: Sequence[Frame], times: float) -> list[Frame]:
    """The same images, with intrinsics that are wrong by this factor."""
    return [
        replace(frame, camera=replace(frame.camera, fx=times * frame.camera.fx, fy=times * frame.camera.fy))
        for frame in frames
    ]


def facing_a_wall(frame: Frame) -> Frame:
    """In place of it, a grey wall a metre away that fills the image."""
    return replace(frame, color=np.full_like(frame.color, 128), depth_m=np.ones_like(frame.depth_m))


def _with_person(frame: Frame, at_m: Float64[ndarray, "2"]) -> tuple[Frame, float]:
    """The frame with an upright ellipsoid in it, whose pattern moves with it; and the share of pixels it takes."""
    rays = back_project(np.ones_like(frame.depth_m), frame.camera).astype(np.float64)  # each reaches 1 m of depth
    centre = np.array([*at_m, _PERSON_M[2]])
    origin = (frame.T_map_camera[:3, 3] - centre) / _PERSON_M
    toward = rays @ frame.T_map_camera[:3, :3].T / _PERSON_M
    a, b, c = np.sum(toward**2, axis=-1), toward @ origin, origin @ origin - 1
    root = b**2 - a * c
    depth = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, 0)
    shows = (depth > 0.1) & ((depth < frame.depth_m) | (frame.depth_m == 0))
    cells = np.floor(8 * (origin + depth[..., None] * toward)).astype(np.int64)
    dress = 60 + (cells @ np.array([73, 37, 17]) * 29 % 160)
    color = np.where(shows[..., None], dress[..., None].astype(np.uint8), frame.color)
    depth_m = np.where(shows, depth, frame.depth_m).astype(np.float32)
    return replace(frame, color=color, depth_m=depth_m), float(np.mean(shows))
