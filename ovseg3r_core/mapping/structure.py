"""Walls, floor and ceiling: told from things by geometry, since they are what the room is made of.

Nothing of a home lies behind its outer walls, under its floor or over its ceiling, as seen from the cameras. Big
planes with that property are structure. A wall between two rooms has things behind it, but is met from both sides: a
little way behind it lies a surface that faces the other way. The front of a cupboard has no such back.

A flat nameless object on such a plane is a piece of it when it makes up much of the plane or has its colour; a picture
or a rug differs in colour and stays a thing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.types import SceneCloud

NamedBy = Literal["nobody", "segmenter", "detector"]
"""Who says what a thing is called; an operator counts as a detector."""
_NORMALS_ENOUGH = 50_000  # of a cloud, to tell which way is up
_CELL_M = 0.1  # walls are compared on squares of this size: no point has another exactly behind it


@dataclass(frozen=True, kw_only=True)
class StructureConfig:
    """What is big, flat and outermost enough to be part of the room."""

    tolerance_m: Annotated[float, Within(0.001, 1.0)] = 0.05
    """How far points of a plane may lie off it."""
    min_area_m2: Annotated[float, Within(0.001, 1000.0)] = 0.8
    """Smaller planes are no walls, floors or ceilings."""
    max_behind: Annotated[float, Within(0.0, 1.0)] = 0.03
    """At most this share of the scene lies behind a wall, floor or ceiling."""
    min_flat: Annotated[float, Within(0.0, 1.0)] = 0.65
    """A piece of structure has this share of its points on structural planes: far off, depth is a noisy thing."""
    min_flat_named: Annotated[float, Within(0.0, 1.0)] = 0.95
    """A piece that a detector has a name for needs this share: "dining table", said of the floor."""
    big_piece: Annotated[float, Within(0.0, 1.0)] = 0.5
    """A flat object with this share of the plane's points is the plane, whatever its colour; a door may have 0.3."""
    max_color_difference: Annotated[float, Within(0.1, 200.0)] = 18.0
    """Pieces this close to the plane's colour, in CIELAB units, are the plane."""
    max_layer_m: Annotated[float, Within(0.001, 10.0)] = 0.5
    """A plane less than this in front of a larger one, and of another colour, is a thing that lies on it."""
    max_wall_m: Annotated[float, Within(0.001, 10.0)] = 0.35
    """A wall between two rooms is at most this thick: that far behind it lies its other side."""
    min_both_sides: Annotated[float, Within(0.001, 1.0)] = 0.15
    """The other side is seen behind this share of it at least; furniture and the views leave much of it out."""
    max_planes: Annotated[int, Within(1, 100)] = 20
    """Planes looked for at most, the largest first."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


@dataclass(frozen=True)
class Plane:
    """A structural plane: `normal . x + offset = 0`, the normal towards the cameras."""

    kind: str
    normal: Float64[ndarray, "3"]
    offset: float
    tolerance_m: float
    """How far points of it may lie off it."""
    size: int
    """Points of the scene on it."""
    lab: Float64[ndarray, "3"]
    """Its colour in CIELAB."""

    def holds(
        self, xyz: Float32[ndarray, "points 3"], normal: Float32[ndarray, "points 3"]
    ) -> Bool[ndarray, " points"]:
        """Which oriented points lie on it, whichever cloud they are of."""
        return _on_plane(xyz, normal, self.normal, self.offset, self.tolerance_m)


def up_direction(normal: Float32[ndarray, "points 3"], camera_up: Float64[ndarray, "views 3"]) -> Float64[ndarray, "3"]:
    """Which way is up in a map that may mean to have z up: it is believed where surfaces and cameras say about that."""
    z = np.array([0.0, 0.0, 1.0])
    up = up_by_surfaces(normal, camera_up) if len(camera_up) else z
    return z if up @ z > np.cos(np.deg2rad(10)) else up


def up_by_surfaces(
    normal: Float32[ndarray, "points 3"], camera_up: Float64[ndarray, "views 3"]
) -> Float64[ndarray, "3"]:
    """Which way is up: the cameras' mean up, corrected by the surfaces that face about that way."""
    normal = normal[:: max(len(normal) // _NORMALS_ENOUGH, 1)]
    up = camera_up.mean(axis=0)
    up = up / max(np.linalg.norm(up), 1e-9)
    for max_angle_deg in (40, 20, 10):
        facing = normal[normal @ up > np.cos(np.deg2rad(max_angle_deg))]
        if len(facing) < 100:
            break
        median = np.median(facing, axis=0).astype(np.float64)
        up = median / np.linalg.norm(median)
    return up


def up_of(cloud: SceneCloud, poses: Sequence[Float64[ndarray, "4 4"]]) -> Float64[ndarray, "3"]:
    """Which way is up in a cloud that was seen from some poses, T_map_camera."""
    return up_direction(cloud.normal, np.array([-pose[:3, 1] for pose in poses], np.float64).reshape(-1, 3))


def structure_of(
    cloud: SceneCloud, poses: Sequence[Float64[ndarray, "4 4"]], voxel_m: float, config: StructureConfig
) -> list[Plane]:
    """The floor, walls and ceiling of a cloud that was seen from some poses, T_map_camera; as `find_structure`."""
    return find_structure(cloud, voxel_m, up_of(cloud, poses), config)


def structure_kinds(
    things: Sequence[Int64[ndarray, " _"]],
    named: Sequence[NamedBy],
    cloud: SceneCloud,
    planes: Sequence[Plane],
    config: StructureConfig,
) -> list[str | None]:
    """For each of some things "wall", "floor" or "ceiling" where it is a piece of that, else None.

    Args:
        things: the points of each.
        named: by whom each is.
    """
    return [
        structure_kind(points, cloud, planes, named=by, config=config) for points, by in zip(things, named, strict=True)
    ]


def find_structure(
    cloud: SceneCloud, voxel_m: float, up: Float64[ndarray, "3"], config: StructureConfig
) -> list[Plane]:
    """The floor, walls and ceiling of a scene, largest first.

    Args:
        voxel_m: distance of the cloud's points.
        up: which way is up in the cloud.
    """
    planes: list[Plane] = []
    free = np.ones(len(cloud), bool)
    min_points = int(config.min_area_m2 / voxel_m**2)
    for _ in range(config.max_planes):
        found = _largest_plane(cloud, free, config.tolerance_m)
        if found is None:
            break
        normal, offset = found
        on_plane = _on_plane(cloud.xyz, cloud.normal, normal, offset, config.tolerance_m)
        new = on_plane & free
        if np.count_nonzero(new) < min_points:
            break
        free &= ~on_plane
        depth = -(cloud.xyz @ normal + offset)
        kind = _kind(normal, up)
        outermost = np.mean(depth > 2 * config.tolerance_m) <= config.max_behind
        if kind is not None and (outermost or (kind == "wall" and _has_two_sides(cloud, new, normal, depth, config))):
            size, lab = int(np.count_nonzero(on_plane)), _median_lab(cloud.color[on_plane])
            plane = Plane(kind, normal, offset, config.tolerance_m, size, lab)
            if not any(_lies_on(plane, larger, config) for larger in planes):
                planes.append(plane)
    return planes


def _has_two_sides(
    cloud: SceneCloud,
    on_plane: Bool[ndarray, " points"],
    normal: Float64[ndarray, "3"],
    depth: Float64[ndarray, " points"],
    config: StructureConfig,
) -> bool:
    """Whether behind enough of a plane lies the other side of a wall.

    Args:
        depth: how far each point lies behind the plane.
    """
    behind = (depth > config.tolerance_m) & (depth < config.max_wall_m)
    other_side = np.flatnonzero(behind)[cloud.normal[behind] @ normal < -0.8]
    flat = np.linalg.svd(normal[None])[2][1:].T  # two axes along the plane
    front, back = (np.unique(np.floor(cloud.xyz[of] @ flat / _CELL_M), axis=0) for of in (on_plane, other_side))
    met = np.isin(front @ [1, 1j], back @ [1, 1j])
    return bool(met.mean() >= config.min_both_sides)


def _lies_on(plane: Plane, wall: Plane, config: StructureConfig) -> bool:
    """Whether a plane is a thing on a wall, as a door is: parallel, close in front of it, of another colour."""
    parallel = plane.normal @ wall.normal > 0.98
    close = abs(plane.offset - wall.offset) < config.max_layer_m
    return bool(parallel and close and np.linalg.norm(plane.lab - wall.lab) > config.max_color_difference)


def structure_kind(
    members: Int64[ndarray, " members"],
    cloud: SceneCloud,
    planes: Sequence[Plane],
    *,
    named: NamedBy,
    config: StructureConfig,
) -> str | None:
    """ "wall", "floor" or "ceiling" when the object with these points is a piece of them, else None.

    Args:
        named: where a detector has a name for the object, only its colour can show that it is mistaken. The segmenter
            names by shape, so that a whole wall is a wall whatever it says.
    """
    xyz, normal = cloud.xyz[members], cloud.normal[members]
    on_plane = [np.count_nonzero(plane.holds(xyz, normal)) for plane in planes]
    if not planes or sum(on_plane) < config.min_flat * len(members):  # one mask may take in two walls and a corner
        return None
    most = planes[int(np.argmax(on_plane))]
    if named != "detector" and max(on_plane) >= config.big_piece * most.size:
        return most.kind
    if named != "nobody" and sum(on_plane) < config.min_flat_named * len(members):
        return None
    difference = np.linalg.norm(_median_lab(cloud.color[members]) - most.lab)
    return most.kind if difference <= config.max_color_difference else None


def _largest_plane(
    cloud: SceneCloud, free: Bool[ndarray, " points"], tolerance_m: float, tries: int = 200, sample: int = 8000
) -> tuple[Float64[ndarray, "3"], float] | None:
    """RANSAC with one oriented point a try: point and normal already are a plane. Seeded, so that runs agree."""
    candidates = np.flatnonzero(free)
    if len(candidates) < 100:
        return None
    rng = np.random.default_rng(0)
    candidates = rng.choice(candidates, min(sample, len(candidates)), replace=False)
    xyz, normal = cloud.xyz[candidates].astype(np.float64), cloud.normal[candidates].astype(np.float64)
    seeds = rng.choice(len(candidates), min(tries, len(candidates)), replace=False)
    offsets = -np.einsum("ij,ij->i", xyz[seeds], normal[seeds])
    near = np.abs(xyz @ normal[seeds].T + offsets) < tolerance_m
    agree = near & (normal @ normal[seeds].T > 0.9)
    best = int(agree.sum(axis=0).argmax())
    inliers = agree[:, best]
    centre = xyz[inliers].mean(axis=0)
    axis = np.linalg.svd(xyz[inliers] - centre, full_matrices=False)[2][2]
    axis *= np.sign(axis @ normal[seeds[best]]) or 1.0
    return axis, float(-axis @ centre)


def _on_plane(
    xyz: Float32[ndarray, "points 3"],
    facing: Float32[ndarray, "points 3"],
    normal: Float64[ndarray, "3"],
    offset: float,
    tolerance_m: float,
) -> Bool[ndarray, " points"]:
    return (np.abs(xyz @ normal + offset) < tolerance_m) & (facing @ normal > 0.8)


def _kind(normal: Float64[ndarray, "3"], up: Float64[ndarray, "3"]) -> str | None:
    rise = float(normal @ up)
    if rise > 0.95:
        return "floor"
    if rise < -0.95:
        return "ceiling"
    return "wall" if abs(rise) < 0.2 else None


def _median_lab(color: UInt8[ndarray, "points 3"]) -> Float64[ndarray, "3"]:
    median = np.median(color, axis=0).astype(np.uint8).reshape(1, 1, 3)
    lab = cv2.cvtColor(median, cv2.COLOR_RGB2LAB).astype(np.float64).reshape(3)
    return lab * np.array([100 / 255, 1.0, 1.0])  # OpenCV stretches L to 0..255
