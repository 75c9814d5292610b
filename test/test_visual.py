"""What a person looks at: pictures are judged by the pixels that matter in them."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ovseg3r_core.geometry import fit_box
from ovseg3r_core.types import Camera, Frame, ObjectRecord, SceneCloud
from ovseg3r_core.visual.colors import object_color, object_colors
from ovseg3r_core.visual.labels import Label, draw_labels
from ovseg3r_core.visual.preview import render_preview
from ovseg3r_core.visual.recording import write_recording
from ovseg3r_core.visual.splats import draw_points
from ovseg3r_core.visual.viewpoint import camera_of_size, choose_viewpoint

UP = np.array([0.0, 0.0, 1.0])


def sheet(x: Sequence[float], y: Sequence[float], z: Sequence[float], normal: Sequence[float]) -> np.ndarray:
    """Points of an axis-aligned rectangle at 2.5 cm, each with its normal: (points, 6)."""
    axes = [np.arange(low, high + 1e-6, 0.025) for low, high in (x, y, z)]
    xyz = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.concatenate([xyz, np.tile(normal, (len(xyz), 1))], axis=1)


def room() -> tuple[SceneCloud, np.ndarray, list[ObjectRecord]]:
    """A closed 3 x 3 x 2.4 m room whose surfaces face inwards, with one chest (id 4) on its floor."""
    walls = [
        sheet((0, 3), (0, 3), (0, 0), (0, 0, 1)),
        sheet((0, 3), (0, 3), (2.4, 2.4), (0, 0, -1)),
        sheet((0, 0), (0, 3), (0, 2.4), (1, 0, 0)),
        sheet((3, 3), (0, 3), (0, 2.4), (-1, 0, 0)),
        sheet((0, 3), (0, 0), (0, 2.4), (0, 1, 0)),
        sheet((0, 3), (3, 3), (0, 2.4), (0, -1, 0)),
    ]
    chest = [
        sheet((1, 2), (2.2, 2.8), (0.6, 0.6), (0, 0, 1)),
        sheet((1, 2), (2.2, 2.2), (0, 0.6), (0, -1, 0)),
        sheet((1, 1), (2.2, 2.8), (0, 0.6), (-1, 0, 0)),
        sheet((2, 2), (2.2, 2.8), (0, 0.6), (1, 0, 0)),
    ]
    points = np.concatenate([*walls, *chest]).astype(np.float32)
    instance = np.full(len(points), -1, np.int32)
    instance[sum(map(len, walls)) :] = 4
    xyz = np.ascontiguousarray(points[:, :3])
    color = np.full((len(points), 3), 128, np.uint8)
    cloud = SceneCloud(xyz=xyz, color=color, normal=np.ascontiguousarray(points[:, 3:]))
    return cloud, instance, [record(4, "chest of drawers", xyz[instance == 4])]


def record(object_id: int, label: str, xyz: np.ndarray) -> ObjectRecord:
    box = fit_box(xyz)
    times = {"first_seen": 0.0, "last_seen": 1.0}
    counts = {"points": len(xyz), "observations": 3}
    return ObjectRecord(
        id=object_id, label=label, score=0.9, centre=box.centre, box=box, state="confirmed", **counts, **times
    )


def test_near_objects_have_colours_that_are_easily_told_apart() -> None:
    colors = np.array([object_color(i) for i in range(12)], dtype=float)
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1) + 1e3 * np.eye(12)
    assert distance.min() > 40
    assert np.array_equal(object_colors(np.array([3, -1, 3])), [object_color(3), object_color(-1), object_color(3)])


def test_nearer_point_hides_the_one_behind_it() -> None:
    xyz, toward = np.float32([[0, 0, 2], [0, 0, 1]]), np.float32([[0, 0, -1], [0, 0, -1]])
    cloud = SceneCloud(xyz=xyz, color=np.zeros((2, 3), np.uint8), normal=toward)
    splats = draw_points(cloud, camera_of_size(41, 41), np.eye(4), radius_m=0.05)
    assert splats.point[20, 20] == 1 and splats.depth_m[20, 20] == pytest.approx(1.0, abs=1e-3)
    assert splats.point[0, 0] == -1 and np.isinf(splats.depth_m[0, 0])


def test_one_looks_into_a_closed_room_from_above() -> None:
    cloud, instance, _ = room()
    camera = camera_of_size(260, 225)
    T_map_camera = choose_viewpoint(cloud, np.full_like(instance, -1), camera, UP)
    assert T_map_camera[2, 3] > 2.4 and T_map_camera[2, 2] < -0.4  # above the ceiling, looking down
    assert T_map_camera[2, 1] < 0  # the image's down is the room's down
    shown = draw_points(cloud, camera, T_map_camera, radius_m=0.03).point
    height = cloud.xyz[shown[shown >= 0], 2]
    assert (instance[shown[shown >= 0]] == 4).sum() > 1000  # of 58,500 pixels, through ceiling and near walls
    assert np.isclose(height, 0).sum() > 5000 and np.isclose(height, 2.4).sum() < 2500  # the far walls end there too


def test_picture_shows_the_object_in_its_colour_and_the_seen_room_without_it(tmp_path: Path) -> None:
    cloud, instance, objects = room()
    render_preview(cloud, instance, objects, tmp_path / "preview.png")
    picture = np.asarray(Image.open(tmp_path / "preview.png")).astype(int)
    assert picture.shape == (900, 1600, 3)
    own = np.array(object_color(4)) * (0.45 + 0.55 * 128 / 255)
    like_own = (np.abs(picture - own) < 12).all(axis=-1)
    assert like_own[:, 560:].sum() > 20_000 and like_own[500:, :560].sum() > 2_000
    assert like_own[:480, :560].sum() == 0


def test_same_map_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        render_preview(*room(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (0.3, -0.2, 0.9)])
def test_picture_needs_neither_points_nor_objects(tmp_path: Path, up: tuple[float, float, float]) -> None:
    nothing, one = (
        SceneCloud(
            xyz=np.ones((count, 3), np.float32),
            color=np.ones((count, 3), np.uint8),
            normal=np.ones((count, 3), np.float32),
        )
        for count in (0, 1)
    )
    for cloud in (nothing, one):
        render_preview(cloud, np.full(len(cloud), -1, np.int32), [], tmp_path / "preview.png", up=up)
        write_recording(tmp_path / "recording.rrd", cloud, np.full(len(cloud), -1, np.int32), [], up=up)


def test_names_do_not_cover_each_other() -> None:
    canvas = Image.new("RGB", (600, 400))
    crowd = [Label(text="chair", anchor=(300.0 + i, 200.0), color=(255, 0, 0), room_px=10.0) for i in range(12)]
    assert draw_labels(ImageDraw.Draw(canvas), crowd, canvas.size, font_px=15) == 12
    plates = np.asarray(canvas).min(axis=-1) > 250
    alone = Image.new("RGB", (600, 400))
    draw_labels(ImageDraw.Draw(alone), crowd[:1], alone.size, font_px=15)
    one = (np.asarray(alone).min(axis=-1) > 250).sum()
    assert plates.sum() > 11.5 * one


def test_names_without_room_are_left_out_and_counted() -> None:
    canvas = Image.new("RGB", (240, 120))
    crowd = [Label(text="chair", anchor=(120.0, 60.0), color=(255, 0, 0), room_px=10.0) for _ in range(30)]
    assert 0 < draw_labels(ImageDraw.Draw(canvas), crowd, canvas.size, font_px=15) < 10


def test_recording_of_a_large_map_stays_small_and_is_readable(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    xyz = random.random((1_000_000, 3), dtype=np.float32) * 8
    cloud = SceneCloud(xyz=xyz, color=random.integers(0, 256, xyz.shape, np.uint8), normal=np.ones_like(xyz))
    instance = random.integers(-1, 3, len(xyz)).astype(np.int32)
    objects = [record(i, name, xyz[:100]) for i, name in enumerate(("chair", "tv/monitor", "42"))]
    camera = Camera(fx=500.0, fy=500.0, cx=320.0, cy=240.0, width=640, height=480)
    noise = random.integers(0, 256, (480, 640, 3), np.uint8)
    depth = np.ones((480, 640), np.float32)
    frames = [
        Frame(index=i, stamp_s=1e9 + i, color=noise, depth_m=depth, camera=camera, T_map_camera=np.eye(4))
        for i in range(200)
    ]
    path = tmp_path / "recording.rrd"
    write_recording(path, cloud, instance, objects, frames)
    assert 1e6 < path.stat().st_size < 20e6
    listing = [sys.executable, "-m", "rerun", "rrd", "print", str(path)]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    text = subprocess.run(listing, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    for entity in ("/map/seen", "/map/rest", "/map/way", "/map/camera/image"):
        assert re.search(rf"{entity}\b", text), text
    assert len(set(re.findall(r"/map/objects/\S+/box\b", text.replace("\\ ", "_")))) == 3, text
