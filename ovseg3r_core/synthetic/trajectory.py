"""A walk round a room on a smooth closed path."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


def look_at(eye: Float64[ndarray, "3"], target: Float64[ndarray, "3"]) -> Float64[ndarray, "4 4"]:
    """T_map_camera of a camera at `eye` that sees `target` in its middle, the horizon level."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = eye
    return T


def walk_round(size_m: tuple[float, float, float], frames: int) -> list[Float64[ndarray, "4 4"]]:
    """Camera poses of a walk twice round a room centred at the origin, z up.

    The eye goes round half-way between the middle and the walls, 1.25 to 1.6 m high. The gaze turns slowly from across
    the room, which shows large things whole, to the wall at the side, which shows small ones near, and nods a little.
    """
    half = np.array(size_m[:2]) / 2
    return [_pose(turn, half) for turn in np.arange(frames) / frames * 4 * np.pi]


def _pose(turn: float, half: Float64[ndarray, "2"]) -> Float64[ndarray, "4 4"]:
    eye = np.array([*(0.55 * half * (np.cos(turn), np.sin(turn))), 1.42 + 0.17 * np.sin(1.5 * turn)])
    heading = turn + 2.1 + 0.6 * np.cos(turn / 2)
    pitch = np.deg2rad(-17 + 8 * np.sin(2.5 * turn))
    gaze = np.array([np.cos(pitch) * np.cos(heading), np.cos(pitch) * np.sin(heading), np.sin(pitch)])
    return look_at(eye, eye + gaze)
