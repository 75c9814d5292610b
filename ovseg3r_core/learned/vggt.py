"""What VGGT (Wang et al. 2025) predicted of a folder of images: `predictions.npz` beside `images/`, or chunks of it.

Where the images lie beside it, frames have their colour and size, and the depth of a pixel is that of the network's
pixel it fell into; else frames are as the network saw them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_camera
from ovseg3r_core.learned.chunks import Chunk, join
from ovseg3r_core.learned.pixel_map import PixelMap, vggt_maps
from ovseg3r_core.learned.predictions import SUFFIXES, Predictions, read_predictions
from ovseg3r_core.learned.recording import LearnedRecording, NetworkView, Seen, settled
from ovseg3r_core.sequences.folder import nominal_stamp_s
from ovseg3r_core.sequences.images import read_color, size_of
from ovseg3r_core.types import Camera

NEEDS = (
    "predictions.npz or .pt with what VGGT returned (depth or world_points, depth_conf, extrinsic and intrinsic or "
    "pose_enc, images), or overlapping chunk_0.npz, chunk_1.npz, ...; images/ with the images it was given; scale.txt "
    "(metres a unit) if known"
)
_CHUNK = r"chunk_(\d+)\.(?:npz|pt)"
_UNSURE = 0.2  # share of the readings that are left out: those of least confidence
_UNLIKE = 30.0  # grey values; the same image resized by another library differs by less than 10
_IMAGES = (".jpg", ".jpeg", ".png")


def recognises(path: Path) -> bool:
    """Whether the folder has predictions, whole or in chunks."""
    return path.is_dir() and bool(_files(path) or _pickled(path))


def open_vggt(path: Path, frames: slice) -> LearnedRecording:
    """Open what VGGT made of one video.

    Raises:
        ValueError: the arrays do not fit each other or the images, chunks do not overlap, or a file holds pickled
            objects, which are never loaded.
    """
    files = _files(path)
    if not files:
        raise ValueError(_how_to_convert(path))
    chunks = join([read_predictions(file) for file in files], [str(file) for file in files])
    images = _images(path / "images", chunks)
    views = [view for chunk in chunks for view in _views(chunk, images, _surest(chunks))]
    first = {view.index: view for view in reversed(views)}  # of a view in two chunks the earlier one
    return settled(path.resolve().name, [first[index] for index in sorted(first)], path).at(frames)


def _files(path: Path) -> list[Path]:
    whole = [path / f"predictions{suffix}" for suffix in SUFFIXES]
    if found := [file for file in whole if file.is_file()]:
        return found[:1]
    chunks = [(int(match[1]), file) for file in path.iterdir() if (match := re.fullmatch(_CHUNK, file.name))]
    return [file for _, file in sorted(chunks)]


def _pickled(path: Path) -> list[Path]:
    """VGGT-Long's own chunks: dictionaries in `.npy`, which are code as much as data."""
    return sorted(path.glob("chunk_*.npy"))


def _how_to_convert(path: Path) -> str:
    return (
        f"{path} holds chunks as pickled objects (chunk_*.npy), which could run code and are not loaded. Where you "
        "trust them, make chunk_N.npz of each: np.savez(name, **{key: array for key, array in "
        "np.load(file, allow_pickle=True).item().items() if array is not None})"
    )


def _surest(chunks: Sequence[Chunk]) -> float:
    """The confidence that all but the least sure readings have."""
    sampled = [it.predictions.confidence[:, ::4, ::4].ravel() for it in chunks if it.predictions.confidence is not None]
    return float(np.quantile(np.concatenate(sampled), _UNSURE)) if sampled else -np.inf


@dataclass(frozen=True, kw_only=True)
class _Original:
    """An image of the video as it was, and how it was brought to the network."""

    path: Path
    map: PixelMap

    def see(self, depth: Float32[ndarray, "height width"], camera: Camera) -> Seen:
        color = read_color(self.path)
        if color.shape[:2] != (self.map.height, self.map.width):
            detail = f"{self.path} is {color.shape[1]}x{color.shape[0]} now, not {self.map.width}x{self.map.height}"
            raise Rejected("size_mismatch", detail)
        return Seen(color=color, depth=self.map.onto_original(depth), camera=self.map.camera_of_original(camera))


