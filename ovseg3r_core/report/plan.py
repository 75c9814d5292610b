"""The map from straight above, and where each object lies on that picture."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.geometry import invert, project, transform
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.types import SceneCloud
from ovseg3r_core.visual.preview import outline, paint, tint
from ovseg3r_core.visual.splats import draw_points, point_spacing_m
from ovseg3r_core.visual.viewpoint import camera_of_size, focus_points, look_at

_SIZE = (1200, 900)  # width, height


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A picture from above."""

    picture: UInt8[ndarray, "height width 3"]
    places: dict[int, tuple[float, float]]
    """Of the middle of each object: shares of the width and of the height, from the upper left."""


def plan_of(snapshot: MapSnapshot) -> Plan | None:
    """The plan; None for a map without points. Ceilings are taken off."""
    below = ~np.isin(snapshot.owner, [record.id for record in snapshot.structure if record.label == "ceiling"])
    cloud, instance = snapshot.cloud, snapshot.instance()[below]
    kept = SceneCloud(xyz=cloud.xyz[below], color=cloud.color[below], normal=cloud.normal[below])
    if not len(kept):
        return None
    up = np.asarray(snapshot.up, np.float64)
    up /= np.linalg.norm(up)
    heading = np.eye(3)[np.abs(up).argmin()]
    heading -= heading @ up * up
    camera = camera_of_size(*_SIZE)
    focus = kept.xyz[focus_points(kept, instance)]
    T_map_camera = look_at(focus, camera, up, heading / np.linalg.norm(heading), np.pi / 2)
    splats = draw_points(kept, camera, T_map_camera, point_spacing_m(kept.xyz))
    shown = np.where(splats.point >= 0, instance[splats.point], -1)
    picture = np.asarray(paint(splats, tint(kept.color, instance), outline(shown)))
    centres = np.array([record.centre for record in snapshot.objects], np.float64).reshape(-1, 3)
    pixels, _ = project(transform(invert(T_map_camera), centres), camera)
    shares = pixels / np.array(_SIZE)
    return Plan(
        picture=picture,
        places={record.id: (float(x), float(y)) for record, (x, y) in zip(snapshot.objects, shares, strict=True)},
    )
