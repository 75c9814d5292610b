"""`preview.png`: the objects found in a room with their names, the room as it was seen, and its plan from above."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.geometry import invert, project, transform
from ovseg3r_core.types import Box, ObjectRecord, SceneCloud
from ovseg3r_core.visual.colors import object_color, object_colors
from ovseg3r_core.visual.labels import Label, draw_labels
from ovseg3r_core.visual.splats import Splats, draw_points, point_spacing_m
from ovseg3r_core.visual.viewpoint import camera_of_size, choose_viewpoint, look_from_above

_OBJECTS_SIZE = (1040, 900)  # width, height of the large panel on the right; 1600 x 900 in all
_SIDE_WIDTH = 560
_OVERSAMPLING = 2  # drawn twice as large and then averaged: smooth edges
_FONT_PX = 15
_LEAST_PIXELS = 60  # of an object must show before its name does
_BACKGROUND = 248


def render_preview(
    cloud: SceneCloud,
    instance: Int32[ndarray, " points"],
    objects: Sequence[ObjectRecord],
    path: Path,
    up: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> None:
    """Writes the picture of a map, 1600 x 900.

    Args:
        instance: the id of the object each point belongs to, -1 for none.
        up: which way is up in the map frame, of any length; the mean of the cameras' -y serves where that is unknown.
    """
    size = (_OBJECTS_SIZE[0] * _OVERSAMPLING, _OBJECTS_SIZE[1] * _OVERSAMPLING)
    side_height = round(_SIDE_WIDTH * size[1] / size[0])
    canvas = Image.new("RGB", (_SIDE_WIDTH + _OBJECTS_SIZE[0], _OBJECTS_SIZE[1]), (_BACKGROUND,) * 3)
    if len(cloud):
        view = _View(cloud, instance, size, np.asarray(up, dtype=np.float64))
        canvas.paste(view.objects(objects).resize(_OBJECTS_SIZE, Image.Resampling.BOX), (_SIDE_WIDTH, 0))
        canvas.paste(view.true_colors().resize((_SIDE_WIDTH, side_height), Image.Resampling.BOX), (0, 0))
        canvas.paste(view.plan((_SIDE_WIDTH, _OBJECTS_SIZE[1] - side_height)), (0, side_height))
    draw = ImageDraw.Draw(canvas)
    for text, at in (("as seen", 0), ("from above", side_height)):
        _caption(draw, text, (12, at + 10))
    _caption(draw, _count(len(objects)), (_SIDE_WIDTH + 12, 10))
    draw.line([(_SIDE_WIDTH, 0), (_SIDE_WIDTH, _OBJECTS_SIZE[1])], fill=(205, 205, 205))
    draw.line([(0, side_height), (_SIDE_WIDTH, side_height)], fill=(205, 205, 205))
    with atomic_write(path) as temporary:
        canvas.save(temporary)


class _View:
    """One slanted view of the cloud, coloured in different ways, and the plan that goes with it."""

    def __init__(
        self, cloud: SceneCloud, instance: Int32[ndarray, " points"], size: tuple[int, int], up: Float64[ndarray, "3"]
    ) -> None:
        self.cloud, self.instance, self.up = cloud, instance, up / np.linalg.norm(up)
        self.radius_m = 0.9 * point_spacing_m(cloud.xyz)
        self.camera = camera_of_size(*size)
        self.T_map_camera = choose_viewpoint(cloud, instance, self.camera, self.up)
        self.splats = draw_points(cloud, self.camera, self.T_map_camera, self.radius_m)

    def true_colors(self) -> Image.Image:
        return paint(self.splats, self.cloud.color)

    def objects(self, objects: Sequence[ObjectRecord]) -> Image.Image:
        """Objects in their colours and named, all else in pale grey."""
        image, shown = paint_objects(self.splats, self.cloud, self.instance)
        draw = ImageDraw.Draw(image)
        labels = []
        for record in sorted(objects, key=lambda record: -np.count_nonzero(shown == record.id)):
            color = object_color(record.id)
            self._draw_box(draw, record.box, color)
            rows, columns = np.nonzero(shown == record.id)
            if len(rows) >= _LEAST_PIXELS * _OVERSAMPLING**2:
                labels.append(_label(record, columns, rows, color))
        unnamed = len(objects) - draw_labels(draw, labels, image.size, _FONT_PX * _OVERSAMPLING)
        if unnamed:
            place = (12 * _OVERSAMPLING, image.size[1] - 28 * _OVERSAMPLING)
            _caption(draw, f"{unnamed} not named here: hidden, or no room", place, _FONT_PX * _OVERSAMPLING)
        return image

    def plan(self, size: tuple[int, int]) -> Image.Image:
        """The same objects from straight above, turned as the slanted view is."""
        camera = camera_of_size(size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING)
        T_map_camera = look_from_above(self.cloud, self.instance, camera, self.up, self.T_map_camera[:3, 2])
        splats = draw_points(self.cloud, camera, T_map_camera, self.radius_m)
        image, _ = paint_objects(splats, self.cloud, self.instance)
        return image.resize(size, Image.Resampling.BOX)

    def _draw_box(self, draw: ImageDraw.ImageDraw, box: Box, color: tuple[int, int, int]) -> None:
        """The edges, thin, where nothing stands in front of them."""
        along = np.linspace(0, 1, 41)[:, None]
        for start, end in box_edges(box):
            pixel, z = project(transform(invert(self.T_map_camera), start + along * (end - start)), self.camera)
            free = _unhidden(pixel, z, self.splats)
            for a in np.flatnonzero(free[:-1] & free[1:]):
                draw.line([tuple(pixel[a]), tuple(pixel[a + 1])], fill=color, width=_OVERSAMPLING)


def paint_objects(
    splats: Splats, cloud: SceneCloud, instance: Int32[ndarray, " points"]
) -> tuple[Image.Image, Int32[ndarray, "height width"]]:
    """Objects in their colours and outlined, all else in pale grey; and the object each pixel shows, -1 for none."""
    shown = np.where(splats.point >= 0, instance[splats.point], -1).astype(np.int32)
    return paint(splats, tint(cloud.color, instance), outline(shown)), shown


def tint(color: UInt8[ndarray, "points 3"], instance: Int[ndarray, " points"]) -> UInt8[ndarray, "points 3"]:
    """Objects in their own colours with the light and dark of the real ones; the rest pale grey."""
    light = color @ np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255
    objects = object_colors(instance) * (0.45 + 0.55 * light[:, None])
    rest = np.repeat(150 + 85 * light[:, None], 3, axis=1)
    return np.where(instance[:, None] >= 0, objects, rest).astype(np.uint8)


def box_edges(box: Box) -> Float64[ndarray, "12 2 3"]:
    """The two ends of each edge of a box, map frame."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * box.size
    cos, sin = np.cos(box.yaw), np.sin(box.yaw)
    corners = corners @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T + box.centre
    pairs = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]
    return corners[np.array(pairs)]


