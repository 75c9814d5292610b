"""A tiny room, and what cameras above it see, written to disk in the official layouts of public datasets."""

import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from plyfile import PlyData, PlyElement
from scipy.spatial.transform import Rotation

from ovseg3r_core.geometry import invert
from ovseg3r_core.types import Camera

CAMERA = Camera(fx=50.0, fy=50.0, cx=31.5, cy=23.5, width=64, height=48)
FLOOR, WALL, CHAIR, BOOKS, ROWER = range(5)
LABELS = ("floor", "wall", "chair", "books", "rowing machine")
NOTHING = -1
RIM_M = 0.04  # what a sheet reaches beyond its outermost vertices, so that these fall on a pixel of it


@dataclass(frozen=True)
class Sheet:
    """A grid of vertices over a rectangle, at one height: the top of a thing, or the floor."""

    thing: int
    x: tuple[float, float]
    y: tuple[float, float]
    z: float
    side: int


SHEETS = (
    Sheet(FLOOR, (-1.0, 1.0), (-1.0, 1.0), 0.0, 11),
    Sheet(CHAIR, (-0.6, -0.2), (-0.3, 0.3), 0.4, 5),
    Sheet(BOOKS, (0.1, 0.4), (0.0, 0.3), 0.7, 4),
    Sheet(ROWER, (0.1, 0.6), (-0.6, -0.2), 0.2, 4),
    Sheet(NOTHING, (-0.9, -0.7), (0.6, 0.8), 0.3, 3),
    Sheet(WALL, (0.8, 0.95), (-0.9, 0.9), 0.9, 3),
)
"""Sheets lie on top of each other, never beside: a camera above sees the highest."""


@dataclass(frozen=True)
class Room:
    """Vertices in the order of the sheets, the sheet of each, triangles, and frames from above."""

    xyz: np.ndarray
    thing: np.ndarray
    color: np.ndarray
    triangles: np.ndarray
    poses: list[np.ndarray]
    colors: list[np.ndarray]
    depths_mm: list[np.ndarray]


def room(frames: int = 3) -> Room:
    xyz, thing, triangles = [], [], []
    for sheet in SHEETS:
        x, y = np.meshgrid(np.linspace(*sheet.x, sheet.side), np.linspace(*sheet.y, sheet.side), indexing="ij")
        first = sum(map(len, xyz))
        xyz.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, sheet.z)], axis=-1))
        thing.append(np.full(x.size, sheet.thing))
        corner = (np.arange(sheet.side - 1)[:, None] * sheet.side + np.arange(sheet.side - 1)).ravel() + first
        triangles.append(np.stack([corner, corner + sheet.side, corner + 1], axis=-1))
        triangles.append(np.stack([corner + 1, corner + sheet.side, corner + sheet.side + 1], axis=-1))
    thing = np.concatenate(thing)
    rng = np.random.default_rng(5)
    poses = [_above(0.3 * number, -0.2 * number) for number in range(frames)]
    size = (CAMERA.height, CAMERA.width, 3)
    return Room(
        xyz=np.concatenate(xyz).astype(np.float32),
        thing=thing,
        color=rng.integers(0, 256, (len(thing), 3), dtype=np.uint8),
        triangles=np.concatenate(triangles),
        poses=poses,
        colors=[rng.integers(0, 256, size, dtype=np.uint8) for _ in poses],
        depths_mm=[_depth_mm(pose) for pose in poses],
    )


