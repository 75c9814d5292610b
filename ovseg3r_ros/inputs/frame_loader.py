"""Decodes and checks a pair of images, later and in another thread than the one that received them."""

from dataclasses import dataclass, replace
from functools import cached_property

from jaxtyping import Float64
from numpy import ndarray

from ovseg3r_core.checks import Rejected, check_images, check_pose
from ovseg3r_core.sequences.bag_messages import read_image
from ovseg3r_core.sequences.calibration import undistort
from ovseg3r_core.sequences.registration import DepthCamera, to_color
from ovseg3r_core.types import Frame, RgbdFrame
from ovseg3r_ros.inputs.calibrations import Calibrations


@dataclass(frozen=True, kw_only=True)
class ImageMessage:
    """A serialised Image or CompressedImage."""

    frame_id: str
    raw: bytes
    compressed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthPlace:
    """Where a depth camera of its own sits, and its calibrations."""

    calibrations: Calibrations
    T_color_depth: Float64[ndarray, "4 4"]

    def at(self, stamp_ns: int) -> DepthCamera:
        """The depth camera of a time; raises as `Calibrations.at`."""
        in_force = self.calibrations.at(stamp_ns)
        return DepthCamera(calibration=in_force.calibration, T_color_depth=self.T_color_depth, size=in_force.size)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePair:
    """A colour and a depth image of one time that are not decoded yet.

    The calibration is looked up when they are: the CameraInfo of an image often comes after it.
    """

    sensor: str
    number: int
    stamp_ns: int
    color: ImageMessage
    depth: ImageMessage
    calibrations: Calibrations
    depth_place: DepthPlace | None = None
    """None where depth is registered to colour."""

    def load(self) -> RgbdFrame:
        """Both images, decoded once; raises `Rejected` with the reasons of `read_image`, `to_color`, `check_images`."""
        try:
            return self._images
        except Rejected as why:
            at = f"{self.sensor}, frame {self.number} at {self.stamp_ns / 1e9:.3f} s"
            raise Rejected(why.reason, f"{at}: {why}") from why

    @cached_property
    def _images(self) -> RgbdFrame:
        in_force = self.calibrations.at(self.stamp_ns)
        color = read_image(self.color.raw, compressed=self.color.compressed)
        depth = read_image(self.depth.raw, compressed=self.depth.compressed)
        if self.depth_place is None:
            color, depth = undistort(color, depth, in_force.calibration)
        else:
            color, depth = to_color(color, depth, in_force.calibration, self.depth_place.at(self.stamp_ns))
        width, height = in_force.size if all(in_force.size) else (color.shape[1], color.shape[0])
        images = check_images(
            index=self.number,
            stamp_s=self.stamp_ns / 1e9,
            color=color,
            depth=depth,
            camera=in_force.calibration.camera(width, height),
        )
        return replace(images, sensor=self.sensor)


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameLoader:
    """A frame that is not decoded yet."""

    index: int
    images: ImagePair
    T_map_camera: Float64[ndarray, "4 4"]

    def load(self) -> Frame:
        """The frame; raises as `ImagePair.load`, and `bad_pose`."""
        return replace(self.images.load().posed(check_pose(self.T_map_camera)), index=self.index)
