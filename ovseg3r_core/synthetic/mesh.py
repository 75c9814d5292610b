"""Textured triangles, z up, metres: the one geometry type of the synthetic rooms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from numpy import ndarray

from ovseg3r_core.geometry import transform


@dataclass(frozen=True, kw_only=True)
class Part:
    """Triangles that share one texture; the texture repeats outside uv 0..1, and v = 0 is its lowest row."""

    vertices: Float32[ndarray, "vertices 3"]
    normals: Float32[ndarray, "vertices 3"]
    uv: Float32[ndarray, "vertices 2"]
    triangles: Int32[ndarray, "triangles 3"]
    texture: UInt8[ndarray, "rows columns 4"]
    """RGBA; a plain colour is an image of one pixel."""

    def moved(self, T_map_model: Float64[ndarray, "4 4"]) -> "Part":
        """The same part after a rigid transform."""
        turned = self.normals @ T_map_model[:3, :3].T.astype(np.float32)
        return replace(self, vertices=transform(T_map_model, self.vertices), normals=turned)


def plain(color: tuple[int, int, int]) -> UInt8[ndarray, "1 1 4"]:
    """The texture of a plain RGB colour."""
    return np.array([[(*color, 255)]], dtype=np.uint8)


def quad(
    corners: Float32[ndarray, "4 3"], texture: UInt8[ndarray, "rows columns 4"], texture_m: float, cell_m: float = 0.5
) -> Part:
    """A flat rectangle, cut into cells, its texture repeating every `texture_m` metres.

    Args:
        corners: in turn round the rectangle, counter-clockwise as seen from the side the normal points to.
    """
    origin, along, up = corners[0], corners[1] - corners[0], corners[3] - corners[0]
    lengths = np.array([np.linalg.norm(along), np.linalg.norm(up)], dtype=np.float32)
    columns, rows = np.maximum(np.ceil(lengths / cell_m).astype(int), 1) + 1
    grid = np.stack(np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows)), axis=-1)
    grid = grid.reshape(-1, 2).astype(np.float32)
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([first, first + 1, first + columns + 1], axis=-1)
    upper = np.stack([first, first + columns + 1, first + columns], axis=-1)
    normal = np.cross(along, up) / np.prod(lengths)
    return Part(
        vertices=origin + grid[:, :1] * along + grid[:, 1:] * up,
        normals=np.repeat(normal[None].astype(np.float32), len(grid), axis=0),
        uv=grid * lengths / np.float32(texture_m),
        triangles=np.concatenate([lower, upper]).astype(np.int32),
        texture=texture,
    )


def bounds(parts: Sequence[Part]) -> Float32[ndarray, "2 3"]:
    """Lowest and highest corner of some parts."""
    return np.stack(
        [
            np.min([p.vertices.min(axis=0) for p in parts], axis=0),
            np.max([p.vertices.max(axis=0) for p in parts], axis=0),
        ]
    )