def _above(x: float, y: float) -> np.ndarray:
    """2.5 m up, looking down, with the image's right along x of the room."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = x, y, 2.5
    return pose


def _depth_mm(pose: np.ndarray) -> np.ndarray:
    u, v = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    depth = np.zeros(u.shape)
    for sheet in sorted(SHEETS, key=lambda sheet: sheet.z):
        z = pose[2, 3] - sheet.z
        x = pose[0, 3] + (u - CAMERA.cx) / CAMERA.fx * z
        y = pose[1, 3] - (v - CAMERA.cy) / CAMERA.fy * z
        (left, right), (near, far) = sheet.x, sheet.y
        inside = (x > left - RIM_M) & (x < right + RIM_M) & (y > near - RIM_M) & (y < far + RIM_M)
        depth[inside] = z
    return np.rint(depth * 1000).astype(np.uint16)


def write_ply(path: Path, made: Room, *, text: bool = False, quads: bool = False, **extra: np.ndarray) -> None:
    """The room's mesh; `extra` are numbers a vertex, or with the prefix `face_` numbers a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = {name: values for name, values in extra.items() if not name.startswith("face_")}
    columns = [(axis, "f4") for axis in "xyz"] + [(name, "u1") for name in ("red", "green", "blue")]
    vertices = np.empty(len(made.xyz), columns + [(name, "i4") for name in mine])
    for place, name in enumerate(("x", "y", "z", "red", "green", "blue")):
        vertices[name] = np.concatenate([made.xyz, made.color], axis=1)[:, place]
    for name, values in mine.items():
        vertices[name] = values
    corners = made.triangles if not quads else _quads(made)
    of_face = {name[5:]: values for name, values in extra.items() if name.startswith("face_")}
    faces = np.empty(len(corners), [("vertex_indices", "i4", (corners.shape[1],)), *((name, "i4") for name in of_face)])
    faces["vertex_indices"] = corners
    for name, values in of_face.items():
        faces[name] = values
    elements = [PlyElement.describe(vertices, "vertex"), PlyElement.describe(faces, "face")]
    PlyData(elements, text=text).write(str(path))


def quad_things(made: Room) -> np.ndarray:
    return made.thing[_quads(made)[:, 0]]


