"""One keyframe as one safetensors file: its images as they were compressed, and what is known of it as JSON."""

import io
import json
import math
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from PIL import Image
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ovseg3r_core.checks import check_camera, check_pose
from ovseg3r_core.mask_ids import outlines, unpack_ids
from ovseg3r_core.types import Camera, MaskTag
from ovseg3r_core.views import View

MAX_PIXELS = 1 << 26  # beyond any depth camera; a few bytes of a hostile PNG can unfold to gigabytes
_UNIT_TOLERANCE = 1e-3


def pack_view(view: View) -> bytes:
    """The keyframe as the bytes of a file; the same keyframe gives the same bytes, also where its pose was corrected.

    Raises:
        ValueError: `unpack_view` would refuse it.
    """
    taken = view.T_map_camera if view.T_map_taken is None else view.T_map_taken
    about = {
        "index": view.index,
        "stamp_s": view.stamp_s,
        "camera": asdict(view.camera),
        "T_map_camera": taken.tolist(),
        "masks": [{"score": float(tag.score), "label": tag.label} for tag in view.tags],
    }
    arrays = {
        "about": _bytes(json.dumps(about, allow_nan=False).encode()),
        "color_jpeg": _bytes(view.color_jpeg),
        "depth_png": _bytes(view.depth_png),
        "ids_png": _bytes(view.ids_png),
    }
    looks = {place: tag.embedding for place, tag in enumerate(view.tags) if tag.embedding is not None}
    if looks:
        arrays |= {"embedding": np.stack(list(looks.values())), "embedding_of": np.array(list(looks), np.int32)}
        check_unit_rows(arrays["embedding"], arrays["embedding_of"])
    _check_size(view.camera)
    return save_tensors(arrays)


def unpack_view(data: bytes) -> View:
    """The keyframe that `pack_view` made these bytes of, with every promise of `View` checked.

    Raises:
        ValueError, KeyError, TypeError: this is no keyframe.
    """
    tensors = load_tensors(data)
    images = {name: _image(tensors[name], name) for name in ("color_jpeg", "depth_png", "ids_png")}
    about = json.loads(tensors["about"].tobytes())
    view = View(
        index=int(about["index"]),
        stamp_s=_finite(about["stamp_s"]),
        camera=_camera(about["camera"]),
        T_map_camera=np.array(about["T_map_camera"], np.float64),
        tags=_tags(about["masks"], tensors),
        color_jpeg=images["color_jpeg"],
        depth_png=images["depth_png"],
        ids_png=images["ids_png"],
    )
    check_pose(view.T_map_camera)
    _check_images(view)
    return view


def _camera(entry: dict[str, Any]) -> Camera:
    size = {name: int(entry[name]) for name in ("width", "height")}
    camera = Camera(**{name: _finite(entry[name]) for name in ("fx", "fy", "cx", "cy")}, **size)
    _check_size(camera)
    return check_camera(camera)


def _check_size(camera: Camera) -> None:
    if camera.width * camera.height > MAX_PIXELS:
        raise ValueError(f"the view has {camera.width}x{camera.height} pixels; saved ones have at most {MAX_PIXELS}")


def _tags(entries: list[dict[str, Any]], tensors: dict[str, ndarray]) -> tuple[MaskTag, ...]:
    looks: dict[int, Float32[ndarray, " channels"]] = {}
    if "embedding" in tensors:
        vectors, places = tensors["embedding"], tensors["embedding_of"]
        check_unit_rows(vectors, places)
        looks = dict(zip(places.tolist(), vectors, strict=True))
        if not looks.keys() <= set(range(len(entries))):
            raise ValueError(f"embeddings are of masks {sorted(looks)}, but there are {len(entries)}")
    return tuple(
        MaskTag(score=_finite(entry["score"]), label=_name(entry["label"]), embedding=looks.get(place))
        for place, entry in enumerate(entries)
    )


def check_unit_rows(vectors: ndarray, ids: ndarray) -> None:
    """Refuse embeddings that are not float32 unit rows, one for each of different int32 ids; raises ValueError."""
    if (vectors.dtype, vectors.ndim, ids.dtype, ids.shape) != (np.float32, 2, np.int32, vectors.shape[:1]):
        raise ValueError(f"embeddings are {vectors.dtype} {vectors.shape} of ids {ids.dtype} {ids.shape}")
    if len(np.unique(ids)) != len(ids):
        raise ValueError("embeddings are there twice of one id")
    length = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not (np.abs(length - 1) < _UNIT_TOLERANCE).all():  # NaN compares false
        raise ValueError(f"embeddings are no unit vectors: their lengths go from {length.min()} to {length.max()}")


def _check_images(view: View) -> None:
    """What a worker decodes later must not fail there."""
    if not any((view.color_jpeg, view.depth_png, view.ids_png)):
        return  # it made room for others
    size = (view.camera.height, view.camera.width)
    color = _decoded(view.color_jpeg, "JPEG", size, cv2.IMREAD_COLOR)
    depth = _decoded(view.depth_png, "PNG", size, cv2.IMREAD_UNCHANGED)
    ids = _decoded(view.ids_png, "PNG", size, cv2.IMREAD_UNCHANGED)
    for image, dtype, shape in ((color, np.uint8, (*size, 3)), (depth, np.uint16, size), (ids, np.uint16, size)):
        if image.dtype != dtype or image.shape != shape:
            raise ValueError(f"an image of the view is {image.dtype} {image.shape}, not {np.dtype(dtype)} {shape}")
    if (last := outlines(unpack_ids(ids)).max()) >= len(view.tags):
        raise ValueError(f"pixels of the view belong to mask {last}, but it has {len(view.tags)}")


def _decoded(data: bytes, format: str, size: tuple[int, int], flags: int) -> ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=[format]) as header:  # reads the size and decodes nothing
            width, height = header.size
        if (height, width) != size:
            raise ValueError(f"an image of the view is {width}x{height}, its camera is {size[1]}x{size[0]}")
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except (OSError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning, cv2.error) as error:
        raise ValueError(f"an image of the view is no {format}: {error!r}") from error
    if image is None:
        raise ValueError(f"an image of the view is a {format} that cannot be decoded")
    return image


def _image(array: ndarray, name: str) -> bytes:
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, not bytes")
    return array.tobytes()


def _bytes(data: bytes) -> UInt8[ndarray, " bytes"]:
    return np.frombuffer(data, np.uint8)


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return float(value)


def _name(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"label is {value!r}, not text")
    return value
