"""Points spread evenly over textured triangles: what the fast path knows of a scene instead of its meshes.

Systematic sampling: along the running sum of the areas every `spacing_m` squared gives one sample. The samples of one
large triangle follow a low-discrepancy sequence; small triangles are gone through along a space-filling curve. Random
points would bunch and leave holes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64, UInt8
from numpy import ndarray

from ovseg3r_core.geometry import transform
from ovseg3r_core.synthetic.mesh import Part
from ovseg3r_core.synthetic.textures import build_bank

_OPAQUE = 128  # alpha from which a texel is paint, as the renderer has it
_PLASTIC = 1.32471795724474602596  # its powers give the evenest two-dimensional Kronecker sequence (R2, Roberts 2018)

_MANY = 8


@dataclass(frozen=True, kw_only=True)
class SurfaceSamples:
    """Points on the surfaces of a scene, map frame."""

    xyz: Float32[ndarray, "samples 3"]
    normal: Float32[ndarray, "samples 3"]
    """Unit normal of the triangle; which of its two sides it points to is not said."""
    color: UInt8[ndarray, "samples 3"]
    """Without light and shadow."""
    instance: Int32[ndarray, " samples"]
    """Instance id; 0 for floor, walls and ceiling."""
    spacing_m: Float32[ndarray, " samples"]
    """Distance to the neighbours: how large a splat must be to leave no hole."""

    def __len__(self) -> int:
        return len(self.xyz)

    def at(self, chosen: Int64[ndarray, " chosen"] | Bool[ndarray, " samples"]) -> "SurfaceSamples":
        """Some of the samples, by index or by a flag each."""
        return SurfaceSamples(
            xyz=self.xyz[chosen],
            normal=self.normal[chosen],
            color=self.color[chosen],
            instance=self.instance[chosen],
            spacing_m=self.spacing_m[chosen],
        )

    def moved(self, T_map_model: Float64[ndarray, "4 4"], instance: int) -> "SurfaceSamples":
        """The same surface after a rigid transform, as another instance."""
        return SurfaceSamples(
            xyz=transform(T_map_model, self.xyz),
            normal=self.normal @ T_map_model[:3, :3].T.astype(np.float32),
            color=self.color,
            instance=np.full(len(self), instance, dtype=np.int32),
            spacing_m=self.spacing_m,
        )


def joined(pieces: Sequence[SurfaceSamples]) -> SurfaceSamples:
    """All the samples of some pieces, in their order.

    Raises:
        ValueError: there is no piece.
    """
    if not pieces:
        raise ValueError("no samples to join: a scene has at least its shell or one thing")
    return SurfaceSamples(
        xyz=np.concatenate([piece.xyz for piece in pieces]),
        normal=np.concatenate([piece.normal for piece in pieces]),
        color=np.concatenate([piece.color for piece in pieces]),
        instance=np.concatenate([piece.instance for piece in pieces]),
        spacing_m=np.concatenate([piece.spacing_m for piece in pieces]),
    )


def sample_parts(parts: Sequence[tuple[int, Part]], spacing_m: float = 0.01, seed: int = 0) -> SurfaceSamples:
    """Samples of all triangles, one on every `spacing_m` squared; where the texture is transparent there are none.

    Args:
        parts: (instance id, triangles), such as the `parts` of a room or a home.

    Raises:
        ValueError: no part has a triangle of any area, or `spacing_m` is not positive.
    """
    if not spacing_m > 0:
        raise ValueError(f"spacing_m is {spacing_m}; it must be positive")
    rng = np.random.default_rng([seed, 0x5A])
    corners = np.concatenate([part.vertices[part.triangles] for _, part in parts])
    uv = np.concatenate([part.uv[part.triangles] for _, part in parts])
    sizes = [len(part.triangles) for _, part in parts]
    part_of_triangle = np.repeat(np.arange(len(parts)), sizes)
    order = np.lexsort((_place_on_curve(corners.mean(axis=1), spacing_m), part_of_triangle))
    corners, uv = corners[order], uv[order]  # the parts stay in their order
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).astype(np.float64)
    length = np.linalg.norm(cross, axis=1)
    triangle, weights = _places(_counts(length / 2, spacing_m, rng), rng)
    part = part_of_triangle[triangle]
    rgba = _colors(parts, part, np.einsum("nij,ni->jn", uv[triangle], weights), spacing_m, _texels(uv, length, parts))
    samples = SurfaceSamples(
        xyz=np.einsum("nij,ni->nj", corners[triangle], weights),
        normal=(cross[triangle] / length[triangle, None]).astype(np.float32),
        color=np.ascontiguousarray(rgba[:, :3]),
        instance=np.array([id for id, _ in parts], dtype=np.int32)[part],
        spacing_m=np.full(len(triangle), spacing_m, dtype=np.float32),
    )
    return samples.at(rgba[:, 3] >= _OPAQUE)


def _place_on_curve(xyz: Float32[ndarray, "triangles 3"], cell_m: float) -> Int64[ndarray, " triangles"]:
    """Morton numbers: near ones lie near each other."""
    cell = np.minimum((xyz - xyz.min(axis=0)) / cell_m, 2**20 - 1).astype(np.int64)
    for shift, mask in _SPREAD:
        cell = (cell | cell << shift) & mask
    return cell[:, 0] | cell[:, 1] << 1 | cell[:, 2] << 2


_SPREAD = (
    (32, 0x1F00000000FFFF),
    (16, 0x1F0000FF0000FF),
    (8, 0x100F00F00F00F00F),
    (4, 0x10C30C30C30C30C3),
    (2, 0x1249249249249249),
)
"""Shifts and masks that put two zero bits after each of 21 bits."""


def _counts(area_m2: Float64[ndarray, " triangles"], spacing_m: float, rng: np.random.Generator) -> ndarray:
    """How many samples each triangle gets: systematically along the running sum of the areas."""
    reach = np.cumsum(area_m2)
    if not reach[-1] > 0:
        raise ValueError("the triangles have no area: there is nothing to sample")
    count = max(int(np.ceil(reach[-1] / spacing_m**2)), 1)
    at = (np.arange(count) + rng.random()) * (reach[-1] / count)
    triangle = np.minimum(np.searchsorted(reach, at, side="right"), int(np.flatnonzero(area_m2)[-1]))
    return np.bincount(triangle, minlength=len(area_m2))


def _places(
    counts: Int64[ndarray, " triangles"], rng: np.random.Generator
) -> tuple[Int64[ndarray, " samples"], Float32[ndarray, "samples 3"]]:
    """Triangle and barycentric weights of even places, about as many in each triangle as are wanted.

    The R2 sequence is even in a square. Where a triangle holds many samples, those of the square that fall into it are
    taken; where it holds few, the other half is folded over, so that their number is right.
    """
    many = counts >= _MANY
    tries = np.where(many, 2 * counts, counts)
    triangle = np.repeat(np.arange(len(counts)), tries)
    rank = np.arange(len(triangle)) - np.repeat(np.cumsum(tries) - tries, tries)
    start = rng.random((len(counts), 2))
    b, c = np.mod(start[triangle] + (rank[:, None] + 1) * np.array([1 / _PLASTIC, 1 / _PLASTIC**2]), 1).T
    outside = b + c > 1
    taken = ~(outside & many[triangle])
    b, c = np.where(outside, 1 - b, b)[taken], np.where(outside, 1 - c, c)[taken]
    return triangle[taken], np.stack([1 - b - c, b, c], axis=-1).astype(np.float32)


def _texels(
    uv: Float32[ndarray, "triangles 3 2"], length: Float64[ndarray, " triangles"], parts: Sequence[tuple[int, Part]]
) -> Float32[ndarray, " parts"]:
    """Texels a metre along one axis, the mean over each part."""
    one, two = (uv[:, 1] - uv[:, 0]).astype(np.float64), (uv[:, 2] - uv[:, 0]).astype(np.float64)
    area_uv = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
    starts = np.cumsum([0, *(len(part.triangles) for _, part in parts)])
    totals = np.stack([np.concatenate([[0], np.cumsum(values)])[starts] for values in (area_uv, length)])
    in_uv, in_m2 = np.diff(totals, axis=1)
    texels = np.array([part.texture.shape[0] * part.texture.shape[1] for _, part in parts])
    return np.sqrt(in_uv * texels / np.maximum(in_m2, 1e-10)).astype(np.float32)


def _colors(
    parts: Sequence[tuple[int, Part]],
    part: Int64[ndarray, " samples"],
    uv: Float32[ndarray, "2 samples"],
    spacing_m: float,
    texels_a_metre: Float32[ndarray, " parts"],
) -> UInt8[ndarray, "samples 4"]:
    """RGBA at each sample, averaged over about the spacing."""
    bank = build_bank([piece.texture for _, piece in parts])
    return bank.look_up(part, uv, texels_a_metre[part] * np.float32(spacing_m))
