"""Simple bodies made by code: blocks, turned bodies, cushions and hanging cloth, with textures on them.

All stand on z = 0 with their centre at x = y = 0 and their front towards -y, as the furniture models do.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from ovseg3r_core.synthetic.mesh import Part, plain

Size = tuple[float, float, float]
Texture = UInt8[ndarray, "_ _ 4"]

_FACES = {  # corners of each face, counter-clockwise from its lower left as seen from outside; sizes of a unit block
    "front": ((-1, -1, 0), (1, -1, 0), (1, -1, 1), (-1, -1, 1)),
    "right": ((1, -1, 0), (1, 1, 0), (1, 1, 1), (1, -1, 1)),
    "back": ((1, 1, 0), (-1, 1, 0), (-1, 1, 1), (1, 1, 1)),
    "left": ((-1, 1, 0), (-1, -1, 0), (-1, -1, 1), (-1, 1, 1)),
    "top": ((-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)),
    "bottom": ((-1, 1, 0), (1, 1, 0), (1, -1, 0), (-1, -1, 0)),
}


def block(
    size_m: Size, texture: Texture, at: Size = (0.0, 0.0, 0.0), only: Sequence[str] = tuple(_FACES), **faces: Texture
) -> list[Part]:
    """A box whose faces each show the whole of their texture.

    Args:
        at: centre of its foot.
        only: the faces that it has.
        faces: textures of single faces by name, such as `front=`.
    """
    return [
        _face(np.array(_FACES[name]) * (size_m[0] / 2, size_m[1] / 2, size_m[2]) + at, faces.get(name, texture))
        for name in only
    ]


def bin_body(size_m: Size, texture: Texture, wall_m: float = 0.008) -> list[Part]:
    """A box that is open at the top, its walls of some thickness."""
    width, depth, height = size_m
    parts = block((width, depth, wall_m), texture)
    for x in (-1, 1):
        parts += block((wall_m, depth, height), texture, at=(x * (width - wall_m) / 2, 0.0, 0.0))
        parts += block((width, wall_m, height), texture, at=(0.0, x * (depth - wall_m) / 2, 0.0))
    return parts


def turned(profile: Sequence[tuple[float, float]], texture: Texture, sides: int = 20) -> list[Part]:
    """A body of revolution about z.

    Args:
        profile: (radius, height) along its outline, metres.
    """
    rings = np.array(profile, dtype=np.float64)
    angles = np.linspace(0, 2 * np.pi, sides + 1)
    grid = np.empty((len(rings), sides + 1, 3))
    grid[:, :, 0] = rings[:, :1] * np.cos(angles)
    grid[:, :, 1] = rings[:, :1] * np.sin(angles)
    grid[:, :, 2] = rings[:, 1:]
    return [_grid_part(grid, texture)]


def lying(parts: list[Part]) -> list[Part]:
    """The same body on its side: its top towards -y."""
    T = np.eye(4)
    T[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    return grounded([part.moved(T) for part in parts])


def grounded(parts: list[Part]) -> list[Part]:
    """The same body with its foot at z = 0 and its middle at x = y = 0."""
    vertices = np.concatenate([part.vertices for part in parts])
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    T = np.eye(4)
    T[:3, 3] = -np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return [part.moved(T) for part in parts]


def cushion(size_m: Size, texture: Texture, squareness: float = 0.35) -> list[Part]:
    """A stuffed rectangle: thick in the middle, thin at the seams."""
    a, b = np.meshgrid(np.linspace(-1, 1, 17), np.linspace(-1, 1, 17))
    bulge = np.clip((1 - a**4) * (1 - b**4), 0, 1) ** squareness
    top = np.stack([a * size_m[0] / 2, b * size_m[1] / 2, size_m[2] / 2 * (1 + bulge)], axis=-1)
    bottom = top * (1, 1, -1) + (0, 0, size_m[2])
    return [_grid_part(top, texture), _grid_part(bottom[:, ::-1], texture)]


def draped(size_m: Size, texture: Texture, rng: np.random.Generator, wrinkle_m: float = 0.012) -> list[Part]:
    """A thick cloth that lies flat, its top uneven."""
    width, depth, height = size_m
    a, b = np.meshgrid(np.linspace(-1, 1, 25), np.linspace(-1, 1, 25))
    waves = sum(
        np.sin(a * rng.uniform(2, 7) + b * rng.uniform(2, 7) + rng.uniform(0, 6)) for _ in range(3)
    ) * np.float64(wrinkle_m / 3)
    edge = np.clip(8 * (1 - np.maximum(np.abs(a), np.abs(b))), 0, 1)
    top = np.stack([a * width / 2, b * depth / 2, np.clip(edge * (height - wrinkle_m + waves), 0, height)], axis=-1)
    return [_grid_part(top, texture)]


def hanging_cloth(size_m: Size, texture: Texture, folds: float) -> list[Part]:
    """A curtain: upright, in waves across its width."""
    width, depth, height = size_m
    a, b = np.meshgrid(np.linspace(0, 1, 41), np.linspace(0, 1, 5))
    y = np.sin(a * folds * 2 * np.pi) * (depth / 2 - 0.004)
    sheet = np.stack([(a - 0.5) * width, y, b * height], axis=-1)
    return [_grid_part(sheet, texture), _grid_part((sheet + np.array([0, 0.008, 0]))[:, ::-1], texture)]


def legs(size_m: Size, texture: Texture, thick_m: float = 0.04) -> list[Part]:
    """Four legs under the corners of a rectangle."""
    x, y = (size_m[0] - thick_m) / 2, (size_m[1] - thick_m) / 2
    return [
        part
        for sx in (-1, 1)
        for sy in (-1, 1)
        for part in block((thick_m, thick_m, size_m[2]), texture, at=(sx * x, sy * y, 0.0))
    ]


def color_of(rng: np.random.Generator, saturation: float = 0.6, low: int = 40, high: int = 235) -> Texture:
    """A plain colour, drawn."""
    return plain(drawn_color(rng, saturation, low, high))


def drawn_color(
    rng: np.random.Generator, saturation: float = 0.6, low: int = 40, high: int = 235
) -> tuple[int, int, int]:
    """An RGB colour; `saturation` is how far it may be from grey."""
    value, hue = rng.uniform(low, high), rng.uniform(0, 1, 3)
    rgb = value * (1 - saturation * rng.uniform(0.3, 1) * (1 - hue / hue.max()))
    return int(rgb[0]), int(rgb[1]), int(rgb[2])


def _face(corners: Float64[ndarray, "4 3"], texture: Texture) -> Part:
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    return Part(
        vertices=corners.astype(np.float32),
        normals=np.repeat(_unit(normal)[None], 4, axis=0),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32) * np.float32(0.998) + np.float32(0.001),
        triangles=np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32),
        texture=texture,
    )


def _grid_part(grid: Float64[ndarray, "rows columns 3"], texture: Texture) -> Part:
    """A sheet over a grid of points, its texture stretched over it."""
    rows, columns = grid.shape[:2]
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    lower = np.stack([first, first + 1, first + columns + 1], axis=-1)
    upper = np.stack([first, first + columns + 1, first + columns], axis=-1)
    along, across = np.gradient(grid, axis=1), np.gradient(grid, axis=0)
    normals = np.cross(along, across).reshape(-1, 3)
    u, v = np.meshgrid(np.linspace(0.001, 0.999, columns), np.linspace(0.001, 0.999, rows))
    return Part(
        vertices=grid.reshape(-1, 3).astype(np.float32),
        normals=_unit(normals),
        uv=np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32),
        triangles=np.concatenate([lower, upper]).astype(np.int32),
        texture=texture,
    )


def _unit(vectors: ndarray) -> Float32[ndarray, "*vectors 3"]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)


def smooth_profile(*points: tuple[float, float], steps: int = 4) -> list[tuple[float, float]]:
    """A finer outline through some (radius, height) points."""
    fine = [points[0]]
    for a, b in pairwise(points):
        fine += [(a[0] + (b[0] - a[0]) * t / steps, a[1] + (b[1] - a[1]) * t / steps) for t in range(1, steps + 1)]
    return fine
