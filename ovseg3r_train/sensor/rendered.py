"""A home as a camera sees it: rendered once without noise, read as often as wanted with the noise of any sensor.

The folder is that of a saved room (`ovseg3r_core/synthetic/saving.py`): frames in the 7-Scenes layout, instance ids,
names, objects. `render.json` holds what it was rendered from, so that an interrupted rendering goes on and another one
does not mix with it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from jaxtyping import Float64, UInt16
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write, make_folder
from ovseg3r_core.checks import Rejected
from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.sequences.folder import FrameFiles, nominal_stamp_s
from ovseg3r_core.sequences.seven_scenes import open_7scenes
from ovseg3r_core.synthetic.render import RenderedView, Renderer
from ovseg3r_core.synthetic.saving import (
    NamedFurnished,
    load_instances,
    load_names,
    save_camera,
    save_frame,
    save_truth,
)
from ovseg3r_core.types import Camera, Frame
from ovseg3r_train.sensor.depth_noise import DepthNoise, DepthNoiseConfig
from ovseg3r_train.sensor.photometry import CLEAN, Photometry, PhotometryConfig
from ovseg3r_train.sensor.pose_drift import PoseDriftConfig, with_drift

_FACTS = "render.json"
_PURPOSE = 4


@dataclass(frozen=True, kw_only=True)
class SensorConfig:
    """What stands between a clean rendering and what a robot is given."""

    depth: DepthNoiseConfig = field(default_factory=DepthNoiseConfig)
    photometry: PhotometryConfig = field(default_factory=PhotometryConfig)
    pose: PoseDriftConfig = field(default_factory=PoseDriftConfig)
    drop_share: Annotated[float, Within(0.0, 0.99)] = 0.0
    """Share of the frames that never arrive, drawn at random; the first always does."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)


PERFECT_SENSOR = SensorConfig(depth=DepthNoiseConfig(scale=0.0, nearest_m=0.0, farthest_m=100.0), photometry=CLEAN)
"""Frames as they were rendered, but for JPEG and whole millimetres."""


def render_home(
    home: NamedFurnished,
    poses: Sequence[Float64[ndarray, "4 4"]],
    camera: Camera,
    folder: Path,
    *,
    facts: Mapping[str, Any] | None = None,
    nthreads: int = 2,
    done: Callable[[int], None] | None = None,
) -> None:
    """Render a walk into a folder without any noise; what is there already of the same walk is kept.

    Args:
        poses: T_map_camera of the frames, optical frame.
        facts: what else to write into `render.json`, as JSON: generator, seed, style of the walk.
        nthreads: threads that cast rays; give 1 where several processes render.
        done: told how many of the frames are rendered, after each.

    Raises:
        ValueError: the folder holds another home, walk or camera.
    """
    make_folder(folder)
    _claim(folder, {**_rendering(home, poses, camera), "facts": dict(facts or {})})
    save_truth(home, folder)
    save_camera(camera, folder)
    missing = [index for index in range(len(poses)) if not (folder / f"{index:06d}.pose.txt").exists()]
    if not missing:
        return
    renderer = Renderer(home.parts, nthreads=nthreads)
    with ThreadPoolExecutor(max_workers=1) as disk:  # waits for the disk while the next frame is rendered
        saved = None
        for index in missing:
            view = renderer.render(camera, poses[index])
            if saved is not None:
                saved.result()
            saved = disk.submit(save_frame, _clean_frame(view, index, camera, poses[index]), view.instance, folder)
            if done:
                done(index + 1)
        assert saved is not None
        saved.result()


def load_facts(folder: Path) -> dict[str, Any]:
    """What a folder was rendered from; raises FileNotFoundError where no home was rendered into it."""
    return json.loads((folder / _FACTS).read_text("utf-8"))


