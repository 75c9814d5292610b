"""What a recording and the live viewer show in the same way: boxes, and a camera with its image."""

from collections.abc import Sequence

import cv2
import numpy as np
import rerun as rr
from jaxtyping import UInt8
from numpy import ndarray

from ovseg3r_core.types import Box, Camera

_IMAGE_WIDTH_PX = 320


def box_lines(
    boxes: Sequence[Box], colors: Sequence[tuple[int, int, int]], labels: Sequence[str] | None, line_m: float
) -> rr.Boxes3D:
    """Boxes as wireframes, with a label each where there are labels."""
    return rr.Boxes3D(
        centers=[box.centre for box in boxes],
        sizes=[box.size for box in boxes],
        rotation_axis_angles=[rr.RotationAxisAngle([0, 0, 1], radians=box.yaw) for box in boxes],
        colors=colors,
        labels=labels,
        show_labels=True,
        radii=line_m,
        fill_mode="MajorWireframe",
    )


def small_image(
    color: UInt8[ndarray, "height width 3"], camera: Camera, distance_m: float
) -> tuple[rr.Pinhole, rr.EncodedImage]:
    """What a camera sees, 320 px wide, and the lens that holds it `distance_m` before the camera."""
    scale = _IMAGE_WIDTH_PX / camera.width
    size = (_IMAGE_WIDTH_PX, round(camera.height * scale))
    lens = rr.Pinhole(
        image_from_camera=np.diag([scale, scale, 1]) @ camera.K,
        resolution=size,
        camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=distance_m,
    )
    return lens, rr.EncodedImage(contents=_jpeg(color, size), media_type="image/jpeg")


def _jpeg(color: UInt8[ndarray, "height width 3"], size: tuple[int, int]) -> bytes:
    small = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return encoded.tobytes()
