"""PLY meshes of datasets: vertices with colours and normals, triangles, and what else each vertex or face carries."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import open3d as o3d
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray
from plyfile import PlyData, PlyElement, PlyParseError

from ovseg3r_core.checks import Rejected
from ovseg3r_core.geometry import transform
from ovseg3r_core.types import SceneCloud

MAX_POINTS = 30_000_000
_MAX_BYTES = 1 << 32
_MAX_HEADER_BYTES = 1 << 16
_GREY = 128  # of a mesh without colours
_NEIGHBOURS = 30


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """A surface as its file gives it, in the frame of the dataset."""

    xyz: Float32[ndarray, "points 3"]
    color: UInt8[ndarray, "points 3"]
    normal: Float32[ndarray, "points 3"]
    triangles: Int64[ndarray, "triangles 3"]
    """Faces with more corners are cut into triangles."""
    face: Int64[ndarray, " triangles"]
    """The face of the file that each triangle is of."""
    of_vertex: Mapping[str, ndarray] = field(default_factory=dict)
    """The other numbers of each vertex, by the name of their property."""
    of_face: Mapping[str, ndarray] = field(default_factory=dict)

    def cloud(self, T_map_dataset: Float64[ndarray, "4 4"]) -> SceneCloud:
        """The vertices as a cloud of the map."""
        R = T_map_dataset.copy()
        R[:3, 3] = 0
        return SceneCloud(xyz=transform(T_map_dataset, self.xyz), color=self.color, normal=transform(R, self.normal))


def read_mesh(path: Path) -> Mesh:
    """A PLY file, text or binary, of at most 4 GiB and 30 million vertices.

    Raises:
        Rejected: `bad_ply` where it is damaged, no PLY, or has faces of vertices that are not there.
    """
    _check_header(path)
    try:
        ply = _read(path)
        vertices = ply["vertex"]
        xyz = np.stack([vertices[axis] for axis in "xyz"], axis=-1).astype(np.float32)
        triangles, face = _triangles(ply)
    except (PlyParseError, OSError, KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise Rejected("bad_ply", f"{path}: not a PLY mesh with vertices x, y, z ({error})") from error
    if not np.isfinite(xyz).all():
        raise Rejected("bad_ply", f"{path}: {(~np.isfinite(xyz)).any(axis=1).sum()} vertices are not finite")
    if triangles.size and not (triangles.min() >= 0 and triangles.max() < len(xyz)):
        raise Rejected("bad_ply", f"{path}: a face has corner {triangles.max()} but there are {len(xyz)} vertices")
    of_vertex = _numbers(vertices)
    return Mesh(
        xyz=xyz,
        color=_colors(of_vertex, len(xyz)),
        normal=_normals(of_vertex, xyz, triangles),
        triangles=triangles,
        face=face,
        of_vertex=of_vertex,
        of_face=_numbers(ply["face"]) if "face" in ply else {},
    )


def cloud_normals(xyz: Float32[ndarray, "points 3"]) -> Float32[ndarray, "points 3"]:
    """Normals of a cloud without a surface, from 30 neighbours each; they point to the middle of the room."""
    if len(xyz) < 3:
        return np.zeros_like(xyz)
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(xyz.astype(np.float64)))
    cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(_NEIGHBOURS))
    cloud.orient_normals_towards_camera_location((xyz.min(axis=0) + xyz.max(axis=0)).astype(np.float64) / 2)
    return np.asarray(cloud.normals).astype(np.float32)


def _check_header(path: Path) -> None:
    """Refuse counts that the file cannot hold before anything is allocated for them."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(_MAX_HEADER_BYTES).partition(b"end_header")[0]
    except OSError as error:
        raise Rejected("missing_file", f"{path} cannot be read: {error.strerror}") from error
    counts = [int(count) for count in re.findall(rb"^element\s+\S+\s+(\d{1,18})\s*$", header, re.MULTILINE)]
    limit = min(size, 4 * MAX_POINTS)
    if size > _MAX_BYTES or any(count > limit for count in counts):
        raise Rejected("bad_ply", f"{path}: {size} bytes cannot hold, or are too many for, {counts} vertices and faces")
    if counts and counts[0] > MAX_POINTS:
        raise Rejected("bad_ply", f"{path}: {counts[0]} vertices; at most {MAX_POINTS} are read")