class NoisySequence:
    """A rendered walk as a sensor would give it; the noise is added while it is read.

    A frame keeps the number it was rendered with, also where others are dropped, and its noise depends on that number
    and the seed only: sequences that differ in one setting are otherwise the same.
    """

    def __init__(self, folder: Path, config: SensorConfig | None = None, seed: int = 0) -> None:
        """Open the folder.

        Raises:
            FileNotFoundError: no home was rendered into it.
            ValueError: the rendering was not finished.
        """
        self._config = config or SensorConfig()
        self._folder = folder
        facts = load_facts(folder)
        self.name: str = facts["name"]
        """Of the home."""
        self.facts: Mapping[str, Any] = facts
        """What it was rendered from."""
        self.names = load_names(folder)
        """Class name by instance id."""
        there = len(list(folder.glob("[0-9]*.pose.txt")))
        if there != facts["frames"]:
            raise ValueError(f"{folder} holds {there} of {facts['frames']} frames; call render_home again")
        self._clean = open_7scenes(folder, slice(None))
        self._true_poses = [files.pose() for files in self._clean.files if files.pose]  # all: they were counted
        self._believed = with_drift(self._true_poses, self._config.pose, seed)
        self._depth = DepthNoise(self._config.depth, seed)
        self._color = Photometry(self._config.photometry, self._brightness(), seed)
        self._kept = _kept(self._clean.files, self._config.drop_share, seed)

    def __len__(self) -> int:
        """Frames that are not dropped."""
        return len(self._kept)

    def read(self) -> Iterator[Frame | Rejected]:
        """The frames in order of time."""
        for frame in replace(self._clean, files=self._kept).read():
            yield self._sensed(frame) if isinstance(frame, Frame) else frame

    def instances(self, index: int) -> UInt16[ndarray, "height width"]:
        """True instance id of each pixel of the frame with that number; 0 for walls, floor and ceiling."""
        return load_instances(self._folder, index)

    def true_pose(self, index: int) -> Float64[ndarray, "4 4"]:
        """T_map_camera that the frame with that number was rendered from."""
        return self._true_poses[index]

    def _sensed(self, clean: Frame) -> Frame | Rejected:
        index = clean.index
        depth_m = self._depth.apply(clean.depth_m, clean.color, self.instances(index), clean.camera, index)
        if not depth_m.any():
            return Rejected("empty_depth", f"frame {index} of {self._folder}: the sensor lost every reading")
        color = self._color.apply(clean.color, index)
        return replace(clean, color=color, depth_m=depth_m, T_map_camera=self._believed[index])

    def _brightness(self) -> list[float]:
        """Mean level of each clean frame, for the exposure; from an eighth of the pixels a side."""
        if self._config.photometry.exposure == 0:
            return [0.0] * len(self._clean)
        small = (cv2.imread(str(files.color), cv2.IMREAD_REDUCED_GRAYSCALE_8) for files in self._clean.files)
        return [float(image.mean()) if image is not None else 0.0 for image in small]


def _clean_frame(view: RenderedView, index: int, camera: Camera, T_map_camera: Float64[ndarray, "4 4"]) -> Frame:
    return Frame(
        index=index,
        stamp_s=nominal_stamp_s(index),
        color=view.color,
        depth_m=view.depth_m,
        camera=camera,
        T_map_camera=T_map_camera,
    )


def _rendering(home: NamedFurnished, poses: Sequence[ndarray], camera: Camera) -> dict[str, Any]:
    """What decides the images."""
    digest = hashlib.sha256(np.ascontiguousarray(poses, dtype=np.float64).tobytes())
    for id, part in home.parts:
        digest.update(f"{id} {len(part.triangles)}".encode())
        digest.update(np.ascontiguousarray(part.vertices).tobytes())
    return {"name": home.name, "frames": len(poses), "camera": asdict(camera), "digest": digest.hexdigest()}


def _claim(folder: Path, facts: dict[str, Any]) -> None:
    """Say in the folder what is rendered into it, or check that it is the same."""
    path = folder / _FACTS
    if path.exists():
        there = load_facts(folder)
        for key in ("name", "frames", "camera", "digest"):
            if there[key] != facts[key]:
                raise ValueError(
                    f"{folder} holds another rendering: its {key} is {there[key]}, not {facts[key]}; empty it"
                )
        return
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1), "utf-8")


def _kept(files: tuple[FrameFiles, ...], drop_share: float, seed: int) -> tuple[FrameFiles, ...]:
    """Exactly the wished share fewer; what a smaller share drops, a larger one drops too."""
    order = np.random.default_rng([seed, _PURPOSE]).permutation(np.arange(1, len(files)))
    dropped = set(order[: round(drop_share * len(files))].tolist())
    return tuple(files[index] for index in range(len(files)) if index not in dropped)
