"""Where to look at a room from: above, at a slant, from the side that shows the most of its objects."""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from numpy import ndarray

from ovseg3r_core.types import Camera, SceneCloud
from ovseg3r_core.visual.splats import draw_points

_FIELD_OF_VIEW = np.deg2rad(50.0)
_AZIMUTHS = 16
_ELEVATIONS = np.deg2rad((28.0, 38.0, 48.0))
_CONTEXT_M = 0.3  # of the room is left round the objects, and more round large ones
_CONTEXT_SHARE = 0.25
_JUDGED_POINTS = 20_000  # tell one view from another well enough
_JUDGED_WIDTH_PX = 120


def camera_of_size(width: int, height: int) -> Camera:
    """The virtual camera for a picture of this size; its field of view is that of the picture's width."""
    focal = width / 2 / np.tan(_FIELD_OF_VIEW / 2)
    return Camera(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2, width=width, height=height)


def choose_viewpoint(
    cloud: SceneCloud, instance: Int32[ndarray, " points"], camera: Camera, up: Float64[ndarray, "3"]
) -> Float64[ndarray, "4 4"]:
    """`T_map_camera` of the slanted view in which the objects, each by the root of its pixels, show best."""
    focus = cloud.xyz[focus_points(cloud, instance)]
    height = round(_JUDGED_WIDTH_PX * camera.height / camera.width)
    judge = camera_of_size(_JUDGED_WIDTH_PX, height)
    some = slice(None, None, max(1, len(cloud) // _JUDGED_POINTS))
    sample = cloud.at(some)
    candidates = [(heading, elevation) for heading in _headings(up) for elevation in _ELEVATIONS]
    scores = [_visible_worth(sample, instance[some], judge, look_at(focus, judge, up, *view)) for view in candidates]
    return look_at(focus, camera, up, *candidates[int(np.argmax(scores))])


def focus_points(cloud: SceneCloud, instance: Int32[ndarray, " points"]) -> Bool[ndarray, " points"]:
    """The part of the cloud to fill the picture with: the objects and a little round them, or all without objects."""
    chosen = cloud.xyz[instance >= 0] if (instance >= 0).any() else cloud.xyz
    low, high = np.quantile(chosen, [0.01, 0.99], axis=0)
    context = np.maximum(_CONTEXT_M, _CONTEXT_SHARE * np.max(high - low))
    return ((cloud.xyz >= low - context) & (cloud.xyz <= high + context)).all(axis=1)


def look_from_above(
    cloud: SceneCloud,
    instance: Int32[ndarray, " points"],
    camera: Camera,
    up: Float64[ndarray, "3"],
    heading: Float64[ndarray, "3"],
) -> Float64[ndarray, "4 4"]:
    """`T_map_camera` that looks straight down on the objects.

    Args:
        up: a unit vector.
        heading: about where the upper edge of the picture is; it need not be level.
    """
    level = heading - heading @ up * up
    focus = cloud.xyz[focus_points(cloud, instance)]
    return look_at(focus, camera, up, level / np.linalg.norm(level), np.pi / 2)


def look_at(
    focus: Float32[ndarray, "points 3"],
    camera: Camera,
    up: Float64[ndarray, "3"],
    heading: Float64[ndarray, "3"],
    elevation: float,
) -> Float64[ndarray, "4 4"]:
    """`T_map_camera` that looks along a level heading, down by `elevation`, with nearly all focus points in sight."""
    forward = np.cos(elevation) * heading - np.sin(elevation) * up
    right = np.cross(heading, up)
    R_map_camera = np.stack([right, np.cross(forward, right), forward], axis=1)
    T_map_camera = np.eye(4)
    T_map_camera[:3, :3] = R_map_camera
    xyz = focus @ R_map_camera
    centre = np.quantile(xyz, [0.01, 0.99], axis=0).mean(axis=0)
    x, y, z = (xyz - centre).T
    distance = np.quantile(
        np.maximum(np.abs(x) * 2 * camera.fx / camera.width, np.abs(y) * 2 * camera.fy / camera.height) - z, 0.99
    )
    T_map_camera[:3, 3] = R_map_camera @ (centre - [0, 0, distance * 1.05])
    return T_map_camera


def _headings(up: Float64[ndarray, "3"]) -> list[Float64[ndarray, "3"]]:
    side = np.cross(np.eye(3)[int(np.argmin(np.abs(up)))], up)
    side /= np.linalg.norm(side)
    ahead = np.cross(up, side)
    return [np.cos(a) * side + np.sin(a) * ahead for a in np.arange(_AZIMUTHS) * 2 * np.pi / _AZIMUTHS]


def _visible_worth(
    cloud: SceneCloud, instance: Int32[ndarray, " points"], camera: Camera, T_map_camera: Float64[ndarray, "4 4"]
) -> float:
    point = draw_points(cloud, camera, T_map_camera, radius_m=0.03).point
    shown = point[point >= 0]
    _, pixels = np.unique(instance[shown][instance[shown] >= 0], return_counts=True)
    return float(np.sqrt(pixels).sum() + 0.2 * np.sqrt(len(shown)))
