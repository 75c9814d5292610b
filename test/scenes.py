"""Small analytic scenes with exact truth: a room corner with boxes and a sphere, ray-cast in numpy.

Nothing here is fitted or sampled: depth, colour and instance ids of every pixel, and the instance and the distance to
the surface of any point in space, come from the same closed formulas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, UInt8
from numpy import ndarray

from ovseg3r_core.types import Camera, Frame, Mask

_SKY = np.inf


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A thing of the scene; subclasses say where rays hit it and how far points are from it."""

    name: str
    color: tuple[int, int, int]

    def hit(self, origin: Float64[ndarray, "3"], rays: Float64[ndarray, "pixels 3"]) -> Float64[ndarray, " pixels"]:
        """Ray parameter of the first hit from outside; infinite where there is none."""
        raise NotImplementedError

    def distance(self, xyz: Float[ndarray, "points 3"]) -> Float[ndarray, " points"]:
        """Distance to the surface, metres, not negative."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Plane(Solid):
    """The half space `normal . x <= offset`, seen from outside."""

    normal: tuple[float, float, float]
    offset: float = 0.0

    def hit(self, origin, rays):
        n = np.array(self.normal)
        speed = rays @ n
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (self.offset - origin @ n) / speed
        return np.where((speed < 0) & (t > 0), t, _SKY)

    def distance(self, xyz):
        return np.abs(xyz @ np.array(self.normal) - self.offset)


@dataclass(frozen=True, kw_only=True)
class Block(Solid):
    """A box along the axes of the map."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def hit(self, origin, rays):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.stack([(np.array(self.low) - origin) / rays, (np.array(self.high) - origin) / rays])
        near, far = t.min(axis=0).max(axis=1), t.max(axis=0).min(axis=1)
        return np.where((near <= far) & (near > 0), near, _SKY)

    def distance(self, xyz):
        low, high = np.array(self.low), np.array(self.high)
        q = np.abs(xyz - (low + high) / 2) - (high - low) / 2
        outside = np.linalg.norm(np.maximum(q, 0), axis=1)
        return outside + np.abs(np.minimum(q.max(axis=1), 0))


@dataclass(frozen=True, kw_only=True)
class Ball(Solid):
    """A sphere."""

    centre: tuple[float, float, float]
    radius: float

    def hit(self, origin, rays):
        to_centre = np.array(self.centre) - origin
        a, b = (rays * rays).sum(axis=1), rays @ to_centre
        root = b * b - a * (to_centre @ to_centre - self.radius**2)
        with np.errstate(invalid="ignore"):
            t = (b - np.sqrt(root)) / a
        return np.where((root >= 0) & (t > 0), t, _SKY)

    def distance(self, xyz):
        return np.abs(np.linalg.norm(xyz - np.array(self.centre), axis=1) - self.radius)


BOX_ROOM: tuple[Solid, ...] = (
    Plane(name="floor", color=(150, 120, 90), normal=(0, 0, 1)),
    Plane(name="wall", color=(200, 200, 190), normal=(1, 0, 0), offset=-1.2),
    Plane(name="wall", color=(190, 195, 205), normal=(0, 1, 0), offset=-1.2),
    Block(name="table", color=(120, 70, 40), low=(-0.5, -0.5, 0.0), high=(0.3, 0.2, 0.5)),
    Block(name="cup", color=(210, 40, 40), low=(0.1, 0.0, 0.5), high=(0.18, 0.08, 0.6)),
    Block(name="cabinet", color=(60, 90, 160), low=(-1.1, 0.5, 0.0), high=(-0.6, 1.0, 0.9)),
    Ball(name="ball", color=(40, 160, 70), centre=(0.75, -0.4, 0.2), radius=0.2),
)
"""Floor and two walls are 0 to 2; the things that stand in the room follow."""
STUFF = ("floor", "wall")


@dataclass(frozen=True, kw_only=True)
class AnalyticScene:
    """Frames of a scene with the truth that belongs to them."""

    solids: tuple[Solid, ...]
    frames: list[Frame] = field(repr=False)
    ids: list[Int32[ndarray, "height width"]] = field(repr=False)
    """For each frame the index of the solid a pixel sees, -1 where it sees nothing."""

    @property
    def things(self) -> list[int]:
        """Indices of the solids that are objects: neither floor nor wall."""
        return [i for i, solid in enumerate(self.solids) if solid.name not in STUFF]

    def distance(self, xyz: Float[ndarray, "points 3"]) -> Float[ndarray, " points"]:
        """Distance of points to the nearest surface of the scene, metres."""
        return np.min([solid.distance(xyz) for solid in self.solids], axis=0)

    def nearest(self, xyz: Float[ndarray, "points 3"]) -> Int32[ndarray, " points"]:
        """Index of the solid whose surface is nearest to each point: its instance."""
        return np.argmin([solid.distance(xyz) for solid in self.solids], axis=0).astype(np.int32)

    def masks(self, view: int, named: bool = True) -> list[Mask]:
        """The exact masks of the objects that view sees, largest index last."""
        return [
            Mask(pixels=self.ids[view] == i, score=0.9, label=self.solids[i].name if named else None)
            for i in self.things
            if (self.ids[view] == i).any()
        ]


