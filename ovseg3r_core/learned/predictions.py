"""The arrays that VGGT predicts of some images, from a file: plain numbers only, nothing that could run code."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray
from scipy.spatial.transform import Rotation

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import transform

SUFFIXES = (".npz", ".pt")
_NEEDS = "depth or world_points, and extrinsic with intrinsic or pose_enc"


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Views of one run of the network, in its own space: the first camera's, in a unit of its own."""

    depth: Float32[ndarray, "views height width"]
    confidence: Float32[ndarray, "views height width"] | None
    """From 1 on, the larger the surer."""
    T_world_camera: Float64[ndarray, "views 4 4"]
    K: Float64[ndarray, "views 3 3"]
    images: UInt8[ndarray, "views height width 3"] | None
    """As the network saw them."""
    frames: Int64[ndarray, " views"] | None
    """Which images of the video they are, where the file tells."""

    def __len__(self) -> int:
        return len(self.depth)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the network's images."""
        return self.depth.shape[2], self.depth.shape[1]


def read_predictions(path: Path) -> Predictions:
    """A `.npz` or `.pt` file with the dictionary that VGGT predicts, of tensors or arrays.

    `extrinsic` of 3x4 is camera from world, as VGGT has it; of 4x4 world from camera, as VGGT-Long has it.

    Raises:
        Rejected: `bad_file` where it is damaged, holds objects in place of numbers, or lacks an array; with its shape.
    """
    try:
        return _predictions(_arrays(path), str(path))
    except Rejected:
        raise
    except (ValueError, OSError, EOFError, BadZipFile, RuntimeError) as error:
        raise Rejected("bad_file", f"{path} does not hold plain arrays: {error}") from error
    except Exception as error:  # torch raises pickle's own errors on what it refuses to load
        raise Rejected("bad_file", f"{path} holds more than tensors, or is damaged: {error}") from error


def _arrays(path: Path) -> Mapping[str, ndarray]:
    """The arrays of a file that are of use; others in it may be anything."""
    wanted = ("depth", "depth_conf", "world_points", "world_points_conf", "extrinsic", "intrinsic", "pose_enc")
    wanted += ("images", "frames")
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            return {name: found[name] for name in wanted if name in found}
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise Rejected("bad_file", f"{path} holds a {type(found).__name__}; give a dictionary of {_NEEDS}")
    return {name: _array(found[name]) for name in wanted if isinstance(found.get(name), torch.Tensor)}


def _array(tensor: Any) -> ndarray:
    return tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()


def _predictions(found: Mapping[str, ndarray], name: str) -> Predictions:
    maps = "depth" if "depth" in found else "world_points"
    has_cameras = "pose_enc" in found or {"extrinsic", "intrinsic"} <= found.keys()
    if maps not in found or not has_cameras:
        raise Rejected("bad_file", f"{name} holds {sorted(found)}; needed are {_NEEDS}")
    map_of = _without_batch(found[maps], 4 if maps == "world_points" or found[maps].shape[-1] == 1 else 3)
    views, height, width = map_of.shape[:3]
    if not views or min(height, width) < 2:
        raise Rejected("bad_file", f"{name}: {maps} has shape {found[maps].shape}")
    T, K = _cameras(found, width, height, name)
    _check_shape(name, "the cameras", T, (views, 4, 4))
    _check_shape(name, "intrinsic", K, (views, 3, 3))
    depth = map_of.reshape(views, height, width) if maps == "depth" else _depth(map_of, T)
    return Predictions(
        depth=depth.astype(np.float32),
        confidence=_confidence(found, f"{maps}_conf", (views, height, width), name),
        T_world_camera=T,
        K=K,
        images=_images(found, (views, 3, height, width), name),
        frames=_frames(found, views, name),
    )


def _without_batch(array: ndarray, axes: int) -> ndarray:
    """An array of that many axes; a leading axis of one more is the batch."""
    if array.ndim == axes + 1 and len(array) == 1:
        array = array[0]
    if array.ndim != axes or not np.issubdtype(array.dtype, np.number):
        raise ValueError(f"an array is {array.dtype} {array.shape}, where {axes} axes belong")
    return array


