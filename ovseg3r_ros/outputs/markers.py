"""Objects as RViz and Foxglove draw them: `markers`.

Every array is the whole picture: it begins with DELETEALL and then adds what there is. A viewer that starts late gets
the latched array, one that missed an array gets the next, and neither keeps a box of what is gone, which DELETEs of
what has vanished since the last publication could not promise. Viewers take an array in one step, so that nothing
flickers.

Namespaces, to be switched on and off apart: "boxes" holds outlines (filled boxes would hide the cup on the table),
"names" says "chair 0.83", and "query: TEXT" fills the boxes of what answers a standing text and says how well. The
ids are those of the objects; the caption of a filled box has the same id, negative.

The stamp of markers is 0, which is "now" to a viewer: the map does not move in its frame, and with the stamp of an
old keyframe a viewer would ask for transforms that it has forgotten.
"""

from collections.abc import Iterator

from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from ovseg3r_core.types import Box
from ovseg3r_ros.outputs.colors import text_color
from ovseg3r_ros.outputs.labelled_map import AskedFor, LabelledMap, LabelledObject
from ovseg3r_ros.outputs.primitives import color_of, point_of, pose_of

BOXES, NAMES = "boxes", "names"
_LINE_M = 0.01
_TEXT_M = 0.1
_FILL_ALPHA = 0.35
_LEAST_SIZE_M = 0.001  # a box without thickness is not drawn at all
_CORNERS = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
_EDGES = [(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b).bit_count() == 1]


def query_namespace(text: str) -> str:
    """The marker namespace of a standing text."""
    return f"query: {text}"


def marker_array(shown: LabelledMap) -> MarkerArray:
    """The whole picture of the map, to be drawn in place of whatever was there."""
    header = Header(frame_id=shown.snapshot.map_frame)
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for it in shown.shown:
        markers += [_outline(it, header), _caption(it, header)]
        for line, found in enumerate(it.queries, start=1):
            markers += _answer(it, found, line, header)
    return MarkerArray(markers=markers)


def _outline(it: LabelledObject, header: Header) -> Marker:
    box = it.record.box
    corners = [point_of(_scaled(corner, box)) for corner in _CORNERS]
    return Marker(
        header=header,
        ns=BOXES,
        id=it.record.id,
        type=Marker.LINE_LIST,
        pose=pose_of(box),
        scale=Vector3(x=_LINE_M, y=0.0, z=0.0),
        color=color_of(it.color),
        points=list(_edges(corners)),
    )


def _caption(it: LabelledObject, header: Header) -> Marker:
    text = f"{it.record.label} {it.record.score:.2f}"
    return Marker(
        header=header,
        ns=NAMES,
        id=it.record.id,
        type=Marker.TEXT_VIEW_FACING,
        pose=_above(it.record.box, 0),
        scale=Vector3(x=0.0, y=0.0, z=_TEXT_M),
        color=color_of((255, 255, 255)),
        text=text,
    )


def _answer(it: LabelledObject, found: AskedFor, line: int, header: Header) -> list[Marker]:
    """The filled box of an object that answers a text, and what it answers on a line of its own above the name."""
    color, ns = text_color(found.asked.place), query_namespace(found.asked.text)
    box = it.record.box
    x, y, z = (max(float(side), _LEAST_SIZE_M) for side in box.size)
    fill = Marker(
        header=header,
        ns=ns,
        id=it.record.id,
        type=Marker.CUBE,
        pose=pose_of(box),
        scale=Vector3(x=x, y=y, z=z),
        color=color_of(color, _FILL_ALPHA),
    )
    caption = Marker(
        header=header,
        ns=ns,
        id=-it.record.id,
        type=Marker.TEXT_VIEW_FACING,
        pose=_above(box, line),
        scale=Vector3(x=0.0, y=0.0, z=_TEXT_M),
        color=color_of(color),
        text=f"{found.asked.text} {found.score:.2f}",
    )
    return [fill, caption]


def _edges(corners: list[Point]) -> Iterator[Point]:
    for a, b in _EDGES:
        yield corners[a]
        yield corners[b]


def _scaled(corner: tuple[float, float, float], box: Box) -> tuple[float, float, float]:
    x, y, z = (share * side for share, side in zip(corner, box.size, strict=True))
    return x, y, z


def _above(box: Box, line: int) -> Pose:
    """Where a line of text stands over a box; line 0 is the lowest."""
    x, y, z = box.centre
    pose = Pose(position=point_of((x, y, z + box.size[2] / 2 + _TEXT_M * (0.8 + 1.2 * line))))
    pose.orientation.w = 1.0
    return pose
