"""What the viewer draws of a map that grows: the cloud, the objects' boxes, the camera and its way, the events."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rerun as rr
import rerun.blueprint as rrb
from jaxtyping import Float32, Float64, Int32, UInt8
from numpy import ndarray

from ovseg3r_core.types import Box, Camera
from ovseg3r_core.visual.colors import UNASSIGNED, object_color
from ovseg3r_core.visual.rerun_parts import box_lines, small_image
from ovseg3r_core.visual.splats import point_spacing_m
from ovseg3r_core.visual.viewpoint import camera_of_size, look_at

Rgb = tuple[int, int, int]

_WAY_POSES = 2000  # a quarter of an hour at two a second; older ones are forgotten
_POINTS = 300_000
_EVENTS = 30
_LINE_M = 0.004
_ELEVATION_RAD = 0.9  # over the near wall, down onto the objects
_EYE_DISTANCE = 0.8  # the viewer's lens is wider than that of our pictures
_UP = np.array([0.0, 0.0, 1.0])  # REP-103


@dataclass(frozen=True, kw_only=True)
class ShownObject:
    """What is drawn of one object."""

    id: int
    name: str | None
    """None where nothing could name it."""
    confidence: float
    box: Box
    queries: tuple[str, ...] = ()
    """The standing texts that it answers, best first."""


class Scene:
    """A recording that is drawn into while things happen.

    Args:
        recording: where to; its layout is set with the first cloud, as the best view is not known before.
        sensors: the names of the cameras.
        background_height_m: see `ViewerConfig`.
    """

    def __init__(self, recording: rr.RecordingStream, sensors: Sequence[str], background_height_m: float) -> None:
        self._recording, self._sensors, self._background_height_m = recording, sensors, background_height_m
        self._start_s: float | None = None
        self._has_layout = False
        self._ways: dict[str, list[ndarray]] = {}
        self._events: deque[str] = deque(maxlen=_EVENTS)
        recording.log("map", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)

    def draw_cloud(
        self,
        stamp_s: float,
        xyz: Float32[ndarray, "points 3"],
        rgb: UInt8[ndarray, "points 3"],
        instance: Int32[ndarray, " points"],
    ) -> None:
        """Show the cloud in its own colours; of a very large one, every so manyth point."""
        if not len(xyz):
            return
        kept = np.flatnonzero((instance >= 0) | (xyz[:, 2] < np.quantile(xyz[:, 2], 0.01) + self._background_height_m))
        kept = kept[:: -(-len(kept) // _POINTS)]
        xyz, rgb, instance = xyz[kept], rgb[kept], instance[kept]
        self._set_time(stamp_s)
        self._recording.log("map/cloud", rr.Points3D(xyz, colors=rgb, radii=0.7 * point_spacing_m(xyz)))
        if not self._has_layout:
            self._has_layout = True
            self._recording.send_blueprint(_layout(xyz, self._sensors))

    def draw_objects(self, stamp_s: float, objects: Sequence[ShownObject], text_colors: Mapping[str, Rgb]) -> None:
        """Show all boxes, with names where there are any; while texts stand, those that answer none step back.

        Args:
            text_colors: the colour of each standing text.
        """
        self._set_time(stamp_s)
        named = [each for each in objects if each.name is not None]
        unnamed = [each for each in objects if each.name is None]
        self._recording.log("map/named", _boxes(named, text_colors, [_caption(each) for each in named]))
        self._recording.log("map/unnamed", _boxes(unnamed, text_colors, None))
        self._recording.log("objects", rr.TextDocument(_table(named, len(unnamed)), media_type="text/markdown"))

    def draw_image(
        self,
        stamp_s: float,
        sensor: str,
        color: UInt8[ndarray, "height width 3"],
        camera: Camera,
        T_map_camera: Float64[ndarray, "4 4"],
    ) -> None:
        """Show what a camera sees, small, and where it is."""
        self._set_time(stamp_s)
        way = self._ways.setdefault(sensor, [])
        way.append(T_map_camera[:3, 3])
        del way[:-_WAY_POSES]
        entity = _entity(sensor)
        pose = rr.Transform3D(translation=T_map_camera[:3, 3], mat3x3=T_map_camera[:3, :3])
        self._recording.log(f"{entity}/way", rr.LineStrips3D([way], colors=[UNASSIGNED], radii=_LINE_M))
        self._recording.log(f"{entity}/pose", pose)
        self._recording.log(f"{entity}/pose/image", *small_image(color, camera, distance_m=0.3))

    def tell(self, stamp_s: float, text: str) -> None:
        """Put a line on top of the events."""
        self._set_time(stamp_s)
        self._events.appendleft(f"- {text}")
        self._recording.log("events", rr.TextDocument("\n".join(self._events), media_type="text/markdown"))

    def _set_time(self, stamp_s: float) -> None:
        if self._start_s is None:
            self._start_s = stamp_s
        self._recording.set_time("time", duration=stamp_s - self._start_s)


def _boxes(objects: Sequence[ShownObject], text_colors: Mapping[str, Rgb], labels: list[str] | None) -> rr.Boxes3D:
    return box_lines([each.box for each in objects], [_color(each, text_colors) for each in objects], labels, _LINE_M)


def _caption(each: ShownObject) -> str:
    return ": ".join([f"{each.name} {each.confidence:.2f}", *each.queries[:1]])


def _color(each: ShownObject, text_colors: Mapping[str, Rgb]) -> Rgb:
    asked_for = [text_colors[text] for text in each.queries if text in text_colors]
    if text_colors and not asked_for:
        return UNASSIGNED
    return _lighter(asked_for[0] if asked_for else object_color(each.id))


def _lighter(color: Rgb) -> Rgb:
    """Half-way to white: the name has the colour of the box, and must be readable on a dark ground."""
    red, green, blue = ((channel + 255) // 2 for channel in color)
    return red, green, blue


def _table(named: Sequence[ShownObject], unnamed: int) -> str:
    """Markdown: the named objects, the surest first."""
    rows = [
        f"| {each.id} | {each.name} | {each.confidence:.2f} | {', '.join(f'{x:.1f}' for x in each.box.centre)} |"
        for each in sorted(named, key=lambda each: -each.confidence)
    ]
    return "\n".join(["| id | name | sure | at (m) |", "|--:|---|--:|---|", *rows, "", f"and {unnamed} without a name"])


def _layout(xyz: Float32[ndarray, "points 3"], sensors: Sequence[str]) -> rrb.Blueprint:
    """The map from above, across its longer side; beside it the cameras, and the objects as a table."""
    width, depth = np.ptp(np.quantile(xyz[:, :2], [0.01, 0.99], axis=0), axis=0)
    heading = np.array([0.0, 1.0, 0.0] if width > depth else [1.0, 0.0, 0.0])
    T = look_at(xyz, camera_of_size(1000, 800), _UP, heading, _ELEVATION_RAD)
    distance_m, ahead = float(np.median((xyz - T[:3, 3]) @ T[:3, 2])), T[:3, 2]
    target = T[:3, 3] + distance_m * ahead
    eye = rrb.EyeControls3D(position=target - _EYE_DISTANCE * distance_m * ahead, look_target=target, eye_up=_UP)
    found = rrb.Spatial3DView(origin="/map", name="map", eye_controls=eye, line_grid=False)
    seen = [rrb.Spatial2DView(origin=f"/{_entity(sensor)}/pose/image", name=sensor) for sensor in sensors]
    objects = rrb.TextDocumentView(origin="/objects", name="objects")
    events = rrb.TextDocumentView(origin="/events", name="events")
    aside = rrb.Vertical(rrb.Tabs(*seen), objects, events, row_shares=[3, 4, 2])
    return rrb.Blueprint(rrb.Horizontal(found, aside, column_shares=[3, 1]), collapse_panels=True)


def _entity(sensor: str) -> str:
    return f"map/cameras/{rr.escape_entity_path_part(sensor)}"
