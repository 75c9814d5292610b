"""`recording.rrd`: the map for the Rerun viewer, to turn and to click through, with what the camera saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int32, UInt8
from numpy import ndarray

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.types import Frame, ObjectRecord, SceneCloud
from ovseg3r_core.visual.colors import object_color
from ovseg3r_core.visual.preview import tint
from ovseg3r_core.visual.splats import point_spacing_m
from ovseg3r_core.visual.viewpoint import camera_of_size, choose_viewpoint

if TYPE_CHECKING:
    import rerun as rr
    import rerun.blueprint as rrb

_POINTS = 300_000  # with the bound below and small images, keeps a recording under 20 MB
_IMAGES = 60


def write_recording(
    path: Path,
    cloud: SceneCloud,
    instance: Int32[ndarray, " points"],
    objects: Sequence[ObjectRecord],
    keyframes: Sequence[Frame] = (),
    up: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> None:
    """Writes a recording with the cloud in true colours, the objects with boxes and names, and the camera's way.

    Args:
        instance: the id of the object each point belongs to, -1 for none.
        keyframes: their poses are shown, and the images of at most 60 of them.
        up: which way is up in the map frame.
    """
    import rerun as rr  # a second to import, and only this needs it

    some = slice(None, None, max(1, -(-len(cloud) // _POINTS)))
    cloud = cloud.at(some)
    instance, up_map = instance[some], np.asarray(up, dtype=np.float64) / np.linalg.norm(up)
    with atomic_write(path) as temporary, rr.RecordingStream("ovseg3r", recording_id=path.stem) as recording:
        recording.save(temporary, default_blueprint=_blueprint(cloud, instance, up_map))
        recording.log("map", _view_coordinates(up_map), static=True)
        _log_cloud(recording, cloud, instance, objects)
        _log_cameras(recording, keyframes)
        recording.disconnect()  # what is on its way reaches the file


def _log_cloud(
    recording: "rr.RecordingStream",
    cloud: SceneCloud,
    instance: Int32[ndarray, " points"],
    objects: Sequence[ObjectRecord],
) -> None:
    import rerun as rr

    from ovseg3r_core.visual.rerun_parts import box_lines

    radius_m = 0.7 * point_spacing_m(cloud.xyz)
    tinted = tint(cloud.color, instance)

    def points(members: ndarray | slice, color: UInt8[ndarray, "points 3"]) -> rr.Points3D:
        return rr.Points3D(cloud.xyz[members], colors=color[members], radii=radius_m)

    recording.log("map/seen", points(slice(None), cloud.color), static=True)
    recording.log("map/rest", points(np.flatnonzero(instance < 0), tinted), static=True)
    for record in objects:
        label = f"{record.label} #{record.id}"
        entity = f"map/objects/{rr.escape_entity_path_part(label)}"
        box = box_lines([record.box], [object_color(record.id)], [label], line_m=0.003)
        recording.log(f"{entity}/points", points(np.flatnonzero(instance == record.id), tinted), static=True)
        recording.log(f"{entity}/box", box, static=True)


def _log_cameras(recording: "rr.RecordingStream", keyframes: Sequence[Frame]) -> None:
    import rerun as rr

    from ovseg3r_core.visual.rerun_parts import small_image

    if not keyframes:
        return
    way = [frame.T_map_camera[:3, 3] for frame in keyframes]
    recording.log("map/way", rr.LineStrips3D([way], colors=[(90, 90, 90)], radii=0.004), static=True)
    for frame in keyframes[:: -(-len(keyframes) // _IMAGES)]:
        recording.set_time("time", duration=frame.stamp_s - keyframes[0].stamp_s)
        T = frame.T_map_camera
        recording.log("map/camera", rr.Transform3D(translation=T[:3, 3], mat3x3=T[:3, :3]))
        recording.log("map/camera/image", *small_image(frame.color, frame.camera, distance_m=0.25))


def _blueprint(
    cloud: SceneCloud, instance: Int32[ndarray, " points"], up_map: Float64[ndarray, "3"]
) -> "rrb.Blueprint":
    import rerun.blueprint as rrb

    eye = None
    if len(cloud):
        T = choose_viewpoint(cloud, instance, camera_of_size(1000, 900), up_map)
        distance = float(np.median((cloud.xyz - T[:3, 3]) @ T[:3, 2]))
        eye = rrb.EyeControls3D(position=T[:3, 3], look_target=T[:3, 3] + distance * T[:3, 2], eye_up=up_map)
    found = rrb.Spatial3DView(
        origin="/map", contents=["+ $origin/**", "- $origin/seen"], name="objects", eye_controls=eye, line_grid=False
    )
    seen = rrb.Spatial3DView(
        origin="/map", contents=["+ $origin/seen"], name="as seen", eye_controls=eye, line_grid=False
    )
    camera = rrb.Spatial2DView(origin="/map/camera/image", name="camera")
    return rrb.Blueprint(rrb.Horizontal(found, rrb.Vertical(seen, camera), column_shares=[2, 1]), collapse_panels=True)


def _view_coordinates(up_map: Float64[ndarray, "3"]) -> "rr.ViewCoordinates":
    """The viewer turns about one of the axes: the one nearest to up."""
    import rerun as rr

    axis = int(np.argmax(np.abs(up_map)))
    sense = "UP" if up_map[axis] > 0 else "DOWN"
    return getattr(rr.ViewCoordinates, f"RIGHT_HAND_{'XYZ'[axis]}_{sense}")
