"""Samples of furniture models in one small file, so that scenes can be composed where there are no furniture libraries.

One safetensors file of at most 20 MB: int16 positions within each model's box, uint8 colours and int8 normals, 12 bytes
a sample. What cannot be seen from outside a model is left out, and the spacing is what the budget leaves.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int8, Int16, Int64, UInt8
from numpy import ndarray
from safetensors import safe_open
from safetensors.numpy import save_file

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.reconstruction.incidence import IncidenceConfig
from ovseg3r_core.synthetic.mesh import Part, bounds
from ovseg3r_core.synthetic.trajectory import look_at
from ovseg3r_core.types import Camera
from ovseg3r_train.sampled.incidence import see_all
from ovseg3r_train.sampled.surface_samples import SurfaceSamples, joined, sample_parts
from ovseg3r_train.sampled.zbuffer import DeviceSamples, draw

BUDGET_BYTES = 20_000_000
_SAMPLE_BYTES = 3 * 2 + 3 + 3
_LEAST = 800  # samples that even a cup is given
_FINEST_M = 0.002
_COARSE_M = 0.025  # widest spacing at which the visible area is measured
_FORMAT = "ovseg3r model samples 1"


@dataclass(frozen=True, kw_only=True)
class Placement:
    """A model that stands in a scene."""

    model: str
    instance: int
    T_map_model: Float64[ndarray, "4 4"]


@dataclass(frozen=True, kw_only=True)
class ModelLibrary:
    """The samples of all models, one after the other, quantised."""

    names: tuple[str, ...]
    offsets: Int64[ndarray, " rows"]
    """One more than there are models."""
    box: Float32[ndarray, "models 2 3"]
    """Lowest and highest corner of each model: what the positions are fractions of."""
    spacing_m: Float32[ndarray, " models"]
    xyz: Int16[ndarray, "samples 3"]
    normal: Int8[ndarray, "samples 3"]
    color: UInt8[ndarray, "samples 3"]

    def model(self, name: str) -> SurfaceSamples:
        """The samples of one model, as instance 0.

        Raises:
            KeyError: there is no such model.
        """
        if name not in self.names:
            raise KeyError(f"no model {name!r} among the {len(self.names)} of this library: build it again with it")
        i = self.names.index(name)
        rows = slice(self.offsets[i], self.offsets[i + 1])
        low, high = self.box[i]
        share = (self.xyz[rows].astype(np.float32) + 32768) / 65535
        normal = self.normal[rows].astype(np.float32)
        return SurfaceSamples(
            xyz=low + share * (high - low),
            normal=normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1),
            color=self.color[rows],
            instance=np.zeros(len(share), dtype=np.int32),
            spacing_m=np.full(len(share), self.spacing_m[i], dtype=np.float32),
        )


def compose(
    placements: Iterable[Placement], library: ModelLibrary, shell: Sequence[SurfaceSamples] = ()
) -> SurfaceSamples:
    """The surfaces of a scene: models moved rigidly to their places, and what else there is.

    Args:
        shell: samples of floor, walls and ceiling (instance 0), and of whatever is no model.
    """
    return joined(
        [*shell, *(library.model(place.model).moved(place.T_map_model, place.instance) for place in placements)]
    )


def build_library(
    models: Mapping[str, Sequence[Part]], budget_bytes: int = BUDGET_BYTES, seed: int = 0
) -> ModelLibrary:
    """Sample models, as `load_model` reads them: z up, standing on z = 0.

    Raises:
        ValueError: there is no model, or the budget does not hold the least number of samples of each.
    """
    if not models:
        raise ValueError("no models to sample")
    areas = np.array([_area_m2(parts, seed) for parts in models.values()])
    spacings = _spacings(areas, 0.97 * budget_bytes / _SAMPLE_BYTES)
    pieces = _sampled(models, spacings, seed)
    while (bytes_needed := sum(map(len, pieces)) * _SAMPLE_BYTES) > budget_bytes:  # the areas were measured roughly
        spacings = spacings * 1.01 * np.sqrt(bytes_needed / budget_bytes)
        pieces = _sampled(models, spacings, seed)
    box = np.stack([bounds(parts) for parts in models.values()])
    counts = [len(piece) for piece in pieces]
    low, high = (np.repeat(corner, counts, axis=0) for corner in box.transpose(1, 0, 2))
    every = joined(pieces)
    share = (every.xyz - low) / np.maximum(high - low, 1e-9)
    return ModelLibrary(
        names=tuple(models),
        offsets=np.cumsum([0, *counts], dtype=np.int64),
        box=box,
        spacing_m=spacings.astype(np.float32),
        xyz=(np.rint(np.clip(share, 0, 1) * 65535) - 32768).astype(np.int16),
        normal=np.rint(every.normal * 127).astype(np.int8),
        color=every.color,
    )


def save_library(library: ModelLibrary, path: Path) -> None:
    """Write a library; the file appears whole or not at all."""
    tensors = {key: np.ascontiguousarray(getattr(library, key)) for key in _KEYS}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata={"format": _FORMAT, "names": json.dumps(library.names)})


def load_library(path: Path) -> ModelLibrary:
    """Read a library that `save_library` wrote.

    Raises:
        ValueError: the file is no library of this version.
    """
    with safe_open(path, framework="np") as file:
        notes = file.metadata() or {}
        if notes.get("format") != _FORMAT or set(file.keys()) != set(_KEYS):
            raise ValueError(f"{path} is no library of models ({_FORMAT!r}): build it with build_library")
        tensors = {key: file.get_tensor(key) for key in _KEYS}
    return ModelLibrary(names=tuple(json.loads(notes["names"])), **tensors)


_KEYS = ("offsets", "box", "spacing_m", "xyz", "normal", "color")


def _spacings(area_m2: Float64[ndarray, " models"], samples: float) -> Float64[ndarray, " models"]:
    """The same spacing for all models but small ones, which get a finer one, so that all fit into so many samples."""
    finer = np.maximum(np.sqrt(area_m2 / _LEAST), _FINEST_M)
    low, high = _FINEST_M, 1.0
    if (area_m2 / finer**2).sum() > samples:
        raise ValueError(f"{samples:.0f} samples are too few for {len(area_m2)} models of {_LEAST}: raise budget_bytes")
    for _ in range(50):
        middle = (low + high) / 2
        too_many = (area_m2 / np.minimum(middle, finer) ** 2).sum() > samples
        low, high = (middle, high) if too_many else (low, middle)
    return np.minimum(max(high, 0.01), finer)


def _sampled(
    models: Mapping[str, Sequence[Part]], spacing_m: Float64[ndarray, " models"], seed: int
) -> list[SurfaceSamples]:
    return [_visible(parts, float(spacing), seed) for parts, spacing in zip(models.values(), spacing_m, strict=True)]


def _area_m2(parts: Sequence[Part], seed: int) -> float:
    """The area of a model that shows from outside, roughly."""
    low, high = bounds(parts)
    spacing_m = float(np.clip(np.linalg.norm(high - low) / 50, _FINEST_M, _COARSE_M))
    return max(len(_visible(parts, spacing_m, seed)), 1) * spacing_m**2


def _visible(parts: Sequence[Part], spacing_m: float, seed: int) -> SurfaceSamples:
    """The samples of a model that show from somewhere outside."""
    samples = sample_parts([(0, part) for part in parts], spacing_m, seed)
    return samples.at(_shown(samples, bounds(parts), spacing_m))


def _shown(samples: SurfaceSamples, box: Float32[ndarray, "2 3"], spacing_m: float) -> Bool[ndarray, " samples"]:
    """Which samples are the nearest to one of some eyes round the model, or within a spacing of it."""
    centre, size_m = box.mean(axis=0).astype(np.float64), float(np.linalg.norm(box[1] - box[0]))
    distance_m = 1.5 * size_m + 0.1
    focal_px = distance_m / max(spacing_m, size_m / 200)  # a sample is about a pixel
    side = int(np.ceil(1.5 * size_m / distance_m * focal_px)) + 4
    eye = Camera(fx=focal_px, fy=focal_px, cx=(side - 1) / 2, cy=(side - 1) / 2, width=side, height=side)
    large_discs = replace(samples, spacing_m=1.5 * samples.spacing_m)  # no hole that shows what is inside
    views = draw(DeviceSamples.of(large_discs, "cpu"), _eyes(centre, distance_m), eye)
    near = IncidenceConfig(tolerance_m=min(3 * distance_m / focal_px, 0.5), tolerance_ratio=0.0, border_px=0)
    shown = torch.zeros(len(samples), dtype=torch.bool)
    shown[see_all(torch.as_tensor(samples.xyz), views.depth_m, views.T_map_camera, eye, near).point] = True
    return shown.numpy()


def _eyes(centre: Float64[ndarray, "3"], distance_m: float) -> list[Float64[ndarray, "4 4"]]:
    """Poses round a thing, from a little below to nearly above."""
    eyes = []
    for elevation in np.deg2rad([-20.0, 10.0, 40.0, 80.0]):
        for azimuth in np.arange(8) * np.pi / 4 + 0.2:
            level = np.cos(elevation)
            gaze = np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
            eyes.append(look_at(centre + distance_m * gaze, centre))
    return eyes
