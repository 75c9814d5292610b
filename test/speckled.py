"""The box room painted with speckles that stick to its surfaces: something that looks can hold on to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scenes import BOX_ROOM, Solid, camera, look_at, render

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import back_project, transform
from ovseg3r_core.sequences.folder import numbered
from ovseg3r_core.sequences.prefetch import without_depth
from ovseg3r_core.types import Camera, ColorFrame, Frame, RgbdFrame

CAMERA = camera(320, 240)


def shoot(T_map_camera: Float64[ndarray, "4 4"], index: int = 0, solids: Sequence[Solid] = BOX_ROOM) -> Frame:
    """What a camera sees from there: the room, each 3 cm of its surfaces of a grey of their own."""
    frame, _ = render(solids, CAMERA, T_map_camera, index)
    cells = np.floor(transform(T_map_camera, back_project(frame.depth_m, frame.camera)) / 0.03 + 0.5).astype(np.int64)
    grey = (cells @ np.array([73856093, 19349663, 83492791]) % 9973) / 9973
    color = frame.color * (0.3 + 0.7 * grey[..., None])
    return replace(frame, color=color.astype(np.uint8))


def round_the_room(frames: int, from_deg: float = 0.0, to_deg: float = 90.0) -> list[Float64[ndarray, "4 4"]]:
    """Poses of a walk on an arc, up and down a little, looking at the middle."""
    angles = np.deg2rad(np.linspace(from_deg, to_deg, frames))
    return [look_at((2.2 * np.cos(a), 2.2 * np.sin(a), 1.3 + 0.2 * np.sin(5 * a)), (-0.1, 0.0, 0.4)) for a in angles]


@dataclass(frozen=True)
class Shots:
    """A recording in memory; with `has_poses` false it tells none."""

    frames: Sequence[Frame | Rejected]
    has_poses: bool = True
    name: str = "shots"

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def has_depth(self) -> bool:
        return True

    def read(self) -> Iterator[Frame | Rejected]:
        yield from self.frames

    def read_poses(self) -> dict[int, Float64[ndarray, "4 4"]]:
        return {it.index: it.T_map_camera for it in self.frames if isinstance(it, Frame) and self.has_poses}

    def read_stamps(self) -> dict[int, float]:
        return {it.index: it.stamp_s for it in self.frames if isinstance(it, Frame)}

    def read_color(self) -> Iterator[ColorFrame | Rejected]:
        return without_depth(self.read_unposed())

    def read_unposed(self) -> Iterator[RgbdFrame | Rejected]:
        known = ("index", "stamp_s", "color", "depth_m", "camera")
        for item in self.frames:
            yield item if isinstance(item, Rejected) else RgbdFrame(**{name: getattr(item, name) for name in known})


def blank(index: int, camera: Camera = CAMERA) -> Frame:
    """A grey wall a metre away, and nothing else."""
    size = (camera.height, camera.width)
    return Frame(
        index=index,
        stamp_s=index / 30,
        color=np.full((*size, 3), 128, np.uint8),
        depth_m=np.ones(size, np.float32),
        camera=camera,
        T_map_camera=np.eye(4),
    )


def without_pose_files(folder) -> int:
    """Take the poses out of a saved sequence; how many frames it has."""
    for path in folder.glob("*.pose.txt"):
        path.unlink()
    return len(numbered(folder, r"(\d+)\.color\.(?:jpg|png)"))