def _check_shape(name: str, what: str, array: ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise Rejected("bad_file", f"{name}: {what} has shape {array.shape}, where {shape} belongs")


def _cameras(found: Mapping[str, ndarray], width: int, height: int, name: str) -> tuple[ndarray, ndarray]:
    """T_world_camera and K of each view."""
    if not {"extrinsic", "intrinsic"} <= found.keys():
        return _decoded(_without_batch(found["pose_enc"], 2).astype(np.float64), width, height, name)
    matrices, K = (_without_batch(found[key], 3).astype(np.float64) for key in ("extrinsic", "intrinsic"))
    if matrices.shape[1:] == (4, 4):
        return matrices, K
    _check_shape(name, "extrinsic", matrices, (len(matrices), 3, 4))
    return _inverted(matrices[:, :, :3], matrices[:, :, 3]), K


def _decoded(encoded: Float64[ndarray, "views 9"], width: int, height: int, name: str) -> tuple[ndarray, ndarray]:
    """VGGT's pose encoding: translation, quaternion (x, y, z, w) and fields of view (vertical, horizontal)."""
    _check_shape(name, "pose_enc", encoded, (len(encoded), 9))
    fields = encoded[:, 7:]
    if not (np.isfinite(encoded).all() and (np.linalg.norm(encoded[:, 3:7], axis=1) > 0).all()):
        raise Rejected("bad_file", f"{name}: pose_enc is not finite, or a quaternion of it is zero")
    K = np.zeros((len(encoded), 3, 3))
    with np.errstate(divide="ignore"):  # a field of view of 0 is no camera's, and is rejected when its turn comes
        K[:, 0, 0], K[:, 1, 1] = width / 2 / np.tan(fields[:, 1] / 2), height / 2 / np.tan(fields[:, 0] / 2)
    K[:, 0, 2], K[:, 1, 2], K[:, 2, 2] = width / 2, height / 2, 1
    return _inverted(Rotation.from_quat(encoded[:, 3:7]).as_matrix(), encoded[:, :3]), K


def _inverted(R: Float64[ndarray, "views 3 3"], t: Float64[ndarray, "views 3"]) -> Float64[ndarray, "views 4 4"]:
    T = np.tile(np.eye(4), (len(R), 1, 1))
    T[:, :3, :3] = R.swapaxes(1, 2)
    T[:, :3, 3] = -(R.swapaxes(1, 2) @ t[:, :, None])[:, :, 0]
    return T


def _depth(points: ndarray, T_world_camera: Float64[ndarray, "views 4 4"]) -> Float32[ndarray, "views height width"]:
    """How far each point of a point map lies along the optical axis of its view."""
    T_camera_world = _inverted(T_world_camera[:, :3, :3], T_world_camera[:, :3, 3])
    pairs = zip(T_camera_world, points.astype(np.float64), strict=True)
    return np.stack([transform(T, xyz)[..., 2] for T, xyz in pairs]).astype(np.float32)


def _confidence(found: Mapping[str, ndarray], key: str, shape: tuple[int, ...], name: str) -> ndarray | None:
    if key not in found:
        return None
    confidence = _without_batch(found[key], 3).astype(np.float32)
    _check_shape(name, key, confidence, shape)
    return confidence


def _images(found: Mapping[str, ndarray], shape: tuple[int, ...], name: str) -> ndarray | None:
    """The network's images, which are channels first and from 0 to 1."""
    if "images" not in found:
        return None
    images = _without_batch(found["images"], 4)
    _check_shape(name, "images", images, shape)
    return np.round(np.nan_to_num(images).clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)


def _frames(found: Mapping[str, ndarray], views: int, name: str) -> ndarray | None:
    if "frames" not in found:
        return None
    _check_shape(name, "frames", found["frames"], (views,))
    return found["frames"].astype(np.int64)
