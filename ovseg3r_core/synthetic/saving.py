"""A room on disk: the frames in the 7-Scenes layout, and the whole truth beside them.

NNNNNN.color.jpg  NNNNNN.depth.png (mm)  NNNNNN.pose.txt  NNNNNN.instances.png (16-bit ids, 0 = shell)
camera-intrinsics.txt                   3x3
labels.json                             instance id -> class name
truth.json                              every object with its box, model, creator and licence
truth.ply, truth.txt, vocabulary.txt    the seen surface every 2 cm, its ScanNet labels, and the class names
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Int32, UInt16
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.scene_files import write_scene_ply
from ovseg3r_core.synthetic.room import RoomScene, TruthObject
from ovseg3r_core.synthetic.seen_surface import SeenSurface
from ovseg3r_core.synthetic.sequence import RoomSequence
from ovseg3r_core.synthetic.truth import Furnished, TruthSurface
from ovseg3r_core.types import Camera, Frame, SceneCloud

_JPEG_QUALITY = 95


@runtime_checkable
class NamedFurnished(Furnished, Protocol):
    """Anything with named things in it: a room, or a home of many."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def size_m(self) -> tuple[float, float, float]:
        """Extent along x, y and z."""
        ...

    @property
    def objects(self) -> tuple[TruthObject, ...]:
        """What stands in it."""
        ...

    @property
    def names(self) -> dict[int, str]:
        """Class name by instance id."""
        ...


def save_room(sequence: RoomSequence, folder: Path) -> None:
    """Render a sequence into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = SeenSurface()
    for frame in sequence.read():
        save_frame(frame, sequence.instances(frame.index), folder)
        seen.add(frame)
        save_camera(frame.camera, folder)
    save_truth(sequence.scene, folder)
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


def save_frame(frame: Frame, instances: UInt16[ndarray, "height width"], folder: Path) -> None:
    """Write the four files of one frame, each whole or not at all; the pose comes last, and says that all are there."""
    stem = str(folder / f"{frame.index:06d}")
    _save_image(Path(f"{stem}.color.jpg"), frame.color[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    _save_image(Path(f"{stem}.depth.png"), np.round(frame.depth_m * 1000).astype(np.uint16))
    _save_image(Path(f"{stem}.instances.png"), instances)
    with atomic_write(Path(f"{stem}.pose.txt")) as path:
        np.savetxt(path, frame.T_map_camera, fmt="%.9f")


def save_camera(camera: Camera, folder: Path) -> None:
    """Write the intrinsics of all frames of a folder."""
    with atomic_write(folder / "camera-intrinsics.txt") as path:
        np.savetxt(path, camera.K, fmt="%.6f")


def save_truth(scene: NamedFurnished, folder: Path) -> None:
    """Write what is there: every object with its box, model, creator and licence, and the names alone."""
    truth = {"name": scene.name, "size_m": scene.size_m, "objects": [asdict(thing) for thing in scene.objects]}
    for name, content in (("truth.json", truth), ("labels.json", scene.names)):
        with atomic_write(folder / name) as path:
            path.write_text(json.dumps(content, indent=1), "utf-8")


def _save_image(path: Path, image: ndarray, options: Sequence[int] = ()) -> None:
    with atomic_write(path) as temporary:
        if not cv2.imwrite(str(temporary), image, list(options)):
            raise OSError(f"{path} cannot be written: OpenCV refuses {image.dtype} {image.shape}")


def _save_truth_cloud(scene: RoomScene, seen: SeenSurface, folder: Path) -> None:
    surface = TruthSurface(scene)
    instance, normal = surface.instance_at(seen.xyz), surface.normal_at(seen.xyz)
    normal = np.where((normal * seen.toward).sum(axis=1, keepdims=True) < 0, -normal, normal)
    vocabulary = sorted(set(scene.names.values()))
    label = _labels(instance, scene.names, vocabulary)
    write_scene_ply(folder / "truth.ply", SceneCloud(xyz=seen.xyz, color=seen.color, normal=normal), instance, label)
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
