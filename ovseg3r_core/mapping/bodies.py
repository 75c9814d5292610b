"""What relations are told of: upright boxes and the surface in them, in a frame whose z is up."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from ovseg3r_core.geometry import fit_box, turn_up
from ovseg3r_core.mapping.footprints import corners
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.types import Box, ObjectRecord

_STRAY = 10  # points that may be noise, at either end of a thing
_LEVEL = 5e-5  # a map turned by less, in radians, stands upright
_LYING = 0.7  # a surface within 45 degrees of the horizontal


@dataclass(frozen=True, kw_only=True)
class Surface:
    """What was seen of one body."""

    xyz: Float64[ndarray, "points 3"]
    lying: Bool[ndarray, " points"]
    """Where it is about horizontal: something can stand there."""

    @classmethod
    def unseen(cls) -> "Surface":
        """Of a body of which no more is known than its box."""
        return cls(xyz=np.zeros((0, 3)), lying=np.zeros(0, bool))


@dataclass(frozen=True, kw_only=True)
class Bodies:
    """Boxes that stand upright, and the surfaces in them."""

    centre: Float64[ndarray, "bodies 3"]
    half: Float64[ndarray, "bodies 3"]
    """Half of the size along the box's own axes."""
    yaw: Float64[ndarray, " bodies"]
    surfaces: tuple[Surface, ...]

    @classmethod
    def of(cls, boxes: Sequence[Box], surfaces: Sequence[Surface] | None = None) -> "Bodies":
        """Bodies with these boxes; without surfaces relations are told from the boxes alone."""
        return cls(
            centre=np.array([box.centre for box in boxes], np.float64).reshape(-1, 3),
            half=np.array([box.size for box in boxes], np.float64).reshape(-1, 3) / 2,
            yaw=np.array([box.yaw for box in boxes], np.float64),
            surfaces=tuple(surfaces) if surfaces is not None else (Surface.unseen(),) * len(boxes),
        )

    def __len__(self) -> int:
        return len(self.centre)

    def rows(self, chosen: slice) -> "Bodies":
        """Some of them."""
        return Bodies(
            centre=self.centre[chosen], half=self.half[chosen], yaw=self.yaw[chosen], surfaces=self.surfaces[chosen]
        )

    @property
    def low(self) -> Float64[ndarray, " bodies"]:
        """Height of the lower end of each."""
        return self.centre[:, 2] - self.half[:, 2]

    @property
    def high(self) -> Float64[ndarray, " bodies"]:
        """Height of the upper end of each."""
        return self.centre[:, 2] + self.half[:, 2]

    @cached_property
    def corners(self) -> Float64[ndarray, "bodies 4 2"]:
        """Corners of the rectangles that they take up on the floor."""
        return corners(self.centre[:, :2], self.half[:, :2], self.yaw)


def bodies_of(snapshot: MapSnapshot, records: Sequence[ObjectRecord]) -> Bodies:
    """The bodies of some objects of a map, in a frame in which the map's `up` is z.

    Where that is the map frame itself the boxes are those of the records.
    """
    R_upright_map = turn_up(np.array(snapshot.up))[:3, :3]
    turned = not np.allclose(R_upright_map, np.eye(3), atol=_LEVEL)
    boxes, surfaces = [], []
    for record in records:
        rows = snapshot.points_of(record.id)
        xyz = np.asarray(snapshot.cloud.xyz[rows], np.float64) @ R_upright_map.T
        lying = np.abs(snapshot.cloud.normal[rows] @ R_upright_map[2]) > _LYING
        surfaces.append(Surface(xyz=xyz, lying=lying))
        box = fit_box(xyz) if turned and len(xyz) else record.box
        boxes.append(_down_to_its_feet(box, xyz) if len(xyz) else box)
    return Bodies.of(boxes, surfaces)


def _down_to_its_feet(box: Box, xyz: Float64[ndarray, "points 3"]) -> Box:
    """The box from the lowest to the highest of its points, but for a few: boxes leave out a hundredth of the points,
    and that may be all of a bed's legs."""
    few = min(_STRAY, len(xyz) // 100)
    low, high = np.partition(xyz[:, 2], [few, len(xyz) - 1 - few])[[few, len(xyz) - 1 - few]]
    (x, y, _), (width, depth, _) = box.centre, box.size
    return Box(centre=(x, y, float(low + high) / 2), size=(width, depth, float(high - low)), yaw=box.yaw)
