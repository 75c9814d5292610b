"""The box room as learned reconstructors would have saved it, had they made no mistake."""

from pathlib import Path

import numpy as np
from PIL import Image
from plyfile import PlyData, PlyElement
from scenes import render
from scipy.spatial.transform import Rotation
from speckled import round_the_room, shoot

from ovseg3r_core.alignment import Similarity
from ovseg3r_core.geometry import back_project, invert, transform
from ovseg3r_core.learned.pixel_map import PixelMap
from ovseg3r_core.sequences.trajectory_file import write_trajectory
from ovseg3r_core.types import Camera, Frame

POSES = round_the_room(8, 0, 50)
SHOTS = [shoot(T, i) for i, T in enumerate(POSES)]


def network_camera(camera: Camera, it: PixelMap) -> Camera:
    """The camera of the network's images."""
    ((cx, cy),) = it.to_network(np.array([[camera.cx, camera.cy]]))
    size = {"width": it.network_width, "height": it.network_height}
    return Camera(fx=camera.fx * it.scale[0], fy=camera.fy * it.scale[1], cx=cx, cy=cy, **size)


def resized(color: np.ndarray, it: PixelMap) -> np.ndarray:
    """An image as Pillow brings it to the network, borders white."""
    size = (round(it.width * it.scale[0]), round(it.height * it.scale[1]))
    small = np.asarray(Image.fromarray(color).resize(size, Image.Resampling.BICUBIC))
    left, top = (round(-it.shift[0]), round(-it.shift[1]))
    padded = np.pad(small, ((max(top, 0), 500), (max(left, 0), 500), (0, 0)), constant_values=255)
    return padded[max(-top, 0) :, max(-left, 0) :][: it.network_height, : it.network_width]


def space(seed: int, scale: float) -> Similarity:
    """From the map to a network's space: anywhere, at any scale."""
    T = np.eye(4)
    T[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    T[:3, 3] = np.random.default_rng(seed).normal(size=3)
    return Similarity(scale=scale, T_b_a=T)


def predictions(shots: list[Frame], it: PixelMap, to: Similarity) -> dict[str, np.ndarray]:
    """What VGGT would return of some images: exact depth and poses, in a space and unit of its own."""
    cameras = [network_camera(shot.camera, it) for shot in shots]
    T = [to.pose(shot.T_map_camera) for shot in shots]
    depth = [_depth(shot, camera) * to.scale for shot, camera in zip(shots, cameras, strict=True)]
    return {
        "depth": np.stack(depth)[..., None].astype(np.float32),
        "depth_conf": np.full((len(shots), it.network_height, it.network_width), 5.0, np.float32),
        "extrinsic": np.stack([invert(pose)[:3] for pose in T]).astype(np.float32),
        "intrinsic": np.stack([camera.K for camera in cameras]).astype(np.float32),
        "images": np.stack([resized(shot.color, it) for shot in shots]).transpose(0, 3, 1, 2).astype(np.float32) / 255,
    }


def _depth(shot: Frame, camera: Camera) -> np.ndarray:
    from scenes import BOX_ROOM

    return render(BOX_ROOM, camera, shot.T_map_camera)[0].depth_m


def write_images(folder: Path, shots: list[Frame], names: list[str] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, shot in enumerate(shots):
        Image.fromarray(shot.color).save(folder / f"{names[i] if names else f'{i:06d}'}.png")


def write_mast3r_log(folder: Path, name: str, shots: list[Frame], to: Similarity, keep: float = 0.9) -> Path:
    """A log of MASt3R-SLAM: the points that it is sure of, of one keyframe after the other."""
    rng = np.random.default_rng(0)
    (folder / "keyframes" / name).mkdir(parents=True)
    xyz, color, poses = list[np.ndarray](), list[np.ndarray](), {}
    for shot in shots:
        stamp = str(np.float32(shot.index / 10 + 1))  # as MASt3R-SLAM prints the times of plain images
        Image.fromarray(shot.color).save(folder / "keyframes" / name / f"{stamp}.png")
        poses[float(stamp)] = to.pose(shot.T_map_camera)
        sure = (rng.random(shot.depth_m.shape) < keep) & (shot.depth_m > 0)
        seen = back_project(shot.depth_m, shot.camera)[sure].astype(np.float64)
        xyz.append(transform(poses[float(stamp)], to.scale * seen))
        color.append(shot.color[sure])
    write_trajectory(folder / f"{name}.txt", poses)
    columns = [(axis, "f4") for axis in "xyz"] + [(part, "u1") for part in ("red", "green", "blue")]
    vertices = np.empty(sum(map(len, xyz)), columns)
    for i, axis in enumerate("xyz"):
        vertices[axis] = np.concatenate(xyz)[:, i]
    for i, part in enumerate(("red", "green", "blue")):
        vertices[part] = np.concatenate(color)[:, i]
    PlyData([PlyElement.describe(vertices, "vertex")]).write(str(folder / f"{name}.ply"))
    return folder
