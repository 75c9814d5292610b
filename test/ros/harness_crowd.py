"""A saved map of a thousand objects, mapped from a wall of tiles: what large maps are measured with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int32
from numpy import ndarray
from scenes import Plane, camera, look_at, render

from ovseg3r_core.language.coco import same_name
from ovseg3r_core.language.vocabulary import scannet200
from ovseg3r_core.mapping.storage import save_map
from ovseg3r_core.perception import Perception
from ovseg3r_core.perception_config import config_of
from ovseg3r_core.types import Frame, Mask

_COLUMNS, _ROWS = 40, 27
_TILE_M, _JOINT = 0.15, 0.25  # of a tile's side
_LOW_Z_M = 0.2
_WALL_Y_M = 14.013  # far from the room in which the camera maps meanwhile; on no plane of the voxel grid


class Tiles:
    """A `MaskProposer` that names the tiles of the wall in turn."""

    def propose(self, frame: Frame, explained: Bool[ndarray, "height width"]) -> list[Mask]:
        tiles, names = tile_of_pixels(frame), scannet200().names
        shown = np.unique(tiles[tiles >= 0]).tolist()
        return [Mask(pixels=tiles == tile, score=0.9, label=names[tile % len(names)]) for tile in shown]


def tile_of_pixels(frame: Frame) -> Int32[ndarray, "height width"]:
    """The tile that each pixel shows, by where it lies on the wall; -1 for joints and what is beside."""
    v, u = np.mgrid[: frame.camera.height, : frame.camera.width]
    cam = frame.camera
    rays = np.stack([(u - cam.cx) / cam.fx, (v - cam.cy) / cam.fy, np.ones(u.shape)], axis=-1)
    xyz_map = rays * frame.depth_m[..., None] @ frame.T_map_camera[:3, :3].T + frame.T_map_camera[:3, 3]
    column, row = xyz_map[..., 0] / _TILE_M + _COLUMNS / 2, (xyz_map[..., 2] - _LOW_Z_M) / _TILE_M
    inside = (
        (column % 1 > _JOINT) & (row % 1 > _JOINT) & (column >= 0) & (column < _COLUMNS) & (row >= 0) & (row < _ROWS)
    )
    return np.where(inside, np.floor(row) * _COLUMNS + np.floor(column), -1).astype(np.int32)


def painted(frame: Frame) -> Frame:
    """Each tile in a colour that the wall does not have: what looks like the wall is taken for a piece of it."""
    tiles, palette = tile_of_pixels(frame), np.random.default_rng(0).integers(0, 120, (_ROWS * _COLUMNS, 3), np.uint8)
    return replace(frame, color=np.where((tiles >= 0)[..., None], palette[tiles], frame.color))


def save_crowd(folder: Path) -> int:
    """Map the wall, save the map, and say how many objects it holds."""
    wall = Plane(name="wall", color=(200, 190, 180), normal=(0, -1, 0), offset=-_WALL_Y_M)
    perception = Perception(Tiles(), same_name, config_of(online=True))
    for index, x in enumerate(np.linspace(-0.3, 0.3, 5)):
        pose = look_at((x, _WALL_Y_M - 4.5, 2.2), (x, _WALL_Y_M, 2.2))
        perception.integrate(painted(render([wall], camera(640, 480), pose, index)[0]))
    perception.refine()
    snapshot, memory = perception.state()
    save_map(snapshot, folder, memory)
    return len(snapshot.objects)