def _images(folder: Path, chunks: Sequence[Chunk]) -> list[_Original]:
    """The images of a folder in the order of their names, as VGGT's own programs take them; none without a folder."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES) if folder.is_dir() else []
    if not paths:
        return []
    shown = {frame: (chunk.predictions, i) for chunk in chunks for i, frame in enumerate(chunk.frames.tolist())}
    if sorted(shown) != list(range(len(paths))):
        raise ValueError(f"{folder} holds {len(paths)} images, and {len(shown)} were reconstructed: give those alone")
    maps: dict[tuple[int, int], PixelMap] = {}
    originals = []
    for frame, path in enumerate(paths):
        size = size_of(path)
        if size not in maps:
            maps[size] = _map_of(read_color(path), *shown[frame], str(path))
        originals.append(_Original(path=path, map=maps[size]))
    return originals


def _map_of(color: UInt8[ndarray, "_ _ 3"], predictions: Predictions, view: int, name: str) -> PixelMap:
    """How an image was brought to the network: of the ways that give the network's size, what looks like its image."""
    width, height = predictions.size
    ways = vggt_maps(color.shape[1], color.shape[0], side=width)
    fitting = {way: it.padded(width, height) for way, it in ways.items() if _fits(it, width, height)}
    if not fitting:
        sizes = {way: (it.network_width, it.network_height) for way, it in ways.items()}
        raise ValueError(f"{name} would reach the network as {sizes}, and the predictions are {width}x{height}")
    if predictions.images is None:
        if len(set(fitting.values())) > 1:
            raise ValueError(f"{name} may have been resized in several ways ({', '.join(fitting)}): give images too")
        return next(iter(fitting.values()))
    unlike = {way: _difference(it, color, predictions.images[view]) for way, it in fitting.items()}
    best = min(unlike, key=unlike.__getitem__)
    if unlike[best] > _UNLIKE:
        raise ValueError(
            f"{name} does not look like what the network saw ({unlike[best]:.0f} grey values apart): are these the "
            "images it was given, in the order of their names?"
        )
    return fitting[best]


def _fits(it: PixelMap, width: int, height: int) -> bool:
    """Whether a way gives the network's size, or less than it: images of a batch get borders to be of one size."""
    return it.network_width <= width and it.network_height <= height


def _difference(it: PixelMap, color: UInt8[ndarray, "_ _ 3"], seen: UInt8[ndarray, "_ _ 3"]) -> float:
    """Mean difference between an image brought to the network in some way and what it saw, borders aside."""
    size = (max(1, round(it.width * it.scale[0])), max(1, round(it.height * it.scale[1])))
    small = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
    move = np.array([[1, 0, -it.shift[0]], [0, 1, -it.shift[1]]], np.float64)
    moved = cv2.warpAffine(small, move, (it.network_width, it.network_height))
    inside = cv2.warpAffine(np.full(small.shape[:2], 255, np.uint8), move, (it.network_width, it.network_height)) == 255
    return float(np.abs(moved.astype(np.float32) - seen)[inside].mean()) if inside.any() else np.inf


def _views(chunk: Chunk, originals: Sequence[_Original], surest: float) -> list[NetworkView]:
    predictions = chunk.predictions
    stamps = _stamps([it.path for it in originals])
    views = []
    for i, frame in enumerate(chunk.frames.tolist()):
        original = originals[frame] if originals else None
        views.append(
            NetworkView(
                index=frame,
                stamp_s=stamps.get(frame, nominal_stamp_s(frame)),
                T_world_camera=chunk.to_first.pose(predictions.T_world_camera[i]),
                see=partial(_see, predictions, i, original, surest, chunk.to_first.scale),
            )
        )
    return views


def _see(predictions: Predictions, view: int, original: _Original | None, surest: float, scale: float) -> Seen:
    (width, height), K = predictions.size, predictions.K[view]
    camera = check_camera(
        Camera(fx=float(K[0, 0]), fy=float(K[1, 1]), cx=float(K[0, 2]), cy=float(K[1, 2]), width=width, height=height)
    )
    depth = predictions.depth[view] * np.float32(scale)
    if predictions.confidence is not None:
        depth = np.where(predictions.confidence[view] >= surest, depth, np.float32(0))
    if original is not None:
        return original.see(depth, camera)
    if predictions.images is None:
        raise Rejected("missing_file", "there is no colour: give images/ beside the predictions, or images in them")
    return Seen(color=predictions.images[view], depth=depth, camera=camera)


def _stamps(paths: Sequence[Path]) -> Mapping[int, float]:
    """The times of images that are called by them, as TUM's are; none where any is not."""
    if not paths or not all(re.fullmatch(r"\d+\.\d+", path.stem) for path in paths):
        return {}
    return {i: float(path.stem) for i, path in enumerate(paths)}
