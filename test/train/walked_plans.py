"""Floor plans made by hand, for the walks."""

import numpy as np

from ovseg3r_train.homes.floor_plan import FloorPlan

CELL_M = 0.05


def two_rooms(door_m: float = 0.9) -> FloorPlan:
    """Two rooms of 4 m x 3.5 m side by side, a doorway in the wall between, a table in one and a bed in the other."""
    rows, columns = 74, 166
    free, room = np.zeros((rows, columns), dtype=bool), np.full((rows, columns), -1, dtype=np.int32)
    for number, left in enumerate((2, 84)):
        free[2:72, left : left + 80] = True
        room[2:72, left : left + 80] = number
    door = round(door_m / CELL_M)
    free[30 : 30 + door, 82:84] = True
    room[30 : 30 + door, 82:84] = 0
    free[30:44, 25:55] = False
    free[2:34, 140:164] = False
    return FloorPlan(origin_m=(-4.0, -2.0), cell_m=CELL_M, free=free, room=room, height_m=2.5)