def _read(path: Path) -> PlyData:
    """The file; where all faces have as many corners, which is ten times as fast to read, told by trying."""
    for corners in (3, 4):
        try:
            known = {"face": {"vertex_indices": corners, "vertex_index": corners}}
            return PlyData.read(str(path), known_list_len=known)
        except PlyParseError:
            continue
    return PlyData.read(str(path))


def _triangles(ply: PlyData) -> tuple[Int64[ndarray, "triangles 3"], Int64[ndarray, " triangles"]]:
    """All faces as fans of triangles, and the face that each is of."""
    none = np.zeros((0, 3), np.int64), np.zeros(0, np.int64)
    if "face" not in ply or not ply["face"].count:
        return none
    names = {one.name for one in ply["face"].properties}
    name = next((name for name in ("vertex_indices", "vertex_index") if name in names), None)
    if name is None:
        return none
    lists = ply["face"][name]
    if lists.dtype != object:
        return _fans(lists.astype(np.int64), np.arange(len(lists)))
    corners = np.fromiter(map(len, lists), np.int64, len(lists))
    parts = [
        _fans(np.stack(lists[corners == count].tolist()).astype(np.int64), np.flatnonzero(corners == count))
        for count in np.unique(corners[corners >= 3]).tolist()
    ]
    triangles, face = (np.concatenate([n, *more]) for n, *more in zip(none, *parts, strict=True))
    order = np.argsort(face, kind="stable")
    return triangles[order], face[order]


def _fans(
    corners: Int64[ndarray, "faces corners"], face: Int64[ndarray, " faces"]
) -> tuple[Int64[ndarray, "triangles 3"], Int64[ndarray, " triangles"]]:
    count = corners.shape[1] - 2
    fans = np.stack([corners[:, [0, i + 1, i + 2]] for i in range(count)], axis=1)
    return fans.reshape(-1, 3), np.repeat(face, count)


def _numbers(element: PlyElement) -> dict[str, ndarray]:
    """The properties of an element that are one number each, copied out of the file."""
    names = element.data.dtype.names or ()
    return {name: np.array(element[name]) for name in names if element.data.dtype[name].kind in "iuf"}


def _colors(of_vertex: Mapping[str, ndarray], count: int) -> UInt8[ndarray, "points 3"]:
    channels = [of_vertex[name] for name in ("red", "green", "blue") if name in of_vertex]
    if len(channels) < 3:
        return np.full((count, 3), _GREY, np.uint8)
    return np.clip(np.nan_to_num(np.stack(channels, axis=-1)), 0, 255).astype(np.uint8)


def _normals(
    of_vertex: Mapping[str, ndarray], xyz: Float32[ndarray, "points 3"], triangles: Int64[ndarray, "triangles 3"]
) -> Float32[ndarray, "points 3"]:
    """Those of the file, else those of the triangles, else of the neighbourhood; zero where nothing tells."""
    if {"nx", "ny", "nz"} <= of_vertex.keys():
        normal = np.stack([of_vertex[axis] for axis in ("nx", "ny", "nz")], axis=-1).astype(np.float64)
    elif len(triangles):
        normal = _of_triangles(xyz.astype(np.float64), triangles)
    else:
        return cloud_normals(xyz)
    normal = np.nan_to_num(normal, posinf=0, neginf=0)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return np.where(length > 0, normal / np.where(length > 0, length, 1), 0).astype(np.float32)


def _of_triangles(
    xyz: Float64[ndarray, "points 3"], triangles: Int64[ndarray, "triangles 3"]
) -> Float64[ndarray, "points 3"]:
    """The sum of the normals of the triangles round each vertex, the larger ones counting more."""
    a, b, c = (xyz[triangles[:, corner]] for corner in range(3))
    normal = np.repeat(np.cross(b - a, c - a), 3, axis=0)
    at = triangles.ravel()
    return np.stack([np.bincount(at, normal[:, axis], len(xyz)) for axis in range(3)], axis=-1)
