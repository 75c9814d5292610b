"""A tiny home for the sensor's tests: a square room with one box in it, and a camera."""

import numpy as np

from ovseg3r_core.synthetic.mesh import Part, plain, quad
from ovseg3r_core.synthetic.room import RoomScene, TruthObject
from ovseg3r_core.synthetic.surfaces import shell
from ovseg3r_core.synthetic.trajectory import look_at
from ovseg3r_core.types import Box, Camera

CAMERA = Camera(fx=131.0, fy=131.0, cx=79.5, cy=59.5, width=160, height=120)


def poses(count: int) -> list[np.ndarray]:
    """From one side of the room to the other, looking at the box."""
    return [look_at(np.array([x, -1.5, 1.4]), np.array([0.0, 0.5, 0.4])) for x in np.linspace(-1.2, 1.2, count)]


def home(box_y: float = 0.5) -> RoomScene:
    """A room of 4 m x 4 m; the box is instance 1."""
    size_m = (4.0, 4.0, 2.5)
    parts = [(0, part) for part in shell(size_m, np.random.default_rng(0))]
    parts += [(1, side) for side in _box(np.array([0.0, box_y, 0.4]), 0.4)]
    centre = (0.0, box_y, 0.4)
    thing = TruthObject(
        id=1,
        class_name="box",
        model="made#box",
        creator="test",
        licence="none",
        box=Box(centre=centre, size=(0.8, 0.8, 0.8), yaw=0.0),
    )
    return RoomScene(name="box_room", size_m=size_m, parts=tuple(parts), objects=(thing,))


def _box(centre: np.ndarray, half: float) -> list[Part]:
    sides = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            out, a = np.eye(3)[axis] * sign, np.eye(3)[(axis + 1) % 3]
            b = np.cross(out, a)
            corners = centre + half * np.array([out - a - b, out + a - b, out + a + b, out - a + b])
            sides.append(quad(corners.astype(np.float32), plain((200, 60, 40)), 1.0))
    return sides
