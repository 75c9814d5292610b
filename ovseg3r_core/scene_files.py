"""The files that other tools read: a labelled PLY cloud, and predictions in the ScanNet benchmark's format."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32
from numpy import ndarray
from plyfile import PlyData, PlyElement, PlyParseError
from scipy.spatial import KDTree

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.checks import Rejected
from ovseg3r_core.types import Instances, SceneCloud

_VERTEX = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    + [(name, "u1") for name in ("red", "green", "blue")]
    + [(name, "<i4") for name in ("instance", "label")]
)


def write_scene_ply(
    path: Path, cloud: SceneCloud, instance: Int32[ndarray, " points"], label: Int32[ndarray, " points"]
) -> None:
    """The cloud as binary PLY with an object id (-1 for none) and a vocabulary label id (0 for none) a point."""
    vertices = np.empty(len(cloud), dtype=_VERTEX)
    columns = np.concatenate([cloud.xyz, cloud.normal, cloud.color], axis=1).T  # float32 holds a byte exactly
    for name, column in zip(_VERTEX.names or (), columns, strict=False):
        vertices[name] = column
    vertices["instance"], vertices["label"] = instance, label
    with atomic_write(path) as temporary:
        PlyData([PlyElement.describe(vertices, "vertex")], byte_order="<").write(str(temporary))


def read_points_ply(path: Path) -> Float32[ndarray, "points 3"]:
    """The vertices of a PLY file, text or binary, whatever else it holds.

    Raises:
        Rejected: with reason `bad_ply` where the file is damaged, is no PLY or has no vertices with x, y and z.
    """
    return _columns(_vertices(path), "x", "y", "z")


def read_cloud_ply(path: Path) -> SceneCloud:
    """The vertices of a PLY file as a cloud.

    Normals `nx`, `ny`, `nz` are zero and 8-bit colours `red`, `green`, `blue` grey where the file has none; normals are
    as they are in the file, of any length, and may be no numbers.

    Raises:
        Rejected: as `read_points_ply`.
    """
    vertices = _vertices(path)
    xyz, names = _columns(vertices, "x", "y", "z"), vertices.dtype.names or ()
    normal, color = np.zeros_like(xyz), np.full(xyz.shape, 150, np.uint8)
    if {"nx", "ny", "nz"} <= set(names):
        normal = _columns(vertices, "nx", "ny", "nz")
    if all(name in names and vertices.dtype[name] == np.uint8 for name in ("red", "green", "blue")):
        color = _columns(vertices, "red", "green", "blue").astype(np.uint8)
    return SceneCloud(xyz=xyz, color=color, normal=normal)


def _vertices(path: Path) -> ndarray:
    try:
        vertices = PlyData.read(str(path))["vertex"].data
        xyz = _columns(vertices, "x", "y", "z")
    except (PlyParseError, KeyError, ValueError, OverflowError, MemoryError) as error:  # the last two: a hostile count
        raise Rejected("bad_ply", f"{path}: not a PLY with vertices x, y, z ({error})") from error
    if not np.isfinite(xyz).all():
        raise Rejected("bad_ply", f"{path}: {(~np.isfinite(xyz)).any(axis=1).sum()} vertices are not finite")
    return vertices


def _columns(vertices: ndarray, *names: str) -> Float32[ndarray, "points columns"]:
    return np.stack([vertices[name] for name in names], axis=-1).astype(np.float32)


def transfer_labels(
    from_xyz: Float32[ndarray, "sources 3"],
    values: Int[ndarray, " sources"],
    to_xyz: Float32[ndarray, "points 3"],
    max_distance_m: float = 0.05,
) -> Int[ndarray, " points"]:
    """The value of the nearest source point, -1 where none lies within `max_distance_m`."""
    if not len(from_xyz):
        return np.full(len(to_xyz), -1, dtype=values.dtype)
    distance_m, nearest = KDTree(from_xyz).query(to_xyz, distance_upper_bound=max_distance_m)
    found = np.isfinite(distance_m)
    return np.where(found, values[np.where(found, nearest, 0)], -1).astype(values.dtype)


def write_scannet_submission(folder: Path, scene: str, instances: Instances) -> None:
    """`folder/<scene>.txt` and a mask file an instance under `folder/predicted_masks`, as the benchmark reads them.

    Masks that an earlier run left for the same scene are removed: the benchmark's checkers count stray files.
    """
    masks_folder = folder / "predicted_masks"
    masks_folder.mkdir(parents=True, exist_ok=True)
    for stale in masks_folder.glob(f"{scene}_[0-9][0-9][0-9]*.txt"):
        stale.unlink()
    lines = []
    for index, (mask, label, score) in enumerate(zip(instances.masks, instances.labels, instances.scores, strict=True)):
        name = f"{scene}_{index:03d}.txt"
        with atomic_write(masks_folder / name) as temporary:
            temporary.write_bytes(_zeros_and_ones(mask))
        lines.append(f"predicted_masks/{name} {label} {score:.6f}\n")
    with atomic_write(folder / f"{scene}.txt") as temporary:
        temporary.write_text("".join(lines))


def _zeros_and_ones(mask: Bool[ndarray, " points"]) -> bytes:
    """One character a line; as an array, since a scene has a million lines a mask."""
    text = np.full((len(mask), 2), ord("\n"), dtype=np.uint8)
    text[:, 0] = ord("0") + mask
    return text.tobytes()
