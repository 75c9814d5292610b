"""A picture of some homes as dolls' houses: from above at a slant, without ceilings and near walls, things named."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from numpy import ndarray
from PIL import Image

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.synthetic.mesh import Part
from ovseg3r_core.synthetic.render import Renderer
from ovseg3r_core.synthetic.trajectory import look_at
from ovseg3r_core.types import Camera
from ovseg3r_train.homes.home import Home

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MIN_PIXELS = 25  # smaller things get no label


def contact_sheet(homes: Sequence[Home], path: Path, columns: int = 4, width_px: int = 1000) -> None:
    """Write a PNG with one picture a home."""
    pictures = [picture_of(home, width_px) for home in homes]
    blank = np.full_like(pictures[0], 255)
    pictures += [blank] * (-len(pictures) % columns)
    rows = [np.concatenate(pictures[first : first + columns], axis=1) for first in range(0, len(pictures), columns)]
    with atomic_write(path) as temporary:
        Image.fromarray(np.concatenate(rows)).save(temporary, format="PNG")


def picture_of(home: Home, width_px: int = 1000, heading_deg: float = 60.0) -> UInt8[ndarray, "height width 3"]:
    """One home as a dolls' house.

    Args:
        heading_deg: where the camera looks, seen from above, from +x towards +y.
    """
    height_px = width_px * 3 // 4
    T_map_camera, focal_px = _view(home, width_px, height_px, heading_deg)
    camera = Camera(
        fx=focal_px, fy=focal_px, cx=(width_px - 1) / 2, cy=(height_px - 1) / 2, width=width_px, height=height_px
    )
    hidden = _on_near_walls(home, T_map_camera)
    parts = [(id, part if id else _open(part, T_map_camera)) for id, part in home.parts if id not in hidden]
    view = Renderer([(id, part) for id, part in parts if len(part.triangles)]).render(camera, T_map_camera)
    picture = np.ascontiguousarray(view.color)
    _write_names(picture, view.instance, home.names)
    title = (
        f"{home.name}  {' + '.join(home.rooms)}  {home.size_m[0] * home.size_m[1]:.0f} m2  {len(home.objects)} things"
    )
    cv2.putText(picture, title, (10, 24), _FONT, 0.62, (20, 20, 20), 2, cv2.LINE_AA)
    return picture


def _view(home: Home, width_px: int, height_px: int, heading_deg: float) -> tuple[Float64[ndarray, "4 4"], float]:
    """A far camera with a long lens, so that walls lean little."""
    heading, slant = np.deg2rad(heading_deg), np.deg2rad(52)
    gaze = np.array([np.cos(heading) * np.cos(slant), np.sin(heading) * np.cos(slant), -np.sin(slant)])
    target = np.array([0.0, 0.0, 0.7])
    T_map_camera = look_at(target - 30 * gaze, target)
    x, y = home.size_m[0] / 2, home.size_m[1] / 2
    corners = np.array([(a, b, c) for a in (-x, x) for b in (-y, y) for c in (0.0, home.size_m[2])])
    seen = (corners - T_map_camera[:3, 3]) @ T_map_camera[:3, :3]
    spread = np.abs(seen[:, :2] / seen[:, 2:]).max(axis=0)
    return T_map_camera, float(min(0.48 * width_px / spread[0], 0.46 * height_px / spread[1]))


def _open(part: Part, T_map_camera: Float64[ndarray, "4 4"]) -> Part:
    """Of a shell, what faces the camera: ceilings and near walls turn their backs to it."""
    corners = part.vertices[part.triangles]
    towards = T_map_camera[:3, 3] - corners.mean(axis=1)
    facing = np.einsum("ij,ij->i", part.normals[part.triangles[:, 0]], towards) > 0
    return Part(
        vertices=part.vertices,
        normals=part.normals,
        uv=part.uv,
        triangles=part.triangles[facing],
        texture=part.texture,
    )


def _on_near_walls(home: Home, T_map_camera: Float64[ndarray, "4 4"]) -> set[int]:
    """What hangs on walls that are left out, and would seem to float."""
    plan, towards = home.floor_plan, -T_map_camera[:2, 2] / np.linalg.norm(T_map_camera[:2, 2])

    def room_at(xy: Float64[ndarray, "2"]) -> int:
        column, row = np.round((xy - plan.origin_m) / plan.cell_m).astype(int)
        inside = 0 <= row < plan.room.shape[0] and 0 <= column < plan.room.shape[1]
        return int(plan.room[row, column]) if inside else -1

    hidden = set()
    for thing in home.objects:
        centre, size = np.array(thing.box.centre), thing.box.size
        hangs = centre[2] - size[2] / 2 > 0.15 and size[1] < 0.35
        across = np.array([-np.sin(thing.box.yaw), np.cos(thing.box.yaw)])  # a box is long along its own x
        across *= np.sign(across @ towards)
        if hangs and room_at(centre[:2] + (size[1] / 2 + 0.1) * across) < 0:
            hidden.add(thing.id)
    return hidden


def _write_names(picture: UInt8[ndarray, "height width 3"], instance: ndarray, names: dict[int, str]) -> None:
    """Names at the middle of what is seen of each thing, moved down where another name is."""
    taken: list[tuple[int, int, int, int]] = []
    ids, counts = np.unique(instance, return_counts=True)
    for id in ids[(ids > 0) & (counts >= _MIN_PIXELS)]:
        rows, columns = np.nonzero(instance == id)
        (width, height), _ = cv2.getTextSize(names[int(id)], _FONT, 0.36, 1)
        u = int(np.clip(np.median(columns) - width / 2, 2, picture.shape[1] - width - 2))
        v = _free_row(int(np.median(rows)), u, width, height, taken)
        taken.append((u, v - height, u + width, v))
        cv2.putText(picture, names[int(id)], (u, v), _FONT, 0.36, (255, 255, 255), 3, cv2.LINE_AA)
        cv2.putText(picture, names[int(id)], (u, v), _FONT, 0.36, (150, 0, 60), 1, cv2.LINE_AA)


def _free_row(v: int, u: int, width: int, height: int, taken: list[tuple[int, int, int, int]]) -> int:
    for step in (0, 1, -1, 2, -2, 3, -3):
        row = v + step * (height + 3)
        if not any(u < b and a < u + width and row - height < d and c < row for a, c, b, d in taken):
            return row
    return v
