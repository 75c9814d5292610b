"""Small recordings written to disk in each format, and the frames that should come back."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from ovseg3r_core.types import Camera

WIDTH, HEIGHT = 64, 48
CAMERA = Camera(fx=60.0, fy=61.0, cx=31.5, cy=24.0, width=WIDTH, height=HEIGHT)


@dataclass(frozen=True)
class Shot:
    """What one frame is made of."""

    color: np.ndarray
    depth_mm: np.ndarray
    pose: np.ndarray


def shots(count: int = 4, width: int = WIDTH, height: int = HEIGHT) -> list[Shot]:
    """Frames that all differ: noise as colour, a rough slope as depth, a camera that turns and walks."""
    rng = np.random.default_rng(7)
    made = []
    for number in range(count):
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_rotvec([0.1 * number, 0.2, -0.05 * number]).as_matrix()
        pose[:3, 3] = [0.1 * number, -0.2, 1.0]
        depth = (1000 + 10 * np.arange(width) + rng.integers(0, 50, (height, width))).astype(np.uint16)
        depth[0, 0] = 0
        made.append(Shot(color=rng.integers(0, 256, (height, width, 3), dtype=np.uint8), depth_mm=depth, pose=pose))
    return made


def write_image(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_matrix(path: Path, matrix: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, matrix, fmt="%.17g")


def write_posed_folder(folder: Path, made: list[Shot]) -> Path:
    """`NNNNNN.color.png NNNNNN.depth.png NNNNNN.pose.txt camera-intrinsics.txt`."""
    for number, shot in enumerate(made):
        write_image(folder / f"{number:06d}.color.png", shot.color)
        write_image(folder / f"{number:06d}.depth.png", shot.depth_mm)
        write_matrix(folder / f"{number:06d}.pose.txt", shot.pose)
    write_matrix(folder / "camera-intrinsics.txt", CAMERA.K)
    return folder


def write_7scenes(folder: Path, made: list[Shot]) -> Path:
    for number, shot in enumerate(made):
        write_image(folder / f"frame-{number:06d}.color.png", shot.color)
        write_image(folder / f"frame-{number:06d}.depth.png", shot.depth_mm)
        write_matrix(folder / f"frame-{number:06d}.pose.txt", shot.pose)
    return folder


def write_scannet(folder: Path, made: list[Shot]) -> Path:
    K = np.eye(4)
    K[:3, :3] = CAMERA.K
    for number, shot in enumerate(made):
        write_image(folder / "color" / f"{number * 20}.png", shot.color)
        write_image(folder / "depth" / f"{number * 20}.png", shot.depth_mm)
        write_matrix(folder / "pose" / f"{number * 20}.txt", shot.pose)
    write_matrix(folder / "intrinsic" / "intrinsic_color.txt", K)
    write_matrix(folder / "intrinsic" / "intrinsic_depth.txt", K)
    return folder


def write_replica(folder: Path, made: list[Shot]) -> Path:
    for number, shot in enumerate(made):
        write_image(folder / "results" / f"frame{number:06d}.png", shot.color)
        write_image(folder / "results" / f"depth{number:06d}.png", shot.depth_mm)
    np.savetxt(folder / "traj.txt", np.array([shot.pose.ravel() for shot in made]), fmt="%.17g")
    (folder / "cam_params.json").write_text(
        '{"camera": {"w": 64, "h": 48, "fx": 60, "fy": 61, "cx": 31.5, "cy": 24, "scale": 1000}}'
    )
    return folder


def write_tum(folder: Path, made: list[Shot], first_s: float = 100.0) -> Path:
    """Colour every 0.1 s, depth 5 ms later in 1/5000 m, ground truth every 50 ms."""
    color_lines, depth_lines, pose_lines = ["# color images"], ["# depth maps"], ["# timestamp tx ty tz qx qy qz qw"]
    for number, shot in enumerate(made):
        stamp = first_s + 0.1 * number
        write_image(folder / "rgb" / f"{stamp:.6f}.png", shot.color)
        write_image(folder / "depth" / f"{stamp + 0.005:.6f}.png", shot.depth_mm * 5)
        color_lines.append(f"{stamp:.6f} rgb/{stamp:.6f}.png")
        depth_lines.append(f"{stamp + 0.005:.6f} depth/{stamp + 0.005:.6f}.png")
        pose_lines.append(_tum_pose(stamp, shot.pose))
        pose_lines.append(_tum_pose(stamp + 0.05, shot.pose))
    for name, lines in (("rgb", color_lines), ("depth", depth_lines), ("groundtruth", pose_lines)):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (folder / "calibration.txt").write_text("60 61 31.5 24\n")
    return folder


def _tum_pose(stamp: float, pose: np.ndarray) -> str:
    values = (*pose[:3, 3], *Rotation.from_matrix(pose[:3, :3]).as_quat())
    return f"{stamp:.6f} " + " ".join(f"{value:.17g}" for value in values)
