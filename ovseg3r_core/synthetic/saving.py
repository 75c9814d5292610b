"""A room on disk: the frames in the 7-Scenes layout, and the whole truth beside them.

NNNNNN.color.jpg  NNNNNN.depth.png (mm)  NNNNNN.pose.txt  NNNNNN.instances.png (16-bit ids, 0 = shell)
camera-intrinsics.txt                   3x3
labels.json                             instance id -> class name
truth.json                              every object with its box, model, creator and licence
truth.ply, truth.txt, vocabulary.txt    the seen surface every 2 cm, its ScanNet labels, and the class names
"""

import json
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Int32, UInt8
from numpy import ndarray

from ovseg3r_core.geometry import back_project, transform, voxel_keys
from ovseg3r_core.scene_files import write_scene_ply
from ovseg3r_core.synthetic.room import RoomScene
from ovseg3r_core.synthetic.sequence import RoomSequence
from ovseg3r_core.synthetic.truth import TruthSurface
from ovseg3r_core.types import Frame, SceneCloud

_VOXEL_M = 0.02
_JPEG_QUALITY = 95


def save_room(sequence: RoomSequence, folder: Path) -> None:
    """Render a sequence into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = _SeenSurface()
    for frame in sequence.read():
        _save_frame(frame, sequence.instances(frame.index), folder)
        seen.add(frame)
        np.savetxt(folder / "camera-intrinsics.txt", frame.camera.K, fmt="%.6f")
    _save_truth(sequence.scene, folder)
    _save_truth_cloud(sequence.scene, seen, folder)


def load_instances(folder: Path, index: int) -> ndarray:
    """The instance ids of one saved frame, uint16; raises FileNotFoundError where there are none."""
    path = folder / f"{index:06d}.instances.png"
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FileNotFoundError(f"{path} is missing or no PNG: it holds the instance ids of frame {index}")
    return np.asarray(image)


def load_names(folder: Path) -> dict[int, str]:
    """Class name by instance id of a saved room."""
    return {int(id): name for id, name in json.loads((folder / "labels.json").read_text("utf-8")).items()}


class _SeenSurface:
    """What the frames show, one point a voxel; the first look wins."""

    def __init__(self) -> None:
        self._points: dict[int, tuple[ndarray, ndarray]] = {}

    def add(self, frame: Frame) -> None:
        xyz = transform(frame.T_map_camera, back_project(frame.depth_m, frame.camera))[::2, ::2]
        valid = frame.depth_m[::2, ::2] > 0
        toward = frame.T_map_camera[:3, 3].astype(np.float32) - xyz[valid]
        keys, first = np.unique(voxel_keys(xyz[valid], _VOXEL_M), return_index=True)
        rows = np.concatenate([xyz[valid], toward], axis=1)[first]
        colors = frame.color[::2, ::2][valid][first]
        for key, row, color in zip(keys.tolist(), rows, colors, strict=True):
            self._points.setdefault(key, (row, color))

    def arrays(self) -> tuple[Float32[ndarray, "points 3"], Float32[ndarray, "points 3"], UInt8[ndarray, "points 3"]]:
        """Points, vectors towards the camera that saw them, and colours."""
        rows = np.array([row for row, _ in self._points.values()], dtype=np.float32)
        return rows[:, :3].copy(), rows[:, 3:].copy(), np.array([color for _, color in self._points.values()])


def _save_frame(frame: Frame, instances: ndarray, folder: Path) -> None:
    stem = str(folder / f"{frame.index:06d}")
    cv2.imwrite(f"{stem}.color.jpg", frame.color[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    cv2.imwrite(f"{stem}.depth.png", np.round(frame.depth_m * 1000).astype(np.uint16))
    cv2.imwrite(f"{stem}.instances.png", instances)
    np.savetxt(f"{stem}.pose.txt", frame.T_map_camera, fmt="%.9f")


def _save_truth(scene: RoomScene, folder: Path) -> None:
    truth = {"name": scene.name, "size_m": scene.size_m, "objects": [asdict(thing) for thing in scene.objects]}
    (folder / "truth.json").write_text(json.dumps(truth, indent=1), "utf-8")
    (folder / "labels.json").write_text(json.dumps(scene.names, indent=1), "utf-8")


def _save_truth_cloud(scene: RoomScene, seen: _SeenSurface, folder: Path) -> None:
    xyz, toward, color = seen.arrays()
    surface = TruthSurface(scene)
    instance, normal = surface.instance_at(xyz), surface.normal_at(xyz)
    normal = np.where((normal * toward).sum(axis=1, keepdims=True) < 0, -normal, normal)
    vocabulary = sorted(set(scene.names.values()))
    label = _labels(instance, scene.names, vocabulary)
    write_scene_ply(folder / "truth.ply", SceneCloud(xyz=xyz, color=color, normal=normal), instance, label)
    np.savetxt(folder / "truth.txt", np.where(instance > 0, 1000 * label + instance, 0), fmt="%d")
    (folder / "vocabulary.txt").write_text("".join(f"{name}\n" for name in vocabulary), "utf-8")


def _labels(
    instance: Int32[ndarray, " points"], names: dict[int, str], vocabulary: list[str]
) -> Int32[ndarray, " points"]:
    """Line numbers of the class names, from 1; -1 for none."""
    table = np.full(max(names, default=0) + 2, -1, dtype=np.int32)  # the last row is that of instance -1
    for id, name in names.items():
        table[id] = vocabulary.index(name) + 1
    return table[instance]
