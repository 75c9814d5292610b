"""Decodes and checks a pair of images, later and in another thread than the one that received them."""

from dataclasses import dataclass, replace

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_frame
from ovseg3r_core.sequences.bag_messages import read_image
from ovseg3r_core.sequences.calibration import undistort
from ovseg3r_core.types import Frame
from ovseg3r_ros.inputs.calibrations import Calibrations


@dataclass(frozen=True, kw_only=True)
class ImageMessage:
    """A serialised Image or CompressedImage."""

    frame_id: str
    raw: bytes
    compressed: bool


@dataclass(frozen=True, kw_only=True)
class FrameLoader:
    """A frame that is not decoded yet.

    The calibration is looked up when the frame is loaded: the CameraInfo of an image often comes after it.
    """

    sensor: str
    index: int
    stamp_ns: int
    color: ImageMessage
    depth: ImageMessage
    calibrations: Calibrations
    T_map_camera: Float64[ndarray, "4 4"]

    def load(self) -> Frame:
        """The frame; raises `Rejected` with the reasons of `read_image`, `undistort` and `check_frame`."""
        try:
            return self._load()
        except Rejected as why:
            at = f"{self.sensor}, frame {self.index} at {self.stamp_ns / 1e9:.3f} s"
            raise Rejected(why.reason, f"{at}: {why}") from why

    def _load(self) -> Frame:
        in_force = self.calibrations.at(self.stamp_ns)
        color = read_image(self.color.raw, compressed=self.color.compressed)
        depth = read_image(self.depth.raw, compressed=self.depth.compressed)
        color, depth = undistort(color, depth, in_force.calibration)
        width, height = in_force.size if all(in_force.size) else (color.shape[1], color.shape[0])
        frame = check_frame(
            index=self.index,
            stamp_s=self.stamp_ns / 1e9,
            color=color,
            depth=depth,
            camera=in_force.calibration.camera(width, height),
            T_map_camera=self.T_map_camera,
        )
        return replace(frame, sensor=self.sensor)
