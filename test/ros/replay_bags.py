"""Bags of the box room, and the truth that belongs to them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scenes import AnalyticScene, box_room, orbit

from ovseg3r_core.geometry import back_project, transform, voxel_keys
from ovseg3r_core.scene_files import write_scene_ply
from ovseg3r_core.sequences.bag_writer import write_bag
from ovseg3r_core.types import Frame, SceneCloud

RATE_HZ = 10.0
FIRST_S = 1000.0
_VOXEL_M = 0.02


@dataclass(frozen=True, kw_only=True)
class RoomBag:
    """A bag of a walk round the box room."""

    path: Path
    truth: Path
    """A folder with truth.ply and vocabulary.txt."""
    frames: int


@dataclass(frozen=True)
class _Walk:
    frames: list[Frame]
    name: str = "box_room"

    def __len__(self) -> int:
        return len(self.frames)

    def read(self) -> Iterator[Frame]:
        return iter(self.frames)


def write_room_bag(folder: Path, frames: int = 30, width: int = 160, height: int = 120) -> RoomBag:
    """Write both into the folder."""
    scene = box_room(width=width, height=height, poses=orbit(frames))
    stamped = [replace(frame, stamp_s=FIRST_S + i / RATE_HZ) for i, frame in enumerate(scene.frames)]
    write_bag(_Walk(stamped), folder / "bag")
    _write_truth(scene, folder / "truth")
    return RoomBag(path=folder / "bag", truth=folder / "truth", frames=frames)


def _write_truth(scene: AnalyticScene, folder: Path) -> None:
    folder.mkdir()
    seen = [transform(f.T_map_camera, back_project(f.depth_m, f.camera))[f.depth_m > 0] for f in scene.frames]
    xyz = np.concatenate(seen)
    xyz = xyz[np.unique(voxel_keys(xyz, _VOXEL_M), return_index=True)[1]].astype(np.float32)
    names = sorted({scene.solids[i].name for i in scene.things})
    label_of = np.array([names.index(it.name) + 1 if it.name in names else 0 for it in scene.solids], np.int32)
    nearest = scene.nearest(xyz)
    instance = np.where(np.isin(nearest, scene.things), nearest, -1).astype(np.int32)
    cloud = SceneCloud(xyz=xyz, color=np.zeros((len(xyz), 3), np.uint8), normal=np.zeros_like(xyz))
    write_scene_ply(folder / "truth.ply", cloud, instance, label_of[nearest])
    (folder / "vocabulary.txt").write_text("".join(f"{name}\n" for name in names))
