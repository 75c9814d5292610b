"""The map from straight above, and where each object lies on that picture."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.geometry import invert, project, transform
from ovseg3r_core.mapping.snapshot import MapSnapshot
from ovseg3r_core.visual.preview import paint_objects
from ovseg3r_core.visual.splats import draw_points, point_spacing_m
from ovseg3r_core.visual.viewpoint import camera_of_size, look_from_above

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
    kept = cloud.at(below)
    if not len(kept):
        return None
    up = np.asarray(snapshot.up, np.float64)
    up /= np.linalg.norm(up)
    camera = camera_of_size(*_SIZE)
    T_map_camera = look_from_above(kept, instance, camera, up, np.eye(3)[np.abs(up).argmin()])
    picture, _ = paint_objects(draw_points(kept, camera, T_map_camera, point_spacing_m(kept.xyz)), kept, instance)
    centres = np.array([record.centre for record in snapshot.objects], np.float64).reshape(-1, 3)
    pixels, _ = project(transform(invert(T_map_camera), centres), camera)
    shares = pixels / np.array(_SIZE)
    return Plan(
        picture=np.asarray(picture),
        places={record.id: (float(x), float(y)) for record, (x, y) in zip(snapshot.objects, shares, strict=True)},
    )
