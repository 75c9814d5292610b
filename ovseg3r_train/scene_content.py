"""What is in the file of a labelled scene, and in that of its clean vertices: docs/scene-files.md in code.

Writing trusts the scene as far as reading does not have to; reading trusts nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32, Int64
from numpy import ndarray

from ovseg3r_core.checks import check_camera, check_pose
from ovseg3r_core.geometry import invert
from ovseg3r_core.language.vocabulary import MAX_NAME
from ovseg3r_core.reconstruction.incidence import Incidence
from ovseg3r_core.types import Camera, LiftedMask, SceneCloud, ViewIncidence
from ovseg3r_train.packing import (
    STEP_M,
    About,
    count_bits,
    expect,
    pack_bits,
    pack_file,
    pack_normals,
    pack_points,
    set_bits,
    unpack_file,
    unpack_normals,
    unpack_points,
)
from ovseg3r_train.scene import CleanTruth, LabelledScene, SceneView, Truth

FORMAT, CLEAN_FORMAT, VERSION = "ovseg3r-scene", "ovseg3r-clean", 1
MAX_VIEWS = 10_000
MAX_PAIRS = 1 << 26  # half a gigabyte of points, as much of pixels
PIXEL_TOLERANCE = 1

_DTYPES = {
    "xyz": ("uint8",),
    "color": ("uint8",),
    "normal": ("int8",),
    "seen": ("uint8",),
    "mask_of_pair": ("uint8", "uint16"),
    "rim_of_pair": ("uint8", "uint16"),
    "instance": ("int32",),
    "embedding": ("float16",),
}
_MAX_SIDE_PX = 1 << 16


def pack_scene(scene: LabelledScene, clean: bytes | None = None) -> bytes:
    """The bytes of a scene's file; those of its clean vertices' file are named in it by their checksum."""
    origin, xyz = pack_points(scene.cloud.xyz)
    arrays = {"xyz": xyz, "color": scene.cloud.color, "normal": pack_normals(scene.cloud.normal)}
    arrays |= {"seen": _seen_bits(scene), "mask_of_pair": _mask_of_pair(scene, [mask.points for mask in scene.lifted])}
    rims = [mask.rim for mask in scene.lifted]
    if any(map(len, rims)):
        arrays["rim_of_pair"] = _mask_of_pair(scene, rims)
    if scene.truth is not None:
        arrays["instance"] = scene.truth.instance
    looks = [mask.embedding for mask in scene.lifted if mask.embedding is not None]
    if looks:
        arrays["embedding"] = np.stack(looks).astype(np.float16)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "name": scene.name,
        "points": len(scene.cloud),
        "origin_m": origin.tolist(),
        "step_m": STEP_M,
        "views": [{"camera": asdict(v.camera), "T_map_camera": v.T_map_camera.tolist()} for v in scene.views],
        "masks": _mask_entries(scene.lifted),
        "names": _names_json(scene.truth) if scene.truth else None,
        "facts": dict(scene.facts),
        "clean": hashlib.sha256(clean).hexdigest() if clean else None,
    }
    return pack_file(about, arrays)


def unpack_scene(data: bytes) -> tuple[LabelledScene, str | None]:
    """The scene of these bytes, and the checksum of its clean vertices where it has any."""
    about, arrays = unpack_file(data, _DTYPES)
    _check_format(about, FORMAT)
    n_points, views = _count(about["points"], "points"), _views(about["views"])
    cloud = SceneCloud(
        xyz=unpack_points(about["origin_m"], about["step_m"], expect(arrays, "xyz", (4, 3, n_points))),
        color=expect(arrays, "color", (n_points, 3)),
        normal=unpack_normals(expect(arrays, "normal", (n_points, 2))),
    )
    seen = _incidence(expect(arrays, "seen", (len(views), -(-n_points // 8))), views, cloud.xyz)
    scene = LabelledScene(
        name=_text(about["name"], "name"),
        cloud=cloud,
        views=views,
        seen=seen,
        lifted=_lifted(about["masks"], seen, arrays),
        truth=None if about["names"] is None else _truth(expect(arrays, "instance", (n_points,)), about["names"]),
        facts=_facts(about["facts"]),
    )
    beside = about["clean"]
    return scene, None if beside is None else _text(beside, "clean")


def pack_clean(clean: CleanTruth) -> bytes:
    """The bytes of the file of clean vertices."""
    origin, xyz = pack_points(clean.xyz)
    about = {
        "format": CLEAN_FORMAT,
        "version": VERSION,
        "points": len(clean.xyz),
        "origin_m": origin.tolist(),
        "step_m": STEP_M,
        "names": _names_json(clean.truth),
    }
    data = pack_file(about, {"xyz": xyz, "instance": clean.truth.instance})
    unpack_clean(data)
    return data


def unpack_clean(data: bytes) -> CleanTruth:
    """The clean vertices of these bytes."""
    about, arrays = unpack_file(data, _DTYPES)
    _check_format(about, CLEAN_FORMAT)
    n_points = _count(about["points"], "points")
    return CleanTruth(
        xyz=unpack_points(about["origin_m"], about["step_m"], expect(arrays, "xyz", (4, 3, n_points))),
        truth=_truth(expect(arrays, "instance", (n_points,)), about["names"]),
    )


def _seen_bits(scene: LabelledScene) -> ndarray:
    n_points = len(scene.cloud)
    rows = np.zeros((len(scene.views), -(-n_points // 8)), np.uint8)
    for v in range(len(scene.views)):
        points = scene.seen.view(v).points
        rows[v] = pack_bits(points, n_points)
        if count_bits(rows[v : v + 1])[0] != len(points):
            raise ValueError(f"{scene.name}: view {v} sees a point twice")
    return rows


def _mask_of_pair(scene: LabelledScene, points: Sequence[Int64[ndarray, " _"]]) -> ndarray:
    """For each pair, in the order of view and point, 1 + the place of its mask among those of its view; 0 for none.

    Args:
        points: those of each mask.
    """
    of_view: list[list[Int64[ndarray, " _"]]] = [[] for _ in scene.views]
    for mask, own in zip(scene.lifted, points, strict=True):
        of_view[mask.view].append(own)
    most = max(map(len, of_view), default=0)
    table = np.zeros(len(scene.cloud), np.uint8 if most < 256 else np.uint16)
    rows = [np.zeros(0, table.dtype)]
    for v, masks in enumerate(of_view):
        for place, own in enumerate(masks, start=1):
            if table[own].any():
                raise ValueError(
                    f"{scene.name}: masks of view {v} share points; a point of a view has one mask at most"
                )
            table[own] = place
        rows.append(table[np.sort(scene.seen.view(v).points)])
        table[:] = 0
    return np.concatenate(rows)


def _mask_entries(lifted: tuple[LiftedMask, ...]) -> list[dict[str, Any]]:
    entries, row = [], 0
    for mask in lifted:
        entry = {"view": mask.view, "mask": mask.mask, "score": float(mask.score), "label": mask.label}
        if mask.embedding is not None:
            entry["embedding"], row = row, row + 1
        entries.append(entry)
    return entries


def _names_json(truth: Truth) -> dict[str, str]:
    return {str(id_): name for id_, name in truth.names.items()}


def _check_format(about: About, format: str) -> None:
    if (about["format"], about["version"]) != (format, VERSION):
        said = f"{about['format']!r} version {about['version']!r}"
        raise ValueError(f"this is {said}; this release reads {format!r} version {VERSION}")


def _views(entries: Any) -> tuple[SceneView, ...]:
    if len(entries) > MAX_VIEWS:
        raise ValueError(f"there are {len(entries)} views; at most {MAX_VIEWS} are read")
    return tuple(_view(entry) for entry in entries)


def _view(entry: Any) -> SceneView:
    values = entry["camera"]
    focal = {name: float(values[name]) for name in ("fx", "fy", "cx", "cy")}
    size = {name: _count(values[name], name) for name in ("width", "height")}
    if max(size.values()) > _MAX_SIDE_PX:
        raise ValueError(f"a view has {size['width']}x{size['height']} pixels")
    T_map_camera = np.array(entry["T_map_camera"], np.float64)
    check_pose(T_map_camera)
    return SceneView(camera=check_camera(Camera(**focal, **size)), T_map_camera=T_map_camera)


def _incidence(bits: ndarray, views: tuple[SceneView, ...], xyz: Float32[ndarray, "points 3"]) -> Incidence:
    pairs = int(count_bits(bits).sum())
    if pairs > MAX_PAIRS:
        raise ValueError(f"the views see {pairs} points in all; at most {MAX_PAIRS} are read")
    rows = []
    for v, view in enumerate(views):
        points = set_bits(bits[v], len(xyz))
        rows.append(ViewIncidence(points=points, pixels=_pixels(xyz[points], view, v)))
    seen = Incidence.build(rows)
    if len(seen.points) != pairs:
        raise ValueError(f"bits are set behind the last of {len(xyz)} points")
    return seen


def _pixels(xyz: Float32[ndarray, "points 3"], view: SceneView, number: int) -> Int32[ndarray, "points 2"]:
    """Where points project to, as `see_points` rounds it; one that rounding moved out of the image is on its rim."""
    camera, T = view.camera, invert(view.T_map_camera).astype(np.float32)
    x, y, z = T[:3, :3] @ xyz.T + T[:3, 3:]
    if len(z) and not z.min() > 1e-4:
        raise ValueError(f"view {number} sees a point {z.min():.3g} m in front of it")
    u = np.floor(x / z * np.float32(camera.fx) + np.float32(camera.cx + 0.5))
    v = np.floor(y / z * np.float32(camera.fy) + np.float32(camera.cy + 0.5))
    pixels, last = np.stack([u, v], axis=-1), np.array([camera.width - 1, camera.height - 1], np.float32)
    inside = np.clip(pixels, 0, last)
    if len(z) and (off := float(np.abs(pixels - inside).max())) > PIXEL_TOLERANCE:
        raise ValueError(f"view {number} sees a point {off:.0f} pixels outside its image")
    return inside.astype(np.int32)


def _lifted(entries: Any, seen: Incidence, arrays: Mapping[str, ndarray]) -> tuple[LiftedMask, ...]:
    looks = _embeddings(arrays)
    mask_of_pair = expect(arrays, "mask_of_pair", (len(seen.points),))
    rim_of_pair = np.zeros_like(mask_of_pair)  # scenes of before have no rims
    if "rim_of_pair" in arrays:
        rim_of_pair = expect(arrays, "rim_of_pair", mask_of_pair.shape)
    place = np.zeros(len(seen), np.int64)
    lifted = []
    for entry in entries:
        view = _count(entry["view"], "view of a mask")
        if view >= len(seen):
            raise ValueError(f"a mask is of view {view}, but there are {len(seen)}")
        place[view] += 1
        pairs = slice(seen.offsets[view], seen.offsets[view + 1])
        row = entry.get("embedding")
        lifted.append(
            LiftedMask(
                view=view,
                mask=_count(entry["mask"], "mask"),
                points=seen.points[pairs][mask_of_pair[pairs] == place[view]],
                score=_finite(entry["score"], "score"),
                label=None if entry["label"] is None else _text(entry["label"], "label"),
                embedding=None if row is None else looks[_count(row, "embedding")],
                rim=seen.points[pairs][rim_of_pair[pairs] == place[view]],
            )
        )
    most = place[np.repeat(np.arange(len(seen)), np.diff(seen.offsets))]
    for of_pair in (mask_of_pair, rim_of_pair):
        if (of_pair > most).any():
            raise ValueError(f"a pair belongs to mask {of_pair.max()} of its view, which has fewer")
    return tuple(lifted)


def _embeddings(arrays: Mapping[str, ndarray]) -> Float32[ndarray, "masks channels"]:
    """Unit rows again: half precision has moved their length by a thousandth."""
    if "embedding" not in arrays:
        return np.zeros((0, 1), np.float32)
    rows = arrays["embedding"].astype(np.float32)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    if rows.ndim != 2 or not (np.abs(length - 1) < 0.01).all():  # NaN compares false
        raise ValueError(f"embedding {rows.shape} is not of unit rows")
    return rows / length


def _truth(instance: Int32[ndarray, " points"], entries: Any) -> Truth:
    names = {int(id_): _text(name, "name of an instance") for id_, name in entries.items()}
    present = set(np.unique(instance).tolist()) - {-1}
    if unnamed := present - names.keys():
        raise ValueError(f"instance {min(unnamed)} occurs and has no name")
    if names and not 0 <= min(names) <= max(names) < 2**31:
        raise ValueError(f"instance ids go from {min(names)} to {max(names)}; they are 0 or more, and 32 bits wide")
    return Truth(instance=instance, names=names)


def _facts(entry: object) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise ValueError(f"facts are {json.dumps(entry)[:100]}, not an object")
    return entry


def _count(value: object, what: str) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise ValueError(f"{what} is {value!r:.100}, not a whole number from 0 on")
    return value


def _finite(value: object, what: str) -> float:
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise ValueError(f"{what} is {value!r:.100}, not a finite number")
    return float(value)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise ValueError(f"{what} is {value!r:.100}, not a text of 1 to {MAX_NAME} characters")
    return value