def paint(
    splats: Splats, color: UInt8[ndarray, "points 3"], dark: Bool[ndarray, "height width"] | None = None
) -> Image.Image:
    """Each pixel in the colour of its point, shaded by depth; darker where `dark` says so."""
    image = np.where(splats.point[:, :, None] >= 0, color[splats.point], _BACKGROUND).astype(np.float32)
    shade = _edge_shade(splats.depth_m)
    if dark is not None:
        shade = np.where(dark, 0.45 * shade, shade)
    return Image.fromarray((image * shade[:, :, None]).astype(np.uint8))


def _edge_shade(depth_m: Float32[ndarray, "height width"], reach_px: int = 3) -> Float32[ndarray, "height width"]:
    """Darkens what lies right behind something nearer, as in eye-dome lighting: shapes stand out without a lamp."""
    log_depth = np.log(np.where(np.isfinite(depth_m), depth_m, 1e3)).astype(np.float32)
    behind = np.zeros_like(log_depth)
    for shift in ((0, reach_px), (0, -reach_px), (reach_px, 0), (-reach_px, 0)):
        behind += np.clip(log_depth - np.roll(log_depth, shift, axis=(0, 1)), 0, 0.05)
    return np.where(np.isfinite(depth_m), np.exp(-4 * behind), 1).astype(np.float32)


def outline(shown: Int32[ndarray, "height width"]) -> Bool[ndarray, "height width"]:
    """The pixels of an object next to something that is not that object; `shown` is the id at each, -1 for none."""
    edge = np.zeros(shown.shape, dtype=bool)
    for shift in ((0, 2), (0, -2), (2, 0), (-2, 0)):
        edge |= shown != np.roll(shown, shift, axis=(0, 1))
    return edge & (shown >= 0)


def _unhidden(
    pixel: Float64[ndarray, "samples 2"], z: Float64[ndarray, " samples"], splats: Splats
) -> Bool[ndarray, " samples"]:
    height, width = splats.depth_m.shape
    inside = (pixel >= 0).all(axis=1) & (pixel[:, 0] <= width - 1) & (pixel[:, 1] <= height - 1)
    column, row = np.where(inside[:, None], pixel, 0).astype(int).T
    return inside & (z <= splats.depth_m[row, column] + 0.03)


def _label(
    record: ObjectRecord, columns: Int[ndarray, " pixels"], rows: Int[ndarray, " pixels"], color: tuple[int, int, int]
) -> Label:
    """A name that points at the object's pixel nearest to its middle."""
    middle = int(np.argmin((columns - np.median(columns)) ** 2 + (rows - np.median(rows)) ** 2))
    return Label(
        text=f"{record.label} #{record.id}",
        anchor=(float(columns[middle]), float(rows[middle])),
        color=color,
        room_px=float(min(np.ptp(columns), 2 * np.ptp(rows))),
    )


def _count(objects: int) -> str:
    return f"{objects} object" if objects == 1 else f"{objects} objects"


def _caption(draw: ImageDraw.ImageDraw, text: str, at: tuple[int, int], font_px: int = _FONT_PX) -> None:
    font = ImageFont.load_default(font_px)
    draw.text(at, text, fill=(90, 90, 90), font=font, stroke_width=font_px // 6, stroke_fill=(_BACKGROUND,) * 3)