def camera(width: int = 160, height: int = 120, fov_deg: float = 70.0) -> Camera:
    """A pinhole camera with square pixels and a centred principal point."""
    f = width / 2 / np.tan(np.deg2rad(fov_deg) / 2)
    return Camera(fx=f, fy=f, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)


def look_at(eye: Sequence[float], target: Sequence[float]) -> Float64[ndarray, "4 4"]:
    """`T_map_camera` of an upright camera at `eye` that looks at `target`."""
    forward = np.array(target, dtype=float) - np.array(eye, dtype=float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = eye
    return T


def orbit(
    frames: int, radius_m: float = 2.4, height_m: float = 1.3, from_deg: float = 0.0, to_deg: float = 90.0
) -> list[Float64[ndarray, "4 4"]]:
    """Poses on an arc about the middle of the box room, all looking at it."""
    angles = np.deg2rad(np.linspace(from_deg, to_deg, frames))
    return [look_at((radius_m * np.cos(a), radius_m * np.sin(a), height_m), (-0.1, 0.0, 0.3)) for a in angles]


def box_room(
    *,
    frames: int = 8,
    width: int = 160,
    height: int = 120,
    noise: float = 0.0,
    solids: tuple[Solid, ...] = BOX_ROOM,
    poses: Sequence[Float64[ndarray, "4 4"]] | None = None,
) -> AnalyticScene:
    """A room corner with a table, a cup on it, a cabinet and a ball, seen from an arc.

    Args:
        noise: standard deviation of the depth as a share of depth squared in metres (0.002 is a Kinect), seeded.
        poses: where the camera stands instead of the arc; `frames` is then not used.
    """
    cam, rng = camera(width, height), np.random.default_rng(0)
    shots = [render(solids, cam, T, i) for i, T in enumerate(orbit(frames) if poses is None else poses)]
    noisy = [_add_noise(frame, noise, rng) if noise else frame for frame, _ in shots]
    return AnalyticScene(solids=solids, frames=noisy, ids=[ids for _, ids in shots])


def render(
    solids: Sequence[Solid], cam: Camera, T_map_camera: Float64[ndarray, "4 4"], index: int = 0
) -> tuple[Frame, Int32[ndarray, "height width"]]:
    """One frame of the solids and the index of the solid each pixel sees (-1 none); 30 frames are a second."""
    u, v = np.meshgrid(np.arange(cam.width), np.arange(cam.height))
    rays_camera = np.stack([(u - cam.cx) / cam.fx, (v - cam.cy) / cam.fy, np.ones(u.shape)], axis=-1).reshape(-1, 3)
    origin, rays = T_map_camera[:3, 3], rays_camera @ T_map_camera[:3, :3].T
    depths = np.stack([solid.hit(origin, rays) for solid in solids])  # rays have z = 1: the parameter is the depth
    depth, ids = depths.min(axis=0), depths.argmin(axis=0)
    seen = np.isfinite(depth)
    depth, ids = np.where(seen, depth, 0.0), np.where(seen, ids, -1)
    color = _paint(solids, ids, origin + rays * depth[:, None], seen)
    shape = (cam.height, cam.width)
    frame = Frame(
        index=index,
        stamp_s=index / 30,
        color=color.reshape(*shape, 3),
        depth_m=depth.astype(np.float32).reshape(shape),
        camera=cam,
        T_map_camera=T_map_camera,
    )
    return frame, ids.astype(np.int32).reshape(shape)


def _paint(
    solids: Sequence[Solid],
    ids: ndarray,
    xyz: Float64[ndarray, "pixels 3"],
    seen: Bool[ndarray, " pixels"],
) -> UInt8[ndarray, "pixels 3"]:
    """The colour of each solid under a 10 cm chequer, so that images have edges a blur can take away."""
    base = np.array([solid.color for solid in solids], dtype=np.float64)[np.maximum(ids, 0)]
    chequer = np.floor(xyz / 0.1 + 0.5).sum(axis=1) % 2  # + 0.5: surfaces at multiples of 10 cm do not flicker
    return (base * (0.75 + 0.25 * chequer)[:, None] * seen[:, None]).astype(np.uint8)


def _add_noise(frame: Frame, noise: float, rng: np.random.Generator) -> Frame:
    sigma = noise * frame.depth_m**2
    depth = frame.depth_m + rng.standard_normal(frame.depth_m.shape).astype(np.float32) * sigma
    noisy: Float32[ndarray, "height width"] = np.maximum(depth, 0).astype(np.float32)
    return Frame(
        index=frame.index,
        stamp_s=frame.stamp_s,
        color=frame.color,
        depth_m=noisy,
        camera=frame.camera,
        T_map_camera=frame.T_map_camera,
    )