def _quads(made: Room) -> np.ndarray:
    quads = []
    first = 0
    for sheet in SHEETS:
        side = sheet.side
        corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel() + first
        quads.append(np.stack([corner, corner + side, corner + side + 1, corner + 1], axis=-1))
        first += side * side
    return np.concatenate(quads)


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def segments_of(made: Room) -> list[int]:
    """Ten vertices a segment within each thing; what is nothing has segments too, in no group."""
    return [int(1000 * (thing + 2) + place // 10) for place, thing in enumerate(made.thing.tolist())]


def groups_of(made: Room, labels: tuple[str, ...] = LABELS) -> list[dict]:
    segments = np.array(segments_of(made))
    return [
        {
            "id": thing,
            "objectId": thing,
            "label": label,
            "segments": np.unique(segments[made.thing == thing]).tolist(),
        }
        for thing, label in enumerate(labels)
    ]


LABEL_MAP = """id\traw_category\tcategory\tcount\tnyu40id\teigen13id
1\twall\twall\t8277\t1\t12
2\tchair\tchair\t4646\t5\t4
22\tbooks\tbook\t1678\t23\t2
3\tfloor\tfloor\t1553\t2\t5
1200\trowing machine\trowing machine\t2\t39\t6
"""


def write_scannet_scene(folder: Path, made: Room, scene: str = "scene0000_00", alignment: np.ndarray | None = None):
    """All but the frames; returns the scene's own folder."""
    here = folder / "scans" / scene
    write_ply(here / f"{scene}_vh_clean_2.ply", made)
    write_json(here / f"{scene}.aggregation.json", {"sceneId": scene, "segGroups": groups_of(made)})
    write_json(here / f"{scene}_vh_clean_2.0.010000.segs.json", {"segIndices": segments_of(made)})
    numbers = " ".join(f"{number:.9g}" for number in (np.eye(4) if alignment is None else alignment).ravel())
    (here / f"{scene}.txt").write_text(f"axisAlignment = {numbers}\ncolorHeight = 48\nsceneType = Office\n")
    (folder / "scannetv2-labels.combined.tsv").write_text(LABEL_MAP)
    return here


def write_exported_frames(here: Path, made: Room) -> None:
    K = np.eye(4)
    K[:3, :3] = CAMERA.K
    for part in ("color", "depth", "pose", "intrinsic"):
        (here / part).mkdir(parents=True, exist_ok=True)
    for number, (pose, color, depth) in enumerate(zip(made.poses, made.colors, made.depths_mm, strict=True)):
        Image.fromarray(color).save(here / "color" / f"{number}.png")
        Image.fromarray(depth).save(here / "depth" / f"{number}.png")
        np.savetxt(here / "pose" / f"{number}.txt", pose)
    for camera in ("color", "depth"):
        np.savetxt(here / "intrinsic" / f"intrinsic_{camera}.txt", K)


def encoded(pixels: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def sens_header(
    frames: int, *, version: int = 4, color: int = 1, depth: int = 1, size: tuple[int, ...] | None = None
) -> bytes:
    K = np.eye(4, dtype="<f4")
    K[:3, :3] = CAMERA.K
    eye = np.eye(4, dtype="<f4")
    name = b"StructureSensor"
    sizes = size or (CAMERA.width, CAMERA.height, CAMERA.width, CAMERA.height)
    return (
        struct.pack("<IQ", version, len(name))
        + name
        + b"".join(matrix.tobytes() for matrix in (K, eye, K, eye))
        + struct.pack("<2i4IfQ", color, depth, *sizes, 1000.0, frames)
    )


def sens_frame(pose: np.ndarray, color: bytes, depth: bytes) -> bytes:
    return pose.astype("<f4").tobytes() + struct.pack("<4Q", 0, 0, len(color), len(depth)) + color + depth


def write_sens(path: Path, made: Room, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [sens_header(len(made.poses), color={"PNG": 1, "JPEG": 2}[kind])]
    for pose, color, depth in zip(made.poses, made.colors, made.depths_mm, strict=True):
        parts.append(sens_frame(pose, encoded(color, kind), zlib.compress(depth.astype("<u2").tobytes())))
    path.write_bytes(b"".join(parts) + struct.pack("<Q", 0))  # no inertial measurements
    return path


def write_scannetpp_scene(folder: Path, made: Room, scene: str = "0a7cc12c0e") -> Path:
    here = folder / "data" / scene
    write_ply(here / "scans" / "mesh_aligned_0.05.ply", made)
    write_json(here / "scans" / "segments.json", {"segIndices": segments_of(made)})
    write_json(here / "scans" / "segments_anno.json", {"segGroups": groups_of(made)})
    return here


def write_iphone(here: Path, made: Room) -> None:
    """Colour of half the video's size is enough: the intrinsics are for 1920x1440, the depth is smaller still."""
    scale = 1920 / CAMERA.width
    K = CAMERA.K * scale
    K[:2, 2] = (CAMERA.K[:2, 2] + 0.5) * scale - 0.5
    K[2, 2] = 1
    known = {}
    for part in ("rgb", "depth"):
        (here / "iphone" / part).mkdir(parents=True)
    for number, (pose, color, depth) in enumerate(zip(made.poses, made.colors, made.depths_mm, strict=True)):
        large = np.repeat(np.repeat(color, 2, axis=0), 2, axis=1)
        Image.fromarray(large).save(here / "iphone" / "rgb" / f"frame_{number:06d}.jpg")
        Image.fromarray(depth).save(here / "iphone" / "depth" / f"frame_{number:06d}.png")
        known[f"frame_{number:06d}"] = {"aligned_pose": pose.tolist(), "intrinsic": K.tolist(), "timestamp": 0.1}
    write_json(here / "iphone" / "pose_intrinsic_imu.json", known)


def write_replica_scene(folder: Path, made: Room, scene: str = "room_0") -> Path:
    here = folder / scene
    write_ply(here / "habitat" / "mesh_semantic.ply", made, quads=True, face_object_id=quad_things(made) + 10)
    names = ("floor", "wall", "chair", "book", "indoor-plant")
    objects = [{"id": thing + 10, "class_name": name, "class_id": thing} for thing, name in enumerate(names)]
    objects.append({"id": NOTHING + 10, "class_name": "undefined", "class_id": -1})
    write_json(here / "habitat" / "info_semantic.json", {"objects": objects})
    return here


def write_nice_slam(here: Path, made: Room) -> None:
    (here / "results").mkdir(parents=True)
    for number, (color, depth) in enumerate(zip(made.colors, made.depths_mm, strict=True)):
        Image.fromarray(color).save(here / "results" / f"frame{number:06d}.jpg")
        Image.fromarray(depth).save(here / "results" / f"depth{number:06d}.png")
    np.savetxt(here / "traj.txt", np.array([pose.ravel() for pose in made.poses]))
    params = {"w": 64, "h": 48, "fx": 50.0, "fy": 50.0, "cx": 31.5, "cy": 23.5, "scale": 1000.0}
    write_json(here.parent / "cam_params.json", {"camera": params})


def write_3rscan_scene(folder: Path, made: Room, scene: str = "0988ea72-eb32-2e61-8344-99e2283c2728") -> Path:
    here = folder / scene
    write_ply(here / "labels.instances.annotated.v2.ply", made, text=True, objectId=made.thing + 1)
    groups = [
        {"id": thing + 1, "objectId": thing + 1, "label": label, "segments": []} for thing, label in enumerate(LABELS)
    ]
    write_json(here / "semseg.v2.json", {"scan_id": scene, "segGroups": groups})
    return here


def sequence_files(made: Room) -> dict[str, bytes]:
    """What lies in 3RScan's sequence folder; colour is twice as large as depth."""
    files = {}
    for number, (pose, color, depth) in enumerate(zip(made.poses, made.colors, made.depths_mm, strict=True)):
        stem = f"frame-{number:06d}"
        large = np.repeat(np.repeat(color, 2, axis=0), 2, axis=1)
        files[f"{stem}.color.jpg"] = encoded(large, "JPEG")
        files[f"{stem}.depth.pgm"] = b"P5\n64 48\n65535\n" + depth.astype(">u2").tobytes()
        files[f"{stem}.pose.txt"] = "\n".join(" ".join(map(str, row)) for row in pose).encode()
    depth = "50 0 31.5 0 0 50 23.5 0 0 0 1 0 0 0 0 1"
    color = "100 0 63.5 0 0 100 47.5 0 0 0 1 0 0 0 0 1"
    files["_info.txt"] = (
        f"m_versionNumber = 4\nm_calibrationColorIntrinsic = {color}\nm_calibrationDepthIntrinsic = {depth}\n"
    ).encode()
    return files


def write_sequence(here: Path, made: Room, *, zipped: bool, prefix: str = "") -> None:
    files = sequence_files(made)
    if zipped:
        with zipfile.ZipFile(here / "sequence.zip", "w") as archive:
            for name, data in files.items():
                archive.writestr(prefix + name, data)
        return
    (here / "sequence").mkdir()
    for name, data in files.items():
        (here / "sequence" / name).write_bytes(data)


def write_s3dis_room(folder: Path, made: Room, room: str = "office_3") -> Path:
    annotations = folder / "Area_5" / room / "Annotations"
    annotations.mkdir(parents=True)
    names = ("floor_1", "wall_1", "chair_1", "bookcase_1", "clutter_1")
    for thing, name in enumerate(names):
        mine = made.thing == thing
        lines = np.concatenate([made.xyz[mine], made.color[mine]], axis=1)
        np.savetxt(annotations / f"{name}.txt", lines, fmt="%.3f %.3f %.3f %d %d %d")
    return annotations


def write_arkit_scene(folder: Path, made: Room, scene: str = "41254925") -> Path:
    here = folder / "Training" / scene
    write_ply(here / f"{scene}_3dod_mesh.ply", made)
    write_json(
        here / f"{scene}_3dod_annotation.json",
        {"skipped": False, "data": [box(made, CHAIR, "chair"), box(made, BOOKS, "tv_monitor")]},
    )
    return here


def box(made: Room, thing: int, label: str, yaw: float = 0.0, grow_m: float = 0.1) -> dict:
    mine = made.xyz[made.thing == thing].astype(float)
    axes = Rotation.from_euler("z", yaw).as_matrix().T  # rows are the axes of the box
    local = mine @ axes.T
    centre = axes.T @ ((local.min(axis=0) + local.max(axis=0)) / 2)
    size = local.max(axis=0) - local.min(axis=0) + grow_m
    obb = {"centroid": centre.tolist(), "axesLengths": size.tolist(), "normalizedAxes": axes.ravel().tolist()}
    return {"uid": str(thing), "label": label, "segments": {"obbAligned": obb}}


def write_arkit_frames(here: Path, made: Room) -> None:
    scene, frames = here.name, here / f"{here.name}_frames"
    for part in ("lowres_wide", "lowres_depth", "lowres_wide_intrinsics"):
        (frames / part).mkdir(parents=True)
    lines = []
    for number, (pose, color, depth) in enumerate(zip(made.poses, made.colors, made.depths_mm, strict=True)):
        stamp = 6845.7 + 0.1 * number
        Image.fromarray(color).save(frames / "lowres_wide" / f"{scene}_{stamp:.3f}.png")
        Image.fromarray(depth).save(frames / "lowres_depth" / f"{scene}_{stamp:.3f}.png")
        # a millisecond off, as some of the genuine ones are
        (frames / "lowres_wide_intrinsics" / f"{scene}_{stamp + 0.001:.3f}.pincam").write_text("64 48 50 50 31.5 23.5")
        T_camera_world = invert(pose)
        words = (stamp + 0.002, *Rotation.from_matrix(T_camera_world[:3, :3]).as_rotvec(), *T_camera_world[:3, 3])
        lines.append(" ".join(f"{word:.9f}" for word in words))
    (frames / "lowres_wide.traj").write_text("\n".join(lines) + "\n")
