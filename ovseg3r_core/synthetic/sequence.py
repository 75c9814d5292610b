"""A furnished room as a sequence of posed RGB-D frames, rendered while it is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import UInt16
from numpy import ndarray

from ovseg3r_core.config import Within, check_ranges
from ovseg3r_core.synthetic.render import RenderedView, Renderer
from ovseg3r_core.synthetic.room import RoomScene
from ovseg3r_core.synthetic.trajectory import walk_round
from ovseg3r_core.types import Camera, Frame


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """The camera and its walk through the room."""

    frames: Annotated[int, Within(1, 100_000)] = 120
    """Frames of the walk."""
    rate_hz: Annotated[float, Within(0.1, 1000.0)] = 10.0
    """Frames a second."""
    width_px: Annotated[int, Within(16, 8192)] = 640
    """Width of the images."""
    height_px: Annotated[int, Within(16, 8192)] = 480
    """Height of the images."""
    focal_px: Annotated[float, Within(1.0, 100000.0)] = 525.0
    """Focal length, the same across and down."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_ranges(self)

    @property
    def camera(self) -> Camera:
        """Intrinsics with the principal point in the middle of the image."""
        cx, cy = (self.width_px - 1) / 2, (self.height_px - 1) / 2
        return Camera(fx=self.focal_px, fy=self.focal_px, cx=cx, cy=cy, width=self.width_px, height=self.height_px)


class RoomSequence:
    """A walk through one room: a `Sequence` that also knows which instance each pixel shows."""

    def __init__(self, scene: RoomScene, config: WalkConfig | None = None) -> None:
        config = config or WalkConfig()
        self.scene = scene
        self.name = scene.name
        self._rate_hz = config.rate_hz
        self._camera = config.camera
        self._poses = walk_round(scene.size_m, config.frames)
        self._renderer = Renderer(scene.parts)
        self._instances: dict[int, bytes] = {}

    def __len__(self) -> int:
        """Frames of the walk."""
        return len(self._poses)

    def read(self) -> Iterator[Frame]:
        """The frames in order of time."""
        return (self._frame(index) for index in range(len(self)))

    def instances(self, index: int) -> UInt16[ndarray, "height width"]:
        """Instance id of each pixel of a frame; 0 for walls, floor and ceiling. Cheap once the frame was read."""
        if index not in self._instances:
            self._render(index)
        packed = np.frombuffer(self._instances[index], dtype=np.uint8)
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED))

    def _frame(self, index: int) -> Frame:
        view = self._render(index)
        return Frame(
            index=index,
            stamp_s=index / self._rate_hz,
            color=view.color,
            depth_m=view.depth_m,
            camera=self._camera,
            T_map_camera=self._poses[index],
        )

    def _render(self, index: int) -> RenderedView:
        view = self._renderer.render(self._camera, self._poses[index])
        self._instances[index] = cv2.imencode(".png", view.instance)[1].tobytes()
        return view
