"""A picture of superpoints: each in a colour of its own, beside the cloud as it was seen."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from PIL import Image

from ovseg3r_core.atomic import atomic_write
from ovseg3r_core.types import SceneCloud
from ovseg3r_core.visual.preview import outline, paint, tint
from ovseg3r_core.visual.splats import draw_points, point_spacing_m
from ovseg3r_core.visual.viewpoint import camera_of_size, choose_viewpoint

_PANEL = (900, 800)  # width, height of each of the two
_OVERSAMPLING = 2


def render_superpoints(cloud: SceneCloud, superpoint: Int64[ndarray, " points"], path: Path) -> None:
    """Writes the picture, 1800 x 800: the cloud's own colours on the left, superpoints on the right."""
    canvas = Image.new("RGB", (2 * _PANEL[0], _PANEL[1]), (255, 255, 255))
    if len(cloud):
        camera = camera_of_size(_PANEL[0] * _OVERSAMPLING, _PANEL[1] * _OVERSAMPLING)
        nothing = np.full(len(cloud), -1, np.int32)
        T_map_camera = choose_viewpoint(cloud, nothing, camera, np.array([0.0, 0.0, 1.0]))
        splats = draw_points(cloud, camera, T_map_camera, 0.9 * point_spacing_m(cloud.xyz))
        shown = np.where(splats.point >= 0, superpoint[splats.point], -1).astype(np.int32)
        for place, color, edges in ((0, cloud.color, None), (1, tint(cloud.color, superpoint), outline(shown))):
            panel = paint(splats, color, edges).resize(_PANEL, Image.Resampling.BOX)
            canvas.paste(panel, (place * _PANEL[0], 0))
    with atomic_write(path) as temporary:
        canvas.save(temporary)
